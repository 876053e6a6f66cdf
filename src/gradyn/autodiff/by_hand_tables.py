"""Rows of numbers that hold gradients by hand against autograd's: one worked net, many drawn ones, and the product of matrices.

Differences are relative: the largest difference of a gradient's elements over its largest element.

Can't: say which of two ways is the nearer one. Both round; the difference says how far they are apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradyn.autodiff.beside_autograd import mlp_gradients_by_autograd, two_layer_by_autograd
from gradyn.autodiff.by_hand import two_layer
from gradyn.autodiff.mlp_by_hand import Elementwise, mlp_gradients, mlp_gradients_by_index
from gradyn.autodiff.product_formula import product_formula


def two_layer_table(given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """One row an intermediate of `two_layer`: its formula, its numbers by hand and by autograd, and the largest difference.

    Args:
        given: x, y, W1, b1, W2, b2 as nested lists.
    """
    formulas = ["W1 x + b1", "relu(z1)", "W2 a1 + b2", "½ (z2 − y)²", "z2 − y", "dz2ᵀ a1", "dz2", "dz2 W2", "da1 where z1 > 0", "dz1ᵀ x", "dz1"]
    tensors = [torch.tensor(given[name], dtype=torch.float64) for name in ("x", "y", "W1", "b1", "W2", "b2")]
    pairs = zip(formulas, two_layer(*tensors).items(), two_layer_by_autograd(*tensors).items(), strict=True)
    return [
        {"name": name, "formula": formula, "by_hand": _text(ours), "autograd": _text(torchs), "difference": float((ours - torchs).abs().max())}
        for formula, (name, ours), (_, torchs) in pairs
    ]


def mlp_differences(phi: Elementwise, sizes: Sequence[int], batch: int, draws: int, rng: np.random.Generator) -> dict[str, float]:
    """The largest relative difference from autograd, over draws and all gradients, of the matrix form and of the sums over indices."""
    worst = {"matrices": 0.0, "indices": 0.0}
    for _ in range(draws):
        net = _net(sizes, batch, rng)
        expected = mlp_gradients_by_autograd(*net[:3], phi.forward, net[3])
        for name, way in (("matrices", mlp_gradients), ("indices", mlp_gradients_by_index)):
            found = way(*net[:3], phi, net[3])
            for kind in ("deltas", "weights", "biases"):
                apart = [_relative(one, other) for one, other in zip(getattr(found, kind), getattr(expected, kind), strict=True)]
                worst[name] = max(worst[name], *apart)
    return worst


def product_differences(phi: Elementwise, sizes: Sequence[int], rng: np.random.Generator) -> list[dict[str, float]]:
    """One row a layer: the gradient's norm and its bound; and how far dL/dz_1, dL/dW_1 and the order often printed are from autograd."""
    x, weights, biases, v = _net(sizes, 1, rng)
    formula, expected = product_formula(x[0], weights, biases, phi, v[0]), mlp_gradients_by_autograd(x, weights, biases, phi.forward, v)
    apart = {
        "dz1_difference": _relative(formula.dz1, expected.deltas[0]),
        "dw1_difference": _relative(formula.dw1, expected.weights[0]),
        "misprint_difference": _relative(formula.multiplied(formula.as_often_printed), expected.deltas[0]),
    }
    return [{"layer": layer, "norm": norm, "bound": bound, **apart} for layer, (norm, bound) in enumerate(zip(*formula.norms(), strict=True), start=1)]


def _net(sizes: Sequence[int], batch: int, rng: np.random.Generator) -> tuple[Tensor, list[Tensor], list[Tensor], Tensor]:
    x = torch.as_tensor(rng.standard_normal((batch, sizes[0])))
    pairs = list(zip(sizes[1:], sizes, strict=False))
    weights = [torch.as_tensor(rng.standard_normal((n, m)) / m**0.5) for n, m in pairs]
    return x, weights, [torch.as_tensor(0.1 * rng.standard_normal(n)) for n, _ in pairs], torch.as_tensor(rng.standard_normal((batch, sizes[-1])))


def _relative(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


def _text(x: Tensor) -> str:
    return str(x.squeeze(0).tolist() if x.ndim == 2 else x.tolist()).replace(".0", "").replace("-", "−")
