"""Norms of gradients at finite width, to order 1 / width, for any activation: means, variances and what they do to a fitted slope.

    law = finite_width_law("tanh", q0=1.0, depth=30, width=100, sigma_w=1.5, sigma_b=0.1)
    law.log_ratio_mean             E log(|delta_l|^2 / |delta_{l+1}|^2), layer by layer
    law.slope(5, 25)               a fitted slope of log |delta_l|^2: its expectation, and its standard deviation from one draw of the weights

One input, Gaussian weights, a random cotangent that is independent of them; hidden layers of N units. Derivation, to order 1 / N:

Forwards. Given x_l the units of h_{l+1} are independent N(0, Q_{l+1}), Q_{l+1} = sigma_w^2 |x_l|^2 / N + sigma_b^2; Q_1 = q_1 exactly. With Q_l = q_l + e_l
and V(q) the length map, e_{l+1} = chi_parallel e_l + V'' e_l^2 / 2 + zeta_l, zeta_l = (sigma_w^2 / N) sum_j (phi_j^2 - E phi^2). So
m_l = E e_l and v_l = Var e_l obey  m_{l+1} = chi_parallel m_l + V'' v_l / 2,  v_{l+1} = chi_parallel^2 v_l + sigma_w^4 Var(phi^2) / N,  m_1 = v_1 = 0.

Backwards. delta_l = phi'(h_l) * W^T delta_{l+1}. But W is not independent of the forward pass: given it, row i of W is Gaussian with mean
(sigma_w^2 / N) h_i x^T / Q, Q = Q_{l+1}, and covariance (sigma_w^2 / N) (1 - (sigma_w^2 / N) x x^T / Q). Hence the ratio R_l = |delta_l|^2 / |delta_{l+1}|^2 is
(sigma_w^2 / N) sum_j phi'_j^2 g_j^2, g_j independent N(0, 1), plus (sigma_w^4 / N) E[phi^2 phi'^2] (s_{l+1} - 1) / q_{l+1} from the direction of x, where
s_l = E (h_l . delta_l)^2 / (q_l |delta_l|^2). A random cotangent has s_depth = 1, and below
s_l = (q_l chi_parallel^2 (s_{l+1} - 1) / q_{l+1} + sigma_w^2 E[h^2 phi'^2] / q_l) / chi_1.
For linear and ReLU nets s = 1 in every layer, and E R_l = chi_1 exactly.

Logarithm. With chi(q) = sigma_w^2 E phi'^2, Var R_l = chi'^2 v_l + sigma_w^4 (3 E phi'^4 - (E phi'^2)^2) / N,
E log R_l = log chi + (chi' m_l + chi'' v_l / 2 + the term of x) / chi - Var R_l / (2 chi^2). Layers l < m are correlated through the lengths:
Cov(R_l, R_m) = chi'_l chi'_m v_l prod_{l..m-1} chi_parallel + chi'_m (sigma_w^4 / N) Cov(phi^2, phi'^2)_l prod_{l+1..m-1} chi_parallel.
Products of many layers are log-normal to this order: log E prod R = sum E log R + Var(sum log R) / 2, which gives the annealed (arithmetic) mean.

For ReLU at He initialization this is -5 / (2 N) for the mean log and 5 / N for the variance, with no annealed shift: the expansion of `gaussian_relu_law`.

Source: derived here; Hanin & Nica 2019 (arXiv:1812.05994) for ReLU, Roberts, Yaida & Hanin 2022 (arXiv:2106.10165) for the recursions of the lengths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradyn.core import require
from gradyn.theory.gaussian import gaussian_mean
from gradyn.theory.maps import lengths
from gradyn.theory.moments import length_slope, moment
from gradyn.theory.scalar_function import ActivationLike, ScalarFunction, as_function

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class FiniteWidthLaw:
    """What order 1 / width makes of the mean-field theory; entry l - 1 belongs to the step from layer l + 1 to l, l = 1 ... depth - 1.

    Args:
        log_chi: log chi_1(q_l), the limit of infinite width.
        log_ratio_mean: E log(|delta_l|^2 / |delta_{l+1}|^2), the mean of logs (geometric, typical).
        log_ratio_covariance: covariance of these logs over draws of the weights, [depth - 1, depth - 1].
        length_mean: E q_l of the net, [h^2].
        length_variance: Var q_l over draws, [h^4].
    """

    log_chi: Array
    log_ratio_mean: Array
    log_ratio_covariance: Array
    length_mean: Array
    length_variance: Array

    @property
    def log_annealed_ratio(self) -> Array:
        """log(E |delta_l|^2 / E |delta_{l+1}|^2), the ratio of means (arithmetic, dominated by rare nets)."""
        totals = np.array([self.log_ratio_mean[i:].sum() + self.log_ratio_covariance[i:, i:].sum() / 2 for i in range(len(self.log_chi))] + [0.0])
        ratios: Array = totals[:-1] - totals[1:]
        return ratios

    def slope(self, first: int, last: int) -> tuple[float, float]:
        """Expectation and standard deviation, over draws, of the least-squares slope of log |delta_l|^2 towards the input, layers first ... last.

        With n independent draws averaged before the fit the standard deviation is divided by sqrt(n). Natural logarithm.
        """
        depth = len(self.log_chi) + 1
        require(1 <= first < last <= depth, "first", f"be a layer below last, and last at most {depth}", (first, last))
        layers = np.arange(first, last + 1)
        weights = -(layers - layers.mean()) / np.square(layers - layers.mean()).sum()
        # log |delta_l|^2 is the sum of the steps from the top down to l: step i (0 first) is in it where l <= i + 1.
        per_step = np.array([weights[layers <= i + 1].sum() for i in range(depth - 1)])
        return float(per_step @ self.log_ratio_mean), float(np.sqrt(per_step @ self.log_ratio_covariance @ per_step))


def finite_width_law(activation: ActivationLike, *, q0: float, depth: int, width: int, sigma_w: float, sigma_b: float) -> FiniteWidthLaw:
    """Mean and covariance of the layers' log ratios of |delta|^2, to order 1 / width.

    Args:
        activation: phi.
        q0: mean square of the input, |x_0|^2 / M.
        depth: number of weight matrices, readout included; at least 2.
        width: units N of every hidden layer.
        sigma_w: sqrt(fan_in Var W).
        sigma_b: standard deviation of the biases.

    Valid:
        one sample, plain net, Gaussian weights, depth / width small. The error is of order depth / width^2: measured at depth 8, at most 8 depth / width^2 for
        the mean of the total log and 50 for its variance. `length_variance` must be far below the squared lengths: GELU near a length that is unstable (sigma_w
        = 1.4, sigma_b = 0.3, depth 12) has 50 / width, and the order 1 / width alone misleads below a width of some hundreds; softplus is as slow.
        Lengths above 1e-5: second derivatives in q lose eps / q^2.

    Raises:
        ConfigError: depth below 2, width below 1, phi' zero everywhere; as `lengths`.
    """
    require(depth >= 2, "depth", "be at least 2, or there is no step between layers", depth)
    require(width >= 1, "width", "be 1 or more", width)
    phi, s2 = as_function(activation), sigma_w**2
    q_L = lengths(phi, q0, depth, sigma_w=sigma_w, sigma_b=sigma_b)
    q_l, q_next = q_L[:-1], q_L[1:]
    require(bool(np.all(q_l > 0)), "q0", "lead to lengths above 0", q0)

    def mean(**powers: int) -> Array:
        return moment(phi, q_l, **powers).value

    square, slope2 = mean(value=2), mean(derivative=2)
    require(bool(np.all(slope2 > 0)), "activation", "have a derivative", phi.name)
    chi, parallel = s2 * slope2, s2 * length_slope(phi, q_l).value
    curvature = s2 * _in_q(phi, q_l, 2, value=2)
    chi_slope, chi_curvature = s2 * _in_q(phi, q_l, 1, derivative=2), s2 * _in_q(phi, q_l, 2, derivative=2)
    both = mean(value=2, derivative=2)
    zeta = s2**2 * (mean(value=4) - square**2) / width
    eta = s2**2 * (3 * mean(derivative=4) - slope2**2) / width
    zeta_eta = s2**2 * (both - square * slope2) / width
    radial = gaussian_mean(lambda h: np.square(h * phi.derivative(h)), q_l, kinks=phi.kinks, name=phi.name).value

    steps = depth - 1
    m, v = np.zeros(depth), np.zeros(depth)
    for i in range(steps):
        m[i + 1] = parallel[i] * m[i] + curvature[i] * v[i] / 2
        v[i + 1] = parallel[i] ** 2 * v[i] + zeta[i]
    s = np.ones(depth)
    for i in reversed(range(steps)):
        s[i] = (q_l[i] * parallel[i] ** 2 * (s[i + 1] - 1) / q_next[i] + s2 * radial[i] / q_l[i]) / chi[i]

    shift = chi_slope * m[:-1] + chi_curvature * v[:-1] / 2 + s2**2 * both * (s[1:] - 1) / (width * q_next)
    covariance = np.diag(chi_slope**2 * v[:-1] + eta)
    for i in range(steps):
        carried = parallel[i] * chi_slope[i] * v[i] + zeta_eta[i]  # Cov(R_i, e_{i+1})
        for k in range(i + 1, steps):
            covariance[i, k] = covariance[k, i] = carried * chi_slope[k]
            carried *= parallel[k]
    covariance /= np.outer(chi, chi)
    log_chi = np.log(chi)
    return FiniteWidthLaw(log_chi, log_chi + shift / chi - np.diag(covariance) / 2, covariance, q_L + m, v)


def _in_q(phi: ScalarFunction, q_l: Array, order: int, *, value: int = 0, derivative: int = 0) -> Array:
    """d E f / dq = E[f He_2(z)] / (2 q) or d^2 E f / dq^2 = E[f He_4(z)] / (4 q^2), f = phi^value phi'^derivative: the heat equation, kinks included."""

    def one(q: float) -> float:
        def f(h: Array) -> Array:
            z2 = h * h / q
            hermite = (z2 - 1) / (2 * q) if order == 1 else (z2 * (z2 - 6) + 3) / (4 * q * q)
            power: Array = (phi.value(h) if value else phi.derivative(h)) ** (value or derivative) * hermite
            return power

        return float(gaussian_mean(f, q, kinks=phi.kinks, name=phi.name).value)

    return np.array([one(float(q)) for q in q_l])
