"""Penalties on the weight matrices (no biases, gains or scales), added to the loss: their gradient joins before clipping.

Axes: R runs, B batch, N fan_out, M fan_in. A new penalty needs `value` alone: its gradient is then taken by `torch.func.vjp`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gradyn.core import AbstractComponent, l2, products, require


@dataclass(frozen=True, slots=True)
class AbstractPenalty(AbstractComponent):
    """A function of one weight matrix, summed over the layers."""

    group: ClassVar[str] = "penalty"
    # False: of a recurrent net's backward pass, step by step (`step_gradient`), and not of the weights alone.
    is_of_weights: ClassVar[bool] = True

    def value(self, w_RNM: Tensor) -> Tensor:
        """The penalty of each run, [R]."""
        raise TypeError(f"{type(self).__name__} must define value")

    def gradient(self, w_RNM: Tensor) -> Tensor:
        """d value / d w, [R, N, M]."""
        value_R, pullback = torch.func.vjp(self.value, w_RNM)[:2]
        return pullback(torch.ones_like(value_R))[0]

    def step_gradient(self, g_RBN: Tensor, at_hidden_RBN: Tensor, back_RBN: Tensor) -> Tensor:
        """What a step of a recurrent net's backward pass adds to the gradient by W_hh, where the penalty is not of the weights alone."""
        raise TypeError(f"{type(self).__name__} must define step_gradient")

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


@dataclass(frozen=True, slots=True)
class Steady(AbstractWeighted):
    """coefficient * sum over steps of (||dL/dh_{t-1}|| / ||dL/dh_t|| - 1)^2: gradients are to keep their size on their way back through time.

    Norms are over batch and units, of what reaches h_{t-1} through h_t. The gradient is the immediate one of the paper: by W_hh where it multiplies
    the cotangent, with cotangents and activations held. With a_t = phi' dL/dh_t, u = a_t W_hh and r = ||u|| / ||dL/dh_t|| it is

        2 coefficient (r - 1) / (||u|| ||dL/dh_t||) a_t^T u,        summed over the steps 2 ... T; 0 where a norm is.

    Dimensionless but for the coefficient [loss]; no scale of the loss changes it. For `cell=rnn`.

    Source: Pascanu, Mikolov and Bengio 2013 (arXiv:1211.5063), section 3.3, equations 9 and 10.
    """

    is_of_weights: ClassVar[bool] = False

    coefficient: float = 1.0

    def check(self, spec: Any) -> None:
        require(spec.cell.name == "rnn", "cell", "be rnn with penalty=steady, which is of its recurrent matrix", spec.cell.name, "Set cell=rnn.")

    def value(self, w_RNM: Tensor) -> Tensor:
        raise TypeError("penalty=steady is of a backward pass, not of a matrix; see step_gradient.")

    def step_gradient(self, g_RBN: Tensor, at_hidden_RBN: Tensor, back_RBN: Tensor) -> Tensor:
        """One step's share of d value / d W_hh, [R, N, N].

        Args:
            g_RBN: dL/dh_t, in any unit.
            at_hidden_RBN: phi' dL/dh_t, in the same.
            back_RBN: that times W_hh.
        """
        above_R, below_R = l2(g_RBN), l2(back_RBN)
        both_R = above_R * below_R
        factor_R = torch.where(both_R > 0, 2 * self.coefficient * (below_R / above_R - 1) / both_R, torch.zeros_like(both_R))
        return products(at_hidden_RBN.transpose(1, 2), back_RBN) * factor_R.to(g_RBN.dtype)[:, None, None]
