"""Recurrent nets at initialization: what the gates let through, and the maps of a cell that is driven by noise.

A vanilla net h_t = phi(W h_{t-1} + noise of variance sigma_u^2) with W_ij ~ N(0, g^2 / n) has the maps of a deep net whose biases have
that variance, at widths far beyond the number of steps: q* = g^2 E phi(sqrt(q*) z)^2 + sigma_u^2 is `fixed_point_q(phi, sigma_w=g,
sigma_b=sigma_u)`, the rate of squared gradients per step `chi_1`. (That one matrix is shared by all steps costs corrections of order steps / width.)
"""

from __future__ import annotations

import math

from scipy import integrate

from gradyn.core import require


def gate_decay(bias: float, steps: int) -> float:
    """s(bias)^steps, s the logistic function: the share of a memory's gradient that is left after so many steps of a constant gate.

    Args:
        bias: of the forget gate (LSTM) or the update gate (GRU, torch's convention), all weights 0.
        steps: passed.

    Returns:
        Dimensionless; exact.

    Raises:
        ConfigError: steps below 0.

    Source: Gers, Schmidhuber and Cummins 2000, Learning to forget: d c_T / d c_0 = prod f_t.
    """
    require(steps >= 0, "steps", "be >= 0", steps)
    return math.exp(-steps * math.log1p(math.exp(-bias))) if bias > -700 else 0.0 if steps else 1.0


def chrono_decay(longest: int, steps: int, power: float = 1.0) -> float:
    """E (u / (1 + u))^(power steps), u ~ U[1, longest - 1]: what is left over gates whose biases log u are spread by chrono initialization.

    Args:
        longest: T_max.
        steps: passed.
        power: 1 for the mean of the gradient over units, 2 for that of its square.

    Returns:
        Dimensionless; the integral to 1e-10 of itself.

    Valid: all weights 0, so that the gates are their biases'.

    Raises:
        ConfigError: longest below 3, or steps below 0.

    Source: Tallec and Ollivier 2018 (arXiv:1804.11188), section 3; the moment is derived here.
    """
    require(longest >= 3, "longest", "be >= 3", longest)
    require(steps >= 0, "steps", "be >= 0", steps)
    low, high = 1.0, longest - 1.0
    value, _ = integrate.quad(lambda u: (u / (1 + u)) ** (power * steps), low, high, epsabs=0.0, epsrel=1e-10)
    return float(value / (high - low))
