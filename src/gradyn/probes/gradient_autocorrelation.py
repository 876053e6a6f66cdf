"""How fast gradients change along a curve of inputs: shattered gradients look like white noise.

Axes: S rows of the data, B the same as the batch has them, N units.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from gradyn.core import Column, Scaled, powers_of_two
from gradyn.probes.curves import along_the_curve, places, require_curve
from gradyn.probes.linearized import LinearizedNet
from gradyn.probes.probe import AbstractRunProbe, Moment, Row

LAGS = (1, 2, 4, 8, 16, 32)
# Rows whose tangents go through a net with batch norm together: each is as large as the batch.
_AT_ONCE = 16


def _column(lag: int) -> Column:
    return Column(
        f"gradient_acf_{lag}",
        "correlation",
        f"sum over rows s and units of (g_s - g)(g_{{s+{lag}}} - g) over the sum of (g_s - g)^2, g_s = d h_l / d t at row s, t along the curve, g its mean "
        "over rows for each unit; rows go round on a closed curve, on an open one the first sum has fewer; null where lag >= rows; nan where g_s is constant",
        "layer",
        f"autocorrelation of $dh_l/dt$ at lag {lag}",
        "arXiv:1702.08591",
    )


@dataclass(frozen=True, slots=True)
class GradientAutocorrelation(AbstractRunProbe):
    """Autocorrelation of d h_l / d t over the rows of data=line, circle or arc, at lags of 1, 2, 4, ... 32 rows; the readout's row is that of the output.

    Derivatives are exact (a tangent of the inputs is carried through the net). Unit sums, not means of ratios: a unit that is constant counts nothing.
    With batch norm each row moves alone, and the batch's statistics with it. The whole data set must be one batch. On a line a net without
    biases has constant gradients on each side of 0.

    Source: Balduzzi, Frean, Leary, Lewis, Ma and McWilliams 2017, arXiv:1702.08591, section 2. They look at the output alone.
    """

    columns: ClassVar[tuple[Column, ...]] = tuple(_column(lag) for lag in LAGS)

    def check(self, spec: Any) -> None:
        require_curve(self, spec)

    def measure_run(self, moment: Moment, run: int) -> dict[str, Row]:
        net = LinearizedNet(moment, run)
        order_S = places(moment, run)
        tangent_BM = torch.empty_like(net.signals[0])
        tangent_BM[order_S] = along_the_curve(moment, net.signals[0][order_S])
        rows: dict[str, Row] = {column.name: [] for column in self.columns}
        for own in _own_tangents(net, tangent_BM):
            # What underflows beside the largest would do so in its sum of squares.
            g_SN = (own.mantissa * powers_of_two(own.exponent - own.exponent.max(), own.mantissa))[order_S]
            off_SN = g_SN - g_SN.mean(0)
            # Neighbouring inputs differ by 1/S of their size or so: that much more than the inputs' own is the rounding of the tangents.
            is_constant = bool(off_SN.norm() <= len(g_SN) * torch.finfo(moment.net.format.held).eps * g_SN.norm())
            for lag, column in zip(LAGS, self.columns, strict=True):
                value = _autocorrelation(off_SN, lag, moment.data.is_closed)
                rows[column.name].append(math.nan if is_constant and value is not None else value)
        return rows


def _own_tangents(net: LinearizedNet, tangent_BM: Tensor) -> list[Scaled]:
    """Of every layer, d h_l / d t of each row as that row moves, [B, N]."""
    if not net.mixes_samples:
        return [at_h for _, at_h, _ in net.pushed(net.rows(tangent_BM.unsqueeze(0)))]
    found: list[list[Scaled]] = [[] for _ in range(net.depth)]
    for part in torch.arange(net.batch, device=net.device).split(_AT_ONCE):
        own = torch.arange(len(part), device=net.device), part
        alone_KBM = torch.zeros(len(part), *tangent_BM.shape, dtype=torch.float64, device=net.device)
        alone_KBM[own] = tangent_BM[part]
        for index, at_h, _ in net.pushed(net.rows(alone_KBM)):
            found[index - 1].append(Scaled(at_h.mantissa[own], at_h.exponent))
    return [Scaled(torch.cat([part.mantissa for part in parts]), np.concatenate([part.exponent for part in parts])) for parts in found]


def _autocorrelation(off_SN: Tensor, lag: int, is_closed: bool) -> float | None:
    """Of the columns together."""
    if lag >= len(off_SN):
        return None
    later_SN = off_SN.roll(-lag, 0) if is_closed else off_SN[lag:]
    return float((off_SN[: len(later_SN)] * later_SN).sum() / off_SN.square().sum())
