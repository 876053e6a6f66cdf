"""The numbers in the prose of the course, by name and as they are written: one source for every language.

Each function below is of one page. A number that rounding could change is written with fewer digits than it could change.
"""

from __future__ import annotations

import functools

import numpy as np
import torch

from gradyn.autodiff import (
    CAUSES,
    EXPLANATIONS,
    MlpCost,
    chain_cost,
    deep_graph,
    deltas_by_hand,
    difference_errors,
    dynamic_graph,
    forward_order,
    method_table,
    mlp,
    reverse_order,
    textbook_graph,
    two_layer,
)

Facts = dict[str, str]


def power(x: float) -> str:
    """A number of two digits as it is written by hand: 9.5·10⁻⁷."""
    mantissa, exponent = f"{x:.1e}".split("e")
    return f"{mantissa}·10{str(int(exponent)).translate(str.maketrans('-0123456789', '⁻⁰¹²³⁴⁵⁶⁷⁸⁹'))}"


def computation_graph() -> Facts:
    """Page 1."""
    textbook = textbook_graph("torch")
    by_label = {node.label: node for node in textbook.nodes if node.label}
    found = {"loss": f"{float(by_label['L'].value):g}", **{f"d{label}": f"{float(by_label[label].grad):g}" for label in "wxb"}}
    found |= {"textbook_nodes": f"{len(textbook.nodes)}", "textbook_edges": f"{len(textbook.edges)}"}
    return {
        **found,
        "deep_levels": f"{max(deep_graph(2000).levels().values()):,}",
        "dynamic_three": f"{len(dynamic_graph(3.0).nodes)}",
        "dynamic_six": f"{len(dynamic_graph(-6.0).nodes)}",
    }


def chain_rule() -> Facts:
    """Page 2: orders of a chain, and what the gradient of a million weights costs in matrix products."""
    loss, million = [1, 64, 64, 64, 64], MlpCost((500,) * 5)
    from_output, from_input = chain_cost(loss, reverse_order(4)), chain_cost(loss, forward_order(4))
    return {
        "loss_from_output": f"{from_output:,}",
        "loss_from_input": f"{from_input:,}",
        "loss_orders_ratio": f"{from_input / from_output:.0f}",
        "million_gradient": f"{million.weight_gradient / million.forward:.2f}",
    }


def by_hand() -> Facts:
    """Page 3."""
    given = ([[1.0, 2.0]], [[4.0]], [[1.0, -1.0], [2.0, 1.0]], [0.5, -1.0], [[3.0, 2.0]], [-1.0])
    return {"two_layer_loss": f"{two_layer(*map(torch.tensor, given)).loss.item():g}", "quarter_to_the_tenth": power(0.25**10)}


def three_ways() -> Facts:
    """Page 4: the table of methods, as the experiment measures it."""
    at = 0.2
    rows = {row["method"]: row for row in method_table(difference_errors(at, [4, 5, 6, 7]), at)}
    errors = {f"{name}_best_error": power(rows[name]["error"]) for name in ("forward", "central")}
    return errors | {f"{name}_operations": str(row["operations"]) for name, row in rows.items()}


def inside() -> Facts:
    """Page 5."""
    return {"explanations": f"{len(EXPLANATIONS)}"}


def engine() -> Facts:
    """Page 6: the net of the experiment on two moons."""
    return {"moons_parameters": f"{len(mlp([2, 8, 8, 1], np.random.default_rng(0)).parameters)}"}


def functions() -> Facts:
    """Page 7."""
    return {"causes": f"{len(CAUSES)}"}


def one_curve() -> Facts:
    """Page 8: the sigmoid net of its first block."""
    depth, width, rng = 30, 6, np.random.default_rng(0)
    weights = [rng.standard_normal((width, width)) / width**0.5 for _ in range(depth)]
    found = deltas_by_hand(weights, [np.zeros(width)] * depth, *rng.standard_normal((2, 4, width)))
    lost = float(np.log10(np.linalg.norm(found[-1]) / np.linalg.norm(found[0])))
    return {"thirty_decades": f"{lost:.1f}", "thirty_rate": f"{lost / (depth - 1):.2f}"}


@functools.cache
def facts() -> Facts:
    """All of them. Two pages may use one name; no two functions may define it."""
    found: Facts = {}
    for page in (computation_graph(), chain_rule(), by_hand(), three_ways(), inside(), engine(), functions(), one_curve()):
        if twice := sorted(found.keys() & page.keys()):
            raise ValueError(f"a name must be defined once; got {', '.join(twice)} again.")
        found |= page
    return found
