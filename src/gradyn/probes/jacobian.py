"""Singular values of the Jacobian from each layer's input to the last hidden layer's output.

Axes: E maps (one a sample, or one in all with batch norm), K directions, B batch, N units, S singular values.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import Column, Scaled, log2, log2_total, powers_of_two
from gradyn.probes.layers import LOG10_2
from gradyn.probes.linearized import LinearizedNet, log10_mean_square
from gradyn.probes.probe import AbstractRunProbe, Moment, Row

Floats = NDArray[np.float64]
Values = tuple[float, float, float, float | None]

_EPS = 2.0**-52

_NAMES = ("log10_jacobian_s2_mean", "jacobian_s2_relative_variance", "log10_jacobian_s_max", "log10_jacobian_s_min")
_J = (
    "J_l = d x_{depth-1} / d x_{l-1}, the product of layers l ... depth - 1 (with batch norm: of the whole batch's signals); "
    "null in the readout and where x_{l-1} is inside a block, whose skip passes by"
)
_SOURCE = "arXiv:1711.04735"


@dataclass(frozen=True, slots=True)
class Jacobian(AbstractRunProbe):
    """How evenly the net passes gradients of all directions: s are the min(rows, columns) singular values of J_l.

    Exact, by products of the layers' maps and LAPACK, up to `largest_exact` rows. Above, from random directions v at x_{depth-1}: with A = J J^T
    and |v| = 1, v.A v and |A v|^2 are, times the rows, unbiased for the sums of s^2 and s^4, and the largest Ritz value of some steps of Lanczos
    from v is at most s_max^2, and near it. J is neither squared nor formed there, and s_min is null.

    Args:
        samples: how many samples of the batch are looked at, from the first; all with batch norm.
        largest_exact: rows of J (width, times the batch with batch norm) up to which all singular values are computed.
        vectors: K, random directions above that.
        iterations: steps of Lanczos from each.

    Source: Pennington, Schoenholz and Ganguli 2017, arXiv:1711.04735.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            _NAMES[0],
            "log10 of [activation^2 / activation^2]",
            f"log10 of the mean, over samples and the min(rows, columns) singular values s of J_l, of s^2; {_J}",
            "layer",
            r"$\log_{10}\,\mathrm{E}\,s^2(J_l)$",
            _SOURCE,
        ),
        Column(
            _NAMES[1],
            "ratio",
            "variance of s^2 over its squared mean, over the singular values of one sample's J_l; mean over samples",
            "layer",
            r"Var $s^2\,/\,(\mathrm{E}\,s^2)^2$",
            _SOURCE,
        ),
        Column(
            _NAMES[2],
            "log10 of [activation / activation]",
            "log10 of the largest singular value of one sample's J_l, mean over samples; a lower bound where J has more rows than largest_exact",
            "layer",
            r"$\log_{10}\,s_{\max}(J_l)$",
            _SOURCE,
        ),
        Column(
            _NAMES[3],
            "log10 of [activation / activation]",
            "log10 of the smallest singular value of one sample's J_l, mean over samples; nan where float64 can't tell one from 0 "
            "(it is below size * 2^-52 times the largest); null where J is too large",
            "layer",
            r"$\log_{10}\,s_{\min}(J_l)$",
            _SOURCE,
        ),
    )

    samples: int = 4
    largest_exact: int = 256
    vectors: int = 8
    iterations: int = 12

    def __post_init__(self) -> None:
        for field, low in (("samples", 1), ("largest_exact", 0), ("vectors", 1), ("iterations", 2)):
            self.require_count(field, low)

    def measure_run(self, moment: Moment, run: int) -> dict[str, Row]:
        net = LinearizedNet(moment, run, self.samples)
        top = net.depth - 1
        rows: dict[str, Row] = {name: [None] * net.depth for name in _NAMES}
        is_exact = net.size(top) <= self.largest_exact
        for index, values in self._exact(net, top) if is_exact else self._random(net, top, moment.draws(run, self.name)):
            for name, value in zip(_NAMES, values, strict=True):
                rows[name][index - 1] = value
        return rows

    def _exact(self, net: LinearizedNet, top: int) -> Iterator[tuple[int, Values]]:
        for index, _, at_input in net.pulled(net.rows(net.unit_vectors(top)), top):
            if net.is_whole(index - 1):
                yield index, _of_spectrum(net.directions(at_input))

    def _random(self, net: LinearizedNet, top: int, rng: np.random.Generator) -> Iterator[tuple[int, Values]]:
        bottoms = [index for index in range(1, net.depth) if net.is_whole(index - 1)]
        v_KBN = net.tensor(rng.standard_normal((self.vectors, net.batch, net.units(top))))
        diagonal, beside, exponent = self._lanczos(net, bottoms, top, net.rows(v_KBN.repeat(len(bottoms), 1, 1)))
        shape = (len(bottoms), self.vectors, net.maps)
        with np.errstate(divide="ignore", invalid="ignore"):
            log2_s2_LKE = log2(diagonal[:, 0]).reshape(shape) + exponent.reshape(shape)
            log2_s4_LKE = log2(diagonal[:, 0] ** 2 + beside[:, 0] ** 2).reshape(shape) + 2 * exponent.reshape(shape)
            log2_max_LKE = (log2(_largest_eigenvalue(diagonal, beside)).reshape(shape) + exponent.reshape(shape)) / 2
        for place, index in enumerate(bottoms):
            # v.A v averages over the rows of J; the other singular values of a J with fewer columns are not counted.
            surplus = np.log2(net.size(top) / min(net.size(index - 1), net.size(top)))
            log2_mean_E = _log2_mean(log2_s2_LKE[place]) + surplus
            variance_E = np.exp2(_log2_mean(log2_s4_LKE[place]) + surplus - 2 * log2_mean_E) - 1
            log10_max = log2_max_LKE[place].max(0).mean() * LOG10_2
            yield index, (log10_mean_square(log2_mean_E / 2), float(variance_E.mean()), float(log10_max), None)

    def _lanczos(self, net: LinearizedNet, bottoms: list[int], top: int, v: Scaled) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """The tridiagonal matrices of A = J_l J_l^T from every row of v, those of the first l first: diagonal and beside it [rows, M], times 2^exponent.

        The basis v, A v, ... is orthogonalized in full: it has few vectors, and Ritz values don't come twice.
        """
        start = v.mantissa.flatten(1)
        basis = [start / start.norm(dim=1, keepdim=True)]
        diagonal: list[Tensor] = []
        beside: list[Tensor] = []
        exponent = None
        for _ in range(min(self.iterations, net.size(top))):
            image = _images(net, bottoms, top, Scaled.plain(basis[-1].view_as(v.mantissa)))
            exponent = image.exponent if exponent is None else exponent
            w = (image.mantissa * powers_of_two(image.exponent - exponent, image.mantissa)).flatten(1)
            diagonal.append(_dot(w, basis[-1]))
            for _ in range(2):
                for q in basis:
                    w = w - _dot(w, q) * q
            size = w.norm(dim=1, keepdim=True)
            # Below the rounding of what was taken off, the Krylov space is exhausted.
            is_new = size > w.shape[1] * _EPS * torch.stack(diagonal).amax(0)
            beside.append(torch.where(is_new, size, 0.0))
            basis.append(torch.where(is_new, w / size, 0.0))
        assert exponent is not None
        return torch.cat(diagonal, 1).cpu().numpy(), torch.cat(beside, 1).cpu().numpy(), exponent


def _images(net: LinearizedNet, bottoms: list[int], top: int, v: Scaled) -> Scaled:
    """J_l J_l^T v for the rows of every l in `bottoms` at once: each goes down to its x_{l-1}, waits there, and goes up again."""
    count = len(v.exponent) // len(bottoms)
    waiting: list[Scaled] = []
    index = top
    while index:
        *_, (first, _, v) = net.pull_block(v, index)
        waiting.append(Scaled(v.mantissa[-count:], v.exponent[-count:]))
        v, index = Scaled(v.mantissa[:-count], v.exponent[:-count]), first - 1
    for first in bottoms:
        arrived = waiting.pop()
        joined = Scaled(torch.cat([v.mantissa, arrived.mantissa]), np.concatenate([v.exponent, arrived.exponent]))
        *_, (_, _, v) = net.push_block(joined, first)
    return v


def _dot(first: Tensor, second: Tensor) -> Tensor:
    return (first * second).sum(1, keepdim=True)


def _largest_eigenvalue(diagonal: Floats, beside: Floats) -> Floats:
    """Of the tridiagonal matrices, one a row; nan where one is not finite, for which LAPACK would raise for all."""
    place = np.arange(diagonal.shape[1])
    matrix = np.zeros((*diagonal.shape, len(place)))
    matrix[..., place, place] = diagonal
    matrix[..., place[1:], place[:-1]] = beside[:, :-1]
    is_finite = np.asarray(np.isfinite(diagonal + beside).all(1))
    values = np.linalg.eigvalsh(np.where(is_finite[:, None, None], matrix, 0.0))[:, -1]
    return np.where(is_finite, np.maximum(values, 0.0), np.nan)


def _log2_mean(log2_values_KE: Floats) -> Floats:
    """log2 of the mean over K, [E], from logarithms."""
    return 2 * log2_total(log2_values_KE.T / 2) - np.log2(len(log2_values_KE))


def _of_spectrum(jacobian: Scaled) -> Values:
    """The four columns from J of every map, [E, K, M]."""
    j_EKM, exponent_E = jacobian.mantissa.cpu(), jacobian.exponent
    is_finite_E = j_EKM.isfinite().all(2).all(1)
    # LAPACK would raise for all.
    s_ES = torch.where(is_finite_E[:, None], torch.linalg.svdvals(torch.where(is_finite_E[:, None, None], j_EKM, 0.0)), torch.nan).numpy()
    s2_ES = np.square(s_ES)
    mean_E = s2_ES.mean(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        variance_E = s2_ES.var(1) / mean_E**2
    largest_E, smallest_E = s_ES[:, 0], s_ES[:, -1]
    is_known_E = smallest_E > max(j_EKM.shape[1:]) * _EPS * largest_E
    log10_max_E, log10_min_E = ((log2(values) + exponent_E) * LOG10_2 for values in (largest_E, np.where(is_known_E, smallest_E, np.nan)))
    return log10_mean_square(log2(mean_E) / 2 + exponent_E), float(variance_E.mean()), float(log10_max_E.mean()), float(log10_min_E.mean())
