"""Differentiating: the chain rule, walked from the output to the leaves.

Each node hands every child its own gradient times one local derivative, after all its parents have done the same for it: the reverse of
a topological order. `backward` adds floats up; `grad` runs the same pass on Values, so that what comes out is again an expression.

Can't: forget. All Values between inputs and output are kept until the pass is over, so a depth of n costs memory n.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradyn.autodiff.number import CONSTANT
from gradyn.autodiff.rules import RULES

if TYPE_CHECKING:
    from gradyn.autodiff.value import Value


def topological(output: Value) -> list[Value]:
    """Everything an output was computed from, itself last: each node once, and after its children.

    By a stack of our own instead of calls: Python's gives up near depth 1,000.
    """
    order: list[Value] = []
    seen: set[int] = set()
    stack: list[Value | None] = [output]
    while stack:
        node = stack.pop()
        if node is None:
            # The children of the node below this mark are done.
            order.append(stack.pop())  # type: ignore[arg-type]
        elif id(node) not in seen:
            seen.add(id(node))
            if node.children:
                stack += (node, None, *node.children[::-1])
            else:
                order.append(node)
    return order


def pull_back(
    output: Value, upstream: Any = 1.0, *, is_recorded: bool = False, steps: list[tuple[Value, int, Any, Any]] | None = None
) -> list[tuple[Value, Any]]:
    """The backward pass: every node but the plain numbers, with upstream * d output / d node, from the output down.

    Args:
        output: where it begins.
        upstream: the output's own gradient.
        is_recorded: compute with Values, so that the gradients can be differentiated again; else with floats.
        steps: filled with (node, which child, local derivative, upstream) in the order of the pass, for who wants to tell it.

    Returns:
        Pairs (node, gradient); a node that only closed gates lead to has the gradient 0.

    Raises:
        RuntimeError: a number in the graph was changed after it had been used.
    """
    gradients: dict[int, Any] = {id(output): upstream}
    found = []
    for node in reversed(topological(output)):
        if node.op == CONSTANT:
            continue
        upstream = gradients.pop(id(node), None)
        found.append((node, 0.0 if upstream is None else upstream))
        if upstream is None or not node.children:
            continue
        partials, numbers = RULES[node.op].partials, (*node.children, node) if is_recorded else node.saved
        if node.data is not node.saved[-1]:
            _check_unchanged(node.data, node.saved[-1], node)
        for place, child in enumerate(node.children):
            if child.data is not node.saved[place]:
                _check_unchanged(child.data, node.saved[place], node)
            if child.op == CONSTANT:
                continue
            local = partials[place][1](*numbers)
            if steps is not None:
                steps.append((node, place, local, upstream))
            if local is not None:
                # Times exactly 1 is left out: a graph of gradients would otherwise swell by a product each.
                share = upstream if local.__class__ is float and local == 1.0 else upstream * local
                gradients[id(child)] = gradients[id(child)] + share if id(child) in gradients else share
    return found


def grad(output: Value, inputs: Sequence[Value] | Value) -> tuple[Value, ...]:
    """The gradients of an output as Values: expressions that can be differentiated again.

    Leaves every `.grad` alone. An input that the output doesn't depend on has the gradient 0, where torch raises.

    Args:
        output: what is differentiated.
        inputs: by which; leaves or intermediate Values.

    Returns:
        d output / d input, one per input.

    Raises:
        TypeError: an input is no Value.
        RuntimeError: a number in the graph was changed after it had been used.
    """
    from gradyn.autodiff.value import Value

    asked = (inputs,) if isinstance(inputs, Value) else tuple(inputs)
    for place, one in enumerate((output, *asked)):
        if not isinstance(one, Value):
            raise TypeError(f"{'inputs' if place else 'output'} must be Values; got {type(one).__name__}. Wrap the number before using it.")
    found = {id(node): gradient for node, gradient in pull_back(output, is_recorded=True)}
    gradients = [found.get(id(one), 0.0) for one in asked]
    return tuple([one if isinstance(one, Value) else Value(one, (), CONSTANT) for one in gradients])


def _check_unchanged(now: float, then: float, node: Value) -> None:
    # Another object with the same number does no harm (pickled, or set to what it was); two nans count as the same.
    if now != then and not (now != now and then != then):
        raise RuntimeError(
            f"data must stay what it was when {node.op!r} was recorded; got {now!r} in place of {then!r}. "
            "Compute the output again, or change data only after the backward pass."
        )
