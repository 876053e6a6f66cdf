"""The gradients that are computed by hand elsewhere, taken by torch.autograd from the forward pass alone: what the pencil is held against.

Can't: check itself. Where both agree, two different ways agree; `product_formula` and the engine are further ones.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gradyn.autodiff.by_hand import TwoLayer
from gradyn.autodiff.mlp_by_hand import MlpGradients


def two_layer_by_autograd(x_BM: Tensor, y_BC: Tensor, w1_HM: Tensor, b1_H: Tensor, w2_CH: Tensor, b2_C: Tensor) -> TwoLayer:
    """As `two_layer`, every gradient from one call of torch.autograd.grad on L, those by intermediates included."""
    w1, b1, w2, b2 = (one.detach().clone().requires_grad_() for one in (w1_HM, b1_H, w2_CH, b2_C))
    z1 = x_BM @ w1.T + b1
    a1 = torch.relu(z1)
    z2 = a1 @ w2.T + b2
    loss = ((z2 - y_BC) ** 2).sum() / 2
    gradients = torch.autograd.grad(loss, (z2, w2, b2, a1, z1, w1, b1))
    return TwoLayer(z1.detach(), a1.detach(), z2.detach(), loss.detach(), *gradients)


def mlp_gradients_by_autograd(
    x_BM: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], phi: Callable[[Tensor], Tensor], at_output_BC: Tensor
) -> MlpGradients:
    """As `mlp_gradients`, from phi alone: torch differentiates <at_output, y>.

    Args:
        x_BM: inputs.
        weights: [n_l, n_{l-1}].
        biases: [n_l].
        phi: the activation's forward, built of torch's own operations.
        at_output_BC: dL/dy.
    """
    ws, bs = ([one.detach().clone().requires_grad_() for one in kind] for kind in (weights, biases))
    x, hs = x_BM, []
    for w_NM, b_N in zip(ws, bs, strict=True):
        hs.append(x @ w_NM.T + b_N)
        x = phi(hs[-1])
    # The readout has no activation: what phi made of it is not used.
    found = torch.autograd.grad(hs[-1], (*hs, *ws, *bs), at_output_BC)
    depth = len(ws)
    return MlpGradients(list(found[:depth]), list(found[depth : 2 * depth]), list(found[2 * depth :]))
