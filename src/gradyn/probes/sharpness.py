"""The largest eigenvalues of the loss' Hessian, by Lanczos on Hessian-vector products, in float64.

Axes: P numbers of a run (all its parameters), J steps of Lanczos.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from gradyn.core import Column
from gradyn.probes.probe import AbstractRunProbe, Moment, Row

_NAME = "hessian_eigenvalue"
Product = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Sharpness(AbstractRunProbe):
    """The `count` largest eigenvalues of H = d^2 L / d theta^2, theta all parameters, L the step's mean loss without the penalty.

    The first is the sharpness: gradient descent on a quadratic is stable below 2 / learning_rate, heavy ball below 2 (1 + momentum) /
    learning_rate. Of the loss on the whole training part where the batch is that, else of the batch. Columns have one number a layer, so
    the l-th largest stands in row l. Second derivatives are taken in float64 at the weights as multiplied, signals not rounded to an
    emulated format; kinks have none, so that of ReLU nets those of the linear pieces are found.

    Lanczos begins with a normal vector, keeps all its vectors orthogonal, and ends when every wanted Ritz pair's residual
    ||H y - value y|| is below `tolerance` times the largest: each value then is within that of an eigenvalue, and, where it stands alone by a gap,
    within residual^2 / gap. A multiple eigenvalue is found once. Cost: one Hessian-vector product a step, about four
    forward and backward passes in float64; J P numbers of memory.

    Args:
        count: eigenvalues.
        iterations: steps of Lanczos at most; what has not settled by then is given as it is.
        tolerance: of the residuals, relative.

    Source: Cohen, Kaur, Li, Kolter and Talwalkar 2021, arXiv:2103.00065, for what it is used for.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            _NAME,
            "loss / parameter^2",
            "row l: the l-th largest eigenvalue of the Hessian of the step's mean loss, without the penalty, in all parameters; row 1 is the "
            "sharpness; null beyond the number asked for, nan where there are fewer",
            "layer",
            r"$\lambda_l$ of the Hessian",
            "arXiv:2103.00065",
        ),
    )

    count: int = 1
    iterations: int = 100
    tolerance: float = 1e-3

    def __post_init__(self) -> None:
        self.require_count("count")
        self.require_count("iterations", low=2)
        self.require(type(self.tolerance) is float and 0 < self.tolerance < 1, "tolerance", "be a number between 0 and 1")

    def measure_run(self, moment: Moment, run: int) -> dict[str, Row]:
        count = min(self.count, len(moment.net.layers))
        row: Row = [None] * len(moment.net.layers)
        row[:count] = [math.nan] * count
        product, size = hessian_product(moment, run)
        start_P = torch.from_numpy(moment.draws(run, self.name).standard_normal(size)).to(moment.x_RBM.device)
        found = _largest(product, start_P, count, self.iterations, self.tolerance)
        row[: len(found)] = found
        return {_NAME: row}


def hessian_product(moment: Moment, run: int) -> tuple[Product, int]:
    """v -> H v of one run's loss at a moment, and P; v in the order of `net.slots`, float64.

    The graph of the gradient is made once and walked back for every vector.
    """
    net = moment.net.for_autograd()
    with torch.enable_grad():
        weights = moment.weights(run)
        inputs = list(weights.values())
        gradient_P = _flat(torch.autograd.grad(moment.mean_loss(net, weights, run), inputs, create_graph=True, materialize_grads=True))

    def product(v_P: Tensor) -> Tensor:
        if not gradient_P.requires_grad:
            return torch.zeros_like(v_P)
        return _flat(torch.autograd.grad(gradient_P, inputs, v_P, retain_graph=True, materialize_grads=True))

    return product, len(gradient_P)


def _flat(parts: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([part.reshape(-1) for part in parts])


def _largest(product: Product, start_P: Tensor, count: int, iterations: int, tolerance: float) -> list[float]:
    """The largest Ritz values, descending; fewer where the space that holds `start_P` has fewer; none where a product is not finite."""
    basis_JP = [start_P / start_P.norm()]
    diagonal: list[float] = []
    beside: list[float] = []
    while True:
        image_P = product(basis_JP[-1])
        diagonal.append(float(image_P @ basis_JP[-1]))
        if not math.isfinite(diagonal[-1]):
            return []
        # Twice is enough (Kahan, Parlett): after it, what is left along the basis is rounding.
        stacked_JP = torch.stack(basis_JP)
        for _ in range(2):
            image_P = image_P - stacked_JP.T @ (stacked_JP @ image_P)
        length = float(image_P.norm())
        t_JJ = torch.diag(torch.tensor(diagonal, dtype=torch.float64))
        if beside:
            off = torch.tensor(beside, dtype=torch.float64)
            t_JJ += torch.diag(off, 1) + torch.diag(off, -1)
        values, vectors = torch.linalg.eigh(t_JJ)
        largest = float(values.abs().max())
        # || H y - value y || = length |last component|, of the wanted ones.
        residuals = length * vectors[-1, -count:].abs()
        is_settled = len(diagonal) >= count and float(residuals.max()) <= tolerance * largest
        if is_settled or len(diagonal) in (iterations, len(start_P)) or length <= torch.finfo(torch.float64).eps * largest * len(start_P):
            return [float(value) for value in values[-count:].flip(0)]
        beside.append(length)
        basis_JP.append(image_P / length)
