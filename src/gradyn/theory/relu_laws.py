"""Exact laws of norms in bias-free nets of ReLU's kind, at any width and depth: no limit is taken.

    gaussian_relu_law([50] * 10, sigma_w=2**0.5)                           He initialization: log |x_10|^2 / |x_0|^2, and gradients alike
    gaussian_relu_law([50] * 10, sigma_w=1.0, negative_slope=0.2)          leaky; 1.0 is the linear net
    orthogonal_relu_law(32, 8, gain=2**0.5)                                orthogonal weights

With Gaussian weights a layer of n units multiplies a squared norm by (sigma_w^2 / n) (chi^2_K + s^2 chi^2_{n-K}), K ~ Bin(n, 1/2), s the negative slope,
independently of all other layers; forwards for |x_l|^2, and backwards for |delta_l|^2 under a random cotangent, where n is the width of layer l in both.

Source: Hanin & Nica 2019 (arXiv:1812.05994), the section on the proof for the law of the product; leading order there is 5 / n for the variance of the log,
-5 / (2 n) for its mean, at He initialization. The sums over K and the leaky transform are derived here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special, stats

from gradyn.core import require

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LogNormLaw:
    """Of log(|x_L|^2 / |x_0|^2), natural logarithm: mean and variance given that it isn't -inf, and the probability that it is (no unit of a layer active)."""

    mean: float
    variance: float
    p_zero: float


def gaussian_relu_law(widths: Sequence[int], *, sigma_w: float, negative_slope: float = 0.0) -> LogNormLaw:
    """The law of a product of layers with W_ij ~ N(0, sigma_w^2 / fan_in) and phi(h) = max(h, 0) + negative_slope min(h, 0).

    mean = sum_l E log(chi^2_K / n_l) + log sigma_w^2, variance = sum_l E psi_1(K/2) + Var psi(K/2) for ReLU, K >= 1, where psi is the digamma function.

    Args:
        widths: fan_in of the matrices on the way, in any order: [n] * L for L equal layers. For gradients from layer L + 1 to 1 the widths of layers 1 ... L.
        sigma_w: sqrt(fan_in Var W).
        negative_slope: 0 for ReLU, 1 for a linear net.

    Valid:
        every width, no biases; forwards it is each layer's fan_out that counts K and fan_in that divides: here they are equal. Error below 1e-12.

    Raises:
        ConfigError: a width below 1, sigma_w not above 0.

    Example:
        >>> law = gaussian_relu_law([20] * 10, sigma_w=2**0.5)
        >>> round(law.mean, 5), round(law.variance, 5)
        (-1.37187, 3.11758)
    """
    require(len(widths) > 0 and min(widths) >= 1, "widths", "be numbers of units, 1 or more", list(widths))
    require(math.isfinite(sigma_w) and sigma_w > 0, "sigma_w", "be above 0", sigma_w)
    counts = {width: list(widths).count(width) for width in widths}
    layers = {width: _leaky_layer(width, abs(negative_slope)) if negative_slope else _relu_layer(width) for width in counts}
    mean = sum(count * (layers[width][0] + math.log(sigma_w**2 / width)) for width, count in counts.items())
    variance = sum(count * layers[width][1] for width, count in counts.items())
    return LogNormLaw(mean, variance, 0.0 if negative_slope else _p_zero(widths))


def orthogonal_relu_law(width: int, layers: int, *, gain: float) -> LogNormLaw:
    """The law for W = gain times a random orthogonal matrix: |D x|^2 / |x|^2 ~ Beta(K/2, (n - K)/2), K ~ Bin(n, 1/2), a layer.

    mean = L (E psi(K/2) - psi(n/2) + log gain^2), variance = L (E psi_1(K/2) - psi_1(n/2) + Var psi(K/2)), K >= 1; 3 L / n to leading order.

    Args:
        width: units n of every layer.
        layers: ReLU layers L.
        gain: the factor; sqrt(2) keeps the mean square.

    Example:
        >>> law = orthogonal_relu_law(32, 8, gain=2**0.5)
        >>> round(law.mean, 6), round(law.variance, 6)
        (-0.407719, 0.904032)
    """
    require(width >= 1, "width", "be 1 or more", width)
    require(layers >= 1, "layers", "be 1 or more", layers)
    require(math.isfinite(gain) and gain > 0, "gain", "be above 0", gain)
    mean, variance = _relu_layer(width)
    mean += math.log(gain**2 / 2) - float(special.digamma(width / 2))
    variance -= float(special.polygamma(1, width / 2))
    return LogNormLaw(layers * mean, layers * variance, _p_zero([width] * layers))


def _p_zero(widths: Sequence[int]) -> float:
    # 1 - prod(1 - 2^-n), exact also where 2^-n is far below eps.
    return -math.expm1(sum(math.log1p(-(2.0**-width)) if width > 1 else -math.log(2) for width in widths))


def _relu_layer(width: int) -> tuple[float, float]:
    """Mean and variance of log chi^2_K, K ~ Bin(width, 1/2) given K >= 1."""
    k = np.arange(1, width + 1)
    weights = stats.binom.pmf(k, width, 0.5)
    weights /= weights.sum()
    psi = special.digamma(k / 2)
    mean = float(weights @ psi)
    return mean + math.log(2), float(weights @ special.polygamma(1, k / 2) + weights @ (psi - mean) ** 2)


def _leaky_layer(width: int, slope: float) -> tuple[float, float]:
    """Mean and variance of log X, X = sum of n independent g_i^2 times 1 or slope^2 with probability 1/2 each.

    Its Laplace transform is M(t)^n, M(t) = ((1 + 2t)^(-1/2) + (1 + 2 slope^2 t)^(-1/2)) / 2. With Y = X / E X, t = e^u and gamma Euler's constant:
    E log Y = int (exp(-e^u) - E exp(-e^u Y)) du and E log^2 Y = -2 int u (exp(-e^u) - E exp(-e^u Y)) du - 2 gamma E log Y, from
    int t^(s-1) (exp(-x t) - exp(-t)) dt = Gamma(s) (x^-s - 1) and its derivative at s = 0.
    """
    size = width * (1 + slope**2) / 2
    # Beyond: exp(-e^u) is 0; M^n falls as exp(-n u / 2), from where 2 slope^2 t > 1 on.
    last = 80.0 / width + math.log(size / min(slope, 1.0) ** 2)
    u = np.linspace(-40.0, max(last, 5.0), 20_001)
    t = np.exp(u) / size
    transform = ((1 + 2 * t) ** -0.5 + (1 + 2 * slope**2 * t) ** -0.5) / 2
    difference = np.exp(-np.exp(u)) - transform**width
    # The trapezoid rule on an analytic function that is 0 at both ends is exact but for roundings.
    mean = float(np.trapezoid(difference, u))
    square = -2 * float(np.trapezoid(u * difference, u)) - 2 * float(np.euler_gamma) * mean
    return mean + math.log(size), square - mean**2
