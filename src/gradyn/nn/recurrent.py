r"""A recurrent net: one cell over a sequence, then the readout of its last state; forwards and backwards in plain view.

Axes: R runs, B batch, T steps, M inputs of a step, N units, G blocks of the cell.

    forward   x_t -> W_ih -> p \
                                cell -> h_t (and c_t) -> ... -> h_T -> readout -> output
          h_{t-1} -> W_hh -> r /
    backward  the same boxes from right to left, each by its pullback; W_ih and W_hh collect a share from every step

A sample's features are its sequence, step after step. The net's layers are its steps, 1 ... T, and the readout is layer T + 1.
The state's cotangent is float64 with an exponent a run, brought back into range at every step; so are the shares of the shared
weights' gradients, which are added at the larger exponent. The state before the first step is 0.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import FORMATS, Scaled, l2, log2_l2, log2_total, outer, products
from gradyn.nn.activations import Linear
from gradyn.nn.architecture import Layer, NetSpec, Slot
from gradyn.nn.cells import AbstractRecurrent, Rnn, State, Step
from gradyn.nn.net import LayerCotangent, LayerPass, Parameters

INPUT, HIDDEN, INPUT_BIAS, HIDDEN_BIAS = "cell.input.weight", "cell.hidden.weight", "cell.input.bias", "cell.hidden.bias"


StepGradient = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(slots=True)
class _Upstream:
    """The cotangent of a step's state, mantissas a part, one exponent."""

    parts: State
    exponent: NDArray[np.int64]

    def rescaled(self) -> _Upstream:
        """With the largest mantissas near 1."""
        if len(self.parts) == 1:
            settled = Scaled(self.parts[0], self.exponent).rescaled()
            return _Upstream((settled.mantissa,), settled.exponent)
        width = self.parts[0].shape[2]
        settled = Scaled(torch.cat(self.parts, 2), self.exponent).rescaled()
        return _Upstream(tuple(part.contiguous() for part in settled.mantissa.split(width, 2)), settled.exponent)


class RecurrentNet:
    """A recurrent net's structure with its two passes, in the shape of `Net`; holds no numbers of any run.

    Args:
        spec: the fields of a run that decide its net; its cell is a recurrent one.
        features: inputs of all steps together.
        classes: outputs.
    """

    def __init__(self, spec: NetSpec, features: int, classes: int) -> None:
        assert isinstance(spec.cell, AbstractRecurrent)
        self.cell, self.activation, self.residual = spec.cell, spec.activation, spec.residual
        self.format = FORMATS[spec.dtype]
        self.steps, self.width = spec.depth - 1, spec.width
        self.inputs = features // self.steps
        # What a step's preactivation goes through, where that is one function of it.
        phi = spec.activation if isinstance(spec.cell, Rnn) else Linear()
        rest = {"activation": phi, "norm": None, "has_dropout": False, "opens": False, "closes": False, "has_vector_bias": True}
        steps = [Layer(index=step, fan_in=self.width, fan_out=self.width, weight=HIDDEN, **rest) for step in range(1, spec.depth)]  # type: ignore[arg-type]
        rest["activation"] = Linear()
        readout = Layer(index=spec.depth, fan_in=self.width, fan_out=classes, weight=f"layers.{spec.depth}.weight", **rest)  # type: ignore[arg-type]
        self.layers: tuple[Layer, ...] = (*steps, readout)
        self.slots = self._slots(classes)

    def _slots(self, classes: int) -> tuple[Slot, ...]:
        rows, last = self.cell.gates * self.width, len(self.layers)
        shapes: list[tuple[str, int, tuple[int, ...]]] = [(INPUT, 1, (rows, self.inputs)), (INPUT_BIAS, 1, (rows,)), (HIDDEN, 1, (rows, self.width))]
        shapes += [(HIDDEN_BIAS, 1, (self.width,))] if self.cell.has_hidden_bias else []
        shapes += [(f"layers.{last}.weight", last, (classes, self.width)), (f"layers.{last}.bias", last, (classes,))]
        found: list[Slot] = []
        for name, layer, shape in shapes:
            found.append(Slot(name, layer, shape, found[-1].stop if found else 0))
        return tuple(found)

    def forward(self, parameters: Parameters, x_RBM: Tensor, dropout_factors: dict[int, Tensor] | None = None) -> list[LayerPass]:
        """Runs the steps forwards.

        Args:
            parameters: name -> [R, *shape], the names of `slots`.
            x_RBM: inputs [R, B, T M].
            dropout_factors: none; there is no dropout.

        Returns:
            One `LayerPass` a step, whose `saved` is the cell's, and one of the readout, whose `x` is the net's output.
        """
        passes: list[LayerPass] = []
        state = self._start(x_RBM)
        for step in range(self.steps):
            x_RBm = self._inputs(x_RBM, step)
            done = self._step(parameters, x_RBm, state)
            h = done.at_input + done.at_hidden
            # The product with W_hh takes nothing in the first step: what feeds it is the input.
            u = state[0] if step else x_RBm
            passes.append(LayerPass(parameters[HIDDEN], u, h, h, done.state[0], x=done.state[0], saved=(done, state, x_RBm)))
            state = done.state
        return [*passes, self._readout(parameters, state[0])]

    def output(self, parameters: Parameters, x_RBM: Tensor) -> Tensor:
        """The net's output [R, B, classes]; keeps one step at a time."""
        state = self._start(x_RBM)
        for step in range(self.steps):
            state = self._step(parameters, self._inputs(x_RBM, step), state).state
        output = self._readout(parameters, state[0]).x
        assert output is not None
        return output

    def backward(
        self,
        parameters: Parameters,
        passes: list[LayerPass],
        cotangent: Scaled,
        *,
        tracked: bool = True,
        keep: bool = False,
        step_gradient: StepGradient | None = None,
    ) -> tuple[dict[str, Scaled], list[LayerCotangent]]:
        """Pulls the cotangent of the net's output back through the readout and the steps; arguments and result as of `Net`.

        With `step_gradient`, what it gives for dL/dh_t, its pullback to the recurrent preactivation, and that times W_hh (mantissas of one
        exponent) joins the gradient by W_hh, for every step but the first, before which there is no state.
        """
        dtype = torch.float64 if tracked else self.format.carrier
        kept: list[LayerCotangent] = []
        readout = passes[-1] if keep else passes.pop()
        delta = cotangent.with_mantissa(cotangent.mantissa.to(dtype))
        delta = delta.rescaled() if tracked else delta
        last = len(self.layers)
        gradients = {f"layers.{last}.weight": outer(delta, readout.u, tracked=tracked), f"layers.{last}.bias": delta.with_mantissa(delta.mantissa.sum(1))}
        if keep:
            kept.append(LayerCotangent(l2(delta.mantissa), None, delta.exponent))
        pulled = products(delta.mantissa, readout.weight.to(dtype))
        upstream = _Upstream((pulled, *(torch.zeros_like(pulled) for _ in range(self.cell.parts - 1))), delta.exponent)
        path: Scaled | None = None
        for step in reversed(range(self.steps)):
            done, before, x_RBm = (passes[step] if keep else passes.pop()).saved
            before = tuple(part.to(dtype) for part in before)
            upstream = upstream.rescaled() if tracked else upstream
            at_input, at_hidden, along_gates = self.cell.pullback(self.activation, done, before, upstream.parts)
            shares = self._shares(Scaled(at_input, upstream.exponent), Scaled(at_hidden, upstream.exponent), x_RBm, before[0], tracked)
            for name, share in shares.items():
                gradients[name] = gradients[name].plus(share) if name in gradients else share
            if keep:
                memory = Scaled(self.cell.memory(done, upstream.parts), upstream.exponent)
                path = memory if path is None else path
                kept.append(self._kept(upstream, memory, path if done.gate is not None else None, shares))
                path = path if done.gate is None else path.with_mantissa(path.mantissa * done.gate).rescaled()
            back = products(at_hidden, parameters[HIDDEN].to(dtype))
            if step_gradient is not None and step:
                gradients[HIDDEN] = gradients[HIDDEN].plus(Scaled.plain(step_gradient(upstream.parts[0], at_hidden, back)).rescaled())
            upstream = _Upstream((along_gates[0] + back, *along_gates[1:]), upstream.exponent)
        return gradients, kept[::-1]

    def needs_float64(self, passes: list[LayerPass]) -> NDArray[np.bool_]:
        """None of the runs: cotangents are float64 throughout."""
        return np.zeros(len(passes[0].h), dtype=np.bool_)

    def for_saturated(self) -> RecurrentNet:
        """The same net: its cotangents are float64 anyway."""
        return self

    def in_format(self, name: str) -> RecurrentNet:
        """The same net computed in another format."""
        other = copy.copy(self)
        other.format = FORMATS[name]
        return other

    def _start(self, x_RBM: Tensor) -> State:
        zeros = torch.zeros(*x_RBM.shape[:2], self.width, dtype=x_RBM.dtype, device=x_RBM.device)
        return tuple(zeros for _ in range(self.cell.parts))

    def _inputs(self, x_RBM: Tensor, step: int) -> Tensor:
        return x_RBM[:, :, step * self.inputs : (step + 1) * self.inputs].contiguous()

    def _step(self, parameters: Parameters, x_RBm: Tensor, before: State) -> Step:
        at_input = products(x_RBm, parameters[INPUT].transpose(1, 2)).add_(parameters[INPUT_BIAS].unsqueeze(1))
        at_hidden = products(before[0], parameters[HIDDEN].transpose(1, 2))
        if self.cell.has_hidden_bias:
            at_hidden[:, :, -self.width :] += parameters[HIDDEN_BIAS].unsqueeze(1)
        return self.cell.step(self.activation, at_input, at_hidden, before)

    def _readout(self, parameters: Parameters, h_RBN: Tensor) -> LayerPass:
        name = f"layers.{len(self.layers)}"
        output = products(h_RBN, parameters[f"{name}.weight"].transpose(1, 2)).add_(parameters[f"{name}.bias"].unsqueeze(1))
        return LayerPass(parameters[f"{name}.weight"], h_RBN, output, output, output, x=output)

    def _shares(self, at_input: Scaled, at_hidden: Scaled, x_RBm: Tensor, before: Tensor, tracked: bool) -> dict[str, Scaled]:
        """This step's share of the cell's gradients (Pascanu et al. 2013: the immediate derivatives)."""
        shares = {
            INPUT: outer(at_input, x_RBm, tracked=tracked),
            INPUT_BIAS: at_input.with_mantissa(at_input.mantissa.sum(1)),
            HIDDEN: outer(at_hidden, before, tracked=tracked),
        }
        if self.cell.has_hidden_bias:
            shares[HIDDEN_BIAS] = at_hidden.with_mantissa(at_hidden.mantissa[:, :, -self.width :].sum(1))
        return {name: share.rescaled() if tracked else share for name, share in shares.items()}

    def _kept(self, upstream: _Upstream, memory: Scaled, path: Scaled | None, shares: dict[str, Scaled]) -> LayerCotangent:
        own = log2_l2([shares[INPUT], shares[HIDDEN], shares[INPUT_BIAS]])
        return LayerCotangent(
            l2(upstream.parts[0]),
            None,
            upstream.exponent,
            own_weight=log2_total(own[:, :2]),
            own_bias=own[:, 2],
            memory=log2_l2([memory])[:, 0] if self.cell.parts > 1 else None,
            path=None if path is None else log2_l2([path])[:, 0],
        )
