"""Losses: a number per sample, its mean over the batch, and the cotangent that begins the backward pass.

Axes: R runs, B batch, C classes (outputs). L = mean over the batch of loss_b; no factor of 1/C anywhere.
A new loss needs `per_sample` alone: its cotangent is then taken by `torch.func.vjp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import AbstractComponent

Target = Literal["labels", "values", "cotangent"]


@dataclass(frozen=True, slots=True)
class AbstractLoss(AbstractComponent):
    """loss_b(output_b, y_b)."""

    group: ClassVar[str] = "loss"
    # What y is: class labels [R, B], real targets [R, B, C], or a random vector a sample [R, B, C].
    target: ClassVar[Target] = "labels"

    def per_sample(self, output: Tensor, y: Tensor) -> Tensor:
        """loss_b, [..., B], of outputs [..., B, C]."""
        raise TypeError(f"{type(self).__name__} must define per_sample")

    def mean(self, output: Tensor, y: Tensor) -> Tensor:
        """Mean over the batch of loss_b: what `gradyn.materialize` hands out as loss_fn."""
        return self.per_sample(output, y).mean(-1)

    def cotangent(self, output: Tensor, y: Tensor) -> Tensor:
        """d L / d output, [R, B, C]."""
        loss, pullback = torch.func.vjp(lambda o: self.per_sample(o, y), output)[:2]
        return pullback(torch.full_like(loss, 1 / output.shape[-2]))[0]


@dataclass(frozen=True, slots=True)
class CrossEntropy(AbstractLoss):
    """loss_b = -log softmax(output_b)[y_b], y a class label; nats."""

    def per_sample(self, output: Tensor, y: Tensor) -> Tensor:
        """logsumexp of the outputs minus the label's."""
        # Along the last but one axis: torch's kernel for a short last axis takes ten times as long.
        return -torch.log_softmax(output.transpose(-1, -2), -2).gather(-2, y.unsqueeze(-2)).squeeze(-2)

    def cotangent(self, output: Tensor, y: Tensor) -> Tensor:
        """(softmax - onehot) / B."""
        others = torch.softmax(output.transpose(-1, -2), -2).transpose(-1, -2).contiguous().scatter_(-1, y.unsqueeze(-1), 0.0)
        # Not p_y - 1: for a sample that is all but certain that rounds to 0, while the other classes' sum is exact.
        return others.scatter_(-1, y.unsqueeze(-1), -others.sum(-1, keepdim=True)).div_(output.shape[-2])


@dataclass(frozen=True, slots=True)
class Mse(AbstractLoss):
    """loss_b = 1/2 sum over outputs of (output - y)^2; y real targets, or one-hot labels where the data has classes."""

    target: ClassVar[Target] = "values"

    def per_sample(self, output: Tensor, y: Tensor) -> Tensor:
        """Half the squared distance."""
        return (output - y).square().sum(-1) / 2

    def cotangent(self, output: Tensor, y: Tensor) -> Tensor:
        """(output - y) / B."""
        return (output - y).div_(output.shape[-2])


@dataclass(frozen=True, slots=True)
class Cotangent(AbstractLoss):
    """loss_b = <v_b, output_b> with v_b drawn anew at every step: a random vector pulled back, as theory has it.

    Args:
        vectors: `normal`, N(0, 1); `rademacher`, signs of equal odds, whose sizes are known exactly; or `shared`, N(0, 1) and one for all samples
            of the batch, as if a loss pulled all outputs one way: the gradient of their mean then has cross terms between samples.

    Needs no labels; nothing is minimised. Independent of weights and inputs, so that E ||delta_l||^2 obeys the recursions of
    mean-field theory without the transients of a loss.
    """

    target: ClassVar[Target] = "cotangent"

    vectors: Literal["normal", "rademacher", "shared"] = "normal"

    def __post_init__(self) -> None:
        self.require(self.vectors in ("normal", "rademacher", "shared"), "vectors", "be one of normal, rademacher, shared")

    def draw(self, rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.float64]:
        """v, [B, C], of one step. Called once a run and step."""
        if self.vectors == "rademacher":
            return rng.choice([-1.0, 1.0], size=shape)
        return np.broadcast_to(rng.standard_normal(shape if self.vectors == "normal" else (1, shape[1])), shape)

    def per_sample(self, output: Tensor, y: Tensor) -> Tensor:
        """Inner product."""
        return (output * y).sum(-1)

    def cotangent(self, output: Tensor, y: Tensor) -> Tensor:
        """v / B."""
        return y / output.shape[-2]
