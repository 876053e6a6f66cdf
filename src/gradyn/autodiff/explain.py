"""The backward pass told aloud: every local derivative, in words and as a number, times the upstream gradient that meets it.

It prints what `differentiate` does and computes nothing of its own: the steps are those of the pass itself, in its order.

Can't: be short. A line an edge is what happened; of a net with a thousand weights it is a book that nobody reads.
"""

from __future__ import annotations

from collections.abc import Sequence

from gradyn.autodiff.differentiate import pull_back, topological
from gradyn.autodiff.number import CONSTANT
from gradyn.autodiff.rules import RULES
from gradyn.autodiff.value import Value


def explain(output: Value, /, **names: Value) -> str:
    """The forward values, each step of the backward pass, and the gradients, as text. Changes no `grad`.

    Args:
        output: what is differentiated.
        **names: what Values are called in the text (`explain(loss, x=x, w=w)`); others are v1, v2, ... in the order in which they
            were computed.

    Returns:
        Lines. `w += 2 * 4 = 8` says: to the gradient of w is added the local derivative 2 times the upstream gradient 4.

    Raises:
        TypeError: `output` or a named one is no Value.
        RuntimeError: a number in the graph was changed after it had been used.
    """
    for key, given in {"output": output, **names}.items():
        if not isinstance(given, Value):
            raise TypeError(f"{key} must be a Value; got {type(given).__name__}. Give what `backward` would be called on, and the names of Values in it.")
    order = [node for node in topological(output) if node.op != CONSTANT]
    called = _names(output, names)
    steps: list[tuple[Value, int, float | None, float]] = []
    totals = {id(node): gradient for node, gradient in pull_back(output, steps=steps)}
    forward = [(f"{called[id(node)]} = {_formula(node, called)}" if node.children else called[id(node)], f"= {node.data:g}") for node in order]
    rows, sums = [], dict.fromkeys(totals, 0.0)
    met: set[int] = set()
    for node, place, local, upstream in steps:
        child = node.children[place]
        name, words = called[id(child)], RULES[node.op].partials[place][0].format(**_inputs(node, called))
        # A closed gate is said to give 0, whatever met it.
        factor, share = (0.0, 0.0) if local is None else (local, local * upstream)
        sums[id(child)] += share
        value = f"{factor:g}" if words in (f"{factor:g}", _number(factor)) else f"{words} = {factor:g}"
        total = f", in all {sums[id(child)]:g}" if id(child) in met else ""
        met.add(id(child))
        slope = f"d {called[id(node)]} / d {name} = {value}"
        rows.append((f"{called[id(node)]} = {_formula(node, called)}:", slope, f"{name} += {_number(factor)} * {_number(upstream)} = {share:g}{total}"))
    begin = f"backward, begun with d {called[id(output)]} / d {called[id(output)]} = 1"
    lines = ["forward", *_aligned(forward), "", begin, *_aligned(rows)]
    leaves = [node for node in order if not node.children]
    lines += ["", "gradients", *[f"  d {called[id(output)]} / d {called[id(leaf)]} = {totals[id(leaf)]:g}" for leaf in leaves]]
    return "\n".join(lines)


def _names(output: Value, names: dict[str, Value]) -> dict[int, str]:
    """What each node is called: by the reader's name, a plain number by itself, the rest by its place."""
    called = {id(value): name for name, value in names.items()}
    count = 0
    for node in topological(output):
        if id(node) in called:
            continue
        if node.op == CONSTANT:
            called[id(node)] = _number(node.data)
            continue
        count += 1
        while f"v{count}" in names:
            count += 1
        called[id(node)] = f"v{count}"
    return called


def _number(number: float) -> str:
    # By the sign that is printed: -0 has one, and nan has none.
    text = f"{number:g}"
    return f"({text})" if text.startswith("-") else text


def _inputs(node: Value, called: dict[int, str]) -> dict[str, str]:
    return {"y": called[id(node)], **{letter: called[id(child)] for letter, child in zip("ab", node.children, strict=False)}}


def _formula(node: Value, called: dict[int, str]) -> str:
    return RULES[node.op].text.format(**_inputs(node, called))


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    """The rows as columns, two spaces apart."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  " + "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
