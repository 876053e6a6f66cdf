"""The oracle of the tracked backward pass: the run's own float forward pass, and the linear recursion with 40 digits.

Inputs, weights and local derivatives are taken as the program computed them; what is repeated is what is linear in the
cotangent. One run, slow, in the order of the textbook. Axes: B batch, M fan_in, N fan_out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import mpmath
import numpy as np
import torch
from torch import Tensor

from gradyn.core import flushing
from gradyn.nn import LayerPass, Net, WeightStandardized

DIGITS = 40
# 2**10 units of the last place of float64.
NOISE = 2.0**-43


def exact(t: Tensor | np.ndarray | float) -> Any:
    """Floats as numbers of 40 digits, an array of objects; such an array as it is."""
    if isinstance(t, np.ndarray) and t.dtype == object:
        return t
    with mpmath.workdps(DIGITS):
        return np.vectorize(mpmath.mpf, otypes=[object])(np.asarray(t, dtype=np.float64))


def log10_l2(values: Any) -> float:
    """log10 of the Euclidean norm; -inf for zeros."""
    with mpmath.workdps(DIGITS):
        total = mpmath.fsum(value * value for value in np.ravel(values))
        return float(mpmath.log10(total) / 2) if total else -np.inf


@dataclass
class Exact:
    """What the recursion gave: gradients by name, cotangents delta_l by layer."""

    gradients: dict[str, Any] = field(default_factory=dict)
    deltas: dict[int, Any] = field(default_factory=dict)


class Recursion:
    """The backward pass of one run of a net.

    Args:
        net: its structure.
        parameters: name -> [1, *shape], as the passes saw them.
        passes: of the forward pass.
        noise: disturbs every cotangent as roundings do, 2**10 times as much: what a float's own roundings come to.
    """

    def __init__(self, net: Net, parameters: dict[str, Tensor], passes: list[LayerPass], noise: np.random.Generator | None = None) -> None:
        self.net, self.passes, self.noise = net, passes, noise
        self.parameters = {name: value[0].double().numpy() for name, value in parameters.items()}
        self.found = Exact()

    def run(self, cotangent_BC: Tensor) -> Exact:
        """From dL/d output to everything."""
        with mpmath.workdps(DIGITS), flushing(False):
            upstream, skip = exact(cotangent_BC[0]), None
            for layer in reversed(self.net.layers):
                done = self.passes[layer.index - 1]
                if layer.closes:
                    skip, upstream = self._split(layer, done, upstream)
                delta = self._delta(layer, done, upstream)
                self.found.deltas[layer.index] = delta
                self._weight(layer, done, delta)
                upstream = self._rounded(delta) @ exact(done.weight[0])
                if not layer.has_vector_bias:
                    self.found.gradients[f"fixup.{layer.index}.before"] = self._rounded(upstream).sum()
                if layer.norm == "branch":
                    upstream = self._norm(layer, done, upstream)
                if layer.opens:
                    upstream = upstream + skip
            return self.found

    def _rounded(self, values: Any) -> Any:
        """Every element off by a random NOISE of itself, where noise is asked for."""
        return values if self.noise is None else values * exact(1 + NOISE * self.noise.uniform(-1, 1, values.shape))

    def _split(self, layer: Any, done: LayerPass, upstream: Any) -> tuple[Any, Any]:
        index, scale = layer.index, self.net.branch_scale
        if not layer.has_vector_bias:
            self.found.gradients[f"fixup.{index}.after"] = self._rounded(upstream).sum()
        if self.net.residual.learns_scale:
            scale = float(self.parameters[f"branches.{index}.scale"])
            self.found.gradients[f"branches.{index}.scale"] = self._rounded(upstream * exact(done.branch[0])).sum()
        return upstream * mpmath.mpf(self._held(self.net.skip_scale, done)), upstream * mpmath.mpf(self._held(scale, done))

    def _held(self, factor: float, done: LayerPass) -> float:
        """A factor as the program multiplies by it: as its dtype holds it."""
        return float(torch.tensor(factor, dtype=done.h.dtype))

    def _delta(self, layer: Any, done: LayerPass, upstream: Any) -> Any:
        if done.factor is not None:
            upstream = upstream * exact(done.factor[0])
        if layer.norm == "post":
            upstream = self._norm(layer, done, upstream)
        upstream = upstream * self._slope(layer, done)
        return self._norm(layer, done, upstream) if layer.norm == "pre" else upstream

    def _slope(self, layer: Any, done: LayerPass) -> Any:
        with flushing(True):
            # As the program has it: of a subnormal phi' nothing is left.
            return exact(layer.activation.derivative(done.z, done.a)[0])

    def _norm(self, layer: Any, done: LayerPass, upstream: Any) -> Any:
        """(u - mean(u) - n mean(u n)) / std along the norm's axis, after the gain."""
        name, axis = f"norms.{layer.index}", self.net.norm.axis - 1
        n, inverse_std, upstream = exact(done.normalized[0]), exact(done.saved[0]), self._rounded(upstream)
        if self.net.norm.has_affine:
            self.found.gradients[f"{name}.weight"] = self._rounded(upstream * n).sum(0)
            self.found.gradients[f"{name}.bias"] = self._rounded(upstream).sum(0)
            upstream = upstream * exact(self.parameters[f"{name}.weight"])
        count = upstream.shape[axis]
        out = self._rounded(upstream) - self._rounded(n * ((upstream * n).sum(axis, keepdims=True) / count))
        if self.net.norm.centres:
            out = out - upstream.sum(axis, keepdims=True) / count
        return out * inverse_std

    def _weight(self, layer: Any, done: LayerPass, delta: Any) -> None:
        index = layer.index
        by_weight = self._rounded(delta).T @ exact(done.u[0])
        if layer.norm == "weight":
            by_weight = _standardized(self.net.norm, self.parameters[f"layers.{index}.weight"], self._rounded(by_weight))
        self.found.gradients[f"layers.{index}.weight"] = by_weight
        if layer.has_vector_bias:
            self.found.gradients[f"layers.{index}.bias"] = self._rounded(delta).sum(0)
        elif not layer.closes:
            self.found.gradients[f"fixup.{index}.after"] = self._rounded(delta).sum()


def _standardized(norm: WeightStandardized, w: np.ndarray, upstream: Any) -> Any:
    """The pullback of gain (w - mean) / (std sqrt(M)), row by row."""
    columns = w.shape[1]
    w = exact(w)
    centred = w - w.sum(1, keepdims=True) / columns
    variance = (centred * centred).sum(1, keepdims=True) / columns + mpmath.mpf(norm.eps)
    factor = np.vectorize(lambda v: mpmath.mpf(norm.gain) / mpmath.sqrt(v * columns), otypes=[object])(variance)
    out = upstream - centred * ((upstream * centred).sum(1, keepdims=True) / columns / variance)
    return factor * (out - out.sum(1, keepdims=True) / columns)
