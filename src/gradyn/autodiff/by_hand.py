"""Backpropagation with a pencil: z1 = W1 x + b1, a1 = relu(z1), z2 = W2 a1 + b2, L = 1/2 (z2 - y)^2, and every intermediate gradient.

One rule, twice: through z = W a + b an upstream gradient u becomes u^T a for W, u for b and u W for a; through relu it passes where z > 0.
Samples are rows and L is summed over them, so that one row is the textbook's case; z2 is the prediction y_hat.

Can't: tell which derivative relu has at 0. It is taken as 0, as in torch; the function has none there.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass, fields

import torch
from torch import Tensor

from gradyn.core import require


@dataclass(frozen=True, slots=True)
class TwoLayer:
    """Every number of the two passes; a gradient has the shape of what it is taken by.

    Args:
        z1: [B, H].
        a1: relu(z1).
        z2: [B, C], the prediction.
        loss: one number.
        dz2: z2 - y.
        dw2: dz2^T a1, [C, H].
        db2: dz2 summed over the batch.
        da1: dz2 W2, [B, H].
        dz1: da1 where z1 > 0, else 0.
        dw1: dz1^T x, [H, M].
        db1: dz1 summed over the batch.
    """

    z1: Tensor
    a1: Tensor
    z2: Tensor
    loss: Tensor
    dz2: Tensor
    dw2: Tensor
    db2: Tensor
    da1: Tensor
    dz1: Tensor
    dw1: Tensor
    db1: Tensor

    def items(self) -> list[tuple[str, Tensor]]:
        """Names as they are written, in the order of the computation: z1, ..., L, dL/dz2, ..., dL/db1."""
        words = [one.name.upper() if one.name in ("w1", "w2") else one.name for one in fields(self)]
        written = ["L" if word == "loss" else f"dL/{word.replace('dw', 'dW')}" if word.startswith("d") else word for word in words]
        return list(zip(written, astuple(self), strict=True))


def two_layer(x_BM: Tensor, y_BC: Tensor, w1_HM: Tensor, b1_H: Tensor, w2_CH: Tensor, b2_C: Tensor) -> TwoLayer:
    """Forward and backward pass of the two-layer ReLU net with L = 1/2 |z2 - y|^2, line by line.

    Args:
        x_BM: inputs.
        y_BC: targets.
        w1_HM: weights of layer 1.
        b1_H: biases of layer 1.
        w2_CH: weights of layer 2.
        b2_C: biases of layer 2.

    Raises:
        ConfigError: the shapes don't fit.
    """
    shapes = [tuple(one.shape) for one in (x_BM, y_BC, w1_HM, b1_H, w2_CH, b2_C)]
    (hidden, inputs), outputs, batch = w1_HM.shape, w2_CH.shape[0], x_BM.shape[0]
    fitting = [(batch, inputs), (batch, outputs), (hidden, inputs), (hidden,), (outputs, hidden), (outputs,)]
    require(shapes == fitting, "x, y, w1, b1, w2, b2", f"have the shapes {fitting}", shapes, "Weights are [out, in], samples are rows.")
    z1 = x_BM @ w1_HM.T + b1_H
    a1 = torch.where(z1 > 0, z1, 0.0)
    z2 = a1 @ w2_CH.T + b2_C
    loss = ((z2 - y_BC) ** 2).sum() / 2
    dz2 = z2 - y_BC
    dw2, db2 = dz2.T @ a1, dz2.sum(0)
    da1 = dz2 @ w2_CH
    # A mask, not a product: 0 * inf would be nan.
    dz1 = torch.where(z1 > 0, da1, 0.0)
    dw1, db1 = dz1.T @ x_BM, dz1.sum(0)
    return TwoLayer(z1, a1, z2, loss, dz2, dw2, db2, da1, dz1, dw1, db1)
