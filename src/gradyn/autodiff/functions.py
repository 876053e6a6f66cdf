"""Own derivatives for torch: a `torch.autograd.Function` is a forward, what it saves, u^T J, and J v for forward mode.

All are built of operations that autograd knows, also in `backward`, so that a second derivative follows by itself.

Can't: be checked at a kink. At 0 the ReLU has no derivative; `subgradients.py` lists what everybody answers there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class Relu(torch.autograd.Function):
    """phi(x) = max(x, 0); u^T J = u where x > 0, else 0."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """max(x, 0), and NaN where x is NaN."""
        ctx.save_for_backward(x)
        ctx.save_for_forward(x)
        # clamp and not torch.where(x > 0, x, 0): a NaN is not > 0, and would come out as a 0 that nobody notices.
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """U where x > 0; 0 at the kink, as torch.relu has it, and the NaN itself where x is NaN."""
        return _passed(ctx.saved_tensors[0], grads[0])

    @staticmethod
    def jvp(ctx: Any, *tangents: Tensor) -> Tensor:
        """J v: the Jacobian is diagonal, and so its own transpose."""
        return _passed(ctx.saved_tensors[0], tangents[0])


def _passed(x: Tensor, u: Tensor) -> Tensor:
    # torch.where and not u * (x > 0): 0 * inf is NaN.
    return torch.where(x > 0, u, torch.where(x.isnan(), x, torch.zeros_like(u)))


def relu(x: Tensor) -> Tensor:
    """max(x, 0), elementwise.

    Args:
        x: any shape, floating point.

    Returns:
        Same shape. Its gradient is 1 for x > 0, 0 for x <= 0 (both zeros, -inf), NaN for NaN.
    """
    return Relu.apply(x)


class LogSumExp(torch.autograd.Function):
    """phi(x) = m + log(sum_i exp(x_i - m)) with m = max(x); u^T J = u softmax(x)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dim: int) -> Tensor:
        """The maximum is taken out first: the largest term is then exp(0) = 1, so nothing overflows and the sum never vanishes."""
        m = x.amax(dim, keepdim=True)
        # All -inf: the sum is empty, its logarithm -inf; inf - inf would be NaN.
        m = torch.where(m.isinf(), torch.zeros_like(m), m)
        y = (m + (x - m).exp().sum(dim, keepdim=True).log()).squeeze(dim)
        # Only inputs and outputs keep their place in the graph when saved. With any other tensor (the y before squeeze) the first derivative is
        # right and the second silently wrong.
        ctx.save_for_backward(x, y)
        ctx.save_for_forward(x, y)
        ctx.dim = dim
        return y

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """The cotangent of a sum goes to each of its terms by its share."""
        return grads[0].unsqueeze(ctx.dim) * _softmax(ctx), None

    @staticmethod
    def jvp(ctx: Any, *tangents: Any) -> Tensor:
        """<softmax(x), v>."""
        return (_softmax(ctx) * tangents[0]).sum(ctx.dim)


def _softmax(ctx: Any) -> Tensor:
    x, y = ctx.saved_tensors
    y = y.unsqueeze(ctx.dim)
    # exp(x - y) is at most 1; a y of -inf takes nothing from nobody.
    return torch.where(y.isinf() & (y < 0), torch.zeros_like(x), (x - y).exp())


def log_sum_exp(x: Tensor, dim: int = -1) -> Tensor:
    """log(sum_i exp(x_i)) along an axis, without overflow; its gradient is the softmax, its Hessian diag(p) - p p^T.

    Args:
        x: floating point, at least one axis.
        dim: axis that is summed over.

    Returns:
        x's shape without that axis.
    """
    return LogSumExp.apply(x, dim)
