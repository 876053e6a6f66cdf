"""The laws of the graph can fail: each rejects a copy of the real module in which one line is changed."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import networkx
import numpy as np
import pytest
import torch

from gradyn.autodiff import Graph, Value, graph_of

ODD = 'a "b" \\'


def twin(name: str, line: str, changed: str) -> ModuleType:
    """A copy of gradyn.autodiff.<name> with one line changed."""
    path = importlib.import_module(f"gradyn.autodiff.{name}").__file__
    text = Path(str(path)).read_text(encoding="utf-8")
    assert text.count(line) == 1, f"{name} has the line {text.count(line)} times: {line}"
    made = ModuleType(name)
    exec(compile(text.replace(line, changed), name, "exec"), made.__dict__)
    return made


def gradients_add_up(module: ModuleType) -> bool:
    """A value used three times has the sum of what comes back, which is what backward() would add to its grad."""
    x = torch.tensor([2.0, -1.0], requires_grad=True)
    y = (x * x + x.exp()).sum()
    graph = module.graph_of(y, upstream=1.0)
    y.backward()
    return bool(np.allclose(graph.nodes[0].grad, x.grad.numpy(), rtol=1e-14, atol=0))


def walks_deep(module: ModuleType) -> bool:
    """5,000 operations in a row are walked, inputs first."""
    y = torch.ones(1, requires_grad=True)
    for _ in range(5000):
        y = y * 1.0
    try:
        graph = module.graph_of(y)
    except RecursionError:
        return False
    return [node.op for node in graph.nodes[:2]] == ["AccumulateGrad", "MulBackward0"] and len(graph.nodes) == 5001


def keeps_every_use(module: ModuleType) -> bool:
    """x * x has two edges."""
    x = torch.ones(1, requires_grad=True)
    return len(module.graph_of(x * x).edges) == 2


def gates_are_closed(module: ModuleType) -> bool:
    """Nothing comes back through relu at -1."""
    graph: Graph = module.graph_of_value(Value(-1.0).relu(), {}, 1.0)
    return float(graph.edges[0].grad) == 0.0


def leaves_grad_alone(module: ModuleType) -> bool:
    """Looking at gradients adds nothing to any grad."""
    x = torch.ones(1, requires_grad=True)
    y = x * 2
    module.gradients(y, [y.grad_fn.next_functions[0][0], y.grad_fn], torch.ones(1))
    return x.grad is None


def dot_is_quoted(module: ModuleType) -> bool:
    """What is inside the quotes of a label reads back as the label."""
    x = Value(1.0)
    text = module.dot(graph_of(x * x, names={ODD: x}))
    return 'label="a \\"b\\" \\\\\\n1"' in text


def mermaid_is_quoted(module: ModuleType) -> bool:
    """No quote of a label ends it."""
    x = Value(1.0)
    return "#34;b#34;" in module.mermaid(graph_of(x * x, names={ODD: x}))


def stays_acyclic(module: ModuleType) -> bool:
    """What is drawn together has an order."""
    made = torch.nn.ModuleDict({"around": torch.nn.ParameterDict({"p": torch.nn.Parameter(torch.ones(2)), "q": torch.nn.Parameter(torch.ones(2))})})
    start = torch.ones(2) * made["around"]["p"]
    graph = graph_of(torch.addcmul(start, start.exp(), made["around"]["q"]), module=made)
    try:
        return module.collapsed(graph) is not None
    except networkx.NetworkXUnfeasible:
        return False


BROKEN: list[tuple[Callable[[Any], bool], str, str, str]] = [
    (gradients_add_up, "graph_walk", "functools.reduce(torch.add, terms) if terms", "terms[-1] if terms"),
    (gradients_add_up, "graph_read", "{(node, place): one.detach()", "{(node, 0): one.detach()"),
    (keeps_every_use, "graph_walk", "enumerate(node.next_functions)", "enumerate(dict.fromkeys(node.next_functions))"),
    (walks_deep, "graph_walk", "            order.append(node)\n", "            order.insert(0, node)\n"),
    (gates_are_closed, "graph_value", "0.0 if local is None else above * local", "above if local is None else above * local"),
    (
        leaves_grad_alone,
        "graph_read",
        "torch.autograd.grad(x, leaves or [x], start, retain_graph=True, allow_unused=True)",
        "x.backward(start, retain_graph=True)",
    ),
    (dot_is_quoted, "graph_text", '.replace("\\\\", "\\\\\\\\").replace(\'"\'', ".replace('\"'"),
    (mermaid_is_quoted, "graph_text", r"[^\w .,:=", r"[^\w \" .,:="),
    (stays_acyclic, "graph_collapse", "while cyclic := _in_cycles(graph, group):", "while cyclic := set():"),
]


@pytest.mark.parametrize(("law", "module", "line", "changed"), BROKEN, ids=[f"{law.__name__}-{module}" for law, module, _, _ in BROKEN])
def test_a_law_holds_and_rejects_the_broken_twin(law: Callable[[Any], bool], module: str, line: str, changed: str, monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.import_module(f"gradyn.autodiff.{module}")
    walk = importlib.import_module("gradyn.autodiff.graph_walk")
    broken = twin(module, line, changed)
    if law in (gradients_add_up,) and module == "graph_read":
        assert law(walk)
        monkeypatch.setattr(walk, "gradients", broken.gradients)
        assert not law(walk)
    else:
        assert law(real)
        assert not law(broken)


def test_a_recursive_walk_would_fail_the_law_of_depth() -> None:
    recursive = ModuleType("recursive")

    def walk(node: Any) -> list[Any]:
        return [*(one for below, _ in node.next_functions if below is not None for one in walk(below)), node]

    recursive.graph_of = lambda y: walk(y.grad_fn)  # type: ignore[attr-defined]
    assert not walks_deep(recursive)
