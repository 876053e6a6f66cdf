"""A net of Values has torch's gradients, learns, and refuses what does not fit."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch

from gradyn.autodiff import descend, mlp, mlp_of

EPS = sys.float_info.epsilon


def test_an_mlp_has_the_gradients_of_torchs(rng: np.random.Generator) -> None:
    """Sums of at most 5 terms through 3 layers: fewer than 60 roundings on numbers of size below 10."""
    net = mlp([3, 5, 4, 1], rng)
    x = rng.normal(size=3)
    (y,) = net(x.tolist())
    y.backward()
    signal, tensors = torch.tensor(x), []
    for layer in net.layers:
        w = torch.tensor([[v.data for v in neuron.weights] for neuron in layer.neurons], requires_grad=True)
        b = torch.tensor([neuron.bias.data for neuron in layer.neurons], requires_grad=True)
        tensors.append((w, b))
        signal = w @ signal + b
        signal = signal.tanh() if layer is not net.layers[-1] else signal
    signal.backward()
    for layer, (w, b) in zip(net.layers, tensors, strict=True):
        for j, neuron in enumerate(layer.neurons):
            assert np.allclose([v.grad for v in neuron.weights], w.grad[j], rtol=0, atol=600 * EPS)
            assert abs(neuron.bias.grad - b.grad[j].item()) <= 600 * EPS


def test_gradient_descent_lowers_the_loss_and_clears_the_gradients(rng: np.random.Generator) -> None:
    net = mlp([2, 4, 1], rng)
    losses = []
    for _ in range(20):
        loss = (net([0.5, -1.0])[0] - 1) ** 2
        loss.backward()
        descend(net.parameters, 0.05)
        losses.append(loss.data)
    assert losses[-1] < 0.1 * losses[0]
    assert {p.grad for p in net.parameters} == {0.0}


def test_a_net_refuses_wrong_sizes(rng: np.random.Generator) -> None:
    with pytest.raises(ValueError, match="x must have one number per weight, 2; got 3"):
        mlp([2, 1], rng)([1, 2, 3])
    with pytest.raises(ValueError, match="sizes must be at least two positive numbers; got"):
        mlp([2], rng)
    with pytest.raises(ValueError, match="zip"):
        mlp_of([np.ones((2, 2))], [])
