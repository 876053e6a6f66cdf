"""The parameters at step 0, in float64: drawn by the initializer, then scaled on the first batch where it asks for that."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import stream
from gradyn.nn.architecture import Layer, NetSpec, blocks
from gradyn.nn.initializers import AbstractInitializer, AbstractScaled, Calibration
from gradyn.nn.net import Net
from gradyn.nn.recurrent import HIDDEN_BIAS, INPUT, INPUT_BIAS, RecurrentNet

# What a layer's weights were scaled from is kept for the next runs: a sweep asks for the same (seed, layer) once per combination of
# everything else, and drawing is half of the time of a wide net at initialization. So many bytes hold a stack's runs (16 nets of 11
# layers of 300 units, say).
_KEPT_BYTES = 2**27


def initial_parameters(spec: NetSpec, net: Net | RecurrentNet, first_batch_BM: NDArray[np.float64]) -> NDArray[np.float64]:
    """One run's parameters as a flat row, in the order of `net.slots`.

    Args:
        spec: the run.
        net: its structure.
        first_batch_BM: inputs of step 0, for initializers that look at the data (LSUV).
    """
    row = np.empty(net.slots[-1].stop)
    by_layer = {layer.index: layer for layer in net.layers}
    for slot in net.slots:
        row[slot.start : slot.stop] = np.ravel(_initial(spec, net, by_layer[slot.layer], slot.name))
    if spec.init.calibration is not None and isinstance(net, Net):
        _calibrate(spec.init.calibration, net, row, first_batch_BM)
    return row


def _initial(spec: NetSpec, net: Net | RecurrentNet, layer: Layer, name: str) -> NDArray[np.float64] | float:
    kind, _, leaf = name.split(".")
    if isinstance(net, RecurrentNet) and kind == "cell":
        return _initial_of_cell(spec, net, name)
    assert isinstance(net, Net) or kind == "layers"
    if kind == "norms":
        return 1.0 if leaf == "weight" else 0.0
    if kind == "branches":
        return 1.0 if spec.residual.is_fixup or isinstance(net, RecurrentNet) else net.branch_scale
    if kind == "fixup":
        return 0.0
    if leaf == "bias":
        return spec.init.bias(stream(spec.seed, "bias", layer.index), layer.fan_out, layer.fan_in)
    weight = _weight(spec.init, spec.seed, layer.index, spec.depth, layer.fan_out, layer.fan_in)
    if spec.residual.is_fixup:
        # Zhang et al. 2019: the second matrix of a branch and the readout are 0, the first is divided by sqrt(blocks).
        if layer.closes or (layer.index == spec.depth and spec.residual.zeroes_readout):
            return 0.0
        if layer.opens:
            return weight / math.sqrt(len(blocks(spec.depth, spec.residual)))
    return weight


def _initial_of_cell(spec: NetSpec, net: RecurrentNet, name: str) -> NDArray[np.float64]:
    """Every block (gate) drawn like a layer, W_ih's as the first, W_hh's as a hidden one, then the cell's own scales and biases."""
    cell, width = net.cell, net.width
    if name == HIDDEN_BIAS:
        return np.zeros(width)
    if name == INPUT_BIAS:
        drawn = [spec.init.bias(stream(spec.seed, "cell bias", gate), width, net.inputs) for gate in range(cell.gates)]
        return np.concatenate(drawn) + cell.bias(stream(spec.seed, "cell gate bias"), net.steps, width)
    is_input = name == INPUT
    fan_in, layer, scale = (net.inputs, 1, cell.input_scale) if is_input else (width, 2, cell.recurrent_scale)
    purpose = "cell input weight" if is_input else "cell hidden weight"
    blocks_ = [spec.init.weight(stream(spec.seed, purpose, gate), width, fan_in, layer=layer, is_readout=False) for gate in range(cell.gates)]
    return scale * np.concatenate(blocks_)


def _weight(init: AbstractInitializer, seed: int, layer: int, depth: int, fan_out: int, fan_in: int) -> NDArray[np.float64]:
    if isinstance(init, AbstractScaled) and type(init).weight is AbstractScaled.weight:
        return init.scale(fan_out, fan_in) * _standards(init.standard, seed, layer, fan_out, fan_in)
    # Whether it is the readout is all that an initializer may know of the depth: then nets of other depths have the same weights.
    return init.weight(stream(seed, "weight", layer), fan_out, fan_in, layer=layer, is_readout=layer == depth)


class _Standards:
    """S of the layers that were asked for last, in at most `_KEPT_BYTES` (LRU)."""

    def __init__(self) -> None:
        self._kept: OrderedDict[tuple[object, ...], NDArray[np.float64]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def __call__(
        self, standard: Callable[[np.random.Generator, int, int], NDArray[np.float64]], seed: int, layer: int, fan_out: int, fan_in: int
    ) -> NDArray[np.float64]:
        key = (standard, seed, layer, fan_out, fan_in)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
            drawn = standard(stream(seed, "weight", layer), fan_out, fan_in)
            self._kept[key] = drawn
            self._bytes += drawn.nbytes
            while self._bytes > _KEPT_BYTES:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
            return drawn


_standards = _Standards()


def _calibrate(target: Calibration, net: Net, row: NDArray[np.float64], first_batch_BM: NDArray[np.float64]) -> None:
    """Scales the hidden layers' weights in `row`, first to last, until Var(h_l) on the batch is the one asked for."""
    # In float64 whatever the run's format is: one net exists in every format.
    net = net.in_format("float64")
    flat = torch.from_numpy(row).unsqueeze(0)
    parameters = {slot.name: flat[:, slot.start : slot.stop].view(1, *slot.shape) for slot in net.slots}
    x: Tensor = torch.from_numpy(first_batch_BM).unsqueeze(0)
    skip = x
    for layer in net.layers[:-1]:
        skip = x if layer.opens else skip
        done = net.layer_forward(layer, parameters, x, skip, None)
        for _ in range(target.max_iterations):
            variance = float(done.h.var(correction=0))
            if not variance > 0 or abs(variance / target.variance - 1) <= target.tolerance:
                break
            parameters[f"layers.{layer.index}.weight"] *= math.sqrt(target.variance / variance)
            done = net.layer_forward(layer, parameters, x, skip, None)
        assert done.x is not None
        x = done.x
