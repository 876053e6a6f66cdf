"""Gaussian moments of an activation and its derivatives: closed forms where there are, quadrature elsewhere.

moment("tanh", q, value=2)                     E phi(h)^2
moment("gelu", q, derivative=4)                E phi'(h)^4, for the spread of the Jacobian's singular values
moment(f, q, value=1, second_derivative=1)     E phi(h) phi''(h), phi'' almost everywhere: deltas at kinks are not in it
product("relu", q1, q2, c=0.5)                 E phi(u1) phi(u2)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradyn.core import require
from gradyn.theory.closed_forms import closed_form
from gradyn.theory.gaussian import Integral, gap_of, gaussian_mean, gaussian_mean_of_pair, variances
from gradyn.theory.scalar_function import ActivationLike, as_function

Array: TypeAlias = NDArray[np.float64]


def moment(activation: ActivationLike, q: ArrayLike, *, value: int = 0, derivative: int = 0, second_derivative: int = 0) -> Integral:
    """E phi(h)^value phi'(h)^derivative phi''(h)^second_derivative, h ~ N(0, q), in the shape of q.

    Args:
        activation: component, option's name, callable, or what `as_function` made.
        q: variance of the preactivation; at 0 the limit q -> 0 from above (ReLU: E phi'^2 = 1/2).
        value: power of phi.
        derivative: power of phi'.
        second_derivative: power of phi'', taken almost everywhere.

    Valid:
        q from 0 to 1e8 for the catalogue; relative error about 1e-14 (absolute, where signs cancel), stated in the result.

    Raises:
        ConfigError: no such activation; no finite moment; a numpy callable's derivative is missing.
    """
    require(min(value, derivative, second_derivative) >= 0, "value", "be powers, zero or above", (value, derivative, second_derivative))
    phi, q_array = as_function(activation), variances(q)
    closed = closed_form(phi.component)
    if closed is not None and (value, derivative, second_derivative) == (2, 0, 0):
        return _exact(closed.product(q_array, q_array, np.zeros(())))
    if closed is not None and (value, derivative, second_derivative) == (0, 2, 0):
        return _exact(closed.derivative_product(q_array, q_array, np.zeros(())))

    def f(h: Array) -> Array:
        factors = [g(h) ** power for g, power in ((phi.value, value), (phi.derivative, derivative), (phi.second_derivative, second_derivative)) if power]
        return np.prod(factors, axis=0) if factors else np.ones_like(h)

    if derivative or second_derivative:
        q_array = _above_zero(q_array)
    return gaussian_mean(f, q_array, kinks=phi.kinks, name=phi.name)


def product(activation: ActivationLike, q1: ArrayLike, q2: ArrayLike, *, c: ArrayLike | None = None, gap: ArrayLike | None = None) -> Integral:
    """E phi(u1) phi(u2) at variances q1, q2 and correlation c, or gap = 1 - c. Raises and validity as `gaussian_mean_of_pair`."""
    phi, q1_array, q2_array, gap_array = as_function(activation), variances(q1, "q1"), variances(q2, "q2"), gap_of(c, gap)
    if (closed := closed_form(phi.component)) is not None:
        return _exact_pair(closed.product, q1_array, q2_array, gap_array)
    return gaussian_mean_of_pair(
        lambda u1, u2: phi.value(u1) * phi.value(u2), q1_array, q2_array, gap=gap_array, kinks_1=phi.kinks, kinks_2=phi.kinks, name=phi.name
    )


def derivative_product(activation: ActivationLike, q1: ArrayLike, q2: ArrayLike, *, c: ArrayLike | None = None, gap: ArrayLike | None = None) -> Integral:
    """E phi'(u1) phi'(u2) at variances q1, q2 and correlation c, or gap = 1 - c. Raises and validity as `gaussian_mean_of_pair`."""
    phi, q1_array, q2_array, gap_array = as_function(activation), variances(q1, "q1"), variances(q2, "q2"), gap_of(c, gap)
    if (closed := closed_form(phi.component)) is not None:
        return _exact_pair(closed.derivative_product, q1_array, q2_array, gap_array)
    q1_array, q2_array = _above_zero(q1_array), _above_zero(q2_array)
    return gaussian_mean_of_pair(
        lambda u1, u2: phi.derivative(u1) * phi.derivative(u2), q1_array, q2_array, gap=gap_array, kinks_1=phi.kinks, kinks_2=phi.kinks, name=phi.name
    )


def half_distance(
    activation: ActivationLike, q1: ArrayLike, q2: ArrayLike | None = None, *, c: ArrayLike | None = None, gap: ArrayLike | None = None
) -> Integral:
    """E (phi(u1) - phi(u2))^2 / 2 = E phi^2 - E phi phi at equal variances, without the cancellation of that difference as c -> 1.

    `q2` is q1 unless given. The relative error grows as eps / sqrt(gap), from the rounding of phi: 1e-10 at gap = 1e-12; closed forms have none of it.
    """
    phi, q1_array, gap_array = as_function(activation), variances(q1, "q1"), gap_of(c, gap)
    closed = closed_form(phi.component)
    if closed is not None and q2 is None:
        return _exact(closed.half_distance(q1_array, gap_array))
    q2_array = q1_array if q2 is None else variances(q2, "q2")
    pieces = [(moment(phi, q, value=2).value, q * moment(phi, q, derivative=2).value) for q in (q1_array, q2_array)]
    # A rounding of phi or of its argument, against the size of phi(u1) - phi(u2) to first order.
    rounding = 4 * np.finfo(np.float64).eps * np.sqrt(np.maximum(*(value + slope for value, slope in pieces)))
    least = np.sqrt(gap_array * np.minimum(*(slope for _, slope in pieces)))
    noise = np.divide(rounding, least, out=np.zeros(np.broadcast_shapes(rounding.shape, least.shape)), where=least > 0)
    found = gaussian_mean_of_pair(
        lambda u1, u2: np.square(phi.value(u1) - phi.value(u2)) / 2,
        q1_array,
        q2_array,
        gap=gap_array,
        kinks_1=phi.kinks,
        kinks_2=phi.kinks,
        noise=float(noise.max(initial=0.0)),
        name=phi.name,
    )
    return Integral(found.value, found.error + rounding * np.sqrt(found.value))


def length_slope(activation: ActivationLike, q: ArrayLike) -> Integral:
    """d E phi(sqrt(q) z)^2 / dq = E[h phi(h) phi'(h)] / q, equal to E[phi'^2 + phi phi''] where phi is smooth.

    Stein's identity in place of phi'': the kinks of ReLU need no delta functions. phi must be continuous. Where phi(0) is not 0 the error grows as
    eps / sqrt(q), and below q = 1e-12 the value at 1e-12 is returned: 1e-10 of it either way.
    """
    phi, q_array = as_function(activation), variances(q)
    if (closed := closed_form(phi.component)) is not None:
        return _exact(closed.length_slope(q_array))
    # phi(0) phi'(0) has roundings of eps, which are divided by sqrt(q): below 1e-12 they would be more than what q itself adds.
    q_array = _above_zero(q_array, 1e-30 if float(phi.value(np.zeros(1))[0]) == 0 else 1e-12)
    found = gaussian_mean(lambda h: h * phi.value(h) * phi.derivative(h), q_array, kinks=phi.kinks, name=phi.name)
    return Integral(found.value / q_array, found.error / q_array)


def _above_zero(q_array: Array, least: float = 1e-30) -> Array:
    # q = 0 as a limit: at sqrt(q) = 1e-15 phi is linear on both sides of 0 to the last digit.
    return np.maximum(q_array, least)


def _exact(value: Array) -> Integral:
    # A closed form has about a dozen roundings.
    return Integral(np.asarray(value), 12 * np.finfo(np.float64).eps * np.abs(value))


def _exact_pair(function: Callable[[Array, Array, Array], Array], q1: Array, q2: Array, gap: Array) -> Integral:
    # Terms of both signs: their size is bounded by Cauchy and Schwarz.
    size = np.sqrt(function(q1, q1, np.zeros(())) * function(q2, q2, np.zeros(())))
    value = np.asarray(function(q1, q2, gap))
    return Integral(value, np.broadcast_to(12 * np.finfo(np.float64).eps * size, value.shape))
