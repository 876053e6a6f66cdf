"""Clipping, between the backward pass and the optimizer.

Norms come as log2, so that a gradient of 1e60 is clipped to the size asked for instead of to nan or 0.

Axes: R runs, P parameters (tensors) of a net, N rows of a weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradyn.core import AbstractComponent, Scaled, elementwise, log2_total, rounded


@dataclass(frozen=True, slots=True)
class AbstractClip(AbstractComponent):
    """How large a gradient may be."""

    group: ClassVar[str] = "clip"

    def log2_factors(self, log2_l2_RP: Tensor, layer_of: Sequence[int]) -> Tensor | None:
        """Factors by which whole parameters' gradients shrink, log2, [R, P]; None where all are 1. Called once a step.

        Args:
            log2_l2_RP: log2 of each parameter's gradient norm.
            layer_of: the layer of each of the P parameters.
        """
        return None

    def limited(self, gradient: Scaled, parameter: Tensor, log2_factor_R: Tensor | None, out: Tensor, *, is_far: bool = True) -> Tensor:
        """One parameter's gradient as the optimizer takes it, written to `out`. Called for each parameter, every step.

        `is_far` as for `gradyn.core.rounded`.
        """
        factor = None if log2_factor_R is None else log2_factor_R.view(-1, *(1,) * (out.dim() - 1))
        return rounded(gradient, factor, out, is_far=is_far)

    @property
    def is_elementwise(self) -> bool:
        """Whether `limited` does more than multiply by the factors; then the norm after clipping is measured, not known."""
        return False


@dataclass(frozen=True, slots=True)
class NoClip(AbstractClip):
    """The gradient as it is."""

    option: ClassVar[str] = "none"


@dataclass(frozen=True, slots=True)
class AbstractNormClip(AbstractClip):
    """g -> g min(1, max_norm / (||g|| + eps)); eps as in torch.nn.utils.clip_grad_norm_."""

    max_norm: float = 1.0
    eps: float = 1e-6

    def __post_init__(self) -> None:
        self.require_finite("max_norm", low=0.0, open_low=True)
        self.require_finite("eps", low=0.0)

    def _log2_factor(self, log2_l2: Tensor) -> Tensor:
        log2_eps = torch.full_like(log2_l2, math.log2(self.eps) if self.eps else -math.inf)
        return (math.log2(self.max_norm) - elementwise(torch.logaddexp2, log2_l2, log2_eps)).clamp_(max=0.0)


@dataclass(frozen=True, slots=True)
class GlobalL2(AbstractNormClip):
    """By the norm of all parameters' gradients together. Pascanu et al. 2013 (arXiv:1211.5063)."""

    def log2_factors(self, log2_l2_RP: Tensor, layer_of: Sequence[int]) -> Tensor:
        return self._log2_factor(log2_total(log2_l2_RP)).unsqueeze(1).expand_as(log2_l2_RP)


@dataclass(frozen=True, slots=True)
class LayerL2(AbstractNormClip):
    """By the norm of each layer's own gradients (weight, bias and whatever else the layer learns)."""

    def log2_factors(self, log2_l2_RP: Tensor, layer_of: Sequence[int]) -> Tensor:
        factors = torch.empty_like(log2_l2_RP)
        for layer in sorted(set(layer_of)):
            members = [i for i, other in enumerate(layer_of) if other == layer]
            factors[:, members] = self._log2_factor(log2_total(log2_l2_RP[:, members])).unsqueeze(1)
        return factors


@dataclass(frozen=True, slots=True)
class Value(AbstractClip):
    """Each element to [-max_value, max_value]: bends the gradient's direction. As torch.nn.utils.clip_grad_value_."""

    max_value: float = 0.1

    def __post_init__(self) -> None:
        self.require_finite("max_value", low=0.0, open_low=True)

    def limited(self, gradient: Scaled, parameter: Tensor, log2_factor_R: Tensor | None, out: Tensor, *, is_far: bool = True) -> Tensor:
        return rounded(gradient, None, out, is_far=is_far).clamp_(-self.max_value, self.max_value)

    @property
    def is_elementwise(self) -> bool:
        return True


@dataclass(frozen=True, slots=True)
class Adaptive(AbstractClip):
    """Each output row to ||g_row|| <= max_ratio max(||w_row||, eps); vectors and scalars count as one row.

    Source: Brock et al. 2021 (arXiv:2102.06171), adaptive gradient clipping.
    """

    max_ratio: float = 0.01
    eps: float = 1e-3

    def __post_init__(self) -> None:
        self.require_finite("max_ratio", low=0.0, open_low=True)
        self.require_finite("eps", low=0.0, open_low=True)

    def limited(self, gradient: Scaled, parameter: Tensor, log2_factor_R: Tensor | None, out: Tensor, *, is_far: bool = True) -> Tensor:
        along = (2,) if out.dim() == 3 else tuple(range(1, out.dim()))
        allowed = self.max_ratio * _row_l2(parameter, along).clamp_(min=self.eps)
        exponent = gradient.exponent.view(-1, *(1,) * (out.dim() - 1))
        # One logarithm, of the ratio of the mantissas.
        log2_ratio = elementwise(torch.log2, allowed / _row_l2(gradient.mantissa, along)) - exponent
        return rounded(gradient, log2_ratio.clamp_(max=0.0), out)

    @property
    def is_elementwise(self) -> bool:
        return True


def _row_l2(t: Tensor, along: tuple[int, ...]) -> Tensor:
    # A scalar parameter [R] has no axis to reduce.
    return torch.linalg.vector_norm(t, dim=along, keepdim=True, dtype=torch.float64) if along else t.abs().double()
