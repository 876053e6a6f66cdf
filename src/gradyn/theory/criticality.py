"""The edge of chaos: for which weights chi_1 = 1, and how slowly correlations then go to 1.

    critical_sigma_w("tanh", 0.05**0.5) ** 2                 1.76, with the biases of Schoenholz et al. 2017
    phase_boundary("erf", [0.0, 0.1, 0.2])                   a line in the plane of (sigma_b, sigma_w)
    edge_of_chaos_rate("relu")                               1 - c_l -> 9 pi^2 / 2 / l^2

Source: Poole et al. 2016 (arXiv:1606.05340); Hayou, Doucet & Rousseau 2019 (arXiv:1902.06853), the section on the edge of chaos.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import optimize

from gradyn.core import ConfigError, require
from gradyn.theory.maps import length_map, require_sigmas
from gradyn.theory.moments import length_slope, moment
from gradyn.theory.scalar_function import ActivationLike, ScalarFunction, as_function

Array: TypeAlias = NDArray[np.float64]

_LENGTHS = np.logspace(-10, 12, 8 * 22 + 1)
_EPS = float(np.finfo(np.float64).eps)


@dataclass(frozen=True, slots=True)
class CriticalPoint:
    """sigma_w with chi_1 = 1 at the length q = q*; q is None where chi_1 doesn't depend on it (ReLU's kind), so that any length is critical."""

    sigma_w: float
    q: float | None


def critical_point(activation: ActivationLike, sigma_b: float) -> CriticalPoint:
    """The sigma_w, and its q*, at which chi_1 = sigma_w^2 E phi'(sqrt(q*) z)^2 = 1 and lengths are stable.

    Solved in q: chi_1 = 1 gives sigma_w^2 = 1 / E phi'^2, and q = q* then gives sigma_b^2 = q - E phi^2 / E phi'^2, one equation for one unknown.
    Where E phi'^2 doesn't depend on q (linear, ReLU, leaky ReLU) sigma_w is the same for every sigma_b; with biases lengths then grow by
    sigma_b^2 a layer, and no q* exists. For an activation with phi(0) = 0 and no biases q* = 0, the limit q -> 0 from above.

    Args:
        activation: phi.
        sigma_b: standard deviation of the biases.

    Valid:
        q* between 1e-10 and 1e12, or 0. Relative error about 1e-12.

    Raises:
        ConfigError: no sigma_w is critical (softplus: lengths diverge before), or only at a length that is unstable (GELU and SiLU with small sigma_b).

    Example:
        >>> round(critical_point("relu", 0.3).sigma_w ** 2, 12)
        2.0
    """
    require_sigmas(0.0, sigma_b)
    phi = as_function(activation)
    slopes = moment(phi, _LENGTHS, derivative=2).value
    require(bool(np.all(slopes > 0)), "activation", "have a derivative for chi_1 to be 1", phi.name, "chi_1 is 0 at every sigma_w.")
    if np.ptp(slopes) <= 32 * _EPS * slopes.max():
        return CriticalPoint(1 / math.sqrt(slopes[0]), None)
    if sigma_b == 0 and float(phi.value(np.zeros(1))[0]) == 0:
        return _at_zero(phi)
    bias_variances = _LENGTHS - moment(phi, _LENGTHS, value=2).value / slopes
    is_stable = np.asarray(length_slope(phi, _LENGTHS).value <= slopes)
    above = bias_variances > sigma_b**2
    for i in np.flatnonzero(above[:-1] != above[1:]):
        q = _root(lambda t: float(_bias_variance(phi, t)) - sigma_b**2, int(i))
        slope = float(moment(phi, q, derivative=2).value)
        if float(length_slope(phi, q).value) <= slope * (1 + 1e-9):
            return CriticalPoint(1 / math.sqrt(slope), q)
    raise ConfigError("sigma_b", f"leave a stable critical point for {phi.name}", sigma_b, _what_exists(phi, bias_variances, is_stable))


def _at_zero(phi: ScalarFunction) -> CriticalPoint:
    sigma_w = 1 / math.sqrt(float(moment(phi, 0.0, derivative=2).value))
    # The next order decides: lengths near 0 must not grow. At q = 1e-4 that order is 1e-4 of q for GELU, and 0 or below for what is stable.
    small = 1e-4
    if float(length_map(phi, small, sigma_w=sigma_w, sigma_b=0.0)) > small * (1 + 64 * _EPS):
        slopes = moment(phi, _LENGTHS, derivative=2).value
        hint = _what_exists(phi, _LENGTHS - moment(phi, _LENGTHS, value=2).value / slopes, np.asarray(length_slope(phi, _LENGTHS).value <= slopes))
        raise ConfigError("sigma_b", f"leave a stable critical point for {phi.name}", 0.0, hint)
    return CriticalPoint(sigma_w, 0.0)


def _bias_variance(phi: ScalarFunction, q: float) -> float:
    """sigma_b^2 of the critical point at length q; negative where there is none."""
    return q - float(moment(phi, q, value=2).value) / float(moment(phi, q, derivative=2).value)


def _root(f: Callable[[float], float], i: int) -> float:
    return math.exp(optimize.brentq(lambda t: f(math.exp(t)), *np.log(_LENGTHS[i : i + 2]), xtol=1e-15, rtol=1e-15))


def _what_exists(phi: ScalarFunction, bias_variances: Array, is_stable: NDArray[np.bool_]) -> str:
    possible = is_stable & (bias_variances >= 0)
    if not possible.any():
        return "No sigma_b has one: chi_1 = 1 asks for weights at which lengths have no stable fixed point. `chi_1` along `lengths` says what a net does."
    first = int(np.flatnonzero(possible)[0])
    least = float(bias_variances[first])
    if first and bias_variances[first - 1] >= 0:
        # Stability begins between two lengths of the grid: where chi_parallel = chi_1.
        least = _bias_variance(phi, _root(lambda q: float(length_slope(phi, q).value / moment(phi, q, derivative=2).value) - 1, first - 1))
    most = float(bias_variances[possible].max())
    return f"There is one for sigma_b from {math.sqrt(max(least, 0.0)):.6g} to {math.sqrt(most):.6g} (there may be more beyond)."


def critical_sigma_w(activation: ActivationLike, sigma_b: float) -> float:
    """sigma_w at which chi_1 = 1, for biases of standard deviation sigma_b; `critical_point` says how it is found and when it is refused.

    Example:
        >>> round(critical_sigma_w("tanh", 0.05**0.5) ** 2, 5)
        1.76095
    """
    return critical_point(activation, sigma_b).sigma_w


def phase_boundary(activation: ActivationLike, sigma_bs: Iterable[float]) -> Array:
    """`critical_sigma_w` at each sigma_b: below the line gradients vanish (ordered), above they explode (chaotic). Raises as that does."""
    phi = as_function(activation)
    return np.array([critical_sigma_w(phi, float(sigma_b)) for sigma_b in sigma_bs])


@dataclass(frozen=True, slots=True)
class EdgeRate:
    """1 - c_l -> coefficient / l^power at criticality: power 2 where phi' jumps (ReLU's kind), 1 where it doesn't."""

    power: int
    coefficient: float
    sigma_w: float
    q: float


def edge_of_chaos_rate(activation: ActivationLike, sigma_b: float = 0.0, *, q: float = 1.0) -> EdgeRate:
    """How slowly correlations go to 1 at the critical sigma_w.

    At c = 1 - gap the map's slope is 1 - sigma_w^2 E(phi'(u1) - phi'(u2))^2 / 2. Where phi' jumps by J_k at k, two close preactivations lie on different
    sides with probability p_q(k) E|u1 - u2|, p_q the density of N(0, q), and E|u1 - u2| = 2 sqrt(q gap / pi). So
    gap_{l+1} = gap_l - A gap_l^{3/2}, A = (2/3) sigma_w^2 sqrt(q / pi) sum_k J_k^2 p_q(k), and gap_l -> 4 / (A^2 l^2).
    Where phi' is continuous, gap_{l+1} = gap_l - gap_l^2 / beta with beta = 2 E phi'^2 / (q E phi''^2), and gap_l -> beta / l.

    Args:
        activation: phi.
        sigma_b: standard deviation of the biases; must give a q* above 0, except for ReLU's kind, whose rate doesn't depend on q.
        q: the length for ReLU's kind with a bend elsewhere than at 0; not used otherwise.

    Valid:
        l -> infinity; corrections are of relative order log(l) / l. Increments of gap^(-1/power) converge faster than l^power gap.

    Raises:
        ConfigError: no critical point; it lies at q* = 0; the map is the identity (linear: c_l stays what it is).

    Source:
        Hayou, Doucet & Rousseau 2019 (arXiv:1902.06853), the section on the edge of chaos: 9 pi^2 / (2 l^2) for ReLU, beta_q / l for smooth phi. The sum
        over kinks is derived here.

    Example:
        >>> round(edge_of_chaos_rate("relu").coefficient / math.pi**2, 12)
        4.5
    """
    phi = as_function(activation)
    point = critical_point(phi, sigma_b)
    length = q if point.q is None else point.q
    require(point.q is not None or sigma_b == 0, "sigma_b", f"be 0 for {phi.name}, whose lengths otherwise grow by sigma_b^2 a layer", sigma_b)
    require(length > 0, "sigma_b", "give a critical length above 0", sigma_b, "At q* = 0 lengths themselves shrink as 1 / l: iterate `correlation_gaps`.")
    squares = sum(_jump(phi, kink) ** 2 * math.exp(-(kink**2) / (2 * length)) / math.sqrt(2 * math.pi * length) for kink in phi.kinks)
    if squares > 0:
        a = 2 / 3 * point.sigma_w**2 * math.sqrt(length / math.pi) * squares
        return EdgeRate(2, 4 / a**2, point.sigma_w, length)
    curvature = float(moment(phi, length, second_derivative=2).value)
    require(curvature > 0, "activation", "bend, or correlations stay what they are", phi.name)
    return EdgeRate(1, 2 / (point.sigma_w**2 * length * curvature), point.sigma_w, length)


def _jump(phi: ScalarFunction, kink: float) -> float:
    """phi'(kink + 0) - phi'(kink - 0), each side extrapolated linearly; below 1e-9 it is the roundings' and phi'''s, and counts as 0."""
    step = 1e-6 * max(1.0, abs(kink))
    left2, left1, right1, right2 = phi.derivative(kink + step * np.array([-2.0, -1.0, 1.0, 2.0]))
    jump = float((2 * right1 - right2) - (2 * left1 - left2))
    return jump if abs(jump) > 1e-9 else 0.0
