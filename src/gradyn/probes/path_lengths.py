"""Through how many residual branches a gradient comes: the net as the sum of its paths, sorted by length.

Axes: K cotangents, B batch, N units; P number of branches on a path, 0 ... blocks.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import ClassVar

import numpy as np
import torch

from gradyn.core import Column, Scaled
from gradyn.probes.linearized import LinearizedNet
from gradyn.probes.probe import AbstractRunProbe, Moment, Row

_NAMES = ("path_length_share", "mean_path_length")
_SHARE = (
    "share(k) = sum ||g_k||^2 / sum over j of sum ||g_j||^2, sums over cotangents and samples, g_k the part of J^T v that comes through exactly k "
    "branches, v ~ N(0, 1) at x_{depth-1}; products of parts of different length, which average to 0 over independent weights, are left out"
)


@dataclass(frozen=True, slots=True)
class PathLengths(AbstractRunProbe):
    """Expands prod_l (s I + t a J_l)^T v in powers of t, J_l the branches' Jacobians: the coefficient of t^k came through k branches.

    Exact: each power is carried down the net by itself, with an exponent of its own. A net without branches has the one length 0. Columns have
    one number a layer, so the distribution over k at x_1, where the first branch begins, stands in the rows 1 ... blocks + 1.

    Args:
        cotangents: K, draws a run and measured step.

    Source: Veit, Wilber and Belongie 2016, arXiv:1605.06431, for the idea; they sample paths, here all are summed.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            _NAMES[0],
            "share",
            f"row l: share of the squared gradient at x_1 that comes from x_{{depth-1}} through l - 1 residual branches; null beyond blocks + 1; {_SHARE}",
            "layer",
            "share of paths through $l-1$ branches",
            "arXiv:1605.06431",
        ),
        Column(
            _NAMES[1],
            "branches",
            "row l: sum over k of k share(k) for the gradient at x_{l-1}, branches being those between it and x_{depth-1}; null in the readout and where "
            "x_{l-1} is inside a block",
            "layer",
            "mean path length [branches]",
            "arXiv:1605.06431",
        ),
    )

    cotangents: int = 1

    def __post_init__(self) -> None:
        self.require_count("cotangents")

    def measure_run(self, moment: Moment, run: int) -> dict[str, Row]:
        net = LinearizedNet(moment, run)
        top, lengths = net.depth - 1, net.blocks + 1
        v_KBN = net.tensor(moment.draws(run, self.name).standard_normal((self.cotangents, net.batch, net.units(top))))
        powers_PKBN = torch.zeros(lengths, *v_KBN.shape, dtype=torch.float64, device=net.device)
        powers_PKBN[0] = v_KBN
        start = net.rows(powers_PKBN.flatten(0, 1))
        share: Row = [None] * net.depth
        mean: Row = [None] * net.depth
        at_x_1 = start
        for index, _, at_input in net.pulled(start, top, partial(_one_longer, lengths=lengths)):
            at_x_1 = at_input if index == 2 else at_x_1
            if net.is_whole(index - 1):
                mean[index - 1] = float(_shares(net, at_input, lengths) @ np.arange(lengths))
        share[:lengths] = _shares(net, at_x_1, lengths).tolist()
        return dict(zip(_NAMES, (share, mean), strict=True))


def _one_longer(t: Scaled, lengths: int) -> Scaled:
    """The rows of every length moved to the next one: multiplication by t. The longest is empty, or there would be more blocks than blocks."""
    count = len(t.mantissa) // lengths
    mantissa = torch.zeros_like(t.mantissa)
    mantissa[count:] = t.mantissa[:-count]
    return Scaled(mantissa, np.roll(t.exponent, count)).rescaled()


def _shares(net: LinearizedNet, t: Scaled, lengths: int) -> np.ndarray:
    """Share of each length, [P]; nan where there is no gradient at all."""
    log2_l2_P = net.log2_l2(t).reshape(lengths, -1)
    with np.errstate(invalid="ignore"):
        square_P = np.exp2(2 * (log2_l2_P - log2_l2_P.max())).sum(1)
    return square_P / square_P.sum()
