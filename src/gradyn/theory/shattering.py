"""How alike the gradients of two inputs are, and the gradient along a line of inputs at neighbouring points: shattered gradients.

    gate_variance("residual", 8), gate_covariance("residual", 8)           256 and (3/2)^8: with the source's assumption on the gates
    orthogonal_gradient_correlation(6)                                     0.0798 = prod_l J'(c_l), without it
    gradient_autocorrelation(np.linspace(-2, 2, 256), 24, ...)            of d h_l / d t for every layer of a real ReLU net, by lag

The source assumes that the gates of two inputs are independent in every layer, open together with probability 1/4. In a real plain net the signals of any two
inputs align with depth, their gates with them, and the correlation falls as a power of depth instead of exponentially.

Source: Balduzzi, Frean, Leary, Lewis, Ma and McWilliams 2017, arXiv:1702.08591, for the assumption and its three nets; the maps of real nets are derived here.

Axes: S points of the line, L layers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradyn.core import require
from gradyn.theory.batch_norm import batch_norm_gradient_correlation
from gradyn.theory.gaussian import variances
from gradyn.theory.maps import correlations, require_sigmas

Array: TypeAlias = NDArray[np.float64]
GATE_NETS = ("plain", "residual", "batch norm, residual")


def gate_branch(net: str, layer: int) -> tuple[float, float]:
    """(s, a^2): g_{l-1} = s g_l + a W^T D g_l, with W_ij ~ N(0, 2 / N) and gates D open with probability 1/2.

    plain: (0, 1). residual: (1, 1). batch norm, residual: (1, 1 / l), the branch normalizes a signal whose variance has grown to l.

    Raises:
        ConfigError: no such net.
    """
    require(net in GATE_NETS, "net", f"be one of {', '.join(GATE_NETS)}", net)
    return float(net != "plain"), 1 / layer if net == "batch norm, residual" else 1.0


def gate_variance(net: str, layers: int) -> float:
    """E |g|^2 / N after L layers from 1: prod_l (s^2 + a^2), which is 1, 2^L and L + 1. Exact at any width."""
    return math.prod(sum(gate_branch(net, layer)) for layer in range(1, layers + 1))


def gate_covariance(net: str, layers: int) -> float:
    """E g . g' / N of two inputs after L layers from 1: prod_l (s^2 + a^2 / 2), which is 2^-L, (3/2)^L and about 2 sqrt(L / pi). Exact at any width."""
    branches = [gate_branch(net, layer) for layer in range(1, layers + 1)]
    return math.prod(s + square / 2 for s, square in branches)


def pair_gradient_correlation(c: ArrayLike) -> float:
    """prod_l J'(c_l), J'(c) = (pi - arccos c) / pi: correlation of two inputs' gradients at layer 1 of a plain ReLU net.

    Args:
        c: correlation of the preactivations of every layer whose gates the gradient passes.

    Valid:
        width -> infinity, errors of order L^2 / width. For c_l from `correlations` it falls as L^-3.
    """
    return float(np.prod(1 - np.arccos(np.asarray(c, dtype=np.float64)) / np.pi))


def orthogonal_gradient_correlation(layers: int, batch: int | None = None) -> float:
    """`pair_gradient_correlation` of two orthogonal inputs below L ReLU layers with He weights and no biases.

    Args:
        layers: L.
        batch: B, with batch norm over so many samples that are alike but for their draws, 4 at least: `batch_norm_gradient_correlation`, which is
            2^-L for large batches.

    Raises:
        ConfigError: a batch of fewer than 4 samples.
    """
    if batch is not None:
        return batch_norm_gradient_correlation("relu", int(layers), int(batch))
    return pair_gradient_correlation(correlations("relu", 0.0, 1.0, layers, sigma_w=math.sqrt(2), sigma_b=0.0))


@dataclass(frozen=True)
class _Kernel:
    """k(t, t') = E x(t) x(t') on a grid, its derivatives with respect to t, and to t and t', and the mean E x(t) with its derivative."""

    k: Array
    k_t: Array
    k_tt: Array
    mean: Array
    mean_t: Array

    def plus(self, other: _Kernel) -> _Kernel:
        """Of the sum of two signals that are independent over units but for their means."""
        both = [first + second for first, second in zip(self._fields(), other._fields(), strict=True)]
        m, m_t, o, o_t = self.mean, self.mean_t, other.mean, other.mean_t
        both[0] += np.outer(m, o) + np.outer(o, m)
        both[1] += np.outer(m_t, o) + np.outer(o_t, m)
        both[2] += np.outer(m_t, o_t) + np.outer(o_t, m_t)
        return _Kernel(*both)

    def _fields(self) -> tuple[Array, ...]:
        return self.k, self.k_t, self.k_tt, self.mean, self.mean_t


def gradient_autocorrelation(
    t: Sequence[float] | Array, depth: int, lags: Sequence[int], *, sigma_w: float, sigma_b: float, is_residual: bool = False
) -> Array:
    """Autocorrelation of d h_l / d t over a line of inputs x_0 = t, for ReLU nets, by layer and lag: [depth, lags].

    Sum over s of the covariance of g_s and g_{s + lag}, each minus its mean over the line, over the sum of the variances: what the probe
    `gradient_autocorrelation` measures. With K the covariance of h at t and t', S = sqrt(q q' - K^2) and a = K_t - K q_t / (2 q),

        d^2 E phi phi' / dt dt' = (pi - theta) / (2 pi) K_tt' + a a' / (2 pi S) + S q_t q'_t / (8 pi q q'),

    from the arc-cosine kernel E phi phi' = (S + (pi - theta) K) / (2 pi).

    Args:
        t: points of the line, equally spaced.
        depth: matrices, readout included.
        lags: in points, each below their number.
        sigma_w: sqrt(fan_in Var W).
        sigma_b: standard deviation of the biases, above 0: without them g is constant on each side of 0.
        is_residual: x_l = x_{l-1} + phi(h_l) between layer 1 and the readout, in place of x_l = phi(h_l).

    Valid:
        width -> infinity at fixed depth; the ratio of sums at width N is off by a relative order depth^2 / N.

    Raises:
        ConfigError: sigma_b is not above 0, a lag does not fit.
    """
    require_sigmas(sigma_w, sigma_b)
    require(sigma_b > 0, "sigma_b", "be above 0", sigma_b, "Without biases d h / d t is constant on each side of 0.")
    t_S = np.asarray(t, dtype=np.float64)
    require(all(0 < lag < len(t_S) for lag in lags), "lags", f"be between 1 and {len(t_S) - 1}", list(lags))
    signal = _Kernel(np.outer(t_S, t_S), np.tile(t_S, (len(t_S), 1)), np.ones((len(t_S), len(t_S))), np.zeros_like(t_S), np.zeros_like(t_S))
    found = []
    for layer in range(1, depth + 1):
        h = _Kernel(sigma_w**2 * signal.k + sigma_b**2, sigma_w**2 * signal.k_t, sigma_w**2 * signal.k_tt, signal.mean, signal.mean_t)
        off = h.k_tt - h.k_tt.mean(0)
        off = off - off.mean(1, keepdims=True)
        with np.errstate(invalid="ignore"):
            # d h_1 / d t is constant.
            found.append([np.trace(off, lag) / np.trace(off) if layer > 1 else np.nan for lag in lags])
        passed = _through_relu(h)
        signal = signal.plus(passed) if is_residual and layer > 1 else passed
    return np.array(found)


def _through_relu(h: _Kernel) -> _Kernel:
    q, q_t = variances(np.diag(h.k)), 2 * np.diag(h.k_t)
    product = np.outer(q, q)
    # On the diagonal S is 0, and so is what is divided by it.
    s = np.sqrt(np.maximum(product - h.k**2, 0.0))
    np.fill_diagonal(s, 0.0)
    share = 0.5 - np.arctan2(s, h.k) / (2 * np.pi)
    a = h.k_t - h.k * (q_t / (2 * q))[:, None]
    across = np.divide(a * a.T, 2 * np.pi * s, out=np.zeros_like(s), where=s > 0)
    k_tt = share * h.k_tt + across + s * np.outer(q_t, q_t) / (8 * np.pi * product)
    k_t = share * h.k_t + s * (q_t / (4 * np.pi * q))[:, None]
    return _Kernel(s / (2 * np.pi) + share * h.k, k_t, k_tt, np.sqrt(q / (2 * np.pi)), q_t / (2 * np.sqrt(2 * np.pi * q)))
