"""Mean-field maps of a plain net at initialization, width -> infinity: lengths, correlations and their susceptibilities.

W_ij ~ N(0, sigma_w^2 / fan_in), b_i ~ N(0, sigma_b^2). Layers count from 1: h_1 = W_1 x_0 + b_1 sees the input itself, so that
q_1 = sigma_w^2 |x_0|^2 / M + sigma_b^2, and every further layer sees phi: q_{l+1} = length_map(q_l). The same for correlations.

    lengths("relu", 1.0, 50, sigma_w=1.5, sigma_b=0.0)                     q_1 ... q_50, off criticality
    chi_1("gelu", lengths("gelu", 1.0, 50, ...), ...)                      chi of each layer on the way, not only at q*
    correlations("tanh", 0.6, 0.64, 30, sigma_w=1.3, sigma_b=0.3)          c_1 ... c_30 of a pair of inputs

Source: Poole et al. 2016 (arXiv:1606.05340), the section on signal propagation; Schoenholz et al. 2017 (arXiv:1611.01232). chi speaks of *squared* norms.

Every function takes an activation as `as_function` does (component, option's name, callable) and arrays where it takes numbers; it raises a `ConfigError`
for a negative sigma or length, an unknown activation, and an activation without finite moments. Where phi has no closed form the relative error is about
1e-13 (length_map, chi_1, chi_parallel) and 1e-11 (correlations); `moments.py` has the same integrals with their errors.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradyn.core import require
from gradyn.theory.gaussian import gap_of, variances
from gradyn.theory.moments import derivative_product, half_distance, length_slope, moment
from gradyn.theory.scalar_function import ActivationLike, as_function

Array: TypeAlias = NDArray[np.float64]


def require_sigmas(sigma_w: float, sigma_b: float) -> None:
    """Refuse a negative or infinite standard deviation."""
    for key, sigma in (("sigma_w", sigma_w), ("sigma_b", sigma_b)):
        require(math.isfinite(sigma) and sigma >= 0, key, "be a standard deviation: finite, zero or above", sigma)


def length_map(activation: ActivationLike, q: ArrayLike, *, sigma_w: float, sigma_b: float) -> Any:
    """q_{l+1} = sigma_w^2 E phi(sqrt(q_l) z)^2 + sigma_b^2, z ~ N(0, 1).

    Args:
        activation: phi.
        q: mean square of h_l, [h^2]; a number or an array.
        sigma_w: sqrt(fan_in Var W).
        sigma_b: standard deviation of the biases.

    Returns:
        The mean square of h_{l+1}, in the shape of q.

    Example:
        >>> round(float(length_map("relu", 3.0, sigma_w=2.0, sigma_b=0.5)), 12)
        6.25
    """
    require_sigmas(sigma_w, sigma_b)
    return (sigma_w**2 * moment(activation, q, value=2).value + sigma_b**2)[()]


def chi_1(activation: ActivationLike, q: ArrayLike, *, sigma_w: float, sigma_b: float) -> Any:
    """chi_1 = sigma_w^2 E phi'(sqrt(q) z)^2 at the given q: the factor by which E |delta|^2 grows per layer backwards.

    Also the slope of the correlation map at c = 1 for q = q*. Dimensionless, per layer; a norm's rate is its square root. sigma_b enters through q alone.

    Example:
        >>> round(float(chi_1("relu", 1.0, sigma_w=2.0, sigma_b=0.0)), 12)
        2.0
    """
    require_sigmas(sigma_w, sigma_b)
    return (sigma_w**2 * moment(activation, q, derivative=2).value)[()]


def chi_parallel(activation: ActivationLike, q: ArrayLike, *, sigma_w: float, sigma_b: float) -> Any:
    """chi_parallel = d q_{l+1} / d q_l = sigma_w^2 E[phi'^2 + phi phi''] at the given q, by Stein's identity (`length_slope`): kinks are in it.

    Dimensionless, per layer: a small change of length is multiplied by it forwards.

    Example:
        >>> round(float(chi_parallel("relu", 1.0, sigma_w=2.0, sigma_b=0.0)), 12)
        2.0
    """
    require_sigmas(sigma_w, sigma_b)
    return (sigma_w**2 * length_slope(activation, q).value)[()]


def chi_c(
    activation: ActivationLike, c: ArrayLike | None, q: ArrayLike, *, sigma_w: float, sigma_b: float, q2: ArrayLike | None = None, gap: ArrayLike | None = None
) -> Any:
    """sigma_w^2 E phi'(u1) phi'(u2) at lengths q, q2 (q unless given) and correlation c, or gap = 1 - c with c = None.

    The factor of E <delta, delta'> of two inputs per layer backwards, and at q = q* the slope of the correlation map; chi_1 at c = 1.
    """
    require_sigmas(sigma_w, sigma_b)
    return (sigma_w**2 * derivative_product(activation, q, q if q2 is None else q2, c=c, gap=gap).value)[()]


def gap_map(activation: ActivationLike, gap: ArrayLike, q: ArrayLike, *, sigma_w: float, sigma_b: float, q2: ArrayLike | None = None) -> Any:
    """1 - c_{l+1} from gap = 1 - c_l, without the cancellation of the correlation map as c -> 1.

    (sigma_w^2 E(phi(u1) - phi(u2))^2 / 2 - (sqrt(q') - sqrt(q2'))^2 / 2) / sqrt(q' q2'), with q', q2' the next lengths: the second term is 0 at equal lengths.

    Args:
        activation: phi.
        gap: 1 - c_l, in [0, 2].
        q: length of the first input's h_l.
        sigma_w: sqrt(fan_in Var W).
        sigma_b: standard deviation of the biases.
        q2: length of the second input's, q unless given.

    Raises:
        ConfigError: as above; or the next length is zero, so that there is no correlation.
    """
    require_sigmas(sigma_w, sigma_b)
    phi = as_function(activation)
    next_1 = variances(length_map(phi, q, sigma_w=sigma_w, sigma_b=sigma_b))
    next_2 = next_1 if q2 is None else variances(length_map(phi, q2, sigma_w=sigma_w, sigma_b=sigma_b))
    distance = sigma_w**2 * half_distance(phi, q, q2, gap=gap).value
    return _gap(distance, next_1, next_2)[()]


def correlation_map(activation: ActivationLike, c: ArrayLike, q: ArrayLike, *, sigma_w: float, sigma_b: float, q2: ArrayLike | None = None) -> Any:
    """c_{l+1} = (sigma_w^2 E phi(u1) phi(u2) + sigma_b^2) / sqrt(q' q2'), u of lengths q, q2 and correlation c; q', q2' the next lengths.

    Args:
        activation: phi.
        c: correlation of h_l for two inputs.
        q: length of the first input's h_l; of both unless
        sigma_w: sqrt(fan_in Var W).
        sigma_b: standard deviation of the biases.
        q2: length of the second input's.

    Valid:
        absolute error about 1e-12; where 1 - c is what matters take `gap_map`.

    Example:
        >>> round(float(correlation_map("relu", 0.0, 1.0, sigma_w=1.0, sigma_b=0.0)), 12)  # 1 / pi
        0.318309886184
    """
    return (1 - np.asarray(gap_map(activation, gap_of(c, None), q, sigma_w=sigma_w, sigma_b=sigma_b, q2=q2)))[()]


def lengths(activation: ActivationLike, q0: ArrayLike, depth: int, *, sigma_w: float, sigma_b: float) -> Array:
    """q_1 ... q_depth from any input: q_1 = sigma_w^2 q0 + sigma_b^2, then `length_map`.

    Args:
        activation: phi.
        q0: mean square of the input, |x_0|^2 / M; for a given q_1 it is (q_1 - sigma_b^2) / sigma_w^2. A number or an array.
        depth: number of weight matrices, readout included.
        sigma_w: sqrt(fan_in Var W).
        sigma_b: standard deviation of the biases.

    Returns:
        [depth, *shape of q0]; row l - 1 is layer l.

    Example:
        >>> lengths("relu", 1.0, 3, sigma_w=1.0, sigma_b=0.0).tolist()
        [1.0, 0.5, 0.25]
    """
    require_sigmas(sigma_w, sigma_b)
    _require_depth(depth)
    phi = as_function(activation)
    found = [sigma_w**2 * variances(q0, "q0") + sigma_b**2]
    for _ in range(depth - 1):
        found.append(np.asarray(length_map(phi, found[-1], sigma_w=sigma_w, sigma_b=sigma_b)))
    return np.stack(found)


def correlation_gaps(activation: ActivationLike, gap0: float, q0: float, depth: int, *, sigma_w: float, sigma_b: float, q0_2: float | None = None) -> Array:
    """1 - c_1 ... 1 - c_depth of two inputs of mean squares q0, q0_2 (q0 unless given) and correlation 1 - gap0, every digit kept as c -> 1.

    Returns:
        [depth]; entry l - 1 is layer l, as in `lengths`.

    Valid:
        any depth; a closed form costs microseconds a layer, quadrature some 10 ms.
    """
    require_sigmas(sigma_w, sigma_b)
    _require_depth(depth)
    phi, second = as_function(activation), q0 if q0_2 is None else float(variances(q0_2, "q0_2"))
    same = second == q0
    q_L = lengths(phi, q0, depth, sigma_w=sigma_w, sigma_b=sigma_b)
    q2_L = q_L if same else lengths(phi, second, depth, sigma_w=sigma_w, sigma_b=sigma_b)
    # |x - x'|^2 / (2 M), again as a sum of positive terms.
    distance = (math.sqrt(q0) - math.sqrt(second)) ** 2 / 2 + math.sqrt(q0 * second) * float(gap_of(None, gap0))
    found = [_gap(np.asarray(sigma_w**2 * distance), q_L[0], q2_L[0])]
    for q, q2 in zip(q_L[:-1], q2_L[:-1], strict=True):
        found.append(np.asarray(gap_map(phi, found[-1], q, sigma_w=sigma_w, sigma_b=sigma_b, q2=None if same else q2)))
    return np.stack(found)


def correlations(activation: ActivationLike, c0: float, q0: float, depth: int, *, sigma_w: float, sigma_b: float, q0_2: float | None = None) -> Array:
    """c_1 ... c_depth of two inputs of mean squares q0, q0_2 (q0 unless given) and correlation c0; [depth], entry l - 1 is layer l.

    Example:
        >>> correlations("linear", 0.25, 1.0, 3, sigma_w=1.0, sigma_b=0.0).tolist()
        [0.25, 0.25, 0.25]
    """
    return 1 - correlation_gaps(activation, float(gap_of(c0, None)), q0, depth, sigma_w=sigma_w, sigma_b=sigma_b, q0_2=q0_2)


def _gap(distance: Array, q1: Array, q2: Array) -> Array:
    require(bool(np.all((q1 > 0) & (q2 > 0))), "q", "lead to lengths above 0, or there is no correlation", 0.0, "Give the net an input, weights or biases.")
    difference = (q1 - q2) / (np.sqrt(q1) + np.sqrt(q2))
    # Rounding may leave -1e-17 where the exact gap is 0.
    gap: Array = np.clip((distance - difference**2 / 2) / np.sqrt(q1 * q2), 0.0, 2.0)
    return gap


def _require_depth(depth: int) -> None:
    require(depth >= 1, "depth", "be at least 1", depth)
