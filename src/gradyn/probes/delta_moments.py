"""Moments of delta under a random cotangent: what mean-field theory's recursions and the finite-width laws speak of.

Axes: K cotangents, B batch, C classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gradyn.core import Column
from gradyn.probes.linearized import LinearizedNet, log10_mean_square
from gradyn.probes.probe import AbstractRunProbe, Moment, Row

_NAMES = ("log10_delta_ms", "log10_delta_ms_geometric", "delta_log_variance", "delta_zero_fraction")
_DELTA = "delta_l = d (v_b . output_b) / d h_l, v_b ~ N(0, 1) drawn anew for each cotangent and sample (with batch norm: of the sum over the batch)"


@dataclass(frozen=True, slots=True)
class DeltaMoments(AbstractRunProbe):
    """Pulls random cotangents of the output back through the net, independent of weights, data and loss.

    E ||delta||^2 is an arithmetic mean, and what mean-field theory predicts; of a log-normal delta it is carried by few draws, and the
    geometric mean, with the variance, tells the typical one. Both are here, for each layer. Over nets, the variance of ln ||delta_l||^2 of
    one sample is that of `log10_delta_ms_geometric` over seeds (times ln(10)^2), plus (1 - 1/K) times the mean of `delta_log_variance`: exact
    with batch_size=1, for samples of one net are not independent.

    Args:
        cotangents: K, draws a run and measured step.

    Source: Schoenholz, Gilmer, Ganguli and Sohl-Dickstein 2017, arXiv:1611.01232, section 4, for the mean square; Hanin and Nica 2019,
        arXiv:1812.05994, for the logarithm.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            _NAMES[0],
            "log10 of [1 / preactivation^2]",
            f"log10 of the mean, over cotangents, samples and units, of delta_l^2; {_DELTA}",
            "layer",
            r"$\log_{10}\,\mathrm{E}\,\delta_l^2$",
            "arXiv:1611.01232, section 4",
        ),
        Column(
            _NAMES[1],
            "log10 of [1 / preactivation^2]",
            "mean, over those cotangents and samples whose delta_l is not 0, of log10 of the mean over units of delta_l^2; nan where all are 0",
            "layer",
            r"$\mathrm{E}\,\log_{10}\,\mathrm{ms}\;\delta_l$",
            "arXiv:1812.05994",
        ),
        Column(
            _NAMES[2],
            "natural log squared",
            "variance over cotangents (divided by their number less one) of ln ||delta_l||^2, of those not 0, mean over the samples that have two",
            "layer",
            r"Var$_v\,\ln\|\delta_l\|^2$",
            "arXiv:1812.05994",
        ),
        Column(_NAMES[3], "share", "share of cotangents and samples for which delta_l is exactly 0", "layer", r"share of $\delta_l = 0$"),
    )

    cotangents: int = 8

    def __post_init__(self) -> None:
        self.require_count("cotangents", low=2)

    def measure_run(self, moment: Moment, run: int) -> dict[str, Row]:
        net = LinearizedNet(moment, run)
        shape = (self.cotangents, net.batch, net.units(net.depth))
        v = net.rows(net.tensor(moment.draws(run, self.name).standard_normal(shape)))
        rows: dict[str, Row] = {name: [None] * net.depth for name in _NAMES}
        for index, delta, _ in net.pulled(v, net.depth):
            log2_l2_KB = net.log2_l2(delta)
            to_ms = np.log10(net.units(index))
            mean, variance, zeros = _of_logarithm(log2_l2_KB)
            values = (log10_mean_square(log2_l2_KB) - to_ms, mean - to_ms, variance, zeros)
            for name, value in zip(_NAMES, values, strict=True):
                rows[name][index - 1] = value
        return rows


def _of_logarithm(log2_l2_KB: NDArray[np.float64]) -> tuple[float, float, float]:
    """Mean of log10 of the square, variance over K of its ln (mean over B), and share of zeros."""
    is_zero_KB = np.isneginf(log2_l2_KB)
    ln_KB = 2 * math.log(2) * np.where(is_zero_KB, 0.0, log2_l2_KB)
    count_B = (~is_zero_KB).sum(0)
    has_two_B = count_B >= 2
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = ln_KB.sum() / count_B.sum()
        off_KB = np.where(is_zero_KB, 0.0, ln_KB - ln_KB.sum(0) / count_B)
        variance_B = np.square(off_KB).sum(0)[has_two_B] / (count_B[has_two_B] - 1)
    return float(mean) / math.log(10), float(variance_B.mean()) if has_two_B.any() else math.nan, float(is_zero_KB.mean())
