"""The graphs of the chapter: the textbook's square, a layer, a function that goes several ways, a net.

    textbook_graph("torch"), textbook_graph("engine")    # the same line of code, recorded by each

Can't: be drawn here. `gradyn.report.graph_figure(graph)` does it, as does any program that reads `graph.dot()` or `graph.mermaid()`.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradyn.autodiff.graph import Graph
from gradyn.autodiff.graph_trace import Trace
from gradyn.autodiff.graph_walk import graph_of
from gradyn.autodiff.value import Value


def textbook_graph(of: str, w: float = 3.0, x: float = 2.0, b: float = 1.0) -> Graph:
    """(w x + b - 5)^2 with all values and gradients.

    Args:
        of: torch, or engine for `Value`.
        w: weight.
        x: input.
        b: bias.
    """
    given = {label: _leaf(of, number) for label, number in (("w", w), ("x", x), ("b", b))}
    with Trace() as trace:
        loss = (given["w"] * given["x"] + given["b"] - 5) ** 2
    return graph_of(loss, names={**given, "L": loss}, trace=trace, upstream=1.0)


def layer_graph(seed: int, fan_in: int = 3, fan_out: int = 2) -> Graph:
    """Y = sigmoid(W x + b) as matmul, add and sigmoid, with the gradients of the sum of y: dW, db, dx."""
    rng = np.random.default_rng(seed)
    # Rounded, so that a reader can follow the numbers on the picture.
    sizes: dict[str, tuple[int, ...]] = {"W": (fan_out, fan_in), "x": (fan_in,), "b": (fan_out,)}
    given = {label: torch.tensor(rng.normal(size=size).round(1), requires_grad=True) for label, size in sizes.items()}
    with Trace() as trace:
        y = torch.sigmoid(given["W"] @ given["x"] + given["b"])
    return graph_of(y, names={**given, "y": y}, trace=trace, upstream=torch.ones_like(y))


def halved(x: Any) -> Any:
    """Halve until |x| <= 1, then the sine of what is positive and the square of what is not: a loop and a branch, chosen by the number."""
    while abs(float(x.data)) > 1:
        x = x / 2
    return x.sin() if x.data > 0 else x * x


def dynamic_graph(x: float, of: str = "torch") -> Graph:
    """The graph that `halved` leaves for one x; for another x it is another graph."""
    leaf = _leaf(of, x)
    with Trace() as trace:
        y = halved(leaf)
    return graph_of(y, names={"x": leaf, "y": y}, trace=trace, upstream=1.0)


def net_graph(sizes: Sequence[int], seed: int, batch: int = 16) -> Graph:
    """A sigmoid net with PyTorch's own initialization, its parameters by name and its calls of modules.

    Args:
        sizes: units of the input, of each hidden layer, of the output.
        seed: of weights and samples.
        batch: samples.

    Raises:
        ValueError: fewer than two sizes.
    """
    if len(sizes) < 2:
        raise ValueError(f"sizes must be at least two; got {list(sizes)}. Give inputs, hidden widths and outputs, as in [4, 8, 1].")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers: dict[str, nn.Module] = {}
        for number, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
            layers[f"layer{number}"] = nn.Linear(fan_in, fan_out, dtype=torch.float64)
            layers[f"sigmoid{number}"] = nn.Sigmoid()
        # The readout is linear.
        layers.popitem()
        net, x = nn.Sequential(), torch.randn(batch, sizes[0], dtype=torch.float64)
    for name, layer in layers.items():
        net.add_module(name, layer)
    with Trace(net) as trace:
        loss = net(x).square().mean()
    return graph_of(loss, names={"loss": loss}, trace=trace, upstream=1.0)


def deep_graph(depth: int) -> Graph:
    """X times 1 a number of times, one after the other."""
    y = torch.ones((), requires_grad=True)
    for _ in range(depth):
        y = y * 1.0
    return graph_of(y, upstream=1.0)


def wide_graph(width: int) -> Graph:
    """The sum of so many multiples of one x: its gradient is 1 + 2 + ... + width."""
    x = torch.ones((), dtype=torch.float64, requires_grad=True)
    return graph_of(torch.stack([x * number for number in range(1, width + 1)]).sum(), upstream=1.0)


def _leaf(of: str, number: float) -> Tensor | Value:
    if of not in ("torch", "engine"):
        raise ValueError(f"of must be torch or engine; got {of!r}. torch walks grad_fn, engine the children of a Value.")
    return Value(number) if of == "engine" else torch.tensor(number, dtype=torch.float64, requires_grad=True)
