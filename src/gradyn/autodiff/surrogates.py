"""Surrogates: Functions whose backward is on purpose not the derivative of their forward, so that gradcheck must reject them.

A straight-through sign lets a gradient pass where there is none, a reversal makes one part of a net work against another, and a tracked identity
keeps cotangents in the float's range. What they return is a direction that somebody wants, not a slope.

Can't: be differentiated twice in any meaningful way. The second derivative is that of the invented backward.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


class StraightThroughSign(torch.autograd.Function):
    """Forward sign(x), whose derivative is 0; backward u where |x| <= 1, else 0.

    Source: Bengio, Leonard & Courville 2013 (arXiv:1308.3432), the straight-through estimator; the window |x| <= 1 as in Hubara et al. 2016
    (arXiv:1602.02830).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        """-1, 0 or 1."""
        ctx.save_for_backward(x)
        return x.sign()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        """The cotangent, as if the forward were hardtanh(x)."""
        (x,) = ctx.saved_tensors
        return torch.where(x.abs() <= 1, grads[0], torch.zeros_like(grads[0]))


class GradientReversal(torch.autograd.Function):
    """Forward x; backward -strength u.

    Source: Ganin & Lempitsky 2015 (arXiv:1409.7495), the layer between features and domain classifier.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float = 1.0) -> Tensor:
        """The same numbers."""
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """Against the gradient."""
        return -ctx.strength * grads[0], None


class Exponent:
    """Where `TrackedIdentity` keeps what it took out: the gradient is `x.grad * 2**exponent.value`."""

    def __init__(self) -> None:
        self.value = 0


class TrackedIdentity(torch.autograd.Function):
    """Forward x; backward u 2^-e, with e such that the largest |u_i| 2^-e lies in [1/2, 1); e is added to an `Exponent` beside.

    A chain of a thousand layers that each halve the cotangent ends at 2^-1000, which float32 has as 0. With one of these every few layers the
    mantissas stay near 1, and nothing is lost: a power of two only moves the exponent. The harness does the same with `gradyn.core.Scaled`,
    which carries mantissa and exponent together through a backward pass written by hand; here they part, so what arrives in `.grad` is only the
    mantissa, and no derivative of anything.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, exponent: Exponent) -> Tensor:
        """The same numbers."""
        ctx.exponent = exponent
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        """The mantissa of the cotangent; a cotangent of 0, or one that is not finite, stays as it is."""
        largest = grads[0].abs().amax()
        if not (torch.isfinite(largest) and largest > 0):
            return grads[0], None
        e = int(torch.frexp(largest).exponent)
        ctx.exponent.value += e
        # Two steps: 2.0**-e alone overflows when u is among the smallest numbers that the dtype has.
        half = -e // 2
        return grads[0] * 2.0**half * 2.0 ** (-e - half), None
