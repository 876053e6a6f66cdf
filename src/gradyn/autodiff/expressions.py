"""Random scalar expressions, and how far Value, Dual and torch may differ on them: by roundings, counted along the expression's own graph.

An expression is a list of steps on a growing list of numbers, so that subexpressions are shared at random.

Can't: reach special numbers. Every step is tamed (`1.5 + sin`), as at an infinity or a kink there is no rounding to count.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from gradyn.autodiff.differentiate import grad, topological
from gradyn.autodiff.dual import Dual
from gradyn.autodiff.rules import RULES
from gradyn.autodiff.value import Value

EPS = sys.float_info.epsilon
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
        return sum((number.tanh() for number in numbers[1:]), start=numbers[0])


def random_expression(rng: np.random.Generator, inputs: int = 3, steps: int = 12) -> Expression:
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
            partials = [partial(*node.saved) or 0.0 for _, partial in RULES[node.op].partials] if node.children else []
            arriving = [abs(local) * error[id(child)] for local, child in zip(partials, node.children, strict=True) if error[id(child)]]
            error[id(node)] = (4 * EPS * abs(node.data) if node.children else 0.0) + sum(arriving)
        found.append(error[id(gradient)])
    return found


def disagreement(expression: Expression, direction: Sequence[float]) -> tuple[float, float]:
    """How far `Value.backward`, `grad`, `Dual`, torch.autograd and torch.func.jvp are apart on an expression.

    Args:
        expression: what is differentiated.
        direction: of the JVP, one number an input.

    Returns:
        The largest difference over what roundings allow (twice the bound, as both sides round; four times it for forward mode, which
        sums along other paths): below 1 unless one is wrong. And the largest between `backward` and torch, over max(1, |gradient|).
    """
    leaves = [Value(x) for x in expression.inputs]
    output = expression(leaves)
    output.backward()
    gradients = grad(output, leaves)
    bounds = rounding_bounds(gradients)
    tensors = [torch.tensor(x, dtype=torch.float64, requires_grad=True) for x in expression.inputs]
    theirs = [g.item() for g in torch.autograd.grad(expression(tensors), tensors, materialize_grads=True)]
    ratios, relative = [], 0.0
    for leaf, gradient, other, bound in zip(leaves, gradients, theirs, bounds, strict=True):
        ratios += [_over(leaf.grad - other, 2 * bound), _over(leaf.grad - gradient.data, 2 * bound)]
        relative = max(relative, abs(leaf.grad - other) / max(1.0, abs(other)))
    tangent = expression([Dual(x, v) for x, v in zip(expression.inputs, direction, strict=True)]).tangent
    allowed = 4 * sum((bound + EPS * abs(g.data)) * abs(v) for bound, g, v in zip(bounds, gradients, direction, strict=True))
    along = sum(g.data * v for g, v in zip(gradients, direction, strict=True))
    return max([*ratios, _over(tangent - _torch_jvp(expression, direction), allowed), _over(tangent - along, allowed)]), relative


def _torch_jvp(expression: Expression, direction: Sequence[float]) -> float:
    primals, tangents = ([torch.tensor(x, dtype=torch.float64) for x in numbers] for numbers in (expression.inputs, direction))
    with warnings.catch_warnings():
        # At its first use torch's forward mode compiles its own decompositions through torch.jit, which torch itself has deprecated.
        warnings.simplefilter("ignore", DeprecationWarning)
        return float(torch.func.jvp(lambda *x: expression(x), tuple(primals), tuple(tangents))[1])


def _over(difference: float, allowed: float) -> float:
    return abs(difference) / allowed if allowed else (float("inf") if difference else 0.0)
