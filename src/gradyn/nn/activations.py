"""Activations phi: one class an option, with its forward and its pullback.

A new activation needs `forward` alone: the pullback is then taken by `torch.func.vjp` of it, and the bound on |phi'| by a
search. The standard ones override both with fused formulas that stay accurate where phi saturates; a law holds them equal.

Axes: R runs, B batch, N units; every method is elementwise, so any shape goes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from gradyn.core import AbstractComponent

aten = torch.ops.aten


@dataclass(frozen=True, slots=True)
class AbstractActivation(AbstractComponent):
    """x = phi(h), elementwise."""

    group: ClassVar[str] = "activation"
    # Where phi, phi' or phi'' jumps; theory splits its integrals there.
    kinks: ClassVar[tuple[float, ...]] = ()

    def forward(self, h: Tensor) -> Tensor:
        """phi(h); may rely on nothing but h."""
        raise TypeError(f"{type(self).__name__} must define forward")

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        """phi'(h) * upstream, with x = phi(h) from the forward pass; called once per layer and step, backwards."""
        return torch.func.vjp(self.forward, h)[1](upstream)[0]

    def derivative(self, h: Tensor, x: Tensor) -> Tensor:
        """phi'(h); called on measured steps."""
        return self.pullback(torch.ones_like(h), h, x)

    @property
    def max_derivative(self) -> float:
        """sup over h of |phi'(h)|."""
        return _largest_derivative(self)


@lru_cache(maxsize=256)
def _largest_derivative(activation: AbstractActivation) -> float:
    # Step 1e-3: phi' of the catalogue is flat at its maximum, so that the error is below |phi'''| * 1e-6 / 8.
    h = torch.linspace(-30.0, 30.0, 60_001, dtype=torch.float64)
    return float(activation.derivative(h, activation.forward(h)).abs().max())


@dataclass(frozen=True, slots=True)
class Linear(AbstractActivation):
    """phi(h) = h."""

    def forward(self, h: Tensor) -> Tensor:
        return h

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return upstream


@dataclass(frozen=True, slots=True)
class Sigmoid(AbstractActivation):
    """phi(h) = 1 / (1 + exp(-h)); phi' = phi(h) phi(-h) <= 1/4."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.sigmoid(h)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        # Not x * (1 - x): for h >> 1 that cancels to rounding noise, then to 0, while phi' = exp(-h).
        return _times_logistic(upstream, h, -1.0).mul_(x)


def _times_logistic(upstream: Tensor, h: Tensor, slope: float) -> Tensor:
    """upstream * s(slope h), s the logistic function, in one pass."""
    # Beyond 40, where the kernel takes s = 1, it is 1 to the last bit of float64.
    return aten.softplus_backward(upstream, h, slope, 40.0)


@dataclass(frozen=True, slots=True)
class Tanh(AbstractActivation):
    """phi(h) = tanh(h); phi' = 4 s(2h) s(-2h) with s the logistic function."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.tanh(h)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        # Not 1 - x * x: it cancels where |h| >> 1. With s = s(-2|h|) <= 1/2, phi' = 4 s (1 - s) does not. Nor by exp(-2|h|):
        # where that underflows, torch's exp takes fifty times as long.
        return aten.sigmoid_backward(upstream, h.abs().mul_(-2).sigmoid_()).mul_(4)


@dataclass(frozen=True, slots=True)
class HardTanh(AbstractActivation):
    """phi(h) = min(max(h, -1), 1); phi' = 1 inside, 0 at and beyond the corners."""

    kinks: ClassVar[tuple[float, ...]] = (-1.0, 1.0)

    def forward(self, h: Tensor) -> Tensor:
        return functional.hardtanh(h)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return aten.hardtanh_backward(upstream, h, -1.0, 1.0)


@dataclass(frozen=True, slots=True)
class Softsign(AbstractActivation):
    """phi(h) = h / (1 + |h|); phi' = 1 / (1 + |h|)^2."""

    kinks: ClassVar[tuple[float, ...]] = (0.0,)

    def forward(self, h: Tensor) -> Tensor:
        return h / (1 + h.abs())

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return upstream / h.abs().add_(1).square_()


@dataclass(frozen=True, slots=True)
class Relu(AbstractActivation):
    """phi(h) = max(h, 0); phi'(0) = 0 as in torch."""

    kinks: ClassVar[tuple[float, ...]] = (0.0,)

    def forward(self, h: Tensor) -> Tensor:
        return torch.relu(h)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return aten.threshold_backward(upstream, h, 0)


@dataclass(frozen=True, slots=True)
class LeakyRelu(AbstractActivation):
    """phi(h) = h for h > 0, else negative_slope * h."""

    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    negative_slope: float = 0.01

    def __post_init__(self) -> None:
        self.require_finite("negative_slope")

    def forward(self, h: Tensor) -> Tensor:
        return functional.leaky_relu(h, self.negative_slope)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return aten.leaky_relu_backward(upstream, h, self.negative_slope, False)


@dataclass(frozen=True, slots=True)
class Elu(AbstractActivation):
    """phi(h) = h for h > 0, else alpha (exp(h) - 1). Clevert et al. 2016."""

    kinks: ClassVar[tuple[float, ...]] = (0.0,)
    alpha: float = 1.0

    def __post_init__(self) -> None:
        self.require_finite("alpha", low=0.0)

    def forward(self, h: Tensor) -> Tensor:
        return functional.elu(h, self.alpha)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return aten.elu_backward(upstream, self.alpha, 1.0, 1.0, False, h)


# Klambauer et al. 2017 (arXiv:1706.02515), the constants of the fixed point (0, 1).
SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


@dataclass(frozen=True, slots=True)
class Selu(AbstractActivation):
    """phi(h) = scale * elu(h; alpha) with the constants of Klambauer et al. 2017."""

    kinks: ClassVar[tuple[float, ...]] = (0.0,)

    def forward(self, h: Tensor) -> Tensor:
        return torch.selu(h)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return aten.elu_backward(upstream, SELU_ALPHA, SELU_SCALE, 1.0, False, h)


@dataclass(frozen=True, slots=True)
class Gelu(AbstractActivation):
    """phi(h) = h Phi(h), Phi the normal distribution function (exact form, not the tanh one). Hendrycks & Gimpel 2016."""

    def forward(self, h: Tensor) -> Tensor:
        return functional.gelu(h)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return aten.gelu_backward(upstream, h)


@dataclass(frozen=True, slots=True)
class Silu(AbstractActivation):
    """phi(h) = h s(h), s the logistic function."""

    def forward(self, h: Tensor) -> Tensor:
        return functional.silu(h)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return aten.silu_backward(upstream, h)


@dataclass(frozen=True, slots=True)
class Softplus(AbstractActivation):
    """phi(h) = log(1 + exp(h)), without torch's linear branch above 20; phi' = s(h)."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.logaddexp(h, torch.zeros_like(h))

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return _times_logistic(upstream, h, 1.0)


@dataclass(frozen=True, slots=True)
class Erf(AbstractActivation):
    """phi(h) = erf(h); phi' = 2 / sqrt(pi) exp(-h^2)."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.erf(h)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return h.square().neg_().exp_().mul_(2 / math.sqrt(math.pi)).mul_(upstream)


@dataclass(frozen=True, slots=True)
class Sin(AbstractActivation):
    """phi(h) = sin(h)."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.sin(h)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return torch.cos(h).mul_(upstream)
