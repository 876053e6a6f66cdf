"""How gradients grow along residual nets, width -> infinity: one block after the other, from any start.

    residual_growth("tanh", 1.0, 200, sigma_w=1.0)            log |g_0|^2 / |g_l|^2, l = 1 ... 200, of x + phi(W x): of order sqrt(l)
    batch_norm_residual_growth("relu", 30)                    |g_0|^2 / |g_30|^2 of x + V relu(BN(W x)): not 61 but 273

`net_moments` gives the same for every net of the harness, layer by layer; these are for depths that no net of it has.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import CubicSpline

from gradyn.core import require
from gradyn.theory.batch_norm import batch_norm_moments
from gradyn.theory.moments import moment
from gradyn.theory.scalar_function import ActivationLike, as_function

Array: TypeAlias = NDArray[np.float64]

# Nodes of the splines an e-fold of q: a cubic one is then off by 1e-9 where moments bend as powers of q do.
_NODES = 40


def residual_growth(activation: ActivationLike, start: float, blocks: int, *, sigma_w: float) -> Array:
    """log of |g_0|^2 / |g_l|^2, l = 1 ... blocks, in a stream x_l = x_{l-1} + phi(W_l x_{l-1}) of an odd phi bounded by 1.

    Sum over blocks of log(1 + sigma_w^2 E phi'(sqrt(q_l) z)^2), q_l = sigma_w^2 p_l, p_{l+1} = p_l + E phi(sqrt(q_l) z)^2. For tanh p_l grows
    as l and E sech^4 as 1 / sqrt(l), so that the sum grows as (4/3) sqrt(2 / pi) sigma_w sqrt(l).

    Args:
        activation: phi, odd (so that the branch has no mean over units), |phi| <= 1.
        start: p_0, mean square of x_0.
        blocks: L, at least 1.
        sigma_w: sqrt(fan_in Var W); there are no biases.

    Returns:
        [blocks], natural logarithm of squared norms; relative error 1e-8, from splines in log q.

    Raises:
        ConfigError: start is not above 0, no block.

    Source: Yang & Schoenholz 2017 (arXiv:1712.08969), reduced residual nets with tanh: log growth of order sqrt(l). The coefficient is derived here.
    """
    require(start > 0, "start", "be above 0", start)
    require(blocks >= 1, "blocks", "be at least 1", blocks)
    phi = as_function(activation)
    low, high = np.log(sigma_w**2 * start), np.log(sigma_w**2 * (start + blocks))
    log_q = np.linspace(low, high, int(np.ceil(_NODES * (high - low))) + 2)
    square, slope = (CubicSpline(log_q, moment(phi, np.exp(log_q), **power).value) for power in ({"value": 2}, {"derivative": 2}))
    p, steps = start, np.empty(blocks)
    for block in range(blocks):
        at = np.log(sigma_w**2 * p)
        steps[block] = np.log1p(sigma_w**2 * slope(at))
        p += float(square(at))
    return np.cumsum(steps)


def batch_norm_residual_growth(activation: ActivationLike, blocks: int, batch: int | None = None) -> Array:
    """|g_0|^2 / |g_l|^2, l = 1 ... blocks, for x_l = x_{l-1} + V phi(BN(W x_{l-1})) behind a first layer x_0 = phi(BN(W x)), Var V = 2 / N.

    prod_{k < l} (1 + r / (k + 1/2)), r the factor a layer of the *plain* net, `batch_norm_rate`: each block adds twice the first layer's variance
    over the batch, by which the norm of the next divides. It grows as l^r. Where the norm is said to leave the second moment instead of the
    variance r is 1 and the product 2 l + 1 (L + 1 if x_0 were as large as what a block adds).

    That is for B -> infinity. Of independent gradients at the top one part in B is common to the batch. The skip hands it down as it is, and what a block
    makes of it, m / (k + 1/2) with `pulled_mean` for `pulled` in r, is centred, as all that comes back through a norm. With
    P_l = prod_{k < l} (1 + r / (k + 1/2)), S_l = S_{l-1} + P_{l-1} m / ((B - 1) (l - 1/2)) and S_0 = 0 the growth is (1 - 1 / B) (P_l + S_l) + 1 / B.

    Args:
        activation: phi.
        blocks: L, at least 1.
        batch: B, at least 4; None for B -> infinity, r = E phi'^2 / Var phi at q = 1, for ReLU pi / (pi - 1).

    Valid:
        width -> infinity, the batch's inputs exchangeable and the gradients at the top independent.

    Source: De & Smith 2020 (arXiv:2002.10444) and Balduzzi et al. 2017 (arXiv:1702.08591) for r = 1; r and what a batch has in common are derived here.
    """
    require(blocks >= 1, "blocks", "be at least 1", blocks)
    places = np.arange(blocks) + 0.5
    if batch is None:
        square, mean, slope = (float(moment(activation, 1.0, **power).value) for power in ({"value": 2}, {"value": 1}, {"derivative": 2}))
        return np.asarray(np.cumprod(1 + slope / (square - mean**2) / places))
    norm = batch_norm_moments(activation, batch)
    product = np.cumprod(1 + norm.rate / places)
    before = np.concatenate([[1.0], product[:-1]])
    made = np.cumsum(before * norm.rate * norm.pulled_mean / norm.pulled / (batch - 1) / places)
    return np.asarray((1 - 1 / batch) * (product + made) + 1 / batch)
