"""The forward and the backward pass, layer by layer, in plain view.

Axes: R runs, B batch, M fan_in, N fan_out. G is the cotangent dL/dx_l that arrives at a layer's output, delta = dL/dh_l.

    forward   u -> W -> h -> [N] -> z -> phi -> [N] -> [dropout] -> [s skip + a branch] -> x
    backward  the same boxes from right to left, each by its pullback

L is the mean over the batch of the loss; weights are [out, in]. The cotangent is kept as mantissa and exponent (`scaled.py`)
and brought back into range at every layer, unless `tracked` is False.

In an emulated format (`formats.py`) every box rounds what it hands on: forwards its output, backwards the cotangent of that
output, as the casts of a framework's mixed precision do. In float32 and float64 these roundings are nothing.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import FORMATS, Scaled, contracted, elementwise, expand, l2, outer, products
from gradyn.nn.activations import Linear
from gradyn.nn.architecture import Layer, NetSpec, Slot, blocks, layers, slots

Parameters = dict[str, Tensor]

# Deeper nets, and narrower ones, pull their cotangents back in float64. Where a cotangent is nearly orthogonal to what the layers
# below let through, its rounding error grows relative to it; over many layers, and in few dimensions, that happens. Measured
# 2026-11 (tanh and softsign, largest error of log10 ||delta_l|| in float32 over layers and seeds): depth 2000, width 4: 1.3e-4,
# width 64: 8.5e-6; depth 64, width 4: 3.1e-5, width 64: 6.2e-7. In float64 1e-11. Below these bounds float64 would cost half as
# much again, above them nets are rare or their calls cost more than their arithmetic.
_LONGEST, _NARROWEST = 64, 48
# So do nets whose layers let fewer units' cotangents through than this: they are narrow in effect. Measured 2026-11 over 1,150 nets
# (sigmoid, tanh, erf, softsign, hard_tanh; weights of standard deviation 1 to 14, width 48 to 96, depth 24 and 64): of 811 below 4,
# 22 were off by more than 1e-5 decades, some by all they had, since one sample's cotangent was 1e38 times another's; of 277 above
# 4, none, the largest 5.2e-6.
_FEWEST_UNITS = 4.0
# Samples of a batch that tell it: a pass over all of them would cost a tenth of a step.
_LOOKED_AT = 8


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
    """What a measured step keeps of a layer's cotangent, [R] each.

    Args:
        delta_l2: norm of the mantissa of delta_l; in a recurrent net of the cotangent of h_t, the state after the step.
        pulled_l2: norm of the mantissa of W_l^T delta_l; None in a recurrent net.
        exponent: of both.
        own_weight: log2 of the norm of this step's share of the gradient of both matrices of a cell.
        own_bias: the same of the bias.
        memory: log2 of the norm of an LSTM's cotangent of c_t.
        path: log2 of the norm of what the gates after this step alone let through of the last one's.
    """

    delta_l2: Tensor
    pulled_l2: Tensor | None
    exponent: NDArray[np.int64]
    own_weight: NDArray[np.float64] | None = None
    own_bias: NDArray[np.float64] | None = None
    memory: NDArray[np.float64] | None = None
    path: NDArray[np.float64] | None = None


class Net:
    """A net's structure with its two passes; holds no numbers of any run.

    Args:
        spec: the fields of a run that decide its net.
        features: inputs.
        classes: outputs.
    """

    def __init__(self, spec: NetSpec, features: int, classes: int) -> None:
        self.norm, self.residual, self.dropout = spec.norm, spec.residual, spec.dropout
        self.format = FORMATS[spec.dtype]
        self._is_long_or_narrow = spec.depth > _LONGEST or spec.width < _NARROWEST
        self._is_saturated = False
        self._is_for_autograd = False
        self.layers: tuple[Layer, ...] = layers(spec, features, classes)
        self.slots: tuple[Slot, ...] = slots(self.layers, spec.residual, spec.norm.has_affine)
        count = len(blocks(spec.depth, spec.residual))
        self.skip_scale, self.branch_scale = spec.residual.skip_scale(count), spec.residual.branch_scale(count)

    def forward(self, parameters: Parameters, x_RBM: Tensor, dropout_factors: dict[int, Tensor] | None = None) -> list[LayerPass]:
        """Runs the layers forwards.

        Args:
            parameters: name -> [R, *shape], the names of `slots`, rounded to the net's format.
            x_RBM: inputs [R, B, features].
            dropout_factors: layer -> factors [R, B, N], for the layers that have dropout.

        Returns:
            One `LayerPass` a layer; the last one's `x` is the net's output [R, B, classes].
        """
        passes: list[LayerPass] = []
        x = skip = self.format.rounded(x_RBM)
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
        x = skip = self.format.rounded(x_RBM)
        for layer in self.layers:
            skip = x if layer.opens else skip
            done = self.layer_forward(layer, parameters, x, skip, None)
            assert done.x is not None
            x = done.x
        return x

    def layer_forward(self, layer: Layer, parameters: Parameters, x: Tensor, skip: Tensor, factor: Tensor | None) -> LayerPass:
        """One layer; `skip` is what its block began with, where it closes one."""
        index, normalized, saved, rounded = layer.index, None, None, self.format.rounded
        u, weight = x, parameters[f"layers.{index}.weight"]
        if layer.norm == "branch":
            u, normalized, saved = self._norm_forward(index, parameters, x)
        if layer.norm == "weight":
            normalized, saved = self._normalized(weight)
            weight = rounded(normalized)
        if layer.has_vector_bias:
            # In place after the product: torch.baddbmm first copies the bias over all rows, which costs more.
            h = products(u, weight.transpose(1, 2)).add_(parameters[f"layers.{index}.bias"].unsqueeze(1))
        else:
            u = rounded(u + expand(parameters[f"fixup.{index}.before"], u))
            h = products(u, weight.transpose(1, 2))
            if not layer.closes:
                h += expand(parameters[f"fixup.{index}.after"], h)
        z = h = rounded(h)
        if layer.norm == "pre":
            z, normalized, saved = self._norm_forward(index, parameters, h)
        a = out = rounded(elementwise(layer.activation.forward, z))
        if layer.norm == "post":
            out, normalized, saved = self._norm_forward(index, parameters, a)
        if factor is not None:
            out = rounded(out * factor)
        done = LayerPass(weight, u, h, z, a, normalized=normalized, saved=saved, factor=factor)
        if layer.closes:
            done.branch = out
            out = _times(out, self._branch_scale(index, parameters)) + _times(skip, self.skip_scale)
            if not layer.has_vector_bias:
                out += expand(parameters[f"fixup.{index}.after"], out)
            out = rounded(out)
        done.x = out
        return done

    def backward(
        self, parameters: Parameters, passes: list[LayerPass], cotangent: Scaled, *, tracked: bool = True, keep: bool = False
    ) -> tuple[dict[str, Scaled], list[LayerCotangent]]:
        """Pulls the cotangent of the net's output back through the layers.

        Args:
            parameters: as in the forward pass.
            passes: what it returned; emptied on the way unless `keep`, so that its memory is used again while it is warm.
            cotangent: dL/d output [R, B, classes]; its memory is used.
            tracked: bring the cotangent back into range at every layer; otherwise leave it to the float.
            keep: measure every layer's cotangents too.

        Returns:
            The gradient of every parameter by name, and with `keep` one `LayerCotangent` a layer (layer 1 first).
        """
        gradients: dict[str, Scaled] = {}
        kept: list[LayerCotangent] = []
        dtype = self._cotangent_dtype(tracked)
        at_output = cotangent.with_mantissa(cotangent.mantissa.to(dtype))
        skip: Scaled | None = None
        for layer in reversed(self.layers):
            done = passes[layer.index - 1] if keep else passes.pop()
            at_output = self._rounded(at_output, tracked)
            if layer.closes:
                skip, at_output = self._split(layer, parameters, done, at_output, gradients, tracked)
            delta = self._to_preactivation(layer, parameters, done, at_output, gradients, tracked)
            if tracked:
                settled = delta.rescaled()
                if settled is not delta and (is_cut_R := delta.may_be_cut).any():
                    # phi' of 1e-35, say: taken again from a cotangent near 1.
                    settled = self._to_preactivation(layer, parameters, done, at_output.near_one(is_cut_R), gradients, tracked).rescaled()
                delta = settled
            self._parameter_gradients(layer, done, delta, gradients, tracked)
            if layer.index == 1 and not keep:
                break
            pulled = delta.with_mantissa(products(delta.mantissa, done.weight.to(dtype)))
            if keep:
                kept.append(LayerCotangent(l2(delta.mantissa), l2(pulled.mantissa), delta.exponent))
            at_output = pulled
            if not layer.has_vector_bias:
                at_output = self._rounded(pulled, tracked)
                gradients[f"fixup.{layer.index}.before"] = at_output.with_mantissa(at_output.mantissa.sum((1, 2)))
            if layer.norm == "branch":
                at_output = self._norm_backward(layer.index, parameters, done, self._rounded(at_output, tracked), gradients, tracked)
            if layer.opens:
                assert skip is not None
                at_output = (at_output.rescaled() if tracked else at_output).plus(skip)
        if not tracked:
            # As a framework holds them. Tracked, a gradient is rounded once, to the format of the weights that are updated.
            gradients = {name: self._rounded(gradient, tracked) for name, gradient in gradients.items()}
        return gradients, kept[::-1]

    def _cotangent_dtype(self, tracked: bool) -> torch.dtype:
        """float64 where a float32 cotangent would not keep five digits of its norm on the way (decision 0008)."""
        is_wide = tracked and (self._is_long_or_narrow or self._is_saturated) and not self.format.is_emulated
        return torch.float64 if is_wide else self.format.carrier

    def needs_float64(self, passes: list[LayerPass]) -> NDArray[np.bool_]:
        """Runs [R] whose cotangents are float32 and ought to be float64, since their layers are saturated; see `for_saturated`.

        A sample's n units with slopes phi' let the cotangents of (sum phi'^2)^2 / sum phi'^4 units through: n where all slopes are
        alike, 1 where one outweighs the others. Of that, the harmonic mean over layers and samples.

        Args:
            passes: of the forward pass.
        """
        found = [done for layer, done in zip(self.layers, passes, strict=True) if not isinstance(layer.activation, Linear)]
        if self._cotangent_dtype(tracked=True) == torch.float64 or self.format.is_emulated or not found:
            return np.zeros(len(passes[0].h), dtype=np.bool_)
        activation = next(layer.activation for layer in self.layers if not isinstance(layer.activation, Linear))
        inverse_R = torch.zeros(len(passes[0].h), dtype=torch.float64, device=passes[0].h.device)
        count_R = torch.zeros_like(inverse_R)
        for done in found:
            # In memory of their own, so that the slopes of a run have the same bits in every stack.
            z, a = done.z[:, :_LOOKED_AT].contiguous(), done.a[:, :_LOOKED_AT].contiguous()
            slope = elementwise(activation.derivative, z, a).abs()
            square = slope.div_(slope.amax(2, keepdim=True)).square_()
            inverse_RB = torch.linalg.vector_norm(square, dim=2).div_(square.sum(2)).square_()
            # A sample without any slope, 0 / 0, lets nothing through and has no say.
            inverse_R += inverse_RB.nan_to_num(nan=0.0).double().sum(1)
            count_R += inverse_RB.isfinite().sum(1)
        return np.asarray((inverse_R * _FEWEST_UNITS > count_R).cpu().numpy())

    def for_saturated(self) -> Net:
        """The same net with float64 cotangents."""
        other = copy.copy(self)
        other._is_saturated = True
        return other

    def _rounded(self, cotangent: Scaled, tracked: bool) -> Scaled:
        """The cotangent as the net's format holds it; with an exponent of its own it has the format's digits, at any size."""
        if not self.format.is_emulated:
            return cotangent
        if tracked:
            cotangent = cotangent.near_one()
        return cotangent.with_mantissa(self.format.rounded(cotangent.mantissa))

    def for_autograd(self) -> Net:
        """The same net in float64, whose forward pass torch's autograd differentiates as often as one likes: norms write nothing in place."""
        other = self.in_format("float64")
        other._is_for_autograd = True
        return other

    def in_format(self, name: str) -> Net:
        """The same net computed in another format."""
        other = copy.copy(self)
        other.format = FORMATS[name]
        return other

    def _branch_scale(self, index: int, parameters: Parameters) -> Tensor | float:
        return parameters[f"branches.{index}.scale"] if self.residual.learns_scale else self.branch_scale

    def _norm_forward(self, index: int, parameters: Parameters, t: Tensor) -> tuple[Tensor, Tensor, Any]:
        normalized, saved = self._normalized(t)
        if not self.norm.has_affine:
            return self.format.rounded(normalized), normalized, saved
        gain, shift = parameters[f"norms.{index}.weight"].unsqueeze(1), parameters[f"norms.{index}.bias"].unsqueeze(1)
        return self.format.rounded(torch.addcmul(shift, normalized, gain)), normalized, saved

    def _normalized(self, t: Tensor) -> tuple[Tensor, Any]:
        return (self.norm.normalize(t), None) if self._is_for_autograd else self.norm.forward(t)

    def _norm_backward(self, index: int, parameters: Parameters, done: LayerPass, upstream: Scaled, gradients: dict[str, Scaled], tracked: bool) -> Scaled:
        assert done.normalized is not None
        dtype = upstream.mantissa.dtype
        normalized, saved = done.normalized.to(dtype), _as_dtype(done.saved, dtype)
        if not self.norm.has_affine:
            return upstream.with_mantissa(self.norm.pullback(upstream.mantissa, normalized, saved))
        gain_R1N = parameters[f"norms.{index}.weight"].unsqueeze(1).to(dtype)
        at_input, by_gain_RN, by_shift_RN = self.norm.affine_pullback(upstream.mantissa, normalized, saved, gain_R1N)
        by_gain = upstream.with_mantissa(by_gain_RN)
        gradients[f"norms.{index}.weight"] = contracted(upstream, normalized, (1,), plain=by_gain) if tracked else by_gain
        gradients[f"norms.{index}.bias"] = upstream.with_mantissa(by_shift_RN)
        return upstream.with_mantissa(at_input)

    def _split(
        self, layer: Layer, parameters: Parameters, done: LayerPass, at_output: Scaled, gradients: dict[str, Scaled], tracked: bool
    ) -> tuple[Scaled, Scaled]:
        """The cotangent's two ways where a block closes: (along the skip, into the branch)."""
        mantissa = at_output.mantissa
        if not layer.has_vector_bias:
            gradients[f"fixup.{layer.index}.after"] = at_output.with_mantissa(mantissa.sum((1, 2)))
        if self.residual.learns_scale:
            assert done.branch is not None
            by_scale = at_output.with_mantissa((mantissa * done.branch).sum((1, 2)))
            gradients[f"branches.{layer.index}.scale"] = contracted(at_output, done.branch, (1, 2), plain=by_scale) if tracked else by_scale
            into_branch = at_output.with_mantissa(_times(mantissa, parameters[f"branches.{layer.index}.scale"]))
        else:
            into_branch = _scaled(at_output, self.branch_scale, tracked)
        skip = _scaled(at_output, self.skip_scale, tracked)
        # Another factor than 1 may make it a zero, or small: the exponent must say so before the two ways meet again.
        return skip.rescaled() if tracked and self.skip_scale != 1 else skip, into_branch

    def _to_preactivation(self, layer: Layer, parameters: Parameters, done: LayerPass, upstream: Scaled, gradients: dict[str, Scaled], tracked: bool) -> Scaled:
        """dL/dh_l from the cotangent of what leaves the layer's own boxes."""
        upstream = self._rounded(upstream, tracked)
        if done.factor is not None:
            upstream = self._rounded(upstream.with_mantissa(upstream.mantissa * done.factor), tracked)
        if layer.norm == "post":
            upstream = self._rounded(self._norm_backward(layer.index, parameters, done, upstream, gradients, tracked), tracked)
        if upstream.mantissa.dtype == done.z.dtype:
            pulled = elementwise(layer.activation.pullback, upstream.mantissa, done.z, done.a)
        else:
            pulled = upstream.mantissa * elementwise(layer.activation.derivative, done.z, done.a)
        delta = self._rounded(upstream.with_mantissa(pulled), tracked)
        if layer.norm == "pre":
            delta = self._rounded(self._norm_backward(layer.index, parameters, done, delta, gradients, tracked), tracked)
        return delta

    def _parameter_gradients(self, layer: Layer, done: LayerPass, delta: Scaled, gradients: dict[str, Scaled], tracked: bool) -> None:
        index = layer.index
        by_weight = outer(delta, done.u, tracked=tracked)
        if layer.norm == "weight":
            assert done.normalized is not None
            by_weight = self._rounded(by_weight, tracked)
            dtype = by_weight.mantissa.dtype
            at_weight = self.norm.pullback(by_weight.mantissa, done.normalized.to(dtype), _as_dtype(done.saved, dtype))
            by_weight = by_weight.with_mantissa(at_weight)
        gradients[f"layers.{index}.weight"] = by_weight
        if layer.has_vector_bias:
            gradients[f"layers.{index}.bias"] = delta.with_mantissa(delta.mantissa.sum(1))
        elif not layer.closes:
            gradients[f"fixup.{index}.after"] = delta.with_mantissa(delta.mantissa.sum((1, 2)))


def _as_dtype(saved: Any, dtype: torch.dtype) -> Any:
    """What a norm keeps of its forward pass, its tensors in another dtype."""
    if isinstance(saved, (tuple, list)):
        return type(saved)(_as_dtype(part, dtype) for part in saved)
    return saved.to(dtype) if isinstance(saved, Tensor) and saved.is_floating_point() else saved


def _scaled(cotangent: Scaled, factor: float, tracked: bool) -> Scaled:
    """The cotangent times a number; itself where that is 1."""
    return cotangent.times(factor) if tracked and factor != 1 else cotangent.with_mantissa(_times(cotangent.mantissa, factor))


def _times(t: Tensor, factor: Tensor | float) -> Tensor:
    """t [R, ...] times a number, or times a number a run [R]; t itself where the factor is 1."""
    if isinstance(factor, Tensor):
        return t * expand(factor, t)
    return t if factor == 1 else t * factor
