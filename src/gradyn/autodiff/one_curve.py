"""One curve, several ways: delta_l = dL / dh_l of a sigmoid net from the value engine and by hand, for the same weights and batch.

The loss is <v, output>, so that the readout's delta is v and the curve is the net's alone. Samples are rows: deltas are [B, N].

Can't: go deep for ever. At 4 ** -l and less a layer float64 ends near layer 500 (1e-308); the harness keeps an exponent beside.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from gradyn.autodiff.neuron import mlp_of
from gradyn.autodiff.value import Value

Floats = NDArray[np.float64]
# max of sigmoid', at h = 0; and half the distance from 1 to the next float64, the largest relative error of one rounding.
STEEPEST, HALF_ULP = 0.25, 2.0**-53


def deltas_by_value(weights: Sequence[Floats], biases: Sequence[Floats], x_BM: Floats, v_BC: Floats) -> list[Floats]:
    """delta_l of every layer from `Value.backward`, one sample at a time: dL / dh is the gradient of the bias that is added last into it.

    Args:
        weights: [N, M], layer by layer; the last layer has no activation.
        biases: [N].
        x_BM: inputs.
        v_BC: dL / d output of each sample.

    Returns:
        [B, N] per layer, from layer 1 to the readout.
    """
    deltas: list[list[list[float]]] = [[] for _ in weights]
    for x, v in zip(x_BM.tolist(), v_BC.tolist(), strict=True):
        net = mlp_of(weights, biases, Value.sigmoid)
        loss = sum((y * cotangent for y, cotangent in zip(net(x), v, strict=True)), start=Value(0.0))
        loss.backward()
        for layer, kept in zip(net.layers, deltas, strict=True):
            kept.append([neuron.bias.grad for neuron in layer.neurons])
    return [np.array(kept) for kept in deltas]


def deltas_by_hand(weights: Sequence[Floats], biases: Sequence[Floats], x_BM: Floats, v_BC: Floats) -> list[Floats]:
    """delta_L = v, then delta_l = (W_{l+1}^T delta_{l+1}) * sigmoid'(h_l) downwards: the chain rule with a pencil.

    Args and Returns as `deltas_by_value`.
    """
    signals = [1 / (1 + np.exp(-h)) for h in preactivations(weights, biases, x_BM)[:-1]]
    deltas = [v_BC]
    for w_NM, y in zip(reversed(weights[1:]), reversed(signals), strict=True):
        deltas.insert(0, (deltas[0] @ w_NM) * (y * (1 - y)))
    return deltas


def preactivations(weights: Sequence[Floats], biases: Sequence[Floats], x_BM: Floats) -> list[Floats]:
    """h_l = W_l x_{l-1} + b_l of every layer, [B, N]."""
    hs: list[Floats] = []
    for w_NM, b_N in zip(weights, biases, strict=True):
        x = 1 / (1 + np.exp(-hs[-1])) if hs else x_BM
        hs.append(x @ w_NM.T + b_N)
    return hs


def norm_bounds(weights: Sequence[Floats], v_BC: Floats) -> Floats:
    """|delta_l| <= |v| * product over k > l of (max sigmoid' * largest singular value of W_k); [L].

    A bound and no estimate: it takes the steepest point of every unit and the most stretched direction of every matrix at once.
    """
    factors = [STEEPEST * np.linalg.norm(w_NM, 2) for w_NM in weights[1:]]
    return np.linalg.norm(v_BC) * np.array([np.prod(factors[layer:]) for layer in range(len(weights))])


def delta_rounding_bounds(weights: Sequence[Floats], biases: Sequence[Floats], x_BM: Floats, deltas: Sequence[Floats]) -> Floats:
    """How far |delta_l| computed in float64, in whatever order of summation, may be from the exact one, over |delta_l|; [L].

    To first order in u = 2 ** -53. A sum of n products errs by at most n u of the sum of their magnitudes. Forwards that gives an
    error of h, which contracts by sigmoid' |W| a layer; sigmoid itself errs by 4 u y, as exp(-h) is within 2 ulp. Backwards each layer
    adds its own error to delta, and what layer k added arrives at layer l through the true Jacobian between them: its largest singular
    value is taken, not a product of norms, which would be vacuous after a few layers.
    """
    u, hs = HALF_ULP, preactivations(weights, biases, x_BM)
    x, x_error, own, slopes = x_BM, np.zeros_like(x_BM), [], []
    for layer, (w_NM, b_N) in enumerate(zip(weights, biases, strict=True)):
        size = np.abs(x) @ np.abs(w_NM).T + np.abs(b_N)
        h_error = x_error @ np.abs(w_NM).T + (w_NM.shape[1] + 1) * u * size
        y = 1 / (1 + np.exp(-hs[layer]))
        slopes.append(y * (1 - y))
        y_error = slopes[-1] * h_error + 4 * u * y
        if layer + 1 < len(weights):
            # y (1 - y) errs by |1 - 2 y| of y's error and two roundings; the sum over the next layer by its count and one more.
            above, w_up = deltas[layer + 1], weights[layer + 1]
            pulled = np.abs(above @ w_up) * (np.abs(1 - 2 * y) * y_error + 2 * u * slopes[-1])
            own.append(np.linalg.norm(pulled + slopes[-1] * (above.shape[1] + 1) * u * (np.abs(above) @ np.abs(w_up)), axis=1))
        x, x_error = y, y_error
    squares = np.zeros(len(weights))
    for layer in range(len(own)):
        jacobians, total = np.broadcast_to(np.eye(slopes[layer].shape[1]), (len(x_BM), *[slopes[layer].shape[1]] * 2)), np.zeros(len(x_BM))
        for k in range(layer, len(own)):
            total += np.linalg.norm(jacobians, 2, axis=(1, 2)) * own[k]
            jacobians = (jacobians * slopes[k][:, None]) @ weights[k + 1].T
        squares[layer] = np.sum(total**2)
    return np.sqrt(squares) / np.array([np.linalg.norm(delta) for delta in deltas])


def curve(weights: Sequence[Floats], biases: Sequence[Floats], x_BM: Floats, v_BC: Floats) -> dict[str, Floats]:
    """Rms of delta_l over batch and units, [L], by `value` engine and by `hand`, its `bound`, and by how much `rounding` lets two ways differ."""
    ways = {"value": deltas_by_value(weights, biases, x_BM, v_BC), "hand": deltas_by_hand(weights, biases, x_BM, v_BC)}
    sizes = np.array([delta.size for delta in ways["hand"]])
    found = {way: np.sqrt([np.mean(delta**2) for delta in deltas]) for way, deltas in ways.items()}
    # Each way errs; and on either side the sum of `size` squares and its root.
    found["rounding"] = 2 * delta_rounding_bounds(weights, biases, x_BM, ways["hand"]) + (sizes + 4) * HALF_ULP
    return {**found, "bound": norm_bounds(weights, v_BC) / np.sqrt(sizes)}
