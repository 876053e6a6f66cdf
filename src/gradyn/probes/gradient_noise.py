"""How much a layer's gradient differs from one part of the batch to the next: noise scale and coherence.

Axes: K parts, P numbers of a layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from gradyn.core import Column
from gradyn.probes.probe import AbstractRunProbe, Moment, Row

_NAMES = ("gradient_noise_scale", "gradient_coherence")
_PARTS = "g_k the gradient of the mean loss, without the penalty, of one of K equal parts of the batch in all parameters of the layer"


@dataclass(frozen=True, slots=True)
class GradientNoise(AbstractRunProbe):
    """The simple noise scale tr(Sigma) / |G|^2 and the mean cosine between gradients, from K parts of the batch, layer by layer, in float64.

    With samples that are independent, b of them a part and g the mean of the g_k, s2 = sum |g_k - g|^2 / (K - 1) has the mean tr(Sigma) / b
    and |g|^2 - s2 / K the mean |G|^2: their ratio times b is the batch size at which noise and gradient are of one size, biased as ratios
    are. Batch norm sees each part as a batch of its own. Cost: a forward and a backward pass in float64.

    Args:
        parts: K, a divisor of the batch size; what is left over at the end of the batch is refused.

    Source: McCandlish, Kaplan, Amodei and others 2018, arXiv:1812.06162, section 2.2 and appendix A.1, where two batch sizes are compared.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            _NAMES[0],
            "samples",
            f"b s2 / (|g|^2 - s2 / K), s2 = sum |g_k - g|^2 / (K - 1), g the mean of the g_k, b samples a part; nan where the divisor is not above 0; {_PARTS}",
            "layer",
            r"tr $\Sigma_l\,/\,\|G_l\|^2$ [samples]",
            "arXiv:1812.06162, section 2.2",
        ),
        Column(
            _NAMES[1], "cosine", f"mean over pairs of parts of the cosine between g_k and g_j; nan where one is 0; {_PARTS}", "layer", "cosine between batches"
        ),
    )

    parts: int = 2

    def __post_init__(self) -> None:
        self.require_count("parts", low=2)

    def check(self, spec: Any) -> None:
        self.require(spec.batch_size % self.parts == 0, "parts", f"divide batch_size={spec.batch_size}", "Set another number of parts.")

    def measure_run(self, moment: Moment, run: int) -> dict[str, Row]:
        size = moment.x_RBM.shape[1] // self.parts
        gradients = [_by_layer(moment, run, slice(part * size, (part + 1) * size)) for part in range(self.parts)]
        rows: dict[str, Row] = {name: [] for name in _NAMES}
        for of_layer in zip(*gradients, strict=True):
            noise, coherence = _of_parts(torch.stack(of_layer), size)
            rows[_NAMES[0]].append(noise)
            rows[_NAMES[1]].append(coherence)
        return rows


def _of_parts(g_KP: Tensor, size: int) -> tuple[float, float]:
    """Noise scale [samples] and mean cosine."""
    # Near 1: a gradient of 1e-200 squares to 0.
    largest = g_KP.abs().max()
    g_KP = g_KP / largest
    parts = len(g_KP)
    mean_P = g_KP.mean(0)
    spread = float((g_KP - mean_P).square().sum()) / (parts - 1)
    signal = float(mean_P.square().sum()) - spread / parts
    unit_KP = g_KP / g_KP.norm(dim=1, keepdim=True)
    coherence = (float(unit_KP.sum(0).square().sum()) - parts) / (parts * (parts - 1))
    return size * spread / signal if signal > 0 else math.nan, coherence


def _by_layer(moment: Moment, run: int, rows: slice) -> list[Tensor]:
    """The gradient of the loss on some rows of the batch, [P] a layer."""
    net = moment.net.for_autograd()
    with torch.enable_grad():
        weights = moment.weights(run)
        inputs = list(weights.values())
        loss = moment.mean_loss(net, weights, run, rows)
        found = torch.autograd.grad(loss, inputs, materialize_grads=True)
    own: list[list[Tensor]] = [[] for _ in net.layers]
    for slot, gradient in zip(net.slots, found, strict=True):
        own[slot.layer - 1].append(gradient.reshape(-1))
    return [torch.cat(parts) for parts in own]
