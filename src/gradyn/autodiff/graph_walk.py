"""The graph of a torch tensor: `grad_fn` is the last operation, `next_functions` lead to those before it, down to the leaves.

    graph_of((w * x + b - 5) ** 2).chain()    # PowBackward0, SubBackward0, AddBackward0, MulBackward0, AccumulateGrad

Can't: show what needs no gradient. Torch records nothing of a tensor without `requires_grad`: a constant factor has no node.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gradyn.autodiff.graph import Edge, Graph, Node
from gradyn.autodiff.graph_owner import owners, parameter_labels
from gradyn.autodiff.graph_read import LEAF, gradients, node_of, saved, saved_names, shown, upstream_of
from gradyn.autodiff.graph_trace import Trace
from gradyn.autodiff.graph_value import graph_of_value
from gradyn.autodiff.number import as_float
from gradyn.autodiff.value import Value


def graph_of(
    x: Tensor | Value, *, module: nn.Module | None = None, names: Mapping[str, Any] | None = None, trace: Trace | None = None, upstream: Any = None
) -> Graph:
    """The computation graph that ends in x.

    Args:
        x: a tensor that requires grad, of any shape, or a Value.
        module: names its parameters, and tells which operations use them.
        names: label -> tensor or Value: what the user calls leaves and intermediates.
        trace: of the forward pass: values, and calls of modules; brings its own module.
        upstream: d (something later) / d x, a number or a tensor of x's shape: runs the backward pass and keeps the gradient of every
            node and edge. `.grad` stays as it is, and so does the graph. None: no gradients.

    Raises:
        TypeError: x is neither a tensor nor a Value, a named one is not of its kind, or upstream is no number.
        ValueError: x requires no grad (an integer tensor never does), or upstream does not fit it.
        RuntimeError: gradients are asked of a graph that an earlier backward has freed.
    """
    if not isinstance(x, Tensor | Value):
        raise TypeError(f"x must be a torch tensor or a Value; got {type(x).__name__}. Give what the computation returned.")
    names = names or {}
    alike = Value if isinstance(x, Value) else Tensor
    for label, one in names.items():
        if not isinstance(one, alike):
            raise TypeError(f"names must hold {alike.__name__}s, as x is one; got {type(one).__name__} for {label!r}. Leave out what is no part of the graph.")
    if isinstance(x, Value):
        return graph_of_value(x, names, None if upstream is None else as_float(upstream, "upstream"))
    if not x.requires_grad:
        raise ValueError(f"x must require grad to have a graph; got {x.dtype} without. Set requires_grad_() on a float tensor that it is computed from.")
    module = module if module is not None or trace is None else trace.module
    order = _topological(node_of(x))
    name_of = {node: f"n{number}" for number, node in enumerate(order)}
    back = gradients(x, order, upstream) if upstream is not None else {}
    labels = {node_of(tensor): label for label, tensor in names.items() if tensor.requires_grad}
    labels = parameter_labels(module, order) | labels
    values = (trace.values if trace else {}) | {node_of(tensor): tensor for tensor in names.values() if tensor.requires_grad}
    calls, classes = (trace.calls, trace.classes) if trace else ({}, {})
    calls, classes = owners(module, order, calls, classes)
    edges = []
    into: dict[Any, list[Tensor]] = defaultdict(list)
    for node in order:
        for place, (below, output) in enumerate(node.next_functions):
            if below is not None:
                gradient = back.get((node, place))
                edges.append(Edge(name_of[below], name_of[node], place, output, **shown("grad", gradient)))
                into[below] += [gradient] if gradient is not None else []
    if upstream is not None:
        into[order[-1]].append(upstream_of(x, upstream))
    attributes = {kind: saved_names(kind) for kind in {type(node) for node in order}}
    nodes = []
    for node in order:
        op = type(node).__name__
        value = node.variable if op == LEAF else values.get(node)
        # A node of several outputs has a gradient for each: none of them is the node's.
        gradient = _sum(into[node]) if len(node._input_metadata) == 1 else None
        shape = tuple(node._input_metadata[0].shape) if len(node._input_metadata) == 1 else None
        kind = "leaf" if op == LEAF else "operation"
        numbers = {**shown("value", value), **shown("grad", gradient)}
        nodes.append(Node(name_of[node], op, kind, labels.get(node, ""), shape, calls.get(node, ()), saved(node, attributes[type(node)]), **numbers))
    return Graph(tuple(nodes), tuple(edges), name_of[order[-1]], classes)


def _sum(terms: list[Tensor]) -> Tensor | None:
    # In the order in which they were found; a value used n times has n terms.
    return functools.reduce(torch.add, terms) if terms else None


def _topological(output: Any) -> list[Any]:
    """Every operation below one, itself last and inputs first; by a stack of our own, for Python's calls end near depth 1,000."""
    order: list[Any] = []
    seen = set()
    stack = [(output, False)]
    while stack:
        node, is_done = stack.pop()
        if is_done:
            order.append(node)
        elif node not in seen:
            seen.add(node)
            stack.append((node, True))
            stack += [(below, False) for below, _ in reversed(node.next_functions) if below is not None]
    return order
