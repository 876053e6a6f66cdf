"""Random scalar expressions, and how far two engines may differ on them.

An expression is a list of steps on a growing list of numbers, so that subexpressions are shared at random.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gradyn.autodiff import RULES, Dual, Value, grad, topological

# At its first use torch's forward mode compiles its own decompositions through torch.jit, which torch itself has deprecated.
with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    torch.func.jvp(torch.sin, (torch.zeros(()),), (torch.ones(()),))

EPS = sys.float_info.epsilon
# Tamed where a composition would leave the range: what is compared is roundings, special numbers have a test of their own.
STEPS: dict[str, Callable[..., Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / (1.5 + b.sin()),
    "** number": lambda a, b: (1.5 + a.cos()) ** 2.5,
    "number **": lambda a, b: 2 ** a.sin(),
    "**": lambda a, b: (1.5 + a.sin()) ** b.tanh(),
    "neg": lambda a, b: 2 - (-a),
    "exp": lambda a, b: a.tanh().exp(),
    "log": lambda a, b: (1.5 + a.sin()).log(),
    "tanh": lambda a, b: a.tanh(),
    "sigmoid": lambda a, b: a.sigmoid(),
    "relu": lambda a, b: a.relu(),
    "sin": lambda a, b: a.sin(),
    "cos": lambda a, b: 3 / (2 + b.cos()),
}


@dataclass(frozen=True)
class Expression:
    """Inputs, and steps (name, place of a, place of b); the last number is the output."""

    inputs: tuple[float, ...]
    steps: tuple[tuple[str, int, int], ...]

    def __call__(self, inputs: Sequence[Any]) -> Any:
        numbers = list(inputs)
        for name, a, b in self.steps:
            numbers.append(STEPS[name](numbers[a], numbers[b]))
        # All of it, so that no step is without a gradient.
        total = numbers[0]
        for number in numbers[1:]:
            total = total + number.tanh()
        return total


def draw(rng: np.random.Generator, inputs: int = 3, steps: int = 12) -> Expression:
    """An expression with random inputs in [-2, 2]; each step takes any two of the numbers before it."""
    names = list(STEPS)
    chosen = [(names[rng.integers(len(names))], int(rng.integers(inputs + i)), int(rng.integers(inputs + i))) for i in range(steps)]
    return Expression(tuple(rng.uniform(-2, 2, inputs).tolist()), tuple(chosen))


def rounding_bounds(gradients: Sequence[Value]) -> list[float]:
    """How far each recorded gradient can be from the exact one, to first order in eps: a running error analysis along its own graph.

    A result carries at most four roundings of its own (1 for an operator; exp, log, sin, cos, tanh and pow within 2 ulp in libm and in
    torch; 4 for sigmoid from its parts), and each input's error times the derivative by it.
    """
    found = []
    for gradient in gradients:
        error: dict[int, float] = {}
        for node in topological(gradient):
            own = 4 * EPS * abs(node.data) if node.children else 0.0
            locals_ = [partial(*node.saved) or 0.0 for _, partial in RULES[node.op].partials] if node.children else []
            error[id(node)] = own + sum(abs(local) * error[id(child)] for local, child in zip(locals_, node.children, strict=True) if error[id(child)])
        found.append(error[id(gradient)])
    return found


def worst_ratio(expression: Expression, direction: Sequence[float]) -> float:
    """The largest disagreement of value engine, its recorded gradients, Dual and torch, over what roundings allow.

    Twice the bound, as both sides round; four times it for sums in another order (forward mode adds along other paths).
    """
    leaves = [Value(x) for x in expression.inputs]
    output = expression(leaves)
    output.backward()
    gradients = grad(output, leaves)
    bounds = rounding_bounds(gradients)
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in expression.inputs]
    theirs = torch.autograd.grad(expression(tensors), tensors, materialize_grads=True)
    ratios = [0.0]
    for leaf, gradient, other, bound in zip(leaves, gradients, theirs, bounds, strict=True):
        ratios += [over(leaf.grad - other.item(), 2 * bound), over(leaf.grad - gradient.data, 2 * bound)]
    moving = expression([Dual(x, v) for x, v in zip(expression.inputs, direction, strict=True)])
    tangents = tuple(torch.tensor(v, dtype=torch.float64) for v in direction)
    _, jvp = torch.func.jvp(lambda *x: expression(x), tuple(t.detach() for t in tensors), tangents)
    along = sum(g.data * v for g, v in zip(gradients, direction, strict=True))
    allowed = 4 * sum(bound * abs(v) for bound, v in zip(bounds, direction, strict=True)) + 4 * EPS * sum(
        abs(g.data * v) for g, v in zip(gradients, direction, strict=True)
    )
    return max([*ratios, over(moving.tangent - jvp.item(), allowed), over(moving.tangent - along, allowed)])


def over(difference: float, allowed: float) -> float:
    """|difference| / allowed; 0 where both are exact."""
    return abs(difference) / allowed if allowed else (float("inf") if difference else 0.0)
