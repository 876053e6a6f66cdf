"""The graph of a `Value`: its children are the edges, its operation the node.

Can't: name the leaves. A Value does not know which variable holds it; `names` says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from gradyn.autodiff.differentiate import pull_back, topological
from gradyn.autodiff.graph import Edge, Graph, Node
from gradyn.autodiff.number import CONSTANT
from gradyn.autodiff.value import Value


def graph_of_value(output: Value, names: Mapping[str, Any], upstream: float | None) -> Graph:
    """As `graph_of` for a Value.

    Args:
        output: the Value.
        names: label -> Value.
        upstream: where the backward pass begins; None for none. Leaves every `.grad` alone.
    """
    order = topological(output)
    name_of = {id(node): f"n{number}" for number, node in enumerate(order)}
    label_of = {id(value): label for label, value in names.items()}
    steps: list[tuple[Value, int, Any, Any]] = []
    gradients = {id(node): gradient for node, gradient in pull_back(output, upstream, steps=steps)} if upstream is not None else {}
    # A closed gate (None) sends nothing back.
    back = {(id(node), place): 0.0 if local is None else above * local for node, place, local, above in steps}
    nodes, edges = [], []
    for node in order:
        kind = "operation" if node.children else "constant" if node.op == CONSTANT else "leaf"
        gradient = gradients.get(id(node))
        nodes.append(Node(name_of[id(node)], node.op, kind, label_of.get(id(node), ""), (), value=np.asarray(node.data), **_grad(gradient)))
        for place, child in enumerate(node.children):
            edges.append(Edge(name_of[id(child)], name_of[id(node)], place, **_grad(back.get((id(node), place)))))
    return Graph(tuple(nodes), tuple(edges), name_of[id(output)])


def _grad(gradient: float | None) -> dict[str, Any]:
    return {} if gradient is None else {"grad": np.asarray(gradient), "grad_l2": abs(gradient)}
