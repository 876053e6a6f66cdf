"""Differentiating: the chain rule, walked from the output to the leaves.

Each node hands every child its own gradient times one local derivative, after all its parents have done the same for it: the reverse of
a topological order. `backward` adds floats up; `grad` runs the same pass on Values, so that what comes out is again an expression.

Can't: forget. All Values between inputs and output are kept until the pass is over; a depth of n costs memory n (torch's checkpointing
trades that for a second forward pass).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gradyn.autodiff.rules import RULES

if TYPE_CHECKING:
    from gradyn.autodiff.value import Value


def topological(output: Value) -> list[Value]:
    """Everything an output was computed from, itself last: each node once, and after its children.

    By a stack of our own instead of calls: Python's gives up near depth 1,000.
    """
    order: list[Value] = []
    seen: set[int] = set()
    stack: list[tuple[Value, bool]] = [(output, False)]
    while stack:
        node, are_children_done = stack.pop()
        if are_children_done:
            order.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            stack.extend((child, False) for child in reversed(node.children))
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
        if node.op == "const":
            continue
        upstream = gradients.pop(id(node), None)
        found.append((node, 0.0 if upstream is None else upstream))
        if upstream is None or not node.children:
            continue
        _check_unchanged(node)
        numbers = (*node.children, node) if is_recorded else node.saved
        for place, child in enumerate(node.children):
            if child.op == "const":
                continue
            local = RULES[node.op].partials[place][1](*numbers)
            if steps is not None:
                steps.append((node, place, local, upstream))
            if local is None:
                continue
            # Times exactly 1 is left out: the sums of a graph of gradients would otherwise swell by a product each.
            share = upstream if isinstance(local, float) and local == 1.0 else upstream * local
            gradients[id(child)] = gradients[id(child)] + share if id(child) in gradients else share
    return found


def grad(output: Value, inputs: Sequence[Value] | Value) -> tuple[Value, ...]:
    """The gradients of an output as Values: expressions that can be differentiated again.

    Leaves every `.grad` alone. An input that the output doesn't depend on has the gradient 0 (torch raises there, unless told
    `allow_unused`; but the third derivative of x ** 2 is a number like any other).

    Args:
        output: what is differentiated.
        inputs: by which; leaves or intermediate Values.

    Returns:
        d output / d input for each, in the order of the inputs.

    Raises:
        TypeError: an input is no Value.
        RuntimeError: a number in the graph was changed after it had been used.
    """
    from gradyn.autodiff.value import CONSTANT, Value

    asked = (inputs,) if isinstance(inputs, Value) else tuple(inputs)
    for place, one in enumerate((output, *asked)):
        if not isinstance(one, Value):
            raise TypeError(f"{'inputs' if place else 'output'} must be Values; got {type(one).__name__}. Wrap the number before computing with it.")
    found = {id(node): gradient for node, gradient in pull_back(output, is_recorded=True)}
    gradients = [found.get(id(one), 0.0) for one in asked]
    return tuple([one if isinstance(one, Value) else Value(one, (), CONSTANT) for one in gradients])


def _check_unchanged(node: Value) -> None:
    for number, saved in zip((*node.children, node), node.saved, strict=True):
        # Equality too, for what was pickled or set to the same number; a nan is equal to nothing but itself.
        if number.data is not saved and number.data != saved:
            raise RuntimeError(
                f"data must stay what it was when {node.op!r} was recorded; got {number.data!r} in place of {saved!r}. "
                "Compute the output again, or change data only after the backward pass."
            )
