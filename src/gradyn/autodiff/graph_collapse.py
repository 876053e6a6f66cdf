"""Collapsing: a graph of operations drawn together to a graph of modules, one node for each call.

What a call computed becomes one node; its parameters go into it unless somebody else uses them too (shared weights stay outside).

Can't: collapse what would bite its own tail. Where a module's operations surround one that is not its own, drawing them together
would make a cycle, and they stay as they are.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradyn.autodiff.graph import Edge, Graph, Node


def collapsed(graph: Graph, level: int | None = None) -> Graph:
    """As `Graph.collapsed`."""
    if level is not None and level < 1:
        raise ValueError(f"level must be 1 (outermost) or more, or None for the innermost modules; got {level}.")
    group = _groups(graph, level)
    while cyclic := _in_cycles(graph, group):
        group = {name: name if key in cyclic else key for name, key in group.items()}
    return _contracted(graph, group, {node.name: _call_of(node, level) for node in graph.nodes})


def _call_of(node: Node, level: int | None) -> str | None:
    if not node.modules:
        return None
    return node.modules[-1] if level is None else node.modules[min(level, len(node.modules)) - 1]


def _groups(graph: Graph, level: int | None) -> dict[str, str]:
    """Node -> the first node of its group: nodes of one call that hang together."""
    by_name = {node.name: node for node in graph.nodes}
    calls = {node.name: _call_of(node, level) for node in graph.nodes}
    users: dict[str, set[str | None]] = defaultdict(set)
    for edge in graph.edges:
        users[edge.source].add(calls[edge.target])
    for name, found in users.items():
        if by_name[name].kind == "leaf" and found != {calls[name]}:
            calls[name] = None
    root = {node.name: node.name for node in graph.nodes}

    def find(name: str) -> str:
        while root[name] != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    for edge in graph.edges:
        if calls[edge.source] is not None and calls[edge.source] == calls[edge.target]:
            root[find(edge.source)] = find(edge.target)
    return {name: find(name) for name in root}


def _drawn_together(graph: Graph, group: dict[str, str]) -> Any:
    import networkx  # type: ignore[import-untyped]

    made = networkx.DiGraph()
    made.add_nodes_from(group.values())
    made.add_edges_from((group[edge.source], group[edge.target]) for edge in graph.edges if group[edge.source] != group[edge.target])
    return made


def _in_cycles(graph: Graph, group: dict[str, str]) -> set[str]:
    import networkx

    parts = networkx.strongly_connected_components(_drawn_together(graph, group))
    return {key for part in parts if len(part) > 1 for key in part}


def _contracted(graph: Graph, group: dict[str, str], calls: dict[str, str | None]) -> Graph:
    import networkx

    from gradyn.autodiff.graph import Graph

    members: dict[str, list[Node]] = defaultdict(list)
    for node in graph.nodes:
        members[group[node.name]].append(node)
    crossing = [edge for edge in graph.edges if group[edge.source] != group[edge.target]]
    # A call of one operation (a ReLU) is that operation under the module's name.
    sizes = Counter(calls[node.name] for node in graph.nodes if node.kind == "operation")
    nodes = {}
    for key, inside in members.items():
        # Nodes come in topological order: the last one is what the module hands on.
        last, call = inside[-1], calls[inside[-1].name] or ""
        is_module = call != "" and last.kind == "operation" and (len(inside) > 1 or sizes[call] == 1)
        nodes[key] = replace(last, op=graph.classes.get(call, "module"), kind="module", label=call, saved={}) if is_module else last
    place = {key: number for number, key in enumerate(nodes)}
    order = networkx.lexicographical_topological_sort(_drawn_together(graph, group), key=lambda key: place[key])
    names = {key: f"n{number}" for number, key in enumerate(order)}
    # The arguments of a call are numbered anew, in the order of its operations: two of them may have had the same place.
    edges: list[Edge] = []
    used: Counter[str] = Counter()
    for edge in sorted(crossing, key=lambda edge: int(names[group[edge.target]][1:])):
        target = names[group[edge.target]]
        edges.append(replace(edge, source=names[group[edge.source]], target=target, place=used[target]))
        used[target] += 1
    return Graph(tuple([replace(nodes[key], name=name) for key, name in names.items()]), tuple(edges), names[group[graph.output]], graph.classes)
