"""The oracle of backpropagation through time: the run's own preactivations and states, and the textbook's formulas with 40 digits.

Nothing is rescaled and no exponent kept: mpmath's numbers have no ends. Gates and their derivatives are computed here from p and r,
so that the cells' fused formulas are met by others. One run, slow. Axes: B batch, M inputs of a step, N units, C outputs.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import mpmath
import numpy as np
from torch import Tensor

from exact_backward import DIGITS, exact, log10_l2
from gradyn.nn import LayerPass, RecurrentNet

Numbers = Any  # an array of mpmath's numbers

_tanh = np.vectorize(mpmath.tanh, otypes=[object])
# phi' by name: the cells' own are float formulas.
_SLOPES = {"tanh": lambda h: 1 - _tanh(h) ** 2, "linear": lambda h: h * 0 + 1}


def _logistic(h: Numbers) -> Numbers:
    return np.vectorize(lambda x: 1 / (1 + mpmath.exp(-x)), otypes=[object])(h)


@dataclass
class ExactThroughTime:
    """Gradients by name; cotangents of h_t, of what the gate hands on, and along the gates alone, step 1 first."""

    gradients: dict[str, Numbers] = field(default_factory=dict)
    states: list[Numbers] = field(default_factory=list)
    memories: list[Numbers] = field(default_factory=list)
    paths: list[Numbers] = field(default_factory=list)
    shares: list[float] = field(default_factory=list)


class ThroughTime:
    """The backward pass of one run of a recurrent net.

    Args:
        net: its structure.
        parameters: name -> [1, *shape].
        passes: of the forward pass.
    """

    def __init__(self, net: RecurrentNet, parameters: dict[str, Tensor], passes: list[LayerPass]) -> None:
        self.net, self.passes, self.found = net, passes, ExactThroughTime()
        self.own = {name: exact(value[0].double().numpy()) for name, value in parameters.items()}
        self.pull = {"rnn": self._rnn, "lstm": self._lstm, "gru": self._gru}[net.cell.name]

    def run(self, cotangent_BC: Tensor) -> ExactThroughTime:
        """From dL/d output to everything."""
        with mpmath.workdps(DIGITS):
            own, found, last = self.own, self.found, f"layers.{len(self.net.layers)}"
            delta = exact(cotangent_BC[0].double().numpy())
            found.gradients = {f"{last}.weight": delta.T @ self._of(self.passes[-1].u), f"{last}.bias": delta.sum(0)}
            at_h = delta @ own[f"{last}.weight"]
            at_c, path = at_h * 0, None
            for done in reversed(self.passes[:-1]):
                step, before, x = done.saved
                p, r, states = self._of(step.at_input), self._of(step.at_hidden), [self._of(part) for part in before]
                found.states.append(at_h)
                at_p, at_r, at_h, at_c, memory, gate = self.pull(p, r, states, self._of(step.state[-1]), at_h, at_c)
                path = memory if path is None else path
                found.memories.append(memory)
                found.paths.append(path)
                path = path * gate
                self._share(at_p, at_r, self._of(x), states[0])
            for values in (found.states, found.memories, found.paths, found.shares):
                values.reverse()
        return found

    def _of(self, t: Tensor) -> Numbers:
        return exact(t[0].double().numpy())

    def _share(self, at_p: Numbers, at_r: Numbers, x: Numbers, h: Numbers) -> None:
        gradients, n = self.found.gradients, self.net.width
        share = {"cell.input.weight": at_p.T @ x, "cell.hidden.weight": at_r.T @ h, "cell.input.bias": at_p.sum(0), "cell.hidden.bias": at_r[:, -n:].sum(0)}
        if not self.net.cell.has_hidden_bias:
            del share["cell.hidden.bias"]
        for name, value in share.items():
            gradients[name] = gradients.get(name, value * 0) + value
        self.found.shares.append(log10_l2(np.concatenate([share["cell.input.weight"].ravel(), share["cell.hidden.weight"].ravel()])))

    def _back(self, at_r: Numbers) -> Numbers:
        return at_r @ self.own["cell.hidden.weight"]

    def _rnn(self, p: Numbers, r: Numbers, before: list[Numbers], after: Numbers, at_h: Numbers, at_c: Numbers) -> tuple[Numbers, ...]:
        at_p = at_h * _SLOPES[self.net.activation.name](p + r)
        return at_p, at_p, self._back(at_p), at_c, at_h, at_h * 0

    def _lstm(self, p: Numbers, r: Numbers, before: list[Numbers], after: Numbers, at_h: Numbers, at_c: Numbers) -> tuple[Numbers, ...]:
        i, f, g, o = np.split(p + r, 4, axis=1)
        i, f, g, o = _logistic(i), _logistic(f), _tanh(g), _logistic(o)
        squashed = _tanh(after)
        memory = at_c + at_h * o * (1 - squashed**2)
        parts = [memory * g * i * (1 - i), memory * before[1] * f * (1 - f), memory * i * (1 - g**2), at_h * squashed * o * (1 - o)]
        at_p = np.concatenate(parts, axis=1)
        return at_p, at_p, self._back(at_p), memory * f, memory, f

    def _gru(self, p: Numbers, r: Numbers, before: list[Numbers], after: Numbers, at_h: Numbers, at_c: Numbers) -> tuple[Numbers, ...]:
        (p_r, p_z, p_g), (r_r, r_z, r_g) = np.split(p, 3, axis=1), np.split(r, 3, axis=1)
        reset, z = _logistic(p_r + r_r), _logistic(p_z + r_z)
        g = _tanh(p_g + reset * r_g)
        at_g = at_h * (1 - z) * (1 - g**2)
        at_z = at_h * (before[0] - g) * z * (1 - z)
        at_reset = at_g * r_g * reset * (1 - reset)
        at_r = np.concatenate([at_reset, at_z, at_g * reset], axis=1)
        return np.concatenate([at_reset, at_z, at_g], axis=1), at_r, self._back(at_r) + at_h * z, at_c, at_h, z
