"""Gaussian moments that have a closed form: (leaky) ReLU and linear, erf, sin. Elsewhere `moments.py` integrates.

All are written in gap = 1 - c rather than c, so that they keep their digits as c -> 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import singledispatch
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

from gradyn.nn import AbstractActivation, Erf, LeakyRelu, Linear, Relu, Sin

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ClosedForm:
    """Moments of phi at two variables of variances q1, q2 and correlation 1 - gap; functions of arrays that broadcast.

    Args:
        product: (q1, q2, gap) -> E phi(u1) phi(u2).
        derivative_product: (q1, q2, gap) -> E phi'(u1) phi'(u2).
        half_distance: (q, gap) -> E (phi(u1) - phi(u2))^2 / 2 at equal variances.
        length_slope: q -> d E phi(sqrt(q) z)^2 / dq.
    """

    product: Callable[[Array, Array, Array], Array]
    derivative_product: Callable[[Array, Array, Array], Array]
    half_distance: Callable[[Array, Array], Array]
    length_slope: Callable[[Array], Array]


@singledispatch
def closed_form(activation: AbstractActivation | None) -> ClosedForm | None:
    """The closed form of a component, or None where there is only quadrature."""
    return None


@closed_form.register
def _(activation: Linear) -> ClosedForm:
    return _leaky(1.0)


@closed_form.register
def _(activation: Relu) -> ClosedForm:
    return _leaky(0.0)


@closed_form.register
def _(activation: LeakyRelu) -> ClosedForm:
    return _leaky(activation.negative_slope)


def _leaky(slope: float) -> ClosedForm:
    """phi(h) = max(h, 0) + slope min(h, 0), from the arc-cosine kernels of degree 0 and 1.

    With theta = arccos c, J_1 = (sin theta + (pi - theta) cos theta) / pi and J_0 = 1 - theta / pi:
    E phi phi = sqrt(q1 q2) ((1 - slope)^2 J_1 + 2 slope c) / 2, E phi' phi' = ((1 - slope)^2 J_0 + 2 slope) / 2.

    Source: Cho & Saul 2009 (NIPS), kernels of degree 0 and 1; the leaky case by phi(h) = relu(h) - slope relu(-h) and J_1(-c) = J_1(c) - c.
    """

    def angle(gap: Array) -> Array:
        # Not arccos(1 - gap), which loses half of the digits.
        return 2 * np.arcsin(np.sqrt(gap / 2))

    def opposite_angle(gap: Array) -> Array:
        # pi - theta, from the side on which 1 -+ c has its digits.
        return np.where(gap > 1, angle(2 - gap), math.pi - angle(gap))

    def sine_less_cosine(theta: Array) -> Array:
        # sin(theta) - theta cos(theta) is theta^2 times the spherical Bessel function j_1, which doesn't cancel.
        return theta**2 * special.spherical_jn(1, theta)

    def j1(gap: Array) -> Array:
        # By the angle to the opposite vector: J_1 is small where c is near -1, and keeps its digits there.
        return sine_less_cosine(opposite_angle(gap)) / math.pi

    def product(q1: Array, q2: Array, gap: Array) -> Array:
        return np.sqrt(q1 * q2) * ((1 - slope) ** 2 * j1(gap) + 2 * slope * (1 - gap)) / 2

    def derivative_product(q1: Array, q2: Array, gap: Array) -> Array:
        _, _, gap = np.broadcast_arrays(q1, q2, gap)
        return ((1 - slope) ** 2 * opposite_angle(gap) / math.pi + 2 * slope) / 2

    def half_distance(q: Array, gap: Array) -> Array:
        # 1 - J_1 = (1 - cos) - (sin - theta cos) / pi, and 1 - cos is the gap.
        return q * ((1 - slope) ** 2 * (gap - sine_less_cosine(angle(gap)) / math.pi) + 2 * slope * gap) / 2

    return ClosedForm(product, derivative_product, half_distance, lambda q: np.full(np.shape(q), (1 + slope**2) / 2))


@closed_form.register
def _(activation: Erf) -> ClosedForm:
    """E erf erf = (2/pi) arcsin(2 q12 / sqrt((1 + 2 q1)(1 + 2 q2))), q12 = c sqrt(q1 q2). Williams 1997 (NIPS), section 3.1 in the variables used here."""

    def rest(q1: Array, q2: Array, gap: Array) -> Array:
        # (1 + 2 q1)(1 + 2 q2) - 4 q12^2, with 1 - c^2 = gap (2 - gap).
        return 1 + 2 * q1 + 2 * q2 + 4 * q1 * q2 * gap * (2 - gap)

    def product(q1: Array, q2: Array, gap: Array) -> Array:
        # arcsin(x / r) = arctan2(x, sqrt(r^2 - x^2)): exact also where the argument rounds to 1.
        return 2 / math.pi * np.arctan2(2 * np.sqrt(q1 * q2) * (1 - gap), np.sqrt(rest(q1, q2, gap)))

    def derivative_product(q1: Array, q2: Array, gap: Array) -> Array:
        return 4 / math.pi / np.sqrt(rest(q1, q2, gap))

    def half_distance(q: Array, gap: Array) -> Array:
        # The difference of two arctan2 as one: tan(a - b) of (x1, y1) and (x2, y2) is (x1 y2 - x2 y1) / (y1 y2 + x1 x2), and y2^2 - y1^2 = 4 q^2 gap (2 - gap).
        y1, y2 = np.sqrt(1 + 4 * q), np.sqrt(rest(q, q, gap))
        cross = 2 * q * (4 * q**2 * gap * (2 - gap) / (y1 + y2) + gap * y1)
        return 2 / math.pi * np.arctan2(cross, y1 * y2 + 4 * q**2 * (1 - gap))

    def length_slope(q: Array) -> Array:
        return 4 / math.pi / ((1 + 2 * q) * np.sqrt(1 + 4 * q))

    return ClosedForm(product, derivative_product, half_distance, length_slope)


@closed_form.register
def _(activation: Sin) -> ClosedForm:
    """E sin sin = exp(-(q1 + q2)/2) sinh q12, E cos cos with cosh, q12 = c sqrt(q1 q2): the characteristic function at u1 - u2 and u1 + u2."""

    def exponents(q1: Array, q2: Array, gap: Array) -> tuple[Array, Array]:
        # Var(u1 -+ u2) / 2; the first as a sum of positive terms.
        return (np.sqrt(q1) - np.sqrt(q2)) ** 2 / 2 + np.sqrt(q1 * q2) * gap, (np.sqrt(q1) - np.sqrt(q2)) ** 2 / 2 + np.sqrt(q1 * q2) * (2 - gap)

    def product(q1: Array, q2: Array, gap: Array) -> Array:
        minus, plus = exponents(q1, q2, gap)
        # Where c < 0 the larger exponential is the second; either way expm1 sees a negative number.
        return np.where(minus <= plus, -np.exp(-minus) * np.expm1(np.minimum(minus - plus, 0)), np.exp(-plus) * np.expm1(np.minimum(plus - minus, 0))) / 2

    def derivative_product(q1: Array, q2: Array, gap: Array) -> Array:
        minus, plus = exponents(q1, q2, gap)
        return (np.exp(-minus) + np.exp(-plus)) / 2

    def half_distance(q: Array, gap: Array) -> Array:
        return -np.expm1(-q * gap) * (1 + np.exp(-q * (2 - gap))) / 2

    return ClosedForm(product, derivative_product, half_distance, lambda q: np.exp(-2 * q))
