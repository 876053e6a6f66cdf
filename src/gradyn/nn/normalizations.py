"""Normalizations N: of preactivations (batch, layer, RMS) or of weights (weight standardization).

A new one needs `normalize` alone; its pullback is then taken by `torch.func.vjp`. The standard ones override `forward` and
`pullback` with fused formulas. Gain and shift (affine) belong to the net, not to the component: N(h) = gain * normalize(h) + shift.

Axes: R runs, B batch, N units (N fan_out, M fan_in for weights). Variances are biased (divided by the count). Batch
statistics are those of the batch at hand, always: there is no evaluation mode.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gradyn.core import AbstractComponent, require

PLACEMENTS = ("pre", "post", "branch")


@dataclass(frozen=True, slots=True)
class AbstractNorm(AbstractComponent):
    """What is normalized, and where in the layer."""

    group: ClassVar[str] = "norm"

    @property
    def where(self) -> str | None:
        """`pre`, `post` or `branch` (of the layer's signals), `weight`, or None for nothing."""
        return None

    @property
    def has_affine(self) -> bool:
        """Whether a learned gain and shift per unit follow."""
        return False

    @property
    def mixes_samples(self) -> bool:
        """Whether a sample's output depends on the other samples of its batch; True for signals where a class doesn't say, which is never wrong."""
        return self.where not in (None, "weight")

    def normalize(self, t: Tensor) -> Tensor:
        """Normalized t [R, B, N] (or weights [R, N, M])."""
        raise TypeError(f"{type(self).__name__} must define normalize")

    def forward(self, t: Tensor) -> tuple[Tensor, Any]:
        """normalize(t), and what `pullback` needs of this pass."""
        return self.normalize(t), t

    def pullback(self, upstream: Tensor, normalized: Tensor, saved: Any) -> Tensor:
        """J^T upstream, J the Jacobian of `normalize` at the forward pass' t."""
        return torch.func.vjp(self.normalize, saved)[1](upstream)[0]

    def pushforward(self, tangent: Tensor, normalized: Tensor, saved: Any) -> Tensor:
        """J tangent, J as in `pullback`, as the transpose of the pullback; only probes ask for it."""
        # Not torch.func.jvp: at its first call torch 2.13 warns of its own use of torch.jit.
        transposed = torch.func.vjp(lambda upstream: torch.func.vjp(self.normalize, saved)[1](upstream)[0], torch.zeros_like(saved))[1]
        pushed: Tensor = transposed(tangent)[0]
        return pushed

    def affine_pullback(self, upstream: Tensor, normalized: Tensor, saved: Any, gain_R1N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The pullback of gain * normalize(t) + shift: cotangents of t, of the gain [R, N] and of the shift [R, N]."""
        return self.pullback(upstream * gain_R1N, normalized, saved), (upstream * normalized).sum(1), upstream.sum(1)


@dataclass(frozen=True, slots=True)
class NoNorm(AbstractNorm):
    """No normalization."""

    option: ClassVar[str] = "none"


@dataclass(frozen=True, slots=True)
class AbstractActivationNorm(AbstractNorm):
    """Centres (if it does) and scales along one axis of [R, B, N]."""

    axis: ClassVar[int]
    centres: ClassVar[bool] = True

    placement: str = "pre"
    affine: bool = True
    eps: float = 1e-5

    def __post_init__(self) -> None:
        self.require(self.placement in PLACEMENTS, "placement", f"be one of {', '.join(PLACEMENTS)}")
        self.require(isinstance(self.affine, bool), "affine", "be true or false")
        self.require_finite("eps", low=0.0)

    def check(self, spec: Any) -> None:
        require(
            self.placement != "branch" or spec.residual.has_skip,
            "norm.placement",
            "be pre or post in a net without residual branches",
            self.placement,
            "Set residual=identity, or norm.placement=pre.",
        )

    @property
    def where(self) -> str:
        """The placement."""
        return self.placement

    @property
    def has_affine(self) -> bool:
        """The field `affine`."""
        return self.affine

    @property
    def mixes_samples(self) -> bool:
        """Where the axis is the batch's."""
        return self.axis == 1

    def normalize(self, t: Tensor) -> Tensor:
        """(t - mean) / sqrt(variance + eps), mean and variance along the axis; without the mean where it does not centre."""
        centred = t - t.mean(self.axis, keepdim=True) if self.centres else t
        return centred * self._inverse_std(centred)

    def forward(self, t: Tensor) -> tuple[Tensor, Tensor]:
        """Normalized t, and 1 / sqrt(variance + eps)."""
        centred = t - self._mean(t) if self.centres else t
        inverse_std = self._inverse_std(centred)
        return (centred.mul_(inverse_std) if self.centres else t * inverse_std), inverse_std

    def pullback(self, upstream: Tensor, normalized: Tensor, saved: Tensor) -> Tensor:
        """(u - mean(u) - n mean(u n)) / std; the first mean only where it centres."""
        out = torch.addcmul(upstream, normalized, self._mean(upstream * normalized), value=-1)
        if self.centres:
            out.sub_(self._mean(upstream))
        return out.mul_(saved)

    def pushforward(self, tangent: Tensor, normalized: Tensor, saved: Tensor) -> Tensor:
        """The pullback: J is symmetric."""
        return self.pullback(tangent, normalized, saved)

    def _mean(self, t: Tensor) -> Tensor:
        # torch.mean along a short last axis takes half as long again.
        return t.sum(self.axis, keepdim=True).div_(t.shape[self.axis])

    def _inverse_std(self, centred: Tensor) -> Tensor:
        return centred.square().mean(self.axis, keepdim=True).add_(self.eps).rsqrt_()


@dataclass(frozen=True, slots=True)
class BatchNorm(AbstractActivationNorm):
    """Over the batch, unit by unit. Ioffe & Szegedy 2015 (arXiv:1502.03167)."""

    option: ClassVar[str] = "batch"
    axis: ClassVar[int] = 1

    def check(self, spec: Any) -> None:
        AbstractActivationNorm.check(self, spec)
        require(
            spec.batch_size >= 2,
            "batch_size",
            "be at least 2 with norm=batch",
            spec.batch_size,
            "A batch of one has no variance; take norm=layer.",
        )

    def affine_pullback(self, upstream: Tensor, normalized: Tensor, saved: Tensor, gain_R1N: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(gain / std) (u - mean(u) - n mean(u n)): here the means are those of the gain's and the shift's cotangents."""
        by_gain_R1N, by_shift_R1N = (upstream * normalized).sum(1, keepdim=True), upstream.sum(1, keepdim=True)
        outer_R1N = gain_R1N * saved
        inner_R1N = outer_R1N / -upstream.shape[1]
        at_input = torch.addcmul(by_shift_R1N * inner_R1N, normalized, by_gain_R1N * inner_R1N)
        return at_input.addcmul_(upstream, outer_R1N), by_gain_R1N.squeeze(1), by_shift_R1N.squeeze(1)


@dataclass(frozen=True, slots=True)
class LayerNorm(AbstractActivationNorm):
    """Over the units of one sample. Ba et al. 2016 (arXiv:1607.06450)."""

    option: ClassVar[str] = "layer"
    axis: ClassVar[int] = 2


@dataclass(frozen=True, slots=True)
class RmsNorm(AbstractActivationNorm):
    """Over the units of one sample, uncentred: t / sqrt(mean(t^2) + eps). Zhang & Sennrich 2019 (arXiv:1910.07467)."""

    option: ClassVar[str] = "rms"
    axis: ClassVar[int] = 2
    centres: ClassVar[bool] = False


@dataclass(frozen=True, slots=True)
class WeightStandardized(AbstractNorm):
    """W_ij -> gain (W_ij - mean_j) / (std_j sqrt(fan_in)), row by row, in every hidden layer.

    Source: Qiao et al. 2019 (arXiv:1903.10520), in the scaling of Brock et al. 2021 (arXiv:2101.08692); their gain for ReLU
    is sqrt(2 / (1 - 1/pi)) = 1.7129 (often quoted as 1.7139, an estimate by sampling).
    """

    gain: float = 1.0
    eps: float = 0.0

    def __post_init__(self) -> None:
        self.require_finite("gain", low=0.0, open_low=True)
        self.require_finite("eps", low=0.0)

    def check(self, spec: Any) -> None:
        require(spec.width >= 2, "width", "be at least 2 with norm=weight_standardized", spec.width, "A row of one weight has no variance.")
        has_zeros = spec.residual.is_fixup
        require(self.eps > 0 or not has_zeros, "norm.eps", "be > 0 with residual=fixup", self.eps, "Fixup's zero matrices have no variance; set norm.eps=1e-5.")

    @property
    def where(self) -> str:
        """On the weights."""
        return "weight"

    def normalize(self, t: Tensor) -> Tensor:
        """Rows of t [R, N, M] with mean 0 and variance gain^2 / M."""
        centred = t - t.mean(2, keepdim=True)
        std = torch.sqrt(centred.square().mean(2, keepdim=True) + self.eps)
        return centred * (self.gain / (std * t.shape[2] ** 0.5))
