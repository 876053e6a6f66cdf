"""Computation graphs as two tables and back, so that a figure is drawn from Parquet alone."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np
import pandas as pd

from gradyn.autodiff import Edge, Graph, Node


def graph_tables(graphs: Mapping[str, Graph]) -> dict[str, pd.DataFrame]:
    """The tables `nodes` and `edges` of some graphs by name; arrays, shapes and saved tensors are JSON, exact for floats."""
    nodes = [
        {
            "graph": name,
            "node": node.name,
            "op": node.op,
            "kind": node.kind,
            "label": node.label,
            "shape": _text(node.shape),
            "modules": _text(node.modules),
            "saved": _text(dict(node.saved)),
            "value": _text(node.value),
            "grad": _text(node.grad),
            "grad_l2": node.grad_l2,
        }
        for name, graph in graphs.items()
        for node in graph.nodes
    ]
    edges = [
        {
            "graph": name,
            "source": edge.source,
            "target": edge.target,
            "place": edge.place,
            "output": edge.output,
            "grad": _text(edge.grad),
            "grad_l2": edge.grad_l2,
        }
        for name, graph in graphs.items()
        for edge in graph.edges
    ]
    return {"nodes": pd.DataFrame(nodes), "edges": pd.DataFrame(edges)}


def graph_from(tables: Mapping[str, pd.DataFrame], name: str) -> Graph:
    """One graph of the tables; without the classes of its module calls, which nothing draws.

    Raises:
        KeyError: the tables have no graph of that name.
    """
    rows = tables["nodes"][tables["nodes"]["graph"] == name]
    if rows.empty:
        raise KeyError(f"name must be a graph of the tables ({', '.join(tables['nodes']['graph'].unique())}); got {name!r}.")
    nodes = [
        Node(
            row["node"],
            row["op"],
            row["kind"],
            row["label"],
            _tuple(row["shape"]),
            tuple(json.loads(row["modules"])),
            {key: None if shape is None else tuple(shape) for key, shape in json.loads(row["saved"]).items()},
            _array(row["value"]),
            _array(row["grad"]),
            _float(row["grad_l2"]),
        )
        for row in rows.to_dict("records")
    ]
    edges = [
        Edge(row["source"], row["target"], row["place"], row["output"], _array(row["grad"]), _float(row["grad_l2"]))
        for row in tables["edges"][tables["edges"]["graph"] == name].to_dict("records")
    ]
    return Graph(tuple(nodes), tuple(edges), nodes[-1].name)


def _text(value: object) -> str:
    return json.dumps(value.tolist() if isinstance(value, np.ndarray) else value)


def _array(text: str) -> np.ndarray | None:
    value = json.loads(text)
    return None if value is None else np.asarray(value, dtype=float)


def _tuple(text: str) -> tuple[int, ...] | None:
    value = json.loads(text)
    return None if value is None else tuple(value)


def _float(value: float) -> float | None:
    return None if pd.isna(value) else float(value)
