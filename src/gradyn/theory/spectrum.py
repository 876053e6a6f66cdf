"""How unevenly a net passes gradients of different directions: moments of the squared singular values s^2 of its input-output Jacobian.

    J = D_L W_L ... D_1 W_1,  D_l = diag(phi'(h_l)),  W_l Gaussian or orthogonal times sigma_w

    spectrum("tanh", lengths("tanh", 0.3, 16, sigma_w=1.1, sigma_b=0.2), sigma_w=1.1)            E s^2 and Var s^2 / (E s^2)^2
    spectrum("relu", np.ones(8), sigma_w=math.sqrt(2), is_orthogonal=True)                       1 and 8: never an isometry
    linear_fourth_moment(8), linear_fourth_moment(8, width=64)                                   E s^4 = 9, and what it is at width 64
    largest_linear_s2(8)                                                                         23.09, the edge of that spectrum

Source: Pennington, Schoenholz and Ganguli 2017, arXiv:1711.04735, and (the edge) Pennington, Schoenholz and Ganguli 2018, arXiv:1802.09979.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from gradyn.core import require
from gradyn.theory.gaussian import variances
from gradyn.theory.moments import moment
from gradyn.theory.scalar_function import ActivationLike


@dataclass(frozen=True, slots=True)
class Spectrum:
    """First two moments of s^2 over the singular values of one Jacobian, width -> infinity.

    Args:
        mean: E s^2.
        relative_variance: Var s^2 / (E s^2)^2; 0 for an isometry.
    """

    mean: float
    relative_variance: float


def spectrum(activation: ActivationLike, q: ArrayLike, *, sigma_w: float, is_orthogonal: bool = False) -> Spectrum:
    """E s^2 = prod_l sigma_w^2 mu_1(q_l), Var s^2 / (E s^2)^2 = sum_l (mu_2(q_l) / mu_1(q_l)^2 - 1 - s_1), mu_k(q) = E phi'(sqrt(q) z)^(2k).

    At q_l = q* this is the source's chi^L and L (mu_2 / mu_1^2 - 1 - s_1). That the terms of unlike layers add is derived here: the
    S-transforms of free factors multiply, and their slopes at 0 add.

    Args:
        activation: phi.
        q: length of the preactivation of every layer of the product, [L].
        sigma_w: sqrt(fan_in Var W); of orthogonal weights the gain.
        is_orthogonal: s_1 = 0 (orthogonal weights) in place of -1 (Gaussian).

    Valid:
        Square layers, width -> infinity at fixed L, errors of order L / width; the gates phi'(h) taken as independent of the weights.

    Raises:
        ConfigError: a negative sigma_w or length, no such activation.
    """
    require(math.isfinite(sigma_w) and sigma_w >= 0, "sigma_w", "be a standard deviation: finite, zero or above", sigma_w)
    q_L = np.atleast_1d(variances(q))
    mu_1, mu_2 = moment(activation, q_L, derivative=2).value, moment(activation, q_L, derivative=4).value
    minus_s_1 = 0.0 if is_orthogonal else 1.0
    return Spectrum(float(np.prod(sigma_w**2 * mu_1)), float(np.sum(mu_2 / mu_1**2 - 1 + minus_s_1)))


def linear_fourth_moment(layers: int, width: int | None = None) -> float:
    """E s^4 of a product of square Gaussian matrices with entries of variance 1 / width: L + 1 in the limit, exact at any width.

    With tau = E tr(A^2) / N and theta = E (tr A)^2 / N^2, A = J J^T, one more matrix W A W^T makes, by Wick's theorem,
    tau' = (1 + 1 / N) tau + theta and theta' = theta + (2 / N^2) tau, from tau = theta = 1. Derived here.

    Args:
        layers: L, matrices in the product.
        width: N; the limit of large ones where left out.
    """
    share = 0.0 if width is None else 1 / width
    tau = theta = 1.0
    for _ in range(layers):
        tau, theta = (1 + share) * tau + theta, theta + 2 * share**2 * tau
    return tau


def largest_linear_s2(layers: int) -> float:
    """Right edge (L + 1)^(L + 1) / L^L of the spectrum of s^2 for L Gaussian matrices of sigma_w = 1, about e (L + 1/2); 1 for none.

    Valid:
        width -> infinity; the largest of N values lies below by a relative order N^(-2/3).
    """
    return float((layers + 1) * (1 + 1 / layers) ** layers) if layers else 1.0
