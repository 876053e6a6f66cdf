"""The forward and the backward pass, layer by layer, in plain view.

Axes: R runs, B batch, M fan_in, N fan_out. G is the cotangent dL/dx_l that arrives at a layer's output, delta = dL/dh_l.

    forward   u -> W -> h -> [N] -> z -> phi -> [N] -> [dropout] -> [s skip + a branch] -> x
    backward  the same boxes from right to left, each by its pullback

L is the mean over the batch of the loss; weights are [out, in]. The cotangent is kept as mantissa and exponent (`scaled.py`)
and brought back into range at every layer, unless `tracked` is False.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import Scaled, elementwise, expand, l2, outer
from gradyn.nn.architecture import Layer, NetSpec, Slot, blocks, layers, slots

Parameters = dict[str, Tensor]


@dataclass(slots=True)
class LayerPass:
    """What one layer's forward pass leaves for its backward pass, and for probes. All [R, B, .] but for `weight`."""

    weight: Tensor  # as multiplied: W, or its standardized form
    u: Tensor  # input of the product
    h: Tensor  # preactivation
    z: Tensor  # argument of phi
    a: Tensor  # phi(z)
    branch: Tensor | None = None  # what joins the skip, before its scale
    x: Tensor | None = None  # output
    normalized: Tensor | None = None
    saved: Any = None
    factor: Tensor | None = None  # dropout's


@dataclass(slots=True)
class LayerCotangent:
    """Norms of the mantissas of delta_l and of W_l^T delta_l, [R] each, and their exponent; kept on measured steps."""

    delta_l2: Tensor
    pulled_l2: Tensor
    exponent: NDArray[np.int64]


class Net:
    """A net's structure with its two passes; holds no numbers of any run.

    Args:
        spec: the fields of a run that decide its net.
        features: inputs.
        classes: outputs.
    """

    def __init__(self, spec: NetSpec, features: int, classes: int) -> None:
        self.norm, self.residual, self.dropout = spec.norm, spec.residual, spec.dropout
        self.layers: tuple[Layer, ...] = layers(spec, features, classes)
        self.slots: tuple[Slot, ...] = slots(self.layers, spec.residual, spec.norm.has_affine)
        count = len(blocks(spec.depth, spec.residual))
        self.skip_scale, self.branch_scale = spec.residual.skip_scale(count), spec.residual.branch_scale(count)

    def forward(self, parameters: Parameters, x_RBM: Tensor, dropout_factors: dict[int, Tensor] | None = None) -> list[LayerPass]:
        """Runs the layers forwards.

        Args:
            parameters: name -> [R, *shape], the names of `slots`.
            x_RBM: inputs [R, B, features].
            dropout_factors: layer -> factors [R, B, N], for the layers that have dropout.

        Returns:
            One `LayerPass` a layer; the last one's `x` is the net's output [R, B, classes].
        """
        passes: list[LayerPass] = []
        x = skip = x_RBM
        for layer in self.layers:
            if layer.opens:
                skip = x
            done = self.layer_forward(layer, parameters, x, skip, (dropout_factors or {}).get(layer.index))
            passes.append(done)
            assert done.x is not None
            x = done.x
        return passes

    def output(self, parameters: Parameters, x_RBM: Tensor) -> Tensor:
        """The net's output [R, B, classes] without dropout; keeps one layer at a time."""
        x = skip = x_RBM
        for layer in self.layers:
            skip = x if layer.opens else skip
            done = self.layer_forward(layer, parameters, x, skip, None)
            assert done.x is not None
            x = done.x
        return x

    def layer_forward(self, layer: Layer, parameters: Parameters, x: Tensor, skip: Tensor, factor: Tensor | None) -> LayerPass:
        """One layer; `skip` is what its block began with, where it closes one."""
        index, normalized, saved = layer.index, None, None
        u, weight = x, parameters[f"layers.{index}.weight"]
        if layer.norm == "branch":
            u, normalized, saved = self._norm_forward(index, parameters, x)
        if layer.norm == "weight":
            weight, saved = self.norm.forward(weight)
            normalized = weight
        if layer.has_vector_bias:
            # In place after the product: torch.baddbmm first copies the bias over all rows, which costs more.
            h = torch.bmm(u, weight.transpose(1, 2)).add_(parameters[f"layers.{index}.bias"].unsqueeze(1))
        else:
            u = u + expand(parameters[f"fixup.{index}.before"], u)
            h = torch.bmm(u, weight.transpose(1, 2))
            if not layer.closes:
                h += expand(parameters[f"fixup.{index}.after"], h)
        z = h
        if layer.norm == "pre":
            z, normalized, saved = self._norm_forward(index, parameters, h)
        a = out = elementwise(layer.activation.forward, z)
        if layer.norm == "post":
            out, normalized, saved = self._norm_forward(index, parameters, a)
        if factor is not None:
            out = out * factor
        done = LayerPass(weight, u, h, z, a, normalized=normalized, saved=saved, factor=factor)
        if layer.closes:
            done.branch = out
            out = _times(out, self._branch_scale(index, parameters)) + _times(skip, self.skip_scale)
            if not layer.has_vector_bias:
                out += expand(parameters[f"fixup.{index}.after"], out)
        done.x = out
        return done

    def backward(
        self, parameters: Parameters, passes: list[LayerPass], cotangent_RBC: Tensor, *, tracked: bool = True, keep: bool = False
    ) -> tuple[dict[str, Scaled], list[LayerCotangent]]:
        """Pulls the cotangent of the net's output back through the layers.

        Args:
            parameters: as in the forward pass.
            passes: what it returned; emptied on the way unless `keep`, so that its memory is used again while it is warm.
            cotangent_RBC: dL/d output [R, B, classes].
            tracked: bring the cotangent back into range at every layer; otherwise leave it to the float.
            keep: measure every layer's cotangents too.

        Returns:
            The gradient of every parameter by name, and with `keep` one `LayerCotangent` a layer (layer 1 first).
        """
        gradients: dict[str, Scaled] = {}
        kept: list[LayerCotangent] = []
        at_output = Scaled.plain(cotangent_RBC.clone())
        skip: Scaled | None = None
        for layer in reversed(self.layers):
            done = passes[layer.index - 1] if keep else passes.pop()
            if tracked:
                at_output = at_output.rescaled()
            if layer.closes:
                skip, at_output = self._split(layer, parameters, done, at_output, gradients)
            delta = self._to_preactivation(layer, parameters, done, at_output, gradients)
            self._parameter_gradients(layer, done, delta, gradients, tracked)
            if layer.index == 1 and not keep:
                break
            pulled = delta.with_mantissa(torch.bmm(delta.mantissa, done.weight))
            if keep:
                kept.append(LayerCotangent(l2(delta.mantissa), l2(pulled.mantissa), delta.exponent))
            at_output = pulled
            if not layer.has_vector_bias:
                gradients[f"fixup.{layer.index}.before"] = pulled.with_mantissa(pulled.mantissa.sum((1, 2)))
            if layer.norm == "branch":
                at_output = self._norm_backward(layer.index, parameters, done, at_output, gradients)
            if layer.opens:
                assert skip is not None
                at_output = (at_output.rescaled() if tracked else at_output).plus(skip)
        return gradients, kept[::-1]

    def _branch_scale(self, index: int, parameters: Parameters) -> Tensor | float:
        return parameters[f"branches.{index}.scale"] if self.residual.learns_scale else self.branch_scale

    def _norm_forward(self, index: int, parameters: Parameters, t: Tensor) -> tuple[Tensor, Tensor, Any]:
        normalized, saved = self.norm.forward(t)
        if not self.norm.has_affine:
            return normalized, normalized, saved
        gain, shift = parameters[f"norms.{index}.weight"].unsqueeze(1), parameters[f"norms.{index}.bias"].unsqueeze(1)
        return torch.addcmul(shift, normalized, gain), normalized, saved

    def _norm_backward(self, index: int, parameters: Parameters, done: LayerPass, upstream: Scaled, gradients: dict[str, Scaled]) -> Scaled:
        assert done.normalized is not None
        if not self.norm.has_affine:
            return upstream.with_mantissa(self.norm.pullback(upstream.mantissa, done.normalized, done.saved))
        gain_R1N = parameters[f"norms.{index}.weight"].unsqueeze(1)
        at_input, by_gain_RN, by_shift_RN = self.norm.affine_pullback(upstream.mantissa, done.normalized, done.saved, gain_R1N)
        gradients[f"norms.{index}.weight"] = upstream.with_mantissa(by_gain_RN)
        gradients[f"norms.{index}.bias"] = upstream.with_mantissa(by_shift_RN)
        return upstream.with_mantissa(at_input)

    def _split(self, layer: Layer, parameters: Parameters, done: LayerPass, at_output: Scaled, gradients: dict[str, Scaled]) -> tuple[Scaled, Scaled]:
        """The cotangent's two ways where a block closes: (along the skip, into the branch)."""
        mantissa = at_output.mantissa
        if not layer.has_vector_bias:
            gradients[f"fixup.{layer.index}.after"] = at_output.with_mantissa(mantissa.sum((1, 2)))
        if self.residual.learns_scale:
            assert done.branch is not None
            gradients[f"branches.{layer.index}.scale"] = at_output.with_mantissa((mantissa * done.branch).sum((1, 2)))
        along_skip, into_branch = _times(mantissa, self.skip_scale), _times(mantissa, self._branch_scale(layer.index, parameters))
        skip = at_output.with_mantissa(along_skip)
        # Another factor than 1 may make it a zero, or small: the exponent must say so before the two ways meet again.
        return skip if self.skip_scale == 1 else skip.rescaled(), at_output.with_mantissa(into_branch)

    def _to_preactivation(self, layer: Layer, parameters: Parameters, done: LayerPass, upstream: Scaled, gradients: dict[str, Scaled]) -> Scaled:
        """dL/dh_l from the cotangent of what leaves the layer's own boxes."""
        if done.factor is not None:
            upstream = upstream.with_mantissa(upstream.mantissa * done.factor)
        if layer.norm == "post":
            upstream = self._norm_backward(layer.index, parameters, done, upstream, gradients)
        delta = upstream.with_mantissa(elementwise(layer.activation.pullback, upstream.mantissa, done.z, done.a))
        if layer.norm == "pre":
            delta = self._norm_backward(layer.index, parameters, done, delta, gradients)
        return delta

    def _parameter_gradients(self, layer: Layer, done: LayerPass, delta: Scaled, gradients: dict[str, Scaled], tracked: bool) -> None:
        index = layer.index
        by_weight = outer(delta, done.u, tracked=tracked)
        if layer.norm == "weight":
            assert done.normalized is not None
            by_weight = by_weight.with_mantissa(self.norm.pullback(by_weight.mantissa, done.normalized, done.saved))
        gradients[f"layers.{index}.weight"] = by_weight
        if layer.has_vector_bias:
            gradients[f"layers.{index}.bias"] = delta.with_mantissa(delta.mantissa.sum(1))
        elif not layer.closes:
            gradients[f"fixup.{index}.after"] = delta.with_mantissa(delta.mantissa.sum((1, 2)))


def _times(t: Tensor, factor: Tensor | float) -> Tensor:
    """t [R, ...] times a number, or times a number a run [R]; t itself where the factor is 1."""
    if isinstance(factor, Tensor):
        return t * expand(factor, t)
    return t if factor == 1 else t * factor
