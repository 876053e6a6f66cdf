"""The same net as an ordinary `nn.Module`, for autograd: what a user would have written.

Parameters have the names of the net's slots (`layers.<l>.weight`, `norms.<l>.bias`, ...) and begin at the run's values at
step 0. Forward formulas are the components'; every derivative is torch's own. In an emulated format it casts where the
net rounds, as mixed precision does; its parameters are the float32 masters.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradyn.nn.architecture import Layer, NetSpec
from gradyn.nn.net import Net


class Module(nn.Module):
    """One run's net; input [B, features], output [B, classes].

    In training mode the t-th call draws the dropout of step t; in evaluation mode there is none.

    Args:
        spec: the run.
        net: its structure.
        row: its parameters, flat, in the order of `net.slots`.
        dtype: of the parameters.
    """

    def __init__(self, spec: NetSpec, net: Net, row: NDArray[np.float64], dtype: torch.dtype) -> None:
        super().__init__()
        self._spec, self._net, self._calls = spec, net, 0
        # Real nn.Linear layers, so that a user's hooks and inspectors find what they look for; their numbers come below.
        linears = {str(layer.index): nn.Linear(layer.fan_in, layer.fan_out, bias=layer.has_vector_bias, dtype=dtype) for layer in net.layers}
        self.layers = nn.ModuleDict(linears)
        for slot in net.slots:
            kind, index, leaf = slot.name.split(".")
            if not hasattr(self, kind):
                self.add_module(kind, nn.ModuleDict())
            group = getattr(self, kind)
            if index not in group:
                group[index] = nn.Module()
            value = torch.from_numpy(row[slot.start : slot.stop].copy()).to(dtype).reshape(slot.shape)
            group[index].register_parameter(leaf, nn.Parameter(value))

    def forward(self, x: Tensor) -> Tensor:
        """The net's output."""
        rounded = self._net.format.rounded_both_ways
        own = {name: rounded(parameter) for name, parameter in self.named_parameters()}
        x = rounded(x)
        step, skip = self._calls, x
        if self.training:
            self._calls += 1
        for layer in self._net.layers:
            skip = x if layer.opens else skip
            x = self._layer(own, layer, x, skip, step)
        return x

    def _layer(self, own: Mapping[str, Tensor], layer: Layer, x: Tensor, skip: Tensor, step: int) -> Tensor:
        index, spec, rounded = layer.index, self._spec, self._net.format.rounded_both_ways
        weight = own[f"layers.{index}.weight"]
        if layer.norm == "weight":
            weight = rounded(spec.norm.normalize(weight.unsqueeze(0))[0])
        if layer.norm == "branch":
            x = self._norm(own, index, x)
        if layer.has_vector_bias:
            is_as_it_is = layer.norm != "weight" and not self._net.format.is_emulated
            x = self.layers[str(index)](x) if is_as_it_is else nn.functional.linear(x, weight, own[f"layers.{index}.bias"])
        else:
            x = nn.functional.linear(rounded(x + own[f"fixup.{index}.before"]), weight)
            if not layer.closes:
                x = x + own[f"fixup.{index}.after"]
        x = rounded(x)
        if layer.norm == "pre":
            x = self._norm(own, index, x)
        x = rounded(layer.activation.forward(x))
        if layer.norm == "post":
            x = self._norm(own, index, x)
        if layer.has_dropout and self.training:
            factor = spec.dropout.factor(spec.seed, step, index, (x.shape[0], x.shape[1]))
            x = rounded(x * torch.from_numpy(factor).to(x))
        if layer.closes:
            scale = own.get(f"branches.{index}.scale", self._net.branch_scale)
            x = skip * self._net.skip_scale + x * scale
            if not layer.has_vector_bias:
                x = x + own[f"fixup.{index}.after"]
            x = rounded(x)
        return x

    def _norm(self, own: Mapping[str, Tensor], index: int, t: Tensor) -> Tensor:
        normalized = self._spec.norm.normalize(t.unsqueeze(0))[0]
        if self._spec.norm.has_affine:
            normalized = normalized * own[f"norms.{index}.weight"] + own[f"norms.{index}.bias"]
        return self._net.format.rounded_both_ways(normalized)
