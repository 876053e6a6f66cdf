"""Clipping, between the backward pass and the optimizer.

Norms come as log2, so that a gradient of 1e60 is clipped to the size asked for instead of to nan or 0.

Axes: R runs, P parameters (tensors) of a net, N rows of a weight.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import AbstractComponent, Scaled, log2_total, powers_of_two, rounded

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AbstractClip(AbstractComponent):
    """How large a gradient may be."""

    group: ClassVar[str] = "clip"

    def log2_factors(self, log2_l2_RP: Floats, layer_of: Sequence[int]) -> Floats | None:
        """Factors by which whole parameters' gradients shrink, log2, [R, P]; None where all are 1. Called once a step.

        Args:
            log2_l2_RP: log2 of each parameter's gradient norm.
            layer_of: the layer of each of the P parameters.
        """
        return None

    def limited(self, gradient: Scaled, parameter: Tensor, log2_factor_R: Floats | None, out: Tensor) -> Tensor:
        """One parameter's gradient as the optimizer takes it, written to `out`. Called for each parameter, every step."""
        return rounded(gradient, log2_factor_R, out)

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

    def _log2_factor(self, log2_l2_R: Floats) -> Floats:
        log2_eps = math.log2(self.eps) if self.eps else -math.inf
        with np.errstate(invalid="ignore"):
            return np.minimum(math.log2(self.max_norm) - np.logaddexp2(log2_l2_R, log2_eps), 0.0)


@dataclass(frozen=True, slots=True)
class GlobalL2(AbstractNormClip):
    """By the norm of all parameters' gradients together. Pascanu et al. 2013 (arXiv:1211.5063)."""

    def log2_factors(self, log2_l2_RP: Floats, layer_of: Sequence[int]) -> Floats:
        return np.broadcast_to(self._log2_factor(log2_total(log2_l2_RP))[:, None], log2_l2_RP.shape)


@dataclass(frozen=True, slots=True)
class LayerL2(AbstractNormClip):
    """By the norm of each layer's own gradients (weight, bias and whatever else the layer learns)."""

    def log2_factors(self, log2_l2_RP: Floats, layer_of: Sequence[int]) -> Floats:
        factors = np.empty_like(log2_l2_RP)
        for layer in sorted(set(layer_of)):
            members = [i for i, other in enumerate(layer_of) if other == layer]
            factors[:, members] = self._log2_factor(log2_total(log2_l2_RP[:, members]))[:, None]
        return factors


@dataclass(frozen=True, slots=True)
class Value(AbstractClip):
    """Each element to [-max_value, max_value]: bends the gradient's direction. As torch.nn.utils.clip_grad_value_."""

    max_value: float = 0.1

    def __post_init__(self) -> None:
        self.require_finite("max_value", low=0.0, open_low=True)

    def limited(self, gradient: Scaled, parameter: Tensor, log2_factor_R: Floats | None, out: Tensor) -> Tensor:
        return rounded(gradient, None, out).clamp_(-self.max_value, self.max_value)

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

    def limited(self, gradient: Scaled, parameter: Tensor, log2_factor_R: Floats | None, out: Tensor) -> Tensor:
        along = (2,) if out.dim() == 3 else tuple(range(1, out.dim()))
        allowed = self.max_ratio * _row_l2(parameter, along).clamp_(min=self.eps)
        # In units of the mantissa: its own size, 2**exponent, or what brings the row's norm to the allowed one.
        row_l2 = _row_l2(gradient.mantissa, along)
        # A row of zeros has no ratio, and its 0 times an exponent beyond the dtype would be nan.
        factor = torch.where(row_l2 == 0, 0.0, torch.minimum(powers_of_two(gradient.exponent, out), allowed / row_l2))
        return torch.mul(gradient.mantissa, factor.to(out.dtype), out=out)

    @property
    def is_elementwise(self) -> bool:
        return True


def _row_l2(t: Tensor, along: tuple[int, ...]) -> Tensor:
    # A scalar parameter [R] has no axis to reduce.
    return torch.linalg.vector_norm(t, dim=along, keepdim=True, dtype=torch.float64) if along else t.abs().double()
