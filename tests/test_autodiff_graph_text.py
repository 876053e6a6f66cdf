"""A graph as DOT, Mermaid and networkx: every label survives, and so does any size."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from gradyn.autodiff import Value, graph_of

ODD = 'say "hi" \\ <b>x</b> & #1; `a`\n{y} |z| [w]; é %% end'


def test_dot_labels_are_escaped() -> None:
    x = Value(1.0)
    text = graph_of(x + x, names={ODD: x}, upstream=1.0).dot()
    lines = text.splitlines()
    assert lines[0] == "digraph {"
    assert lines[-1] == "}"
    (label,) = [line for line in lines if "say" in line]
    quoted = re.findall(r'"((?:[^"\\]|\\.)*)"', label)
    assert len(quoted) == 2, "one label and one colour: no quote of the label ended it"
    read = re.sub(r"\\(.)", lambda found: "\n" if found[1] == "n" else found[1], quoted[0])
    assert read.startswith(ODD + "\n1\ngrad 2")


def test_mermaid_labels_are_escaped() -> None:
    x = Value(1.0)
    text = graph_of(x + x, names={ODD: x}).mermaid()
    (label,) = [line for line in text.splitlines() if "say" in line]
    found = re.fullmatch(r'  n0\["(.*)"\]:::leaf', label)
    assert found is not None
    assert not set('"<>&`{};\\') & set(re.sub(r"#\d+;|<br/>", "", found[1]))
    assert re.sub(r"#(\d+);", lambda code: chr(int(code[1])), found[1].replace("<br/>", "\n")).startswith(ODD)


def test_the_text_of_a_small_graph_is_this() -> None:
    x = Value(3.0)
    graph = graph_of(x * 2, names={"x": x}, upstream=1.0)
    assert graph.mermaid().splitlines()[:6] == [
        "flowchart LR",
        '  n0["x<br/>3<br/>grad 2"]:::leaf',
        '  n1["2"]:::constant',
        '  n2["#42;<br/>6<br/>grad 1"]:::operation',
        '  n0 -->|"2"| n2',
        "  n1 --> n2",
    ]
    assert '  n2 [label="*\\n6\\ngrad 1", fillcolor="#FFFFFF"];' in graph.dot().splitlines()
    assert '  n0 -> n2 [label="2"];' in graph.dot().splitlines()


@pytest.mark.parametrize("label", ["*", "+", "-", "1. first", "2) second", "_slanted_", "*bold*", "[1](2)", "# title", "> quote", "~~gone~~", "`code`"])
def test_no_label_of_mermaid_is_read_as_markdown(label: str) -> None:
    """Mermaid 10 and 11 write "Unsupported markdown: list" into a box whose first line is an operation of the engine, * or + or -."""
    x = Value(2.0)
    (line,) = [line for line in graph_of(x, names={label: x}).mermaid().splitlines() if line.startswith("  n0[")]
    bare = re.sub(r"#\d+;", "", line.split('"')[1].removesuffix("<br/>2"))
    # A list needs its mark and then a space or the end, emphasis a mark at a word's rim, a link both brackets.
    assert not re.search(r"^\s*([*+-]|\d+[.)])(\s|$)|(^|\W)[_*]|[_*](\W|$)|\]\(|[`~>]", bare)


def test_an_array_of_64_numbers_is_not_written_into_its_box(rng: Any) -> None:
    x = torch.tensor(rng.normal(size=(8, 8)), requires_grad=True)
    graph = graph_of((x * 2).sum(), names={"x": x}, upstream=1.0)
    for text in (graph.dot(), graph.mermaid()):
        assert max(map(len, text.splitlines())) < 120
        assert "|grad| 16" in text
    assert graph.nodes[0].value.shape == (8, 8)


def test_networkx_has_every_node_edge_and_field() -> None:
    x = Value(3.0)
    graph = graph_of(x * x, names={"x": x}, upstream=1.0)
    made = graph.networkx()
    assert list(made.nodes) == [node.name for node in graph.nodes]
    assert made.number_of_edges() == 2, "x * x keeps both edges"
    assert made.nodes["n0"]["label"] == "x"
    assert float(made.edges["n0", "n1", 1]["grad"]) == 3.0
    assert made.graph["output"] == "n1"


# ---- size


@pytest.mark.parametrize("make", [lambda: torch.ones(1, requires_grad=True), lambda: Value(1.0)], ids=["torch", "engine"])
def test_a_depth_of_5000_needs_no_recursion(make: Callable[[], Any]) -> None:
    assert sys.getrecursionlimit() < 5000
    y = make()
    for _ in range(2500):
        y = y + y
        y = y * 0.5
    graph = graph_of(y, upstream=torch.ones(1) if isinstance(y, Tensor) else 1.0)
    assert max(graph.levels().values()) == 5000
    assert float(graph.nodes[0].grad.sum()) == 1.0
    assert len(graph.chain()) == 5001
    assert len(graph.dot().splitlines()) == len(graph.nodes) + len(graph.edges) + 4
    assert graph.mermaid().count("-->") == len(graph.edges)
    assert graph.networkx().number_of_nodes() == len(graph.nodes)
    assert graph.collapsed() == graph


def test_a_width_of_10000_is_walked() -> None:
    x = torch.ones(1, requires_grad=True)
    graph = graph_of(torch.stack([x * 2 for _ in range(10000)]).sum(), upstream=1.0)
    assert len(graph.nodes) == 10003
    assert max(graph.levels().values()) == 3
    assert graph.nodes[0].grad.tolist() == [20000.0]
