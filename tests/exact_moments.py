"""The catalogue's phi and phi' once more, for mpmath, and Gaussian moments of them at 30 digits: what `gradyn.theory` is held to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath as mp

Real = Callable[[Any], Any]


def _logistic(h: Any) -> Any:
    return 1 / (1 + mp.exp(-h))


def _elu(alpha: float, scale: float = 1.0) -> tuple[Real, Real]:
    return (lambda h: scale * (h if h > 0 else alpha * mp.expm1(h))), (lambda h: scale * (1 if h > 0 else alpha * mp.exp(h)))


def exact(activation: Any) -> tuple[Real, Real]:
    """(phi, phi') in mpmath's numbers."""
    settings = activation.settings
    return {
        "linear": lambda: (lambda h: h, lambda h: mp.mpf(1)),
        "sigmoid": lambda: (_logistic, lambda h: _logistic(h) * _logistic(-h)),
        "tanh": lambda: (mp.tanh, lambda h: mp.sech(h) ** 2),
        "hard_tanh": lambda: (lambda h: max(-1, min(1, h)), lambda h: mp.mpf(abs(h) < 1)),
        "softsign": lambda: (lambda h: h / (1 + abs(h)), lambda h: 1 / (1 + abs(h)) ** 2),
        "relu": lambda: (lambda h: max(h, 0), lambda h: mp.mpf(h > 0)),
        "leaky_relu": lambda: (
            lambda h: h if h > 0 else mp.mpf(settings["negative_slope"]) * h,
            lambda h: mp.mpf(1) if h > 0 else mp.mpf(settings["negative_slope"]),
        ),
        "elu": lambda: _elu(settings["alpha"]),
        "selu": lambda: _elu(mp.mpf("1.6732632423543772848170429916717"), mp.mpf("1.0507009873554804934193349852946")),
        "gelu": lambda: (lambda h: h * mp.ncdf(h), lambda h: mp.ncdf(h) + h * mp.npdf(h)),
        "silu": lambda: (lambda h: h * _logistic(h), lambda h: _logistic(h) * (1 + h * _logistic(-h))),
        "softplus": lambda: (lambda h: mp.log1p(mp.exp(-abs(h))) + max(h, 0), _logistic),
        "erf": lambda: (mp.erf, lambda h: 2 / mp.sqrt(mp.pi) * mp.exp(-h * h)),
        "sin": lambda: (mp.sin, mp.cos),
    }[activation.name]()


def exact_moment(activation: Any, q: float, *, value: int, derivative: int, digits: int = 30) -> Any:
    """E phi^value phi'^derivative by Gauss-Legendre on panels that end at the kinks and follow the function's own scale."""
    # Thirty digits are 0.3 s an integral; eighteen are a fifth of that, and still a hundred times finer than float64.
    phi, slope = exact(activation)
    with mp.workdps(digits):
        scale = mp.sqrt(mp.mpf(q))
        bends = [h / scale for h in (-40, -16, -8, -4, -2, -1, -0.5, 0, 0.5, 1, 2, 4, 8, 16, 40)]
        points = sorted({mp.mpf(z) for z in (-13, -6, -3, 0, 3, 6, 13)} | {z for z in bends if abs(z) < 13})
        if activation.name == "sin":
            points = list(mp.linspace(-13, 13, 14 + int(5 * scale)))
        return mp.quad(
            lambda z: phi(scale * z) ** value * slope(scale * z) ** derivative * mp.npdf(z), points, method="gauss-legendre", maxdegree=5 if digits > 20 else 4
        )
