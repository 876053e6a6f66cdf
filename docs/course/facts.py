"""The numbers in the prose of the course, by name and as they are written: one source for every language.

Each function below is of one page. A number that rounding could change is written with fewer digits than it could change.
"""

from __future__ import annotations

import functools

from gradyn.autodiff import MlpCost, chain_cost, deep_graph, dynamic_graph, forward_order, reverse_order, textbook_graph

Facts = dict[str, str]


def computation_graph() -> Facts:
    """Page 1."""
    textbook = textbook_graph("torch")
    by_label = {node.label: node for node in textbook.nodes if node.label}
    found = {"loss": f"{float(by_label['L'].value):g}", **{f"d{label}": f"{float(by_label[label].grad):g}" for label in "wxb"}}
    found |= {"textbook_nodes": f"{len(textbook.nodes)}", "textbook_edges": f"{len(textbook.edges)}"}
    return {
        **found,
        "deep_levels": f"{max(deep_graph(5000).levels().values()):,}",
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


@functools.cache
def facts() -> Facts:
    """All of them. Two pages may use one name; no two functions may define it."""
    found: Facts = {}
    for page in (computation_graph(), chain_rule()):
        if twice := sorted(found.keys() & page.keys()):
            raise ValueError(f"a name must be defined once; got {', '.join(twice)} again.")
        found |= page
    return found
