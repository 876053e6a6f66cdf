"""An expression is a graph that can be walked: torch and the engine record the same one, with dW and db where the textbook has them.

Source: Baydin et al. 2018 (arXiv:1502.05767), section 3; the expressions are the textbook's, the walk and the drawing are ours.
Cost: eight small graphs, one of 5,000 operations in a row and one of 10,000 side by side; some ten seconds.
Command: python experiments/autodiff_graph.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradyn.autodiff import deep_graph, dynamic_graph, layer_graph, net_graph, textbook_graph, wide_graph
from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, draw_computation_graph, graph_from, graph_tables, main

SOURCE = Source("Baydin et al.", 2018, "Automatic differentiation in machine learning: a survey", arxiv="1502.05767", where="section 3")
CHAIN = ["PowBackward0", "SubBackward0", "AddBackward0", "MulBackward0", "AccumulateGrad"]
TEXTBOOK = {"L": (4.0, 1.0), "w": (3.0, 8.0), "x": (2.0, 12.0), "b": (1.0, 4.0)}


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """All graphs as tables of nodes and edges, and what a walk of the large ones finds."""
    s, net = settings, net_graph(settings["sizes"], settings["seed"])
    graphs = {"torch": textbook_graph("torch"), "engine": textbook_graph("engine"), "layer": layer_graph(s["seed"])}
    graphs |= {f"x = {x:g}": dynamic_graph(x) for x in s["numbers"]} | {"net": net, "modules": net.collapsed()}
    large = {"levels": [max(deep_graph(s["depth"]).levels().values())], "grad": [wide_graph(s["width"]).nodes[0].grad_l2]}
    return {**graph_tables(graphs), "large": pd.DataFrame(large)}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """The textbook's expressions, one function going three ways, a net and its modules."""
    return draw_computation_graph(frames, page)


def claims(frames: Frames) -> list[Claim]:
    """The chain, the numbers, dW and db, and graphs that differ, collapse and are large."""
    s, graphs = frames.settings, {name: graph_from(frames.tables, name) for name in frames.tables["nodes"]["graph"].unique()}
    off = [np.subtract((n.value, n.grad), TEXTBOOK[n.label]) for of in ("torch", "engine") for n in graphs[of].nodes if n.label]
    layer = {node.label: node for node in graphs["layer"].nodes}
    delta = (1 - layer["y"].value) * layer["y"].value
    said = {"W": np.outer(delta, layer["x"].value), "b": delta}
    error = max(float(np.abs(layer[label].grad - one).max() / np.abs(one).max()) for label, one in said.items())
    large, ways = frames.tables["large"].iloc[0], {tuple(node.op for node in graphs[f"x = {x:g}"].nodes) for x in s["numbers"]}
    rounding = "eight roundings of 2^-53: three in delta and one product, in both computations"
    return [
        Claim("operations of (wx + b - 5)^2, from L down to w, as in the textbook", sum(map(str.__eq__, graphs["torch"].chain("w"), CHAIN)), 5, 0, "a count"),
        Claim("torch and the engine: L = 4, dL = 12, 8, 4 by x, w, b; largest difference", float(np.abs(off).max()), 0, 0, "exact: small integers"),
        Claim("dW = delta x^T, db = delta: largest relative error", error, 8 * 2.0**-53, 0, rounding, "below"),
        Claim("one function, several numbers: graphs that differ", len(ways), len(s["numbers"]), 0, "a count"),
        Claim("nodes of the net drawn together by module", len(graphs["modules"].nodes), 2 * len(s["sizes"]) - 3 + 2, 0, "a count: modules, square, mean"),
        Claim("levels of the deep graph", large["levels"], s["depth"], 0, "a count"),
        Claim("gradient of the wide graph: 1 + 2 + ... + width", large["grad"], s["width"] * (s["width"] + 1) / 2, 0, "exact: integers below 2^53"),
    ]


EXPERIMENT = Experiment("autodiff_graph", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
