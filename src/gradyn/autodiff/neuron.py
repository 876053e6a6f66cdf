"""A multilayer perceptron of `Value`s: what `torch.nn.Linear` does, one product at a time, so that every edge can be looked at.

`mlp(sizes, rng)` draws one, `mlp_of(weights, biases)` takes given matrices; `descend` is gradient descent. Two moons take seconds.

Can't: be fast. A product costs microseconds here and a nanosecond or less in a matrix product, because each is an object with a name.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np

from gradyn.autodiff.value import Value

Activation = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class Neuron:
    """phi(w . x + b).

    Args:
        weights: one per input, [fan_in].
        bias: b.
        activation: phi; None for a linear neuron.
    """

    weights: tuple[Value, ...]
    bias: Value
    activation: Activation | None = None

    def __call__(self, x: Sequence[Any]) -> Any:
        """The neuron's output for inputs x, [fan_in], of Values, Duals or floats."""
        if len(x) != len(self.weights):
            raise ValueError(f"x must have one number per weight, {len(self.weights)}; got {len(x)}. Check the order of the sizes.")
        # From the bias on, in the order of the inputs: h = b + w_1 x_1 + w_2 x_2 + ...
        h = self.bias
        for w, signal in zip(self.weights, x, strict=True):
            h = h + w * signal
        return h if self.activation is None else self.activation(h)


@dataclass(frozen=True, slots=True)
class Layer:
    """Neurons side by side: row j of the weight matrix [out, in] belongs to neuron j."""

    neurons: tuple[Neuron, ...]

    def __call__(self, x: Sequence[Any]) -> list[Any]:
        """Outputs [fan_out] for inputs x [fan_in]."""
        return [neuron(x) for neuron in self.neurons]


@dataclass(frozen=True, slots=True)
class Mlp:
    """Layers one after the other; the last is the readout."""

    layers: tuple[Layer, ...]

    def __call__(self, x: Sequence[Any]) -> list[Any]:
        """Outputs for one sample x, [fan_in]."""
        for layer in self.layers:
            x = layer(x)
        return list(x)

    @property
    def parameters(self) -> list[Value]:
        """Every weight and bias, layer by layer and neuron by neuron."""
        return [value for layer in self.layers for neuron in layer.neurons for value in (*neuron.weights, neuron.bias)]


def mlp(sizes: Sequence[int], rng: np.random.Generator, activation: Activation = Value.tanh) -> Mlp:
    """A net with weights drawn from N(0, 1 / fan_in) and biases of zero.

    Args:
        sizes: inputs, hidden widths, outputs.
        rng: where the weights come from, in the order of `parameters`.
        activation: of all layers but the readout, which is linear.

    Raises:
        ValueError: there are fewer than two sizes, or one is not positive.
    """
    if len(sizes) < 2 or min(sizes) < 1:
        raise ValueError(f"sizes must be at least two positive numbers; got {list(sizes)}. Give inputs, hidden widths and outputs, as in [2, 16, 1].")
    weights = [rng.normal(0.0, 1.0 / math.sqrt(fan_in), (fan_out, fan_in)) for fan_in, fan_out in pairwise(sizes)]
    return mlp_of(weights, [np.zeros(fan_out) for fan_out in sizes[1:]], activation)


def mlp_of(weights: Iterable[Any], biases: Iterable[Any], activation: Activation = Value.tanh) -> Mlp:
    """A net with given numbers.

    Args:
        weights: matrices [out, in], layer by layer.
        biases: vectors [out].
        activation: of all layers but the readout, which is linear.
    """
    pairs = list(zip(weights, biases, strict=True))
    phis = [activation] * (len(pairs) - 1) + [None]
    return Mlp(
        tuple(
            Layer(tuple(Neuron(tuple(Value(w) for w in row), Value(b), phi) for row, b in zip(matrix, bias, strict=True)))
            for (matrix, bias), phi in zip(pairs, phis, strict=True)
        )
    )


def descend(parameters: Iterable[Value], rate: float) -> None:
    """One step of gradient descent, w <- w - rate * w.grad; the gradients are then zero again."""
    for parameter in parameters:
        parameter.data, parameter.grad = parameter.data - rate * parameter.grad, 0.0
