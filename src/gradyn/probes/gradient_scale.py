"""The gradient scale coefficient: what a layer does to gradients, apart from what it does to the scale of signals.

Axes: K directions, B batch, E maps (one a sample, or one in all with batch norm).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import Column, Scaled, log2_total
from gradyn.probes.linearized import LinearizedNet, log10_mean_square
from gradyn.probes.probe import AbstractRunProbe, Moment, Row

_NAMES = ("log10_gsc_step", "log10_gsc_to_output")
_GSC = "GSC(k, l) = (||J||_F^2 / n) ||x_k||^2 / ||x_l||^2, J = d x_l / d x_k, n its columns (with batch norm, of the whole batch's signals)"
_SOURCE = "arXiv:1712.05577"


@dataclass(frozen=True, slots=True)
class GradientScale(AbstractRunProbe):
    """||J||_F^2 / n is the mean of ||J u||^2 over unit vectors u: GSC is how much larger a relative change of x_k becomes, in square.

    It multiplies from layer to layer where the Jacobians' directions are independent, and does not notice a layer that is multiplied by a
    number. Norms of the Jacobians are exact up to `largest_exact` rows (one pullback a row), and unbiased estimates above, E ||J^T v||^2
    over random signs v. n is the input's side also where J is not square.

    Args:
        largest_exact: rows of J (units, times the batch with batch norm) up to which its norm is exact.
        vectors: K, random directions above that.

    Source: Philipp, Song and Carbonell 2017, arXiv:1712.05577. Their layers count from the output; here k < l.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            _NAMES[0],
            "log10 of a ratio",
            f"log10 of the mean over samples of GSC(k, l), from the layer before, k = l - 1, or from where a residual block of two matrices began, "
            f"k = l - 2; null within such a block; {_GSC}",
            "layer",
            r"$\log_{10}$ GSC$(l-1, l)$",
            _SOURCE,
        ),
        Column(
            _NAMES[1],
            "log10 of a ratio",
            "log10 of the mean over samples of GSC(l - 1, depth), from layer l's input to the output; null where x_{l-1} is inside a residual block",
            "layer",
            r"$\log_{10}$ GSC$(l-1, D)$",
            _SOURCE,
        ),
    )

    largest_exact: int = 256
    vectors: int = 8

    def __post_init__(self) -> None:
        self.require_count("largest_exact", 0)
        self.require_count("vectors")

    def measure_run(self, moment: Moment, run: int) -> dict[str, Row]:
        net = LinearizedNet(moment, run)
        rng = moment.draws(run, self.name)
        step: Row = [None] * net.depth
        to_output: Row = [None] * net.depth
        for index, _, at_input in net.pulled(self._rows(net, net.depth, rng), net.depth):
            if net.is_whole(index - 1):
                to_output[index - 1] = self._log10_gsc(net, at_input, index - 1, net.depth)
        for index in range(1, net.depth + 1):
            if net.is_whole(index):
                first = net.first_layer_of(index)
                *_, (_, _, at_input) = net.pull_block(self._rows(net, index, rng), index)
                step[index - 1] = self._log10_gsc(net, at_input, first - 1, index)
        return dict(zip(_NAMES, (step, to_output), strict=True))

    def _is_exact(self, net: LinearizedNet, index: int) -> bool:
        return net.size(index) <= self.largest_exact

    def _rows(self, net: LinearizedNet, index: int, rng: np.random.Generator) -> Scaled:
        """Directions at x_index whose images' squared norms, summed or averaged, are ||J||_F^2."""
        if self._is_exact(net, index):
            return net.rows(net.unit_vectors(index))
        return net.rows(net.tensor(rng.choice([-1.0, 1.0], size=(self.vectors, net.batch, net.units(index)))))

    def _log10_gsc(self, net: LinearizedNet, at_input: Scaled, first: int, last: int) -> float:
        count = 1 if self._is_exact(net, last) else self.vectors
        log2_frobenius_E = log2_total(net.log2_l2_of_maps(at_input).T) - np.log2(count) / 2
        log2_gain_E = log2_frobenius_E - np.log2(net.size(first)) / 2
        with np.errstate(invalid="ignore"):
            return log10_mean_square(log2_gain_E + _signal(net, first) - _signal(net, last))


def _signal(net: LinearizedNet, index: int) -> NDArray[np.float64]:
    """log2 of the norm of x_index in every map, [E]."""
    signal_BN: Tensor = net.signals[index]
    return net.log2_l2_of_maps(Scaled.plain(signal_BN.unsqueeze(0) if net.mixes_samples else signal_BN))[0]
