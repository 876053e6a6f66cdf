"""A computation graph: what was computed from what, as plain data that can be compared, searched, written down and drawn.

An edge leads from an input to what was computed from it. The value goes along it, the gradient comes back against it.
Can't: say what did not happen: the branch not taken and the round not run have no nodes. A graph is of one run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from gradyn.autodiff.graph_collapse import collapsed
from gradyn.autodiff.graph_paths import chain, levels
from gradyn.autodiff.graph_text import dot, mermaid, networkx_graph


@dataclass(frozen=True, slots=True)
class Node:
    """One value of the computation and the operation that made it. Equal nodes agree in all but their numbers.

    Args:
        name: unique in its graph; n0, n1, ... with every input before what is computed from it.
        op: as recorded: `sigmoid` by the engine, `SigmoidBackward0` by torch, a class name for a collapsed module.
        kind: leaf, constant, operation or module.
        label: what the user calls it: a parameter's name, a variable; empty where it has no name.
        shape: of the value; None where it isn't known.
        modules: module calls that it was computed in, outermost first (`block`, `block.0`; a second call is `block (2)`).
        saved: what the operation keeps for its backward pass: name -> shape, None where it was freed.
        value: the number or array itself, where it has at most 64 elements and is known.
        grad: d output / d value, same shape, where asked for. grad_l2: its Euclidean norm, known for any size.
    """

    name: str
    op: str
    kind: str
    label: str = ""
    shape: tuple[int, ...] | None = None
    modules: tuple[str, ...] = ()
    saved: Mapping[str, tuple[int, ...] | None] = field(default_factory=dict)
    value: np.ndarray | None = field(default=None, compare=False)
    grad: np.ndarray | None = field(default=None, compare=False)
    grad_l2: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Edge:
    """One use of a value: `x * x` has two edges from x.

    Args:
        source: name of the node whose value is used.
        target: name of the node that uses it.
        place: which argument of the target.
        output: which output of the source, for operations with several.
        grad: what comes back along it, the target's gradient times the local derivative; shape of the source. grad_l2: its norm.
    """

    source: str
    target: str
    place: int
    output: int = 0
    grad: np.ndarray | None = field(default=None, compare=False)
    grad_l2: float | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Graph:
    """A directed acyclic graph; two are equal if the same operations made them from the same leaves.

    Args:
        nodes: in a topological order, the output last.
        edges: by target, then place.
        output: name of the node that all others lead to.
        classes: class name of each module call in `Node.modules`.
    """

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]
    output: str
    classes: Mapping[str, str] = field(default_factory=dict)

    def chain(self, to: str | None = None) -> list[str]:
        """Names of the operations from the output down to a leaf: the first input at every step that leads there.

        Args:
            to: label of the leaf; None: whichever the first inputs lead to.

        Raises:
            KeyError: no node has that label.
        """
        return chain(self, to)

    def levels(self) -> dict[str, int]:
        """Node name -> edges on the longest path from it to the output; the largest is the depth."""
        return levels(self)

    def collapsed(self, level: int | None = None) -> Graph:
        """The same graph with each call of a module as one node.

        Args:
            level: 1 for the outermost modules, 2 for those inside them, ...; None for the innermost.

        Raises:
            ValueError: the level is below 1.
        """
        return collapsed(self, level)

    def dot(self) -> str:
        """The graph in Graphviz's language; nothing here needs the program."""
        return dot(self)

    def mermaid(self) -> str:
        """The graph in Mermaid's language, which many editors draw in Markdown."""
        return mermaid(self)

    def networkx(self) -> Any:
        """The graph as `networkx.MultiDiGraph`, with the fields of `Node` and `Edge` as attributes."""
        return networkx_graph(self)
