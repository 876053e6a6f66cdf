"""The net's anatomy: which layer has what, before any number is drawn.

h_l preactivation, x_l activation, x_0 input, layers 1 ... depth. The readout is layer `depth`: no norm, no activation, no
skip, no dropout. Layer 1 has no skip.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Protocol

from gradyn.nn.activations import AbstractActivation, Linear
from gradyn.nn.cells import AbstractCell
from gradyn.nn.dropouts import AbstractDropout
from gradyn.nn.initializers import AbstractInitializer
from gradyn.nn.normalizations import AbstractNorm
from gradyn.nn.residuals import AbstractResidual


class NetSpec(Protocol):
    """What of a run's spec decides its net."""

    @property
    def depth(self) -> int: ...
    @property
    def width(self) -> int: ...
    @property
    def seed(self) -> int: ...
    @property
    def dtype(self) -> str: ...
    @property
    def cell(self) -> AbstractCell: ...
    @property
    def activation(self) -> AbstractActivation: ...
    @property
    def init(self) -> AbstractInitializer: ...
    @property
    def norm(self) -> AbstractNorm: ...
    @property
    def residual(self) -> AbstractResidual: ...
    @property
    def dropout(self) -> AbstractDropout: ...


@dataclass(frozen=True, slots=True)
class Layer:
    """One weight matrix and what stands around it.

    Args:
        index: 1 ... depth.
        fan_in: columns of W.
        fan_out: rows of W.
        activation: phi; Linear in the readout and in the second matrix of a full branch.
        norm: where the normalization acts in this layer (`branch`: its input; `pre`: h; `post`: phi(h); `weight`: W), or None.
        has_dropout: whether dropout follows.
        opens: whether a branch begins at this layer's input.
        closes: whether a branch ends at this layer's output.
        has_vector_bias: False within Fixup's branches.
        weight: its matrix, by the name of the parameter; the steps of a recurrent net share one.
    """

    index: int
    fan_in: int
    fan_out: int
    activation: AbstractActivation
    norm: str | None
    has_dropout: bool
    opens: bool
    closes: bool
    has_vector_bias: bool
    weight: str

    @property
    def norm_units(self) -> int:
        """Units that the normalization sees."""
        return self.fan_in if self.norm == "branch" else self.fan_out


@dataclass(frozen=True, slots=True)
class Slot:
    """A parameter's place in a run's flat row of parameters."""

    name: str
    layer: int
    shape: tuple[int, ...]
    start: int

    @property
    def is_matrix(self) -> bool:
        """Whether it is a weight matrix: what penalties act on, and whose updates are measured."""
        return len(self.shape) == 2

    @property
    def stop(self) -> int:
        """One past its last element."""
        return self.start + prod(self.shape)


def blocks(depth: int, residual: AbstractResidual) -> tuple[tuple[int, int], ...]:
    """(opening layer, closing layer) of each residual block; layers 2 ... depth - 1, what is left over is plain."""
    size = residual.layers_per_branch
    return tuple((first, first + size - 1) for first in range(2, depth - size + 1, size)) if size else ()


def layers(spec: NetSpec, features: int, classes: int) -> tuple[Layer, ...]:
    """The layers of a net with `features` inputs and `classes` outputs."""
    branches = blocks(spec.depth, spec.residual)
    opening, closing = {first for first, _ in branches}, {last for _, last in branches}
    result = []
    for index in range(1, spec.depth + 1):
        is_readout = index == spec.depth
        is_second = index in closing and index not in opening
        where = spec.norm.where
        if is_readout or (is_second and where != "weight") or (where == "branch" and index not in opening):
            where = None
        result.append(
            Layer(
                index=index,
                fan_in=features if index == 1 else spec.width,
                fan_out=classes if is_readout else spec.width,
                activation=Linear() if is_readout or is_second else spec.activation,
                norm=where,
                has_dropout=spec.dropout.is_random and not is_readout and not is_second,
                opens=index in opening,
                closes=index in closing,
                has_vector_bias=not (spec.residual.is_fixup and (index in opening or index in closing)),
                weight=f"layers.{index}.weight",
            )
        )
    return tuple(result)


def slots(net_layers: tuple[Layer, ...], residual: AbstractResidual, has_affine: bool) -> tuple[Slot, ...]:
    """Every parameter, in order of the layers; names are those of `gradyn.materialize`'s module."""
    found: list[Slot] = []

    def add(name: str, layer: Layer, *shape: int) -> None:
        start = found[-1].stop if found else 0
        found.append(Slot(name, layer.index, shape, start))

    for layer in net_layers:
        add(f"layers.{layer.index}.weight", layer, layer.fan_out, layer.fan_in)
        if layer.has_vector_bias:
            add(f"layers.{layer.index}.bias", layer, layer.fan_out)
        if layer.norm and layer.norm != "weight" and has_affine:
            add(f"norms.{layer.index}.weight", layer, layer.norm_units)
            add(f"norms.{layer.index}.bias", layer, layer.norm_units)
        if residual.is_fixup and (layer.opens or layer.closes):
            add(f"fixup.{layer.index}.before", layer)
            add(f"fixup.{layer.index}.after", layer)
        if residual.learns_scale and layer.closes:
            add(f"branches.{layer.index}.scale", layer)
    return tuple(found)
