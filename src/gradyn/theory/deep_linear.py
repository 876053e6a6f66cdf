"""Deep linear nets under gradient descent: the strength of a mode over time, exactly.

For whitened inputs the loss is ||T - W_M ... W_1||^2 / 2. Where all matrices are aligned (W_l = R_l D_l R_{l-1}^T, R_0 = V and R_M = U of T = U S V^T) and
balanced (D_l alike), each mode's strength u, the product of its M numbers, moves by itself:

    tau du/dt = M u^(2 - 2/M) (s - u),        tau = 1 / rate for t in steps

Source: Saxe, McClelland and Ganguli 2014 (arXiv:1312.6120), sections 1 and 2.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import integrate

from gradyn.core import require


def mode_strength(t: ArrayLike, s: float, start: float, *, matrices: int = 2) -> NDArray[np.float64]:
    """u(t) of a mode under gradient flow.

    Args:
        t: rate times steps, >= 0, in any order.
        s: singular value of the target, > 0.
        start: u(0), between 0 and s.
        matrices: M, all balanced.

    Returns:
        In units of s, of the shape of t. M = 1: s - (s - u0) e^-t; M = 2: s e^(2st) / (e^(2st) - 1 + s / u0), closed; else the equation for
        ln u, integrated to 1e-9.

    Raises:
        ConfigError: a value that does not grow from `start` to s.
    """
    _check(s, start, matrices)
    times = np.asarray(t, dtype=np.float64)
    if matrices == 1:
        return np.asarray(s - (s - start) * np.exp(-times))
    if matrices == 2:
        # Divided by e^(2st), which overflows long after u = s.
        return np.asarray(s / (1 + (s / start - 1) * np.exp(-2 * s * times)))
    order = np.unique(np.append(times, 0.0))
    solved = integrate.solve_ivp(
        lambda _, log_u: matrices * np.exp((1 - 2 / matrices) * log_u) * (s - np.exp(log_u)),
        (0.0, float(order[-1]) or 1.0),
        [math.log(start)],
        t_eval=order,
        method="DOP853",
        rtol=1e-12,
        atol=1e-13,
    )
    return np.asarray(np.exp(solved.y[0])[np.searchsorted(order, times)])


def half_rise(s: float, start: float, *, matrices: int = 2) -> float:
    """The time at which a mode has half its strength: the integral of du / (M u^(2 - 2/M) (s - u)) from u0 to s / 2; M = 2: ln(s / u0 - 1) / (2s).

    Args:
        s: singular value of the target.
        start: u(0), below s / 2.
        matrices: M.

    Returns:
        Rate times steps; to 1e-10.

    Raises:
        ConfigError: a value that does not grow from `start` to s, or begins beyond its half.
    """
    _check(s, start, matrices)
    require(start < s / 2, "start", "be below s / 2", start)
    # Over ln u the integrand is smooth on its way down to small starts.
    found, _ = integrate.quad(
        lambda log_u: math.exp((2 / matrices - 1) * log_u) / (matrices * (s - math.exp(log_u))), math.log(start), math.log(s / 2), epsabs=0, epsrel=1e-11
    )
    return float(found)


def steps_of_modes(strengths: ArrayLike, *, matrices: int, rate: float, share: float, most: int = 100_000) -> int:
    """Gradient descent's steps until the loss is `share` of the first, from balanced aligned matrices whose product has all singular values 1.

    Args:
        strengths: singular values of the target.
        matrices: M.
        rate: of the loss ||T - product||^2 / 2.
        share: of the initial loss.
        most: steps.

    Returns:
        A count, exact: the recursion of the modes' factors a, a -> a + rate (s - a^M) a^(M - 1); `most` where it is not reached.
    """
    s = np.asarray(strengths, dtype=np.float64)
    a, first = np.ones_like(s), float(((s - 1) ** 2).sum())
    for step in range(most):
        if float(((s - a**matrices) ** 2).sum()) <= share * first:
            return step
        a = a + rate * (s - a**matrices) * a ** (matrices - 1)
    return most


def _check(s: float, start: float, matrices: int) -> None:
    require(matrices >= 1, "matrices", "be >= 1", matrices)
    require(s > 0, "s", "be above 0", s)
    require(0 < start < s, "start", f"be between 0 and s={s:g}", start)
