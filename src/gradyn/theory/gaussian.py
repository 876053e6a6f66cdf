"""Expectations of functions of one and of two jointly Gaussian preactivations, each with its error.

    gaussian_mean(np.cos, 2.0)                                       E cos(h), h ~ N(0, 2)
    gaussian_mean(np.abs, [0.1, 1.0], kinks=(0.0,))                  several variances at once
    gaussian_mean_of_pair(lambda u, v: u * v, 1.0, 2.0, c=0.5)       two variables of correlation 1/2
    gaussian_mean_of_pair(f, 1.0, 1.0, gap=1e-14)                    correlation 1 - 1e-14, where float64's c has two digits left of 1 - c

Nothing here knows of nets; `moments.py` puts activations in.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradyn.core import ConfigError, require
from gradyn.theory.quadrature import REACH, TOLERANCE, density, integrate, panel_edges

Array: TypeAlias = NDArray[np.float64]

# Bounds the memory of nested integrals: so many outer nodes at a time have their inner integrals done together (300 nodes each, 50 MB).
_NODES_AT_ONCE = 2048
# Outside this part of the outermost panels an integrand that has moments is far below a rounding of them.
_NEGLIGIBLE = 1e-12


@dataclass(frozen=True, slots=True)
class Integral:
    """`value` with its `error`, an absolute bound: truncation as estimated by QUADPACK's rule, plus the roundings. Both of the shape asked for."""

    value: Array
    error: Array


def variances(q: ArrayLike, key: str = "q") -> Array:
    """`q` as an array, refused unless finite and not negative."""
    q_array = np.asarray(q, dtype=np.float64)
    require(bool(np.all(np.isfinite(q_array) & (q_array >= 0))), key, "be a variance: finite, zero or above", q)
    return q_array


def gaussian_mean(f: Callable[[Array], Array], q: ArrayLike, *, kinks: tuple[float, ...] = (), name: str = "f") -> Integral:
    """E f(sqrt(q) z), z ~ N(0, 1): one value for each variance q, in the shape of q.

    Args:
        f: elementwise on arrays.
        q: variances, [h^2]; at q = 0 f(0) alone enters.
        kinks: where f or one of its first derivatives jumps, in units of h.
        name: what an error calls f.

    Valid:
        any f whose features are within a few units of 0, of a kink, or wide; the catalogue's for q from 0 to 1e8. Relative error about 1e-14, stated.

    Raises:
        ConfigError: the expectation doesn't exist, or not in float64.
    """
    q_array = variances(q)
    scales_P = np.sqrt(q_array.ravel())

    def weighted(z_KQ: Array, owner_K: NDArray[np.intp]) -> Array:
        return _finite(f, scales_P[owner_K, None] * z_KQ, name) * density(z_KQ)

    value_P, error_P, size_P = integrate(weighted, panel_edges(scales_P, _in_units_of_z(kinks, scales_P)))
    ends_PQ = np.abs(weighted(np.array([[-REACH, REACH]]).repeat(len(scales_P), 0), np.arange(len(scales_P))))
    _require_moments(bool(np.all(ends_PQ.max(1, initial=0.0) <= _NEGLIGIBLE * size_P)), name, q)
    return Integral(value_P.reshape(q_array.shape), error_P.reshape(q_array.shape))


def gap_of(c: ArrayLike | None, gap: ArrayLike | None) -> Array:
    """1 - c from whichever of the two is given, refused outside [0, 2]."""
    require((c is None) != (gap is None), "c", "be given, or its distance from 1 as gap=, and not both", c)
    gap_array = 1 - np.asarray(c, dtype=np.float64) if gap is None else np.asarray(gap, dtype=np.float64)
    if gap is None:
        require(bool(np.all((gap_array >= 0) & (gap_array <= 2))), "c", "be a correlation, between -1 and 1", c)
    else:
        require(bool(np.all((gap_array >= 0) & (gap_array <= 2))), "gap", "be 1 - c, between 0 and 2", gap)
    return gap_array


def gaussian_mean_of_pair(
    f: Callable[[Array, Array], Array],
    q1: ArrayLike,
    q2: ArrayLike,
    *,
    c: ArrayLike | None = None,
    gap: ArrayLike | None = None,
    kinks_1: tuple[float, ...] = (),
    kinks_2: tuple[float, ...] = (),
    noise: float = 0.0,
    name: str = "f",
) -> Integral:
    """E f(u1, u2) of normal variables with variances q1, q2 and correlation c, in the shape to which the three broadcast.

    With a = sqrt((1 + c)/2), b = sqrt((1 - c)/2): u1 = sqrt(q1) (a x + b y), u2 = sqrt(q2) (a x - b y). The inner integral is over the common part x, split
    where either variable meets a kink; the outer one over the difference y, split where two kinks meet. So nothing cancels, and nothing is narrow, as
    c -> 1; for c < 0 the second variable changes its sign.

    Args:
        f: elementwise on two arrays of one shape.
        q1: variances of u1.
        q2: variances of u2.
        c: correlation, or
        gap: 1 - c, exact also where c rounds to 1.
        kinks_1: where f has kinks in u1.
        kinks_2: where f has kinks in u2.
        noise: relative rounding of f itself where it is more than a few eps; no finer answer is then looked for.
        name: what an error calls f.

    Valid:
        as `gaussian_mean`; relative error about 1e-12, stated.

    Raises:
        ConfigError: no such correlation or variance; the expectation doesn't exist.
    """
    q1_array, q2_array, gap_array = np.broadcast_arrays(variances(q1, "q1"), variances(q2, "q2"), gap_of(c, gap))
    # What QUADPACK's estimate makes of a difference that is all noise.
    tolerance = max(TOLERANCE, (200 * noise) ** 1.5)
    values, errors = np.empty(q1_array.size), np.empty(q1_array.size)
    for i, (one, two, one_minus_c) in enumerate(zip(q1_array.flat, q2_array.flat, gap_array.flat, strict=True)):
        values[i], errors[i] = _pair(f, float(one), float(two), float(one_minus_c), kinks_1, kinks_2, tolerance, name)
    return Integral(values.reshape(q1_array.shape), errors.reshape(q1_array.shape))


def _pair(
    f: Callable[[Array, Array], Array], q1: float, q2: float, gap: float, kinks_1: tuple[float, ...], kinks_2: tuple[float, ...], tolerance: float, name: str
) -> tuple[float, float]:
    sign = 1.0
    if gap > 1:
        gap, sign, kinks_2 = 2 - gap, -1.0, tuple(-kink for kink in kinks_2)
    a, b = np.sqrt(1 - gap / 2), np.sqrt(gap / 2)
    s1, s2 = np.sqrt(q1), np.sqrt(q2)
    meets_1 = _in_units_of_z(kinks_1, np.array([s1]))[0]
    meets_2 = _in_units_of_z(kinks_2, np.array([s2]))[0]
    inner_error, largest = 0.0, 0.0

    def inner(y_N: Array) -> Array:
        nonlocal inner_error, largest
        points_NE = np.concatenate([(meets_1 - b * y_N[:, None]) / a, (meets_2 + b * y_N[:, None]) / a], axis=1)

        def weighted(x_KQ: Array, owner_K: NDArray[np.intp]) -> Array:
            by_K1 = b * y_N[owner_K, None]
            return _finite(lambda u1: f(u1, sign * s2 * (a * x_KQ - by_K1)), s1 * (a * x_KQ + by_K1), name) * (density(x_KQ) * density(y_N)[owner_K, None])

        # The bends of the larger variable; where the two lengths differ much, the halving finds the other's.
        edges_NE = panel_edges(np.full(len(y_N), a * max(s1, s2)), points_NE)
        values_N, errors_N, sizes_N = integrate(weighted, edges_NE, tolerance, largest, share=True)
        largest, inner_error = max(largest, float(sizes_N.max())), max(inner_error, float(errors_N.max()))
        return values_N

    def outer(y_KQ: Array, _: NDArray[np.intp]) -> Array:
        y_N = y_KQ.ravel()
        F_N = np.concatenate([inner(y_N[i : i + _NODES_AT_ONCE]) for i in range(0, len(y_N), _NODES_AT_ONCE)])
        return F_N.reshape(y_KQ.shape)

    with np.errstate(divide="ignore", invalid="ignore"):
        crossings = np.nan_to_num(np.subtract.outer(meets_1, meets_2).ravel() / (2 * b), nan=0.0, posinf=REACH, neginf=-REACH)
    # Ten times what the inner integrals leave, lest the outer one chase their noise.
    value, error, _ = integrate(outer, panel_edges(np.array([b * max(s1, s2)]), crossings[None]), 10 * tolerance)
    # |y| < 8 holds all of the mass: the worst inner error over that width.
    return float(value[0]), float(error[0]) + 16 * inner_error


def _in_units_of_z(kinks: tuple[float, ...], scales_P: Array) -> Array:
    """kinks / scale, [P, E]; where the scale is 0, or the kink beyond reach, the end."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        points = np.array(kinks, dtype=np.float64)[None, :] / scales_P[:, None]
    return np.clip(np.nan_to_num(points, nan=0.0, posinf=REACH, neginf=-REACH), -4 * REACH, 4 * REACH)


def _finite(f: Callable[[Array], Array], h: Array, name: str) -> Array:
    with np.errstate(all="ignore"):
        y = f(h)
    finite = np.isfinite(y)
    if not finite.all():
        raise ConfigError(name, f"be finite at every h that its moments need (it isn't at h = {h[~finite].flat[0]:.3g})", "inf or nan", _HINT)
    return y


def _require_moments(holds: bool, name: str, q: ArrayLike) -> None:
    require(holds, name, f"have finite Gaussian moments at q = {q!r}", "a divergent integral", _HINT)


_HINT = "Mean-field theory asks for growth slower than exp(h^2 / (4 q)); every activation of the catalogue has it."
