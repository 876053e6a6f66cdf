"""Four checks whose relative error over the step has four shapes: right, wrong by a factor, across a kink, and in float32.

Can't: predict rounding. Its curve is the size that it has on average; single steps scatter around it by a decade.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch

from gradyn.autodiff.functions import relu
from gradyn.autodiff.gradcheck import explain_gradcheck
from gradyn.autodiff.mistakes import custom


def errors_over_steps(place: float, distance: float) -> dict[str, list[float] | list[str]]:
    """What `explain_gradcheck` measures, and what is expected, at every step of its ladder.

    Args:
        place: where tanh is checked.
        distance: of the input from the ReLU's kink.

    Returns:
        Columns case, step, error, predicted (nan where only rounding is left).
    """
    t = math.tanh(place)
    bend, height = abs(1 - 3 * t**2) / 3, abs(t) / (1 - t**2)
    doubled = custom(torch.tanh, lambda inputs, y, u: 2 * u * (1 - y**2))
    cases: dict[str, tuple[Callable[..., Any], float, torch.dtype, Callable[[float], float]]] = {
        # The derivative of tanh is 1 - t^2, its third one -2 (1 - t^2) (1 - 3 t^2); the larger of both Jacobians is what the error is relative to.
        "right": (torch.tanh, place, torch.float64, lambda h: bend * h**2 + 2.0**-53 * height / h),
        "wrong factor": (doubled, place, torch.float64, lambda h: 0.5),
        "kink": (relu, distance, torch.float64, lambda h: max(0.0, 1 - distance / h) / 2 or math.nan),
        "float32": (torch.tanh, place, torch.float32, lambda h: bend * h**2 + 2.0**-24 * height / h),
    }
    found: dict[str, list] = {"case": [], "step": [], "error": [], "predicted": []}
    for name, (f, x, dtype, predicted) in cases.items():
        # At a step ten times its distance the kink is well within.
        eps = 10 * distance if name == "kink" else 1e-6
        for step, error in explain_gradcheck(f, torch.tensor([x], dtype=dtype, requires_grad=True), eps=eps).error_over_steps:
            for column, value in zip(found, (name, step, error, predicted(step)), strict=True):
                found[column].append(value)
    return found
