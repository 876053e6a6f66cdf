"""Rows of numbers on numeric, symbolic and automatic derivatives of l_4 at one place: errors over steps, fitted slopes, sizes, costs.

The steps are h = m 2^-k with m of three bits, so that x + h is exact: else the rounding of x + h, eps x |f'| / h, would join that of f.

Can't: fit a slope where two errors mix. Each window ends where the other error, or the next order, is a hundredth of the one fitted.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict
from statistics import median
from typing import Any

import numpy as np

from gradyn.autodiff.numeric import EPS, best_central_step, best_forward_step, central_difference, complex_step, forward_difference
from gradyn.autodiff.symbolic import exact_derivatives, expression_sizes, logistic, logistic_dual, symbolic_derivative

# The error of l_4' at 0.2 in eps, by adding up the roundings of `logistic_dual` along the way: 4.3 + 17.3 + 11.2 halves of eps.
AUTOMATIC_BOUND = 17
_METHODS: dict[str, Callable[..., float]] = {"forward": forward_difference, "central": central_difference, "complex": complex_step}


def difference_errors(x: float, mantissas: Sequence[int], n: int = 4) -> list[dict[str, Any]]:
    """One row a method and step: the absolute error of l_n'(x) and the sum of the asymptotes, from the derivatives at the float x.

    Args:
        x: near 0.2; x + m 2^-k is exact for k <= 55 below 1/4.
        mantissas: m, of 4 to 7.
        n: of the logistic map.
    """
    f, slope, second, third = exact_derivatives(n, x, 3)
    steps = sorted(m * 2.0**-k for k in range(6, 56) for m in mantissas)
    asymptotes = {
        "forward": lambda h: abs(second) * h / 2 + 2 * EPS * abs(f) / h,
        "central": lambda h: abs(third) * h**2 / 6 + EPS * abs(f) / h,
        "complex": lambda h: abs(third) * h**2 / 6 + EPS * abs(slope),
    }
    rows = []
    for name, method in _METHODS.items():
        for h in steps:
            error = abs(method(lambda z: logistic(z, n), x, h) - slope)
            rows.append({"method": name, "h": h, "error": error, "asymptotes": asymptotes[name](h)})
    return rows


def fit_windows(x: float, n: int = 4) -> list[dict[str, Any]]:
    """Where which power of h is fitted, its predicted power and coefficient, and how far mixing can move the power."""
    f, slope, second, third, _, fifth = exact_derivatives(n, x, 5)
    forward, central = best_forward_step(f, second), best_central_step(f, third)
    # The next order is a hundredth: h |f'''| / (3 |f''|), h^2 |f5| / (20 |f'''|).
    linear, square = 0.03 * abs(second / third), math.sqrt(0.2 * abs(third / fifth))
    # Truncation 30 times the bound of rounding.
    quiet = math.sqrt(30 * AUTOMATIC_BOUND * EPS * abs(slope) * 6 / abs(third))
    rows = [
        ("forward", "truncation", 30 * forward, linear, 1, abs(second) / 2, 0.012),
        ("forward", "rounding", 0.0, forward / 30, -1, 2 * EPS * abs(f), 0.002),
        ("central", "truncation", 10 * central, square, 2, abs(third) / 6, 0.023),
        ("central", "rounding", 0.0, central / 10, -1, EPS * abs(f), 0.002),
        ("complex", "truncation", quiet, square, 2, abs(third) / 6, 0.023),
    ]
    return [dict(zip(("method", "side", "low", "high", "power", "coefficient", "mixing"), row, strict=True)) for row in rows]


def fitted_slope(errors: Sequence[dict[str, Any]], window: dict[str, Any]) -> dict[str, float]:
    """Slope of log10 error over log10 h in a window, its standard error from the scatter, and the coefficient at the predicted power."""
    inside = [(row["h"], row["error"]) for row in errors if row["method"] == window["method"] and window["low"] <= row["h"] <= window["high"]]
    h, error = np.log10(np.array([pair for pair in inside if pair[1] > 0])).T
    x = h - h.mean()
    slope = float((x * error).sum() / (x**2).sum())
    residual = error - error.mean() - slope * x
    scatter = math.sqrt(float((residual**2).sum()) / max(len(h) - 2, 1) / float((x**2).sum()))
    return {"points": len(h), "slope": slope, "scatter": scatter, "found": float(10 ** (error - window["power"] * h).mean())}


def optimal_steps(fits: Sequence[dict[str, Any]], x: float, n: int = 4) -> list[dict[str, Any]]:
    """The lowest point of each V from its two fitted arms a h^p and b / h, (b / (p a))^(1 / (p + 1)), beside the formula's, as log10 h."""
    f, _, second, third = exact_derivatives(n, x, 3)
    arms = {(fit["method"], fit["side"]): fit for fit in fits}
    rows = []
    for method, predicted, power in (("forward", best_forward_step(f, second), 1), ("central", best_central_step(f, third), 2)):
        a, b = arms[method, "truncation"]["found"], arms[method, "rounding"]["found"]
        found = (b / (power * a)) ** (1 / (power + 1))
        rows.append({"method": method, "log10_h": math.log10(found), "predicted": math.log10(predicted), "rival": math.log10(EPS) / (power + 1)})
    return rows


def swell(family: str, levels: Sequence[int]) -> list[dict[str, Any]]:
    """The sizes of a family, one row a level."""
    return [{"family": family, **asdict(expression_sizes(family, level))} for level in levels]


def method_table(errors: Sequence[dict[str, Any]], x: float, n: int = 4) -> list[dict[str, Any]]:
    """One row a method: its relative error near the best step and that step, evaluations for n inputs, operations for l_n'.

    A single error can be 0 by luck of its roundings. Stated is the median over the steps whose derived error is at most 5/4 of the least.
    """
    value, slope = 3 * (n - 1), exact_derivatives(n, x, 1)[1]
    size = expression_sizes("logistic", n)
    # Real operations; a complex level has 4 z (2), 1 - z (1) and a product (6).
    costs = {"forward": ("n + 1", 2 * value + 3), "central": ("2 n", 2 * value + 5), "complex": ("n, complex", 9 * (n - 1) + 1)}
    rows = []
    for name, (evaluations, operations) in costs.items():
        own = [row for row in errors if row["method"] == name]
        least = min(row["asymptotes"] for row in own)
        near = [row for row in own if row["asymptotes"] <= 1.25 * least]
        error, h = median(row["error"] for row in near), median(row["h"] for row in near)
        rows.append({"method": name, "error": error / abs(slope), "step": h, "evaluations": evaluations, "operations": operations})
    for name, found, evaluations, operations in (
        ("symbolic", symbolic_derivative(x, n), "1 of each partial", size.derivative),
        ("automatic", logistic_dual(x, n)[1], "n forward, 1 reverse", size.automatic),
    ):
        rows.append({"method": name, "error": abs(found - slope) / abs(slope), "step": math.nan, "evaluations": evaluations, "operations": operations})
    return rows
