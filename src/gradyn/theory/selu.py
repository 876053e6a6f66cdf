"""SELU's constants from their definition: mean 0 and variance 1 are a fixed point of the map of a layer's moments."""

from __future__ import annotations

import math

from gradyn.theory.gaussian import gaussian_mean
from gradyn.theory.scalar_function import as_function


def selu_constants() -> tuple[float, float]:
    """alpha and lambda for which E selu(z) = 0 and E selu(z)^2 = 1, z ~ N(0, 1); relative error a dozen roundings.

    With a = erfc(1 / sqrt 2) sqrt e and b = erfc(sqrt 2) e^2:  alpha = sqrt(2 / pi) / (1 - a) and
    lambda = (1 - a) sqrt(2 pi) / sqrt(2 b + pi a^2 - 2 (2 + pi) a + pi + 2).

    Source: Klambauer et al. 2017 (arXiv:1706.02515), the section on the fixed point (0, 1).
    """
    a, b = math.erfc(math.sqrt(0.5)) * math.sqrt(math.e), math.erfc(math.sqrt(2)) * math.e**2
    scale = (1 - a) * math.sqrt(2 * math.pi / (2 * b + math.pi * a**2 - 2 * (2 + math.pi) * a + math.pi + 2))
    return math.sqrt(2 / math.pi) / (1 - a), scale


def selu_slopes() -> tuple[float, float]:
    """d mean' / d variance and d variance' / d variance of a layer's outputs at (0, 1), for weights of squares 1 in sum: 0.0888, 0.7826.

    d E f / d nu = E f(z) (z^2 - 1) / 2 at nu = 1, with f = selu and selu^2; the mean's square adds nothing, as the mean is 0.

    Source: Klambauer et al. 2017 (arXiv:1706.02515), the Jacobian at (0, 1), printed there to six digits.
    """
    phi = as_function("selu")
    mean = gaussian_mean(lambda h: phi.value(h) * (h * h - 1) / 2, 1.0, kinks=phi.kinks, name=phi.name).value
    square = gaussian_mean(lambda h: phi.value(h) ** 2 * (h * h - 1) / 2, 1.0, kinks=phi.kinks, name=phi.name).value
    return float(mean), float(square)
