"""What becomes of the angle between two inputs, and of the angle between their gradients.

Axes: P pairs, K cotangents, B batch, C classes, N units.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from gradyn.core import Column, l2, log2, powers_of_two, require
from gradyn.probes.curves import places
from gradyn.probes.linearized import LinearizedNet, log10_mean_square
from gradyn.probes.probe import AbstractRunProbe, Moment, Row

_NAMES = (
    "log10_preact_ms",
    "pair_correlation",
    "log10_one_minus_pair_correlation",
    "delta_pair_correlation",
    "log10_one_minus_delta_pair_correlation",
)
_SOURCE = "arXiv:1606.05340, section 2"
_DELTA = (
    "delta_l = d (v . output) / d h_l with one v ~ N(0, 1) for both inputs of a pair, drawn anew for each pair and cotangent (with batch norm: of each "
    "input's own output, and its own part of the derivative)"
)


@dataclass(frozen=True, slots=True)
class PairCorrelation(AbstractRunProbe):
    """Lengths and correlations of the pairs of rows 2i and 2i + 1 of the data (data=pair), forwards and backwards.

    c is the cosine h.h' / (||h|| ||h'||), of vectors as they are, not centred. 1 - c comes from the difference of the two, so that it is accurate
    however near they are: down to 1e-32 with dtype=float64, 1e-14 with float32, whose rounding of h itself is not undone. The whole data set must be one
    batch.

    Args:
        cotangents: K, draws a run and measured step. 0 leaves the gradients' columns null, and saves most of the probe's time.

    Source: Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli 2016, arXiv:1606.05340, section 2, for h; Balduzzi, Frean, Leary, Lewis, Ma and
        McWilliams 2017, arXiv:1702.08591, for the gradient.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column(_NAMES[0], "log10 of [preactivation^2]", "log10 of q_l, the mean of h_l^2 over batch and units", "layer", r"$\log_{10}\,q_l$", _SOURCE),
        Column(_NAMES[1], "correlation", "c: h_l . h_l' / (||h_l|| ||h_l'||), mean over pairs of which neither is 0", "layer", r"$c_l$", _SOURCE),
        Column(
            _NAMES[2], "log10 of a correlation", "log10 of the mean over those pairs of 1 - c, from the difference", "layer", r"$\log_{10}(1 - c_l)$", _SOURCE
        ),
        Column(
            _NAMES[3],
            "correlation",
            "sum over cotangents of delta_l . delta_l' over the root of the product of the sums of ||delta_l||^2 and of ||delta_l'||^2, mean over pairs where "
            f"neither is 0; {_DELTA}",
            "layer",
            r"correlation of $\delta_l$",
            "arXiv:1702.08591",
        ),
        Column(
            _NAMES[4],
            "log10 of a correlation",
            "log10 of the mean over those pairs of 1 - that correlation, from the difference",
            "layer",
            r"$\log_{10}(1 - $ correlation of $\delta_l)$",
            "arXiv:1702.08591",
        ),
    )

    cotangents: int = 4

    def __post_init__(self) -> None:
        self.require_count("cotangents", low=0)

    def check(self, spec: Any) -> None:
        self.require_whole_set(spec)
        size = spec.batch_size
        require(size % 2 == 0, "batch_size", f"be even with probe={self.name}", size, "Set data=pair, whose rows come in pairs.")

    def measure_run(self, moment: Moment, run: int) -> dict[str, Row]:
        order_S = places(moment, run)
        layers = moment.net.layers
        rows: dict[str, Row] = {name: [None] * len(layers) for name in _NAMES}
        # Layers of one width together: an operation costs more than its arithmetic.
        for width, group in groupby(zip(layers, moment.passes, strict=True), key=lambda pair: pair[0].fan_out):
            here, passes = zip(*group, strict=True)
            h_LSN = torch.stack([done.h[run] for done in passes]).double()[:, order_S]
            for layer, norms_S in zip(here, l2(h_LSN.flatten(0, 1)).cpu().numpy().reshape(len(here), -1), strict=True):
                rows["log10_preact_ms"][layer.index - 1] = log10_mean_square(log2(norms_S)) - math.log10(width)
            _fill(rows, here[0].index, _NAMES[1:3], h_LSN)
        for index, delta_KSN in self._deltas(LinearizedNet(moment, run), moment, run, order_S) if self.cotangents else ():
            _fill(rows, index, _NAMES[3:5], delta_KSN.transpose(0, 1).flatten(1).unsqueeze(0))
        return rows

    def _deltas(self, net: LinearizedNet, moment: Moment, run: int, order_S: Tensor) -> Iterator[tuple[int, Tensor]]:
        """Layer and its deltas [K, S, N], from the readout down; each pair at an exponent of its own."""
        drawn = moment.draws(run, self.name).standard_normal((self.cotangents, net.batch // 2, net.units(net.depth)))
        v_KBC = torch.empty(self.cotangents, net.batch, net.units(net.depth), dtype=torch.float64, device=net.device)
        v_KBC[:, order_S] = net.tensor(drawn).repeat_interleave(2, 1)
        if net.mixes_samples:
            # A direction a sample, the others' outputs at rest.
            v_KBC = (v_KBC.unsqueeze(1) * torch.eye(net.batch, dtype=torch.float64, device=net.device).unsqueeze(2)).flatten(0, 1)
        for index, delta, _ in net.pulled(net.rows(v_KBC), net.depth):
            own_KBN = delta.mantissa.reshape(self.cotangents, net.batch, -1)
            if net.mixes_samples:
                own_KBN = own_KBN.unflatten(2, (net.batch, -1)).diagonal(dim1=1, dim2=2).transpose(1, 2)
            exponent_KS = delta.exponent.reshape(self.cotangents, net.batch)[:, order_S.cpu().numpy()]
            top_P = exponent_KS.reshape(self.cotangents, -1, 2).max((0, 2))
            shift_KS = exponent_KS - np.repeat(top_P, 2)
            own_KSN = own_KBN[:, order_S]
            yield index, own_KSN * powers_of_two(shift_KS.reshape(-1), own_KSN.flatten(0, 1)).view(*shift_KS.shape, 1)


def _fill(rows: dict[str, Row], first: int, names: tuple[str, ...], t_LSN: Tensor) -> None:
    """The two columns in layers first, first + 1, ..., of a signal in each."""
    cosine_LP, rest_LP = (value.view(len(t_LSN), -1) for value in _cosines(t_LSN.flatten(0, 1)))
    for layer, (cosine_P, rest_P) in enumerate(zip(cosine_LP, rest_LP, strict=True), start=first - 1):
        is_angle_P = ~cosine_P.isnan()
        # A mean over none is nan, as it should be, but warns.
        for name, value in zip(names, (cosine_P[is_angle_P].mean(), rest_P[is_angle_P].mean().log10()), strict=True):
            rows[name][layer] = float(value)


def _cosines(t_SN: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine c of each pair, and 1 - c, [P]; nan where one of the two is 0.

    With s the sum and d the difference of a and b, |a|^2 |b|^2 (1 - c^2) = |s|^2 |d - s (s.d) / |s|^2|^2 / 4: nothing cancels where a is nearly b.
    """
    pairs_P2N = t_SN.unflatten(0, (-1, 2))
    # By a power of two, so that no square leaves float64 and no difference is rounded.
    _, digits = np.frexp(pairs_P2N.abs().amax((1, 2)).cpu().numpy())
    pairs_P2N = pairs_P2N * powers_of_two(-digits.astype(np.int64), pairs_P2N)
    a_PN, b_PN = pairs_P2N.unbind(1)
    sum_PN, difference_PN = a_PN + b_PN, a_PN - b_PN
    square_P = a_PN.square().sum(1) * b_PN.square().sum(1)
    cosine_P = (a_PN * b_PN).sum(1) / square_P.sqrt()
    length_P1 = sum_PN.square().sum(1, keepdim=True)
    across_PN = difference_PN - sum_PN * ((sum_PN * difference_PN).sum(1, keepdim=True) / length_P1)
    sine2_P = length_P1.squeeze(1) * across_PN.square().sum(1) / (4 * square_P)
    # For opposite vectors s is 0, and nothing cancels in 1 - c.
    return cosine_P, torch.where(cosine_P < 0, 1 - cosine_P, sine2_P / (1 + cosine_P))
