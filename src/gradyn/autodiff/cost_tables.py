"""Rows of numbers on what derivatives cost: Jacobians of nets from 1/64 to 64 inputs an output, passes, a million weights, chains.

Each row has the derived count of operations, the counted one, and, where time is taken, seconds: the median over repeats, on one thread.

Can't: promise the seconds. They belong to one machine, one load and one version of torch; the counts do not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradyn.autodiff.chain import chain_cost, chain_text, cheapest_order, forward_order, reverse_order
from gradyn.autodiff.cost import MlpCost, operations, tanh_net, tanh_net_jvp
from gradyn.autodiff.jacobians import jacobian
from gradyn.autodiff.products import jvp, vjp


def jacobian_costs(log2_ratio: int, product: int, hidden: int, repeats: int, rng: np.random.Generator) -> dict[str, Any]:
    """Operations in forward passes, and seconds, of the Jacobian [m, n] by rows, by columns, and by columns over one forward pass.

    Args:
        log2_ratio: of n to m, up to their rounding to whole numbers.
        product: n m, likewise.
        hidden: units of both hidden layers.
        repeats: timings, of which the median counts.
        rng: draws weights and input.
    """
    n = round((product * 2.0**log2_ratio) ** 0.5)
    m = round(product / n)
    cost, weights, x = _net((n, hidden, hidden, m), 1, rng)

    def f(x_M: Tensor) -> Tensor:
        return tanh_net(weights, x_M[None])[0]

    ways: dict[str, tuple[Callable[[], object], int]] = {
        "rows": (lambda: jacobian(f, x[0]), cost.rows),
        "columns": (lambda: jacobian(f, x[0], by="columns"), cost.columns()),
        "columns_by_hand": (lambda: tanh_net_jvp(weights, x, torch.eye(n, dtype=x.dtype)), cost.columns(shared=True)),
    }
    row: dict[str, Any] = {"log2_ratio": float(np.log2(n / m)), "inputs": n, "outputs": m}
    for way, (run, derived) in ways.items():
        counted = operations(run).products
        row |= {f"{way}_derived": derived / cost.forward, f"{way}_counted": counted / cost.forward, f"{way}_s": _seconds(run, repeats)}
    return row


def pass_costs(depth: int, width: int, batch: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """What each kind of pass through a net of equal layers costs, forward pass included, in forward passes."""
    cost, weights, x = _net((width,) * (depth + 1), batch, rng)
    leaves = [w.clone().requires_grad_() for w in weights]
    seed = torch.ones_like(x)
    three = "2, without the product with the weights' zero tangent"
    rows = [
        ("forward and backward, all weights", lambda: tanh_net(leaves, x).sum().backward(), (3 * depth - 1) / depth, "3"),
        ("the same with the gradient of the input", lambda: tanh_net(leaves, x.clone().requires_grad_()).sum().backward(), 3.0, ""),
        ("gradient of the input alone", lambda: vjp(lambda x: tanh_net(weights, x), x, seed), 2.0, ""),
        ("one jvp by hand", lambda: tanh_net_jvp(weights, x, seed), 2.0, ""),
        ("one jvp as torch carries it out", lambda: jvp(lambda x: tanh_net(weights, x), x, seed), 3.0, three),
    ]
    return [{"pass": name, "counted": operations(run).products / cost.forward, "derived": derived, "rival": rival} for name, run, derived, rival in rows]


def million_costs(sizes: Sequence[int], batch: int, repeats: int, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Forward, gradient and one jvp of the loss 1/2 |y|^2 by all weights, and the jvps that the gradient replaces: operations and seconds."""
    cost, weights, x = _net(tuple(sizes), batch, rng)
    flat = torch.cat([w.flatten() for w in weights])
    shapes = [w.shape for w in weights]

    def loss(flat_P: Tensor) -> Tensor:
        parts = flat_P.split([shape.numel() for shape in shapes])
        return (tanh_net([part.reshape(shape) for part, shape in zip(parts, shapes, strict=True)], x) ** 2).sum() / 2

    unit, gradient = torch.zeros_like(flat), cost.forward + cost.weight_gradient
    unit[0] = 1.0
    one = torch.ones((), dtype=flat.dtype)
    ways: dict[str, tuple[Callable[[], object], int]] = {
        "forward": (lambda: loss(flat), cost.forward),
        "gradient": (lambda: vjp(loss, flat, one), gradient),
        # The tangent of layer 1's input is zero, so the fewest operations of a jvp by weights are the gradient's.
        "one jvp": (lambda: jvp(loss, flat, unit), gradient),
    }
    rows: list[dict[str, Any]] = []
    for name, (run, derived) in ways.items():
        count = operations(run)
        rows.append({"pass": name, "operations": count.total, "products": count.products, "derived": derived, "seconds": _seconds(run, repeats)})
    last = rows[-1]
    return [*rows, {"pass": "all jvps", **{key: value * flat.numel() for key, value in last.items() if key != "pass"}}]


def chain_orders(name: str, sizes: Sequence[int]) -> list[dict[str, Any]]:
    """One row an order of the chain's products: from the output, from the input, and the cheapest of all."""
    count = len(sizes) - 1
    plans = {"from the output": reverse_order(count), "from the input": forward_order(count), "cheapest": cheapest_order(sizes)}
    return [{"chain": name, "order": order, "formula": chain_text(plan), "multiplications": chain_cost(sizes, plan)} for order, plan in plans.items()]


def _net(sizes: tuple[int, ...], batch: int, rng: np.random.Generator) -> tuple[MlpCost, list[Tensor], Tensor]:
    weights = [torch.as_tensor(rng.standard_normal((n, m)) / m**0.5) for m, n in pairwise(sizes)]
    return MlpCost(sizes, batch), weights, torch.as_tensor(rng.standard_normal((batch, sizes[0])))


def _seconds(run: Callable[[], object], repeats: int) -> float:
    times, threads = [], torch.get_num_threads()
    torch.set_num_threads(1)
    for _ in range(1 + repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    torch.set_num_threads(threads)
    # The first run pays for what torch makes once.
    return statistics.median(times[1:])
