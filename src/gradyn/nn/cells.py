"""Cells: what a net's layers are. `feedforward`: each has a matrix of its own. `rnn`, `lstm`, `gru`: one cell, step after step.

With m inputs and n units, x_t [B, m] and the state h_{t-1} [B, n] enter step t as two products,

    p = W_ih x_t + b_ih,    r = W_hh h_{t-1}    (gru: + b_hh in the candidate's block)

and a cell is what it makes of them, in torch's order of blocks and torch's conventions for gates. The step is enough: the
pullback is then taken by `torch.func.vjp` of it. The ones here override it by the formulas of backpropagation through time.

Axes: R runs, B batch, N units, G blocks (gates) of N rows.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import AbstractComponent, elementwise, require
from gradyn.nn.activations import AbstractActivation, Sigmoid, Tanh

State = tuple[Tensor, ...]

_SIGMOID, _TANH = Sigmoid(), Tanh()


@dataclass(frozen=True, slots=True)
class Step:
    """What a step leaves: its state, and what its pullback needs. All [R, B, .].

    Args:
        at_input: p, [R, B, G N].
        at_hidden: r, [R, B, G N].
        state: after the step: h_t, and for an LSTM c_t.
        saved: what else the cell keeps, its own affair.
        gate: what the memory of the step before is multiplied with: the LSTM's forget gate, the GRU's update gate; None: no gate.
    """

    at_input: Tensor
    at_hidden: Tensor
    state: State
    saved: tuple[Tensor, ...] = ()
    gate: Tensor | None = None


@dataclass(frozen=True, slots=True)
class AbstractCell(AbstractComponent):
    """What the layers of a net are."""

    group: ClassVar[str] = "cell"
    # Whether one cell is applied to a sequence, its layers being the steps.
    is_recurrent: ClassVar[bool] = False
    # Blocks of `width` rows in a layer's matrices.
    gates: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Feedforward(AbstractCell):
    """A deep net: every layer has a matrix of its own."""


@dataclass(frozen=True, slots=True)
class AbstractRecurrent(AbstractCell):
    """A cell that is applied to a sequence: depth - 1 steps, then the readout of the last state.

    Args:
        input_scale: multiplies the initial W_ih.
        recurrent_scale: multiplies the initial W_hh; 0: the state enters through gates alone.
    """

    is_recurrent: ClassVar[bool] = True
    # Tensors of the state: h, and c where there is one.
    parts: ClassVar[int] = 1
    # Whether the last block of r has a bias of its own.
    has_hidden_bias: ClassVar[bool] = False

    input_scale: float = 1.0
    recurrent_scale: float = 1.0

    def __post_init__(self) -> None:
        self.require_finite("input_scale", low=0.0)
        self.require_finite("recurrent_scale", low=0.0)

    def check(self, spec: Any) -> None:
        """Refuse what a recurrent net does not have, and a sequence that its data can't be cut into."""
        name = self.name
        for key, rest in (("norm", "none"), ("residual", "plain"), ("dropout", "none")):
            require(getattr(spec, key).name == rest, key, f"be {rest} with cell={name}", getattr(spec, key).name, f"Set {key}={rest}.")
        require(spec.init.calibration is None, "init", f"be drawn without data with cell={name}", spec.init.name, "Take init=orthogonal, for one.")
        require(spec.dtype in ("float32", "float64"), "dtype", f"be float32 or float64 with cell={name}", spec.dtype)
        require(spec.depth >= 3, "depth", f"be >= 3 with cell={name}: two steps of the sequence at least, and the readout", spec.depth)
        steps, features = spec.depth - 1, spec.data.features
        length = spec.data.sequence_length
        if length is not None:
            # Another cut would pass whole steps off as parts of others.
            rule = f"be {length + 1} with cell={name} and data={spec.data.name}, whose sequences have {length} steps: those and the readout"
            require(steps == length, "depth", rule, spec.depth, f"Set depth={length + 1} or data.length={steps}.")
        near = [step + 1 for step in range(2, features + 1) if features % step == 0]
        fix = f"depth={','.join(map(str, near[:8]))} cut them evenly." if near else "Choose data with more features."
        rule = f"be one more than a number of steps into which the {features} features of data={spec.data.name} can be cut, with cell={name}"
        require(features % steps == 0, "depth", rule, spec.depth, fix)

    def step(self, phi: AbstractActivation, at_input: Tensor, at_hidden: Tensor, before: State) -> Step:
        """One step forwards: (p, r, state before) to the state after."""
        raise TypeError(f"{type(self).__name__} must define step")

    def pullback(self, phi: AbstractActivation, done: Step, before: State, upstream: State) -> tuple[Tensor, Tensor, State]:
        """The step backwards: cotangents of (p, r, state before) from that of the state after; in the dtype of `upstream`.

        The state's is what goes past the product with W_hh, along gates; zeros where nothing does.
        """
        dtype = upstream[0].dtype

        def forward(at_input: Tensor, at_hidden: Tensor, *state: Tensor) -> State:
            return self.step(phi, at_input, at_hidden, state).state

        at_input, at_hidden, *state = torch.func.vjp(forward, done.at_input.to(dtype), done.at_hidden.to(dtype), *(part.to(dtype) for part in before))[1](
            upstream
        )
        return at_input, at_hidden, tuple(state)

    def memory(self, done: Step, upstream: State) -> Tensor:
        """Cotangent of what the step's gate hands on: h_t, or c_t with what arrives through h_t."""
        return upstream[0]

    def bias(self, rng: np.random.Generator, steps: int, width: int) -> NDArray[np.float64]:
        """What is added to the initial b_ih, [G N]."""
        return np.zeros(self.gates * width)


@dataclass(frozen=True, slots=True)
class Rnn(AbstractRecurrent):
    """h_t = phi(p + r), phi the run's activation. Elman 1990; `torch.nn.RNN` for tanh and ReLU."""

    def step(self, phi: AbstractActivation, at_input: Tensor, at_hidden: Tensor, before: State) -> Step:
        return Step(at_input, at_hidden, (elementwise(phi.forward, at_input + at_hidden),))

    def pullback(self, phi: AbstractActivation, done: Step, before: State, upstream: State) -> tuple[Tensor, Tensor, State]:
        h = done.at_input + done.at_hidden
        delta = upstream[0] * elementwise(phi.derivative, h, done.state[0])
        return delta, delta, (torch.zeros_like(delta),)


@dataclass(frozen=True, slots=True)
class AbstractGated(AbstractRecurrent):
    """A cell of gates: blocks of p + r through the logistic function s, candidates through tanh."""

    def check(self, spec: Any) -> None:
        AbstractRecurrent.check(self, spec)
        name = self.name
        require(spec.activation.name == "tanh", "activation", f"be tanh with cell={name}", spec.activation.name, "Set activation=tanh; cell=rnn takes any.")


@dataclass(frozen=True, slots=True)
class Lstm(AbstractGated):
    """c_t = f c_{t-1} + i g, h_t = o tanh(c_t), with i, f, o = s(.) and g = tanh(.) of the blocks i, f, g, o of p + r.

    Args:
        forget_bias: of the forget gate at the start, beside what `init` draws. torch adds two biases; here there is one, their sum.
        chrono: T_max; then forget biases are log u with u ~ U[1, T_max - 1], and input biases their negatives (Tallec and
            Ollivier 2018, arXiv:1804.11188, section 3); null: forget_bias.

    Source: Hochreiter and Schmidhuber 1997; Gers, Schmidhuber and Cummins 2000, the forget gate; Jozefowicz et al. 2015, its bias of 1.
    """

    gates: ClassVar[int] = 4
    parts: ClassVar[int] = 2

    forget_bias: float = 1.0
    chrono: int | None = None

    def __post_init__(self) -> None:
        AbstractGated.__post_init__(self)
        self.require_finite("forget_bias")
        _require_chrono(self)

    def step(self, phi: AbstractActivation, at_input: Tensor, at_hidden: Tensor, before: State) -> Step:
        i, f, g, o = _blocks(at_input + at_hidden, 4)
        i, f, o = (elementwise(torch.sigmoid, block) for block in (i, f, o))
        g = elementwise(torch.tanh, g)
        c = f * before[1] + i * g
        squashed = elementwise(torch.tanh, c)
        return Step(at_input, at_hidden, (o * squashed, c), (i, f, g, o, squashed), gate=f)

    def pullback(self, phi: AbstractActivation, done: Step, before: State, upstream: State) -> tuple[Tensor, Tensor, State]:
        i, f, g, o, squashed = done.saved
        h_i, h_f, h_g, h_o = _blocks(done.at_input + done.at_hidden, 4)
        by_c = self.memory(done, upstream)
        delta = torch.cat(
            [
                by_c * g * elementwise(_SIGMOID.derivative, h_i, i),
                by_c * before[1] * elementwise(_SIGMOID.derivative, h_f, f),
                by_c * i * elementwise(_TANH.derivative, h_g, g),
                upstream[0] * squashed * elementwise(_SIGMOID.derivative, h_o, o),
            ],
            2,
        )
        return delta, delta, (torch.zeros_like(by_c), by_c * f)

    def memory(self, done: Step, upstream: State) -> Tensor:
        *_, o, squashed = done.saved
        return upstream[1] + upstream[0] * o * elementwise(_TANH.derivative, done.state[1], squashed)

    def bias(self, rng: np.random.Generator, steps: int, width: int) -> NDArray[np.float64]:
        """forget_bias in the forget gate's block, or chrono's draws in it and their negatives in the input gate's."""
        bias = np.zeros((4, width))
        bias[1] = self.forget_bias
        if self.chrono is not None:
            bias[1] = _chrono(rng, self.chrono, width)
            bias[0] = -bias[1]
        return bias.reshape(-1)


@dataclass(frozen=True, slots=True)
class Gru(AbstractGated):
    """h_t = (1 - z) g + z h_{t-1}, with r, z = s(.) of the blocks r, z of p + r and g = tanh(p_g + r (r_g + b_g)).

    torch's convention: z near 1 remembers. Cho et al. 2014 write z for 1 - z.

    Args:
        update_bias: of the update gate at the start, beside what `init` draws.
        chrono: T_max; then update biases are log u with u ~ U[1, T_max - 1] (Tallec and Ollivier 2018); null: update_bias.
    """

    gates: ClassVar[int] = 3
    has_hidden_bias: ClassVar[bool] = True

    update_bias: float = 0.0
    chrono: int | None = None

    def __post_init__(self) -> None:
        AbstractGated.__post_init__(self)
        self.require_finite("update_bias")
        _require_chrono(self)

    def step(self, phi: AbstractActivation, at_input: Tensor, at_hidden: Tensor, before: State) -> Step:
        (p_r, p_z, p_g), (r_r, r_z, r_g) = _blocks(at_input, 3), _blocks(at_hidden, 3)
        r, z = elementwise(torch.sigmoid, p_r + r_r), elementwise(torch.sigmoid, p_z + r_z)
        g = elementwise(torch.tanh, p_g + r * r_g)
        return Step(at_input, at_hidden, ((1 - z) * g + z * before[0],), (r, z, g), gate=z)

    def pullback(self, phi: AbstractActivation, done: Step, before: State, upstream: State) -> tuple[Tensor, Tensor, State]:
        (p_r, p_z, p_g), (r_r, r_z, r_g) = _blocks(done.at_input, 3), _blocks(done.at_hidden, 3)
        r, z, g = done.saved
        by_h = upstream[0]
        # 1 - z = s(-h) cancels where z is near 1.
        by_g = by_h * elementwise(torch.sigmoid, -(p_z + r_z)) * elementwise(_TANH.derivative, p_g + r * r_g, g)
        by_z = by_h * (before[0] - g) * elementwise(_SIGMOID.derivative, p_z + r_z, z)
        by_r = by_g * r_g * elementwise(_SIGMOID.derivative, p_r + r_r, r)
        return torch.cat([by_r, by_z, by_g], 2), torch.cat([by_r, by_z, by_g * r], 2), (by_h * z,)

    def bias(self, rng: np.random.Generator, steps: int, width: int) -> NDArray[np.float64]:
        """update_bias, or chrono's draws, in the update gate's block."""
        bias = np.zeros((3, width))
        bias[1] = self.update_bias if self.chrono is None else _chrono(rng, self.chrono, width)
        return bias.reshape(-1)


def _blocks(t: Tensor, count: int) -> list[Tensor]:
    # In memory of their own: elementwise kernels then meet every run's numbers alike.
    return [block.contiguous() for block in t.chunk(count, -1)]


def _chrono(rng: np.random.Generator, longest: int, width: int) -> NDArray[np.float64]:
    return np.log(rng.uniform(1.0, longest - 1.0, width))


def _require_chrono(cell: Lstm | Gru) -> None:
    is_length = cell.chrono is None or (type(cell.chrono) is int and cell.chrono >= 3)
    cell.require(is_length, "chrono", "be a whole number >= 3, the longest distance in steps, or null")
