"""Training a net of `Value`s on two classes: forward, backward, step, as any loop in torch.

The loss is -log sigmoid(t y), t = -1 or 1 the class and y the output: the logistic loss, whose derivative by y is -t sigmoid(-t y).

Can't: survive a sample that is wrong by far. sigmoid(-746) is 0 and its logarithm -inf; a rule for log sigmoid in one piece would go on.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradyn.autodiff.neuron import Mlp, descend
from gradyn.autodiff.value import Value

Floats = NDArray[np.float64]


def batch_loss(net: Mlp, x_BM: Floats, t_B: Floats) -> Value:
    """Mean over the batch of -log sigmoid(t y), as one graph.

    Args:
        net: with one output.
        x_BM: inputs.
        t_B: classes, -1 or 1.
    """
    losses = [-(net(x)[0] * t).sigmoid().log() for x, t in zip(x_BM.tolist(), t_B.tolist(), strict=True)]
    return sum(losses[1:], start=losses[0]) / len(losses)


def train(net: Mlp, x_SM: Floats, t_S: Floats, rng: np.random.Generator, *, steps: int, batch_size: int, rate: float) -> list[float]:
    """Stochastic gradient descent with a rate that falls linearly to zero; changes the net's parameters.

    Args:
        net: with one output.
        x_SM: inputs of all samples.
        t_S: their classes, -1 or 1.
        rng: draws the batches, without replacement within one.
        steps: of descent.
        batch_size: samples a step.
        rate: of the first step.

    Returns:
        The batch's loss before each step.
    """
    losses = []
    for step in range(steps):
        chosen = rng.choice(len(x_SM), batch_size, replace=False)
        loss = batch_loss(net, x_SM[chosen], t_S[chosen])
        loss.backward()
        descend(net.parameters, rate * (1 - step / steps))
        losses.append(loss.data)
    return losses


def outputs(net: Mlp, x_BM: Floats) -> Floats:
    """Outputs [B] of a tanh net with one output, as matrix products: thousands of points need no graph."""
    for place, layer in enumerate(net.layers):
        w_NM = np.array([[w.data for w in neuron.weights] for neuron in layer.neurons])
        h = x_BM @ w_NM.T + np.array([neuron.bias.data for neuron in layer.neurons])
        x_BM = np.tanh(h) if place + 1 < len(net.layers) else h
    return x_BM[:, 0]


def plane(x_SM: Floats, side: int, margin: float = 0.3) -> Floats:
    """A grid of side * side points, [side ** 2, 2], that covers the samples with a margin; the first coordinate runs fastest."""
    low, high = x_SM.min(0) - margin, x_SM.max(0) + margin
    return np.stack([axis.ravel() for axis in np.meshgrid(*(np.linspace(low[i], high[i], side) for i in (0, 1)))], 1)
