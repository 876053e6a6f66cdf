"""What a ReLU answers where it has no derivative: four ways of writing it, at 0, -0, NaN and the infinities.

Every number in [0, 1] is a subgradient at 0, so nobody is wrong there; but nets with exact zeros (padding, dead units, quantized inputs) train
differently under different answers.

Can't: say which answer is best. Only 0 makes a unit that rests at 0 stay at rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gradyn.autodiff.functions import relu


class TextbookRelu(torch.autograd.Function):
    """The ReLU of many tutorials: `grad_input[input < 0] = 0`, which leaves 1 at the kink and at NaN."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """max(x, 0)."""
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """The cotangent, with zeros where x < 0: neither 0 nor NaN is below 0."""
        (x,) = ctx.saved_tensors
        grad_input = grads[0].clone()
        grad_input[x < 0] = 0
        return grad_input


RELUS: dict[str, Callable[[Tensor], Tensor]] = {
    "torch.relu(x)": torch.relu,
    "x.clamp(min=0)": lambda x: x.clamp(min=0),
    "mask x < 0 (textbooks)": TextbookRelu.apply,
    "gradyn.autodiff.relu": relu,
}
# The places where ways of writing a ReLU part, and one on either side where they don't.
PLACES = (-1.0, -0.0, 0.0, 1.0, float("inf"), float("-inf"), float("nan"))


def subgradients(x: float, dtype: torch.dtype = torch.float64) -> dict[str, tuple[float, float]]:
    """Value and gradient of every ReLU in RELUS at one place.

    Args:
        x: the place.
        dtype: of the tensor.

    Returns:
        Way of writing -> (value, gradient for a cotangent of 1).
    """
    found = {}
    for name, function in RELUS.items():
        at = torch.tensor(x, dtype=dtype, requires_grad=True)
        y = function(at)
        (gradient,) = torch.autograd.grad(y, at)
        found[name] = (y.item(), gradient.item())
    return found
