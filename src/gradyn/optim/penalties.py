"""Penalties on the weight matrices (no biases, gains or scales), added to the loss: their gradient joins before clipping.

Axes: R runs, N fan_out, M fan_in. A new penalty needs `value` alone: its gradient is then taken by `torch.func.vjp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradyn.core import AbstractComponent


@dataclass(frozen=True, slots=True)
class AbstractPenalty(AbstractComponent):
    """A function of one weight matrix, summed over the layers."""

    group: ClassVar[str] = "penalty"

    def value(self, w_RNM: Tensor) -> Tensor:
        """The penalty of each run, [R]."""
        raise TypeError(f"{type(self).__name__} must define value")

    def gradient(self, w_RNM: Tensor) -> Tensor:
        """d value / d w, [R, N, M]."""
        value_R, pullback = torch.func.vjp(self.value, w_RNM)[:2]
        return pullback(torch.ones_like(value_R))[0]

    @property
    def is_active(self) -> bool:
        """Whether there is anything to add."""
        return True


@dataclass(frozen=True, slots=True)
class NoPenalty(AbstractPenalty):
    """Nothing is added."""

    option: ClassVar[str] = "none"

    @property
    def is_active(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class AbstractWeighted(AbstractPenalty):
    """coefficient times something."""

    coefficient: float = 1e-4

    def __post_init__(self) -> None:
        self.require_finite("coefficient", low=0.0)


@dataclass(frozen=True, slots=True)
class L2(AbstractWeighted):
    """coefficient / 2 * ||W||_F^2, the gradient of torch.optim's coupled weight_decay."""

    def value(self, w_RNM: Tensor) -> Tensor:
        return self.coefficient / 2 * w_RNM.square().sum((1, 2))

    def gradient(self, w_RNM: Tensor) -> Tensor:
        return self.coefficient * w_RNM


@dataclass(frozen=True, slots=True)
class L1(AbstractWeighted):
    """coefficient * sum |W_ij|; subgradient 0 at 0."""

    def value(self, w_RNM: Tensor) -> Tensor:
        return self.coefficient * w_RNM.abs().sum((1, 2))

    def gradient(self, w_RNM: Tensor) -> Tensor:
        return self.coefficient * w_RNM.sign()


@dataclass(frozen=True, slots=True)
class OrthogonalPenalty(AbstractWeighted):
    """coefficient * ||W W^T - 1||_F^2, or W^T W - 1 where W has more rows than columns. Bansal et al. 2018 (arXiv:1810.09102)."""

    option: ClassVar[str] = "orthogonal"

    def value(self, w_RNM: Tensor) -> Tensor:
        wide = w_RNM if w_RNM.shape[1] <= w_RNM.shape[2] else w_RNM.transpose(1, 2)
        return self.coefficient * (torch.bmm(wide, wide.transpose(1, 2)) - torch.eye(wide.shape[1]).to(wide)).square().sum((1, 2))

    def gradient(self, w_RNM: Tensor) -> Tensor:
        """4 coefficient (W W^T - 1) W."""
        wide = w_RNM if w_RNM.shape[1] <= w_RNM.shape[2] else w_RNM.transpose(1, 2)
        excess = torch.bmm(wide, wide.transpose(1, 2)) - torch.eye(wide.shape[1]).to(wide)
        result = torch.bmm(excess, wide).mul_(4 * self.coefficient)
        return result if wide is w_RNM else result.transpose(1, 2)
