"""A recurrent run's net as an ordinary `nn.Module`, for autograd: the cells' forward formulas in a loop."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from gradyn.nn.recurrent import HIDDEN, HIDDEN_BIAS, INPUT, INPUT_BIAS, RecurrentNet


class RecurrentModule(nn.Module):
    """One run's net; input [B, T M], output [B, classes] of the last state.

    Args:
        net: its structure.
        row: its parameters, flat, in the order of `net.slots`, whose names they bear.
        dtype: of the parameters.
    """

    def __init__(self, net: RecurrentNet, row: NDArray[np.float64], dtype: torch.dtype) -> None:
        super().__init__()
        self._net = net
        for slot in net.slots:
            kind, part, leaf = slot.name.split(".")
            if not hasattr(self, kind):
                self.add_module(kind, nn.ModuleDict())
            group = getattr(self, kind)
            if part not in group:
                group[part] = nn.Module()
            value = torch.from_numpy(row[slot.start : slot.stop].copy()).to(dtype).reshape(slot.shape)
            group[part].register_parameter(leaf, nn.Parameter(value))

    def forward(self, x: Tensor) -> Tensor:
        """The readout of the state after the last step."""
        net, own = self._net, dict(self.named_parameters())
        zeros = x.new_zeros(len(x), net.width)
        state = tuple(zeros for _ in range(net.cell.parts))
        for x_t in x.reshape(len(x), net.steps, net.inputs).unbind(1):
            at_input = nn.functional.linear(x_t, own[INPUT], own[INPUT_BIAS])
            at_hidden = nn.functional.linear(state[0], own[HIDDEN])
            if net.cell.has_hidden_bias:
                at_hidden = at_hidden + nn.functional.pad(own[HIDDEN_BIAS], (at_hidden.shape[1] - net.width, 0))
            # The cells want a leading run axis.
            step = net.cell.step(net.activation, at_input.unsqueeze(0), at_hidden.unsqueeze(0), tuple(part.unsqueeze(0) for part in state))
            state = tuple(part.squeeze(0) for part in step.state)
        last = f"layers.{len(net.layers)}"
        return nn.functional.linear(state[0], own[f"{last}.weight"], own[f"{last}.bias"])
