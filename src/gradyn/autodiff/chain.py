"""A chain of Jacobians J_L ... J_2 J_1 is one matrix, whatever the order of its products; the price is not.

From the output (((J_L J_{L-1}) ...) J_1) is reverse mode, from the input (J_L (... (J_2 J_1))) forward mode. A loss makes J_L a single row,
and the first order then never multiplies two matrices: that is why gradients are computed from the right end of the graph to the left.
`cheapest_order` is the matrix-chain optimum, which need not be either. A plan is a list of places: "multiply the pair at this place, next".

Can't: find the cheapest order for a graph that branches: there the problem is NP-complete (Naumann 2008).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from torch import Tensor

from gradyn.core import require

Plan = tuple[int, ...]


def reverse_order(count: int) -> Plan:
    """Always the first pair, as the chain is written: reverse mode."""
    return (0,) * (count - 1)


def forward_order(count: int) -> Plan:
    """Always the last pair: forward mode."""
    return tuple(range(count - 2, -1, -1))


def cheapest_order(sizes: Sequence[int]) -> Plan:
    """The plan with the fewest multiplications, by dynamic programming over all parenthesizations.

    cost(i, j) = min over k of cost(i, k) + cost(k, j) + sizes_i sizes_k sizes_j.

    Args:
        sizes: m_L, m_{L-1}, ..., m_0: factor number i of the chain as written has shape [sizes[i], sizes[i + 1]].

    Raises:
        ConfigError: fewer than two sizes.

    Source: Godbole 1973; the O(L^3) algorithm of textbooks.
    """
    require(len(sizes) > 1, "sizes", "have at least two entries, for one factor", len(sizes))
    best: dict[tuple[int, int], tuple[int, Plan]] = {(i, i + 1): (0, ()) for i in range(len(sizes) - 1)}
    for length in range(2, len(sizes)):
        for i in range(len(sizes) - length):
            j = i + length
            # The right part is multiplied first, so that the places of the left part are still those of the full chain.
            best[i, j] = min(
                (best[i, k][0] + best[k, j][0] + sizes[i] * sizes[k] * sizes[j], (*(k - i + p for p in best[k, j][1]), *best[i, k][1], 0))
                for k in range(i + 1, j)
            )
    return best[0, len(sizes) - 1][1]


def chain_cost(sizes: Sequence[int], plan: Plan) -> int:
    """How many scalar multiplications the plan takes, from the sizes alone.

    Args:
        sizes: as in `cheapest_order`.
        plan: from `reverse_order`, `forward_order` or `cheapest_order`.

    Raises:
        ConfigError: the plan does not leave one matrix.
    """
    _require_plan(plan, len(sizes) - 1)
    left, total = list(sizes), 0
    for place in plan:
        total += left[place] * left[place + 1] * left[place + 2]
        del left[place + 1]
    return total


def chain_product(factors: Sequence[Tensor], plan: Plan) -> Tensor:
    """J_L ... J_1 in the order of the plan.

    Args:
        factors: J_L first, J_1 last, as the product is written; each [rows, columns].
        plan: as in `chain_cost`.

    Raises:
        ConfigError: neighbours do not fit, or the plan does not leave one matrix.
    """
    shapes = [tuple(factor.shape) for factor in factors]
    require(all(len(shape) == 2 for shape in shapes), "factors", "be matrices", shapes, "A gradient is a row: u[None].")
    for upper, lower in pairwise(shapes):
        require(upper[-1] == lower[0], "factors", "fit: columns of the left one equal rows of the right one", f"{upper} next to {lower}")
    _require_plan(plan, len(factors))
    left = list(factors)
    for place in plan:
        left[place : place + 2] = [left[place] @ left[place + 1]]
    return left[0]


def chain_text(plan: Plan) -> str:
    """The plan as a formula: `(((J4 J3) J2) J1)`."""
    parts = [f"J{number}" for number in range(len(plan) + 1, 0, -1)]
    for place in plan:
        parts[place : place + 2] = [f"({parts[place]} {parts[place + 1]})"]
    return parts[0]


def _require_plan(plan: Plan, factors: int) -> None:
    require(factors > 0 and len(plan) == factors - 1, "plan", f"have one product fewer than factors, of which there are {factors}", len(plan))
    # Of n factors the first product is at one of n - 1 places, the next at one of n - 2.
    fits = all(0 <= place < factors - 1 - done for done, place in enumerate(plan))
    require(fits, "plan", "name a pair that is left at every product", plan, "Take reverse_order, forward_order or cheapest_order.")
