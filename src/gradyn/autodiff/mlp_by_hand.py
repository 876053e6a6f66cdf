"""Backpropagation through an MLP of any depth, twice: with matrices, and with the indices and sums of the blackboard.

    h_l[b, i]     = b_l[i] + sum_j W_l[i, j] x_{l-1}[b, j]        x_l = phi(h_l), the readout without phi
    delta_l[b, j] = phi'(h_l[b, j]) sum_i delta_{l+1}[b, i] W_{l+1}[i, j]
    dL/dW_l[i, j] = sum_b delta_l[b, i] x_{l-1}[b, j]             dL/db_l[i] = sum_b delta_l[b, i]

Can't: treat a phi that looks at its neighbours (softmax, a normalization): its Jacobian is not diagonal, and phi' is no vector.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from gradyn.core import require

Matrix = list[list[float]]


class Elementwise(Protocol):
    """An activation: `forward(h)` is phi(h), `derivative(h, x)` is phi'(h) where x = phi(h) is known."""

    def forward(self, h: Tensor) -> Tensor: ...

    def derivative(self, h: Tensor, x: Tensor) -> Tensor: ...


@dataclass(frozen=True, slots=True)
class MlpGradients:
    """What a backward pass leaves, layer by layer, from layer 1 to the readout.

    Args:
        deltas: dL/dh_l, [B, n_l].
        weights: dL/dW_l, [n_l, n_{l-1}].
        biases: dL/db_l, [n_l].
    """

    deltas: list[Tensor]
    weights: list[Tensor]
    biases: list[Tensor]


def mlp_gradients(x_BM: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], phi: Elementwise, at_output_BC: Tensor) -> MlpGradients:
    """The gradients in matrix form: delta_{l-1} = (delta_l W_l) * phi'(h_{l-1}), dW_l = delta_l^T x_{l-1}.

    Args:
        x_BM: inputs, a sample a row.
        weights: [n_l, n_{l-1}].
        biases: [n_l].
        phi: of all layers but the last.
        at_output_BC: dL/dy for each sample.

    Raises:
        ConfigError: the shapes don't fit.
    """
    require_fit(x_BM, weights, biases, at_output_BC)
    inputs, preactivations = [x_BM], []
    for w_NM, b_N in zip(weights, biases, strict=True):
        preactivations.append(inputs[-1] @ w_NM.T + b_N)
        inputs.append(phi.forward(preactivations[-1]))
    deltas = [at_output_BC]
    for layer in range(len(weights) - 1, 0, -1):
        deltas.insert(0, (deltas[0] @ weights[layer]) * phi.derivative(preactivations[layer - 1], inputs[layer]))
    pairs = list(zip(deltas, inputs, strict=False))
    return MlpGradients(deltas, [delta.T @ x for delta, x in pairs], [delta.sum(0) for delta in deltas])


def mlp_gradients_by_index(x_BM: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], phi: Elementwise, at_output_BC: Tensor) -> MlpGradients:
    """The same, number by number: the sums of the module's docstring as Python's own, on lists of floats.

    Args, Raises: as `mlp_gradients`.
    """
    require_fit(x_BM, weights, biases, at_output_BC)
    dtype, samples = x_BM.dtype, range(len(x_BM))
    x: list[Matrix] = [x_BM.tolist()]
    slopes: list[Matrix] = []
    for w_NM, b_N in zip(weights, biases, strict=True):
        w, bias, below = w_NM.tolist(), b_N.tolist(), x[-1]
        h = torch.tensor([[bias[i] + sum(w[i][j] * below[b][j] for j in range(len(w[i]))) for i in range(len(w))] for b in samples], dtype=dtype)
        x.append(phi.forward(h).tolist())
        slopes.append(phi.derivative(h, phi.forward(h)).tolist())
    delta: list[Matrix] = [at_output_BC.tolist()]
    for layer in range(len(weights) - 1, 0, -1):
        w, above, slope = weights[layer].tolist(), delta[0], slopes[layer - 1]
        delta.insert(0, [[slope[b][j] * sum(above[b][i] * w[i][j] for i in range(len(w))) for j in range(len(w[0]))] for b in samples])
    by_weight = [[[sum(d[b][i] * a[b][j] for b in samples) for j in range(len(a[0]))] for i in range(len(d[0]))] for d, a in zip(delta, x, strict=False)]
    by_bias = [[sum(d[b][i] for b in samples) for i in range(len(d[0]))] for d in delta]
    return MlpGradients(*([torch.tensor(one, dtype=dtype) for one in kind] for kind in (delta, by_weight, by_bias)))


def require_fit(x_BM: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], at_output_BC: Tensor) -> None:
    """Raise unless the net takes x and returns what has the shape of dL/dy."""
    require(len(weights) > 0, "weights", "have at least one matrix", len(weights))
    require(x_BM.ndim == 2 and all(w.ndim == 2 for w in weights), "x and weights", "be matrices", [tuple(x_BM.shape), *(tuple(w.shape) for w in weights)])
    shapes = [tuple(w.shape) for w in weights]
    fits = all(upper[1] == lower[0] for lower, upper in pairwise(shapes)) and shapes[0][1] == x_BM.shape[1]
    require(fits, "weights", f"be [out, in] and take what comes from below, {x_BM.shape[1]} numbers a sample first", shapes)
    require([tuple(b.shape) for b in biases] == [s[:1] for s in shapes], "biases", "have one number a unit", [tuple(b.shape) for b in biases])
    expected = (len(x_BM), shapes[-1][0])
    require(tuple(at_output_BC.shape) == expected, "at_output", f"have the output's shape, {expected}", tuple(at_output_BC.shape))
