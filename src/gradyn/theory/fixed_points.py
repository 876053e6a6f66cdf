"""Where the maps come to rest: lengths q*, correlations c*, and the depth scales on which they do.

    fixed_point_q("tanh", sigma_w=1.3, sigma_b=0.3)                   the length that nets of any input reach
    fixed_points_q("gelu", sigma_w=1.43, sigma_b=0.1)                 all of them, the unstable ones too
    depth_scales("tanh", sigma_w=1.3, sigma_b=0.3).xi_c               layers in which 1 - c shrinks by e

Source: Poole et al. 2016 (arXiv:1606.05340); Schoenholz et al. 2017 (arXiv:1611.01232), the sections on the mean-field maps and their depth scales.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from gradyn.core import ConfigError, require
from gradyn.theory.maps import chi_1, chi_c, chi_parallel, gap_map, length_map, require_sigmas
from gradyn.theory.scalar_function import ActivationLike, ScalarFunction, as_function

Array: TypeAlias = NDArray[np.float64]

# Where fixed points are looked for, eight lengths a decade: from far below any bend to where every activation of the catalogue is linear or saturated.
_LENGTHS = np.logspace(-24, 10, 8 * 34 + 1)
# Both sides of q = V(q) are the same number when they differ by less than the roundings of a closed form and of sigma_w^2.
_SAME = 32 * float(np.finfo(np.float64).eps)
# |ln chi| below which a depth scale is infinite: q* and c* are roots, known to about 1e-12 near criticality.
_CRITICAL = 1e-10


@dataclass(frozen=True, slots=True)
class FixedPointQ:
    """A length q that the length map keeps, [h^2]; `chi_parallel` is the map's slope there; lengths near a stable one move towards it."""

    q: float
    chi_parallel: float
    is_stable: bool


def fixed_points_q(activation: ActivationLike, *, sigma_w: float, sigma_b: float) -> tuple[FixedPointQ, ...]:
    """All q* = sigma_w^2 E phi(sqrt(q*) z)^2 + sigma_b^2, ascending; none where lengths grow without bound.

    Valid:
        fixed points between 1e-24 and 1e10, and 0; two closer than a third of their size may be missed. Relative error 1e-13 / |1 - chi_parallel|.

    Raises:
        ConfigError: every length is a fixed point (ReLU at sigma_w = sqrt(2), sigma_b = 0); as `length_map`.
    """
    require_sigmas(sigma_w, sigma_b)
    phi, settings = as_function(activation), {"sigma_w": sigma_w, "sigma_b": sigma_b}

    def growth(log_q: Array) -> Array:
        q = np.exp(log_q)
        ratio: Array = np.asarray(length_map(phi, q, **settings)) / q - 1
        return ratio

    log_q = np.log(_LENGTHS)
    grows = growth(log_q)
    decided = np.abs(grows) > _SAME
    every = f"Every q is fixed for {phi.name}: pass q= or start=, or iterate `lengths`."
    require(bool(decided.any()), "sigma_w", "leave the length map other than the identity", sigma_w, every)
    log_q, grows = log_q[decided], grows[decided]
    found = []
    if float(length_map(phi, 0.0, **settings)) == 0.0:
        found.append(FixedPointQ(0.0, float(chi_parallel(phi, 0.0, **settings)), bool(grows[0] < 0)))
    for i in np.flatnonzero(np.sign(grows[:-1]) != np.sign(grows[1:])):
        q = math.exp(optimize.brentq(lambda t: float(growth(np.asarray(t))), log_q[i], log_q[i + 1], xtol=1e-15, rtol=1e-15))
        slope = float(chi_parallel(phi, q, **settings))
        found.append(FixedPointQ(q, slope, bool(grows[i] > 0 and slope > -1)))
    return tuple(found)


def fixed_point_q(activation: ActivationLike, *, sigma_w: float, sigma_b: float, start: float = 1.0) -> float:
    """The stable q* that lengths reach from `start`, [h^2].

    Where the length map is the identity (ReLU at sigma_w = sqrt(2), sigma_b = 0) that is `start` itself.

    Args:
        activation: phi.
        sigma_w: sqrt(fan_in Var W).
        sigma_b: standard deviation of the biases.
        start: a length q_1 above 0 (`lengths` says which one an input gives).

    Raises:
        ConfigError: lengths grow from `start` without bound (ReLU with sigma_w > sqrt(2)), or swing about the fixed point; as `length_map`.

    Example:
        >>> round(fixed_point_q("relu", sigma_w=1.0, sigma_b=0.5), 12)
        0.5
    """
    require(math.isfinite(start) and start > 0, "start", "be a length above 0", start)
    phi, settings = as_function(activation), {"sigma_w": sigma_w, "sigma_b": sigma_b}
    if _is_identity(phi, **settings):
        return start
    points = fixed_points_q(phi, **settings)
    for point in points:
        # From within a root's error nothing can be said about the side.
        if point.is_stable and abs(point.q - start) <= 1e-6 * start:
            return point.q
    grows = float(length_map(phi, start, **settings)) > start
    ahead = [point for point in points if (point.q >= start if grows else point.q <= start)]
    if not ahead:
        others = f"The fixed points are at q = {', '.join(f'{point.q:g}' for point in points)}" if points else "There is no fixed point"
        raise ConfigError("sigma_w", f"leave the lengths bounded from q = {start:g}", sigma_w, f"{others}; iterate `lengths` to any depth instead.")
    point = ahead[0] if grows else ahead[-1]
    hint = f"q* = {point.q:g} has chi_parallel = {point.chi_parallel:g}; iterate `lengths` instead, or pass another start=."
    require(point.is_stable, "start", "lead to a stable fixed point", start, hint)
    return point.q


def _is_identity(phi: ScalarFunction, *, sigma_w: float, sigma_b: float) -> bool:
    q = _LENGTHS[::17]
    return bool(np.all(np.abs(np.asarray(length_map(phi, q, sigma_w=sigma_w, sigma_b=sigma_b)) / q - 1) <= _SAME))


def fixed_point_gap(activation: ActivationLike, *, sigma_w: float, sigma_b: float, start: float = 1.0) -> float:
    """1 - c* of `fixed_point_c`, with its digits where c* is near 1."""
    phi, settings = as_function(activation), {"sigma_w": sigma_w, "sigma_b": sigma_b}
    q = fixed_point_q(phi, start=start, **settings)
    hint = "Lengths go to 0 here, and with them the rate at which correlations change: iterate `correlations` from the input instead, or add biases."
    require(q > 0, "sigma_b", "leave a length above 0 for c to have a fixed point", sigma_b, hint)
    return _gap_at(phi, q, **settings)


def _gap_at(phi: ScalarFunction, q: float, *, sigma_w: float, sigma_b: float) -> float:
    settings = {"sigma_w": sigma_w, "sigma_b": sigma_b}
    if float(chi_1(phi, q, **settings)) <= 1 + _CRITICAL:
        return 0.0

    def excess(log_gap: float) -> float:
        gap = math.exp(log_gap)
        return float(gap_map(phi, gap, q, **settings)) / gap - 1

    # C(c) = sum of a_n^2 c^n is convex on [0, 1] (Mehler): with C'(1) > 1 there is exactly one other fixed point, and C(0) >= 0.
    if excess(0.0) >= -1e-12:
        return 1.0  # C(0) = 0: an odd phi without biases
    least = math.log(1e-15)
    return math.exp(optimize.brentq(excess, least, 0.0, xtol=1e-13)) if excess(least) > 0 else 0.0


def fixed_point_c(activation: ActivationLike, *, sigma_w: float, sigma_b: float, start: float = 1.0) -> float:
    """The stable correlation c* of two inputs' preactivations at q*: 1 where chi_1 <= 1 (ordered and critical), below 1 in the chaotic phase.

    Args:
        activation: phi.
        sigma_w: sqrt(fan_in Var W).
        sigma_b: standard deviation of the biases.
        start: the length from which q* is reached.

    Valid:
        absolute error 1e-12 / |1 - chi_c|.

    Raises:
        ConfigError: there is no q* above 0 (`fixed_point_q`).
    """
    return 1 - fixed_point_gap(activation, sigma_w=sigma_w, sigma_b=sigma_b, start=start)


@dataclass(frozen=True, slots=True)
class DepthScales:
    """Depth scales in layers, natural logarithm, never negative: which way a quantity goes is said by its chi. Infinite at criticality.

    Args:
        xi_q: 1 / |ln chi_parallel|: layers in which |q_l - q*| shrinks by e.
        xi_c: 1 / |ln chi_c|, chi_c the slope of the correlation map at c*: layers in which |c_l - c*| shrinks by e. Infinite where q* = 0.
        xi_grad: 1 / |ln chi_1|: layers in which |delta|^2 changes by e; it vanishes where chi_1 < 1.
        q: q*.
        c: c*, None where q* = 0 and every correlation stays or creeps.
        chi_parallel: slope of the length map at q*.
        chi_c: slope of the correlation map at c*; chi_1 in the ordered phase.
        chi_1: factor of E |delta|^2 per layer backwards at q*.
    """

    xi_q: float
    xi_c: float
    xi_grad: float
    q: float
    c: float | None
    chi_parallel: float
    chi_c: float
    chi_1: float


def depth_scales(activation: ActivationLike, *, sigma_w: float, sigma_b: float, start: float = 1.0) -> DepthScales:
    """xi_q, xi_c and xi_grad at the fixed point reached from `start`.

    Schoenholz et al. 2017 write xi_grad = -1 / ln chi_1, negative in the chaotic phase; here it is its absolute value. |ln chi| below 1e-10 counts as 0.
    At q* = 0 (no biases, small weights) the *normalized* map has slope 1 at c = 1, for lengths shrink as fast as differences do: xi_c is infinite.

    Raises:
        ConfigError: as `fixed_point_q`.

    Example:
        >>> depth_scales("relu", sigma_w=1.0, sigma_b=0.5).xi_c == 1 / math.log(2)
        True
    """
    phi, settings = as_function(activation), {"sigma_w": sigma_w, "sigma_b": sigma_b}
    q = fixed_point_q(phi, start=start, **settings)
    parallel, perpendicular = float(chi_parallel(phi, q, **settings)), float(chi_1(phi, q, **settings))
    if q == 0:
        return DepthScales(_scale(parallel), math.inf, _scale(perpendicular), q, None, parallel, 1.0, perpendicular)
    gap = _gap_at(phi, q, **settings)
    slope = perpendicular if gap == 0 else float(chi_c(phi, None, q, gap=gap, **settings))
    return DepthScales(_scale(parallel), _scale(slope), _scale(perpendicular), q, 1 - gap, parallel, slope, perpendicular)


def _scale(chi: float) -> float:
    if chi == 0:
        return 0.0
    rate = abs(math.log(abs(chi)))
    return 1 / rate if rate > _CRITICAL else math.inf
