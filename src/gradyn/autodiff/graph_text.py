"""A graph as text and as a networkx object: DOT, Mermaid, and what stands in a node's box.

Both languages give some characters a meaning; a label may hold any, so all of them are escaped.

Can't: place the nodes. DOT and Mermaid say who is connected; the program that reads them decides where they stand.
"""

from __future__ import annotations

import dataclasses
import re
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from gradyn.autodiff.graph import Edge, Graph, Node

# Words of the forward pass for torch's names of the backward one; any other is the name without its ending.
_FORWARD = {"Mm": "matmul", "Mv": "matmul", "Bmm": "matmul", "Dot": "matmul", "Addmm": "linear", "T": "transpose", "AccumulateGrad": "leaf"}
# More numbers than this in one box are read by nobody.
_WRITTEN = 9
_COLOURS = {"leaf": "#DCEBF7", "constant": "#EEEEEE", "operation": "#FFFFFF", "module": "#E4F2E7"}


def forward_name(op: str) -> str:
    """The operation's name in the forward pass: MvBackward0 -> matmul, SigmoidBackward0 -> sigmoid; the engine's stay."""
    stem = re.sub(r"Backward\d*$", "", op)
    return _FORWARD.get(stem) or (stem if stem == op else re.sub(r"(?<!^)(?=[A-Z][a-z])", " ", stem).lower())


def shape_text(shape: tuple[int, ...] | None) -> str:
    """[2, 3]; empty for a scalar and where it isn't known."""
    return str(list(shape)) if shape else ""


def number_text(values: np.ndarray | None, digits: int = 3) -> str:
    """A number or a small array, as Python prints it, on one line; empty for None.

    Args:
        values: scalar, vector or matrix.
        digits: significant ones.
    """
    if values is None:
        return ""
    if np.ndim(values):
        return f"[{', '.join(number_text(row, digits) for row in values)}]"
    text = f"{np.asarray(values).item():.{digits}g}"
    return "0" if text == "-0" else text


def lines_of(node: Node) -> list[str]:
    """What stands in a node's box: name, operation and shape, value, gradient, saved tensors."""
    title = [node.label, node.op, shape_text(node.shape)] if node.kind != "constant" else [node.label]
    saved = ", ".join(f"{name} {'freed' if shape is None else list(shape)}" for name, shape in node.saved.items())
    found = [" ".join(word for word in title if word), _few(node.value), _gradient_text(node, "grad ")]
    found += [f"saved {saved}"] if saved else []
    return [line for line in found if line] or [node.kind]


def _few(values: np.ndarray | None) -> str:
    return number_text(values) if values is not None and np.size(values) <= _WRITTEN else ""


def _gradient_text(thing: Node | Edge, word: str = "") -> str:
    """The numbers of a small gradient, the norm of a larger one, empty where there is none."""
    if text := _few(thing.grad):
        return word + text
    return f"|grad| {thing.grad_l2:.3g}" if thing.grad_l2 is not None else ""


def dot(graph: Graph) -> str:
    """As `Graph.dot`; every label is a quoted string, in which backslash and quote are escaped and a line break is written."""
    lines = ["digraph {", "  rankdir=LR;", '  node [shape=box, style="rounded,filled", fontname="sans-serif"];']
    for node in graph.nodes:
        colour = _COLOURS[node.kind]
        lines.append(f'  {node.name} [label="{_dot_escaped(chr(10).join(lines_of(node)))}", fillcolor="{colour}"];')
    for edge in graph.edges:
        text = _dot_escaped(_gradient_text(edge))
        lines.append(f"  {edge.source} -> {edge.target}" + (f' [label="{text}"];' if text else ";"))
    return "\n".join([*lines, "}"]) + "\n"


def mermaid(graph: Graph) -> str:
    """As `Graph.mermaid`; what could end a label or begin a tag is written as its character code."""
    lines = ["flowchart LR"]
    lines += [f'  {node.name}["{"<br/>".join(map(_mermaid_escaped, lines_of(node)))}"]:::{node.kind}' for node in graph.nodes]
    for edge in graph.edges:
        text = _mermaid_escaped(_gradient_text(edge))
        lines.append(f"  {edge.source} -->" + (f'|"{text}"| ' if text else " ") + edge.target)
    lines += [f"  classDef {kind} fill:{_COLOURS[kind]},stroke:#444444,color:#222222" for kind in sorted({node.kind for node in graph.nodes})]
    return "\n".join(lines) + "\n"


def networkx_graph(graph: Graph) -> Any:
    """As `Graph.networkx`; a key of an edge is the place of the argument, so that x * x keeps both."""
    import networkx  # type: ignore[import-untyped]

    made = networkx.MultiDiGraph(output=graph.output)
    for node in graph.nodes:
        made.add_node(node.name, **{field.name: value for field, value in _fields(node) if field.name != "name"})
    for edge in graph.edges:
        made.add_edge(
            edge.source, edge.target, key=edge.place, **{field.name: value for field, value in _fields(edge) if field.name not in ("source", "target")}
        )
    return made


def _fields(thing: Any) -> list[tuple[Any, Any]]:
    return [(field, getattr(thing, field.name)) for field in dataclasses.fields(thing)]


def _dot_escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\r", "").replace("\n", "\\n")


def _mermaid_escaped(text: str) -> str:
    # Letters, digits and what has no meaning inside a quoted label stay; all else goes by its code. Mermaid 10 and 11 read labels as Markdown, where
    # a line "*" or "1. x" begins a list (drawn as "Unsupported markdown: list"), _x_ is slanted, and [1](2) is a link.
    return re.sub(r"[^\w .,:=()\[\]/|-]|(?<!\w)_|_(?!\w)|-(?![\w.])|(?<=\d)[.)](?!\w)|(?<=\])\(", lambda found: f"#{ord(found[0])};", text)
