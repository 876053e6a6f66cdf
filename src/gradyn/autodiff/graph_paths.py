"""Paths in a graph: from the output down to a leaf, and how far each node is from it.

    graph.chain(to="w")       which operations the gradient of w passes, in the order in which it passes them

Can't: list all paths. There are exponentially many (n times x = x + x makes 2^n), which is why no pass ever follows them one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradyn.autodiff.graph import Edge, Graph


def inputs_of(graph: Graph) -> dict[str, list[Edge]]:
    """Node name -> edges into it, by place."""
    found: dict[str, list[Edge]] = {node.name: [] for node in graph.nodes}
    for edge in graph.edges:
        found[edge.target].append(edge)
    return found


def levels(graph: Graph) -> dict[str, int]:
    """Node name -> edges on the longest path from it to the output; 0 for the output itself."""
    inputs = inputs_of(graph)
    found = {node.name: 0 for node in graph.nodes}
    # Against the topological order: when a node's turn comes, all that use it have had theirs.
    for node in reversed(graph.nodes):
        for edge in inputs[node.name]:
            found[edge.source] = max(found[edge.source], found[node.name] + 1)
    return found


def chain(graph: Graph, to: str | None) -> list[str]:
    """As `Graph.chain`."""
    by_name, inputs = {node.name: node for node in graph.nodes}, inputs_of(graph)
    leads = {node.name for node in graph.nodes if to is None or node.label == to}
    if not leads:
        raise KeyError(f"to must be a label of the graph ({', '.join(node.label for node in graph.nodes if node.label)}); got {to!r}.")
    if to is not None:
        for node in graph.nodes:
            if any(edge.source in leads for edge in inputs[node.name]):
                leads.add(node.name)
    here, found = graph.output, [by_name[graph.output].op]
    while (to is None or by_name[here].label != to) and (below := [edge.source for edge in inputs[here] if edge.source in leads]):
        here = below[0]
        found.append(by_name[here].op)
    return found
