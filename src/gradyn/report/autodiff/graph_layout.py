"""Where the nodes of a computation graph stand: in columns by their distance from the output, in an order with few crossings.

After Sugiyama, Tagawa & Toda 1981: columns by the longest path, places for long edges in every column that they pass, sweeps that put
each node at the mean of its neighbours, and a last spreading that keeps the order and the least distance.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gradyn.autodiff import Graph

# Sweeps change little after the first few; a pass costs one look at every edge.
_SWEEPS = 12
# Beyond this, long edges get no places of their own: a graph 5,000 deep could ask for millions.
_MOST_PLACES = 20_000


@dataclass(frozen=True)
class Layout:
    """Columns and rows of a graph, in units of one box.

    Args:
        place: node -> (column, row); column 0 holds the leaf that is farthest from the output, rows count downwards from 0.
        routes: for each edge of the graph the points (column, row) that it passes, both ends included.
        columns: how many there are.
        rows: from the first to the last row, and one.
    """

    place: dict[str, tuple[float, float]]
    routes: list[list[tuple[float, float]]]
    columns: int
    rows: float


def layout(graph: Graph) -> Layout:
    """Place the nodes of a graph; leaves stand one column before their first use.

    Args:
        graph: of any size; time grows with its edges.
    """
    level = graph.levels()
    deepest = max(level.values())
    column = {name: deepest - value for name, value in level.items()}
    chains = _chains(graph, column)
    links = [pair for chain in chains for pair in pairwise(chain)]
    columns: dict[int, list[str]] = defaultdict(list)
    for name in _by_first_input(graph, chains):
        columns[column[name]].append(name)
    below, above = _neighbours(links), _neighbours([(target, source) for source, target in links])
    row = {name: float(number) for members in columns.values() for number, name in enumerate(members)}
    for sweep in range(_SWEEPS):
        forwards = sweep % 2 == 0
        for number in sorted(columns, reverse=not forwards):
            near = below if forwards else above
            wish = {name: float(np.mean([row[other] for other in near[name]])) if near[name] else row[name] for name in columns[number]}
            columns[number].sort(key=lambda name: wish[name])
            row |= dict(zip(columns[number], _spread([wish[name] for name in columns[number]]), strict=True))
    top = min(row.values())
    place = {name: (float(column[name]), row[name] - top) for name in row}
    routes = [[place[name] for name in chain] for chain in chains]
    nodes = {node.name: place[node.name] for node in graph.nodes}
    return Layout(nodes, routes, deepest + 1, max(at for _, at in place.values()) + 1)


def _chains(graph: Graph, column: dict[str, int]) -> list[list[str]]:
    """For each edge its ends, and between them a place in every column that it passes."""
    total = sum(column[edge.target] - column[edge.source] - 1 for edge in graph.edges)
    chains = []
    for number, edge in enumerate(graph.edges):
        between = range(column[edge.source] + 1, column[edge.target]) if total <= _MOST_PLACES else ()
        places = [f"{number}:{at}" for at in between]
        column |= dict(zip(places, between, strict=True))
        chains.append([edge.source, *places, edge.target])
    return chains


def _by_first_input(graph: Graph, chains: list[list[str]]) -> list[str]:
    """All places in the order in which a walk from the output meets them, first inputs first: the order of the formula."""
    into: dict[str, list[list[str]]] = defaultdict(list)
    for chain in chains:
        into[chain[-1]].append(chain)
    found: dict[str, None] = {}
    stack = [graph.output]
    while stack:
        name = stack.pop()
        if name in found:
            continue
        found[name] = None
        for chain in into[name]:
            found |= dict.fromkeys(chain[1:-1])
        stack += [chain[0] for chain in reversed(into[name])]
    return list(found)


def _neighbours(links: list[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for source, target in links:
        found[target].append(source)
    return found


def _spread(wishes: list[float]) -> list[float]:
    """Rows at least 1 apart, in the given order, as near to the wishes as least squares brings them (pooling adjacent violators)."""
    blocks: list[tuple[float, int]] = []
    for number, wish in enumerate(wishes):
        blocks.append((wish - number, 1))
        while len(blocks) > 1 and blocks[-2][0] > blocks[-1][0]:
            (late, m), (early, n) = blocks.pop(), blocks.pop()
            blocks.append(((late * m + early * n) / (m + n), m + n))
    return [mean + number for number, mean in enumerate(mean for mean, count in blocks for _ in range(count))]
