"""Optimizers, on the flat rows of all parameters of all runs of a stack; formulas and order of operations as in torch.optim.

Weight decay is decoupled: w -> (1 - rate * weight_decay) w before the step, on every parameter. For decay coupled to the
gradient, take penalty=l2.

Axes: R runs, P numbers a run (all its parameters in one row).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradyn.core import AbstractComponent

State = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class AbstractOptimizer(AbstractComponent):
    """One step from a gradient."""

    group: ClassVar[str] = "optimizer"
    # Whether a step's size does not depend on the gradient's, as where it is divided by the root of its own second moment.
    is_adaptive: ClassVar[bool] = False

    weight_decay: float = 0.0

    def __post_init__(self) -> None:
        self.require_finite("weight_decay", low=0.0)

    def state(self, parameters_RP: Tensor) -> State:
        """What is remembered between steps, at the start. Called once a run."""
        return {}

    def step(self, parameters_RP: Tensor, gradients_RP: Tensor, state: State, rate_RP: Tensor, count: int) -> None:
        """Moves `parameters_RP` and `state` in place; may overwrite the gradients.

        Args:
            parameters_RP: weights of every run.
            gradients_RP: after clipping.
            state: what `state` gave.
            rate_RP: learning rate of every run, [R, 1], or of each of its parameters [weight^2 / loss for SGD].
            count: 1 at the first step.
        """
        if self.weight_decay:
            parameters_RP.mul_(1 - rate_RP * self.weight_decay)
        parameters_RP.addcmul_(self.direction(gradients_RP, state, count), rate_RP, value=-1)

    def direction(self, gradients_RP: Tensor, state: State, count: int) -> Tensor:
        """What is multiplied by the rate and subtracted; read, not kept."""
        raise TypeError(f"{type(self).__name__} must define direction")


@dataclass(frozen=True, slots=True)
class Sgd(AbstractOptimizer):
    """w -> w - rate g."""

    def direction(self, gradients_RP: Tensor, state: State, count: int) -> Tensor:
        return gradients_RP


@dataclass(frozen=True, slots=True)
class Momentum(AbstractOptimizer):
    """v -> momentum v + g, w -> w - rate v (torch.optim.SGD's heavy ball, no dampening)."""

    momentum: float = 0.9

    def __post_init__(self) -> None:
        AbstractOptimizer.__post_init__(self)
        self.require_finite("momentum", low=0.0, high=1.0, open_high=True)

    def state(self, parameters_RP: Tensor) -> State:
        return {"velocity": torch.zeros_like(parameters_RP)}

    def direction(self, gradients_RP: Tensor, state: State, count: int) -> Tensor:
        return state["velocity"].mul_(self.momentum).add_(gradients_RP)


@dataclass(frozen=True, slots=True)
class Adam(AbstractOptimizer):
    """w -> w - rate m_hat / (sqrt(v_hat) + eps). Kingma & Ba 2015 (arXiv:1412.6980); with weight_decay, AdamW (arXiv:1711.05101)."""

    is_adaptive: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        AbstractOptimizer.__post_init__(self)
        self.require_finite("beta1", low=0.0, high=1.0, open_high=True)
        self.require_finite("beta2", low=0.0, high=1.0, open_high=True)
        self.require_finite("eps", low=0.0)

    def state(self, parameters_RP: Tensor) -> State:
        return {"first": torch.zeros_like(parameters_RP), "second": torch.zeros_like(parameters_RP)}

    def direction(self, gradients_RP: Tensor, state: State, count: int) -> Tensor:
        first, second = state["first"], state["second"]
        first.lerp_(gradients_RP, 1 - self.beta1)
        second.mul_(self.beta2).addcmul_(gradients_RP, gradients_RP, value=1 - self.beta2)
        root = second.sqrt().div_((1 - self.beta2**count) ** 0.5).add_(self.eps)
        return first.div(1 - self.beta1**count).div_(root)
