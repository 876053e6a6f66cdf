"""Batch norm over a finite batch, width -> infinity: what it does to signals and to their gradients.

Where samples are exchangeable, the B preactivations of one unit, less their mean, point in a uniformly random direction of the
B - 1 dimensions that are left; batch norm keeps the direction and fixes the length. Normalized values n_1 ... n_B are then sqrt(B)
times a uniform unit vector orthogonal to 1, whatever the weights' scale, and everything follows from one or two of its coordinates:

    batch_norm_moments("relu", 32).rate            squared gradients grow 1.52195 times a layer (Yang et al. 2019, theorem 8)
    batch_norm_moments("tanh", 8).variance         what is left of a signal's variance over the batch after BN and tanh
    batch_norm_rate("tanh", 128)                   the rate alone
    batch_norm_gradient_correlation("relu", 4, 32) of two samples' own derivatives after four layers: 0.0607, little less than 2^-4

That is the domain of validity, and deep nets come to it by themselves where it is stable: of what the inputs' covariance over the batch has of its own, a
layer hands on `pair_memory` and `sample_memory`. With tanh and 32 samples 0.91, slow; with GELU and 64, SiLU and 32 more than 1: no net stays there.
Of gradients that are independent from sample to sample the norm passes on what is centred over the batch, from the first layer that they meet.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln

from gradyn.core import require
from gradyn.theory.scalar_function import ActivationLike, ScalarFunction, as_function

Array: TypeAlias = NDArray[np.float64]

# Gauss-Legendre nodes of a panel; panels end at kinks and at these multiples of the standard deviation of an angle, 1 / sqrt(dimension).
_NODES = 24
_EDGES = (0.0, 0.5, 1.0, 1.75, 2.5, 3.5, 5.0, 7.0, 10.0, 14.0)


@dataclass(frozen=True, slots=True)
class BatchNormMoments:
    """Means over units of phi(n) and of what goes back through it, for exchangeable samples at gain 1, shift 0, eps 0.

    Args:
        mean: E phi(n_1).
        square: E phi(n_1)^2.
        product: E phi(n_1) phi(n_2), of two samples.
        pulled: E |P D g|^2 / E |g|^2 for an upstream gradient g of one unit over the batch, centred and isotropic; D = diag phi'(n),
            P the projection off 1 and n: batch norm's pullback without its 1 / std.
        pulled_mean: E |P D g|^2 for g = 1 / sqrt(B), the gradient that a batch has in common: none of what the pullback makes, but part of what
            comes from outside.
        inverse_variance: E 1 / s^2 in units of 1 / (variance of h over the batch, wide limit): B / (B - 3).
        pair_memory: factor per layer, phi(BN(W .)), of what pairs of samples have of their own in the batch's covariance (relative to its size,
            centred, of zero diagonal and zero row sums).
        sample_memory: the same of what single samples have, their distances from the mean. Above 1 in magnitude the exchangeable state is unstable.
    """

    mean: float
    square: float
    product: float
    pulled: float
    pulled_mean: float
    inverse_variance: float
    pair_memory: float
    sample_memory: float

    @property
    def variance(self) -> float:
        """square - product: of phi(n) over the batch."""
        return self.square - self.product

    @property
    def rate(self) -> float:
        """Factor of E |delta|^2 per layer backwards in a plain net of such layers; dimensionless, of *squared* norms, free of sigma_w.

        The variance of h over the batch is sigma_w^2 `variance`, and sigma_w^2 is also what W^T multiplies by: it cancels.
        """
        return self.pulled * self.inverse_variance / self.variance


def batch_norm_rate(activation: ActivationLike, batch: int) -> float:
    """`batch_norm_moments(activation, batch).rate`: growth of E |delta|^2 per layer of phi(BN(W x)). Raises and validity as there."""
    return batch_norm_moments(activation, batch).rate


def batch_norm_moments(activation: ActivationLike, batch: int) -> BatchNormMoments:
    """The moments of phi after batch norm at a finite batch.

    With n = sqrt(B) times a uniform unit vector orthogonal to 1, each n_i is sqrt(B - 1) times a coordinate of a uniform unit vector
    in B - 1 dimensions, and two of them have the correlation -1 / (B - 1).

    Args:
        activation: component, option's name or callable.
        batch: B, at least 4: with 3 samples E 1 / s^2 is infinite.

    Valid:
        width -> infinity, samples exchangeable (a state that nets leave where |sample_memory| > 1), at initialization, statistics of the batch
        itself. Relative error 1e-7 at B = 4, below 1e-11 from B = 5 on (against ReLU's closed form; linear is exact). At finite width every layer
        adds departures of its own: the rate is off by a part of order 1 / (width (1 - pair_memory^2)).

    Raises:
        ConfigError: batch is below 4, or no such activation.

    Source: Yang, Pennington, Rao, Sohl-Dickstein & Schoenholz 2019 (arXiv:1902.08129), theorem 8 and the section on backward
    dynamics, there by Gegenbauer expansions and for J(c); here by direct integration, so that any activation goes.
    """
    _require_batch(batch)
    return _moments(as_function(activation), batch)


def batch_norm_gradient_correlation(activation: ActivationLike, layers: int, batch: int) -> float:
    """Correlation of two samples' own derivatives, d (v . x_i) / d h_i and d (v . x_j) / d h_j, after L layers of phi(BN(W x)); dimensionless.

    A layer's pullback over the batch is M = P D: D = diag phi'(n), P the projection off 1 and n. Of deltas with the covariance C over the batch it makes
    ones with T C = E M C M^T, and with e_i for sample i the number is

        (T^L e_i e_j^T)_ij / (T^L e_i e_i^T)_ii.

    What comes back to a sample through others is in it: relative to the L-th power of one layer's correlation, where M only keeps to the sample itself, it
    is 1.4 % of a pair of layers at B = 32. T commutes with permutations: two samples tell ten kinds of places (a, b) apart, and T is a 10 x 10 matrix.

    Args:
        activation: component, option's name or callable.
        layers: L, layers of normalization and activation that the derivative passes.
        batch: B, at least 4.

    Valid:
        width -> infinity, samples exchangeable, at initialization; errors of order L^2 / width. Accuracy as `batch_norm_moments`.

    Raises:
        ConfigError: batch is below 4, layers below 0, or no such activation.

    Source: derived here.
    """
    _require_batch(batch)
    require(isinstance(layers, int) and layers >= 0, "layers", "be a whole number >= 0", layers)
    after = np.linalg.matrix_power(_pair_transition(as_function(activation), batch), layers)
    return float(after[_KINDS[0, 1], _KINDS[0, 1]] / after[_KINDS[0, 0], _KINDS[0, 0]])


def _require_batch(batch: int) -> None:
    require(isinstance(batch, int) and batch >= 4, "batch", "be a whole number >= 4", batch, "With fewer samples the mean of 1 / variance is infinite.")


# Kinds of places (a, b) of a B x B matrix that samples 0 and 1 tell apart, 2 being any other; kind 8 is (a, a) of another, 9 two others.
_KINDS = np.array([[0, 1, 4], [2, 3, 5], [6, 7, 9]])
_EXAMPLES = ((0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (1, 2), (2, 0), (2, 1), (2, 2), (2, 3))


@lru_cache(maxsize=64)
def _pair_transition(phi: ScalarFunction, batch: int) -> Array:
    """T of `batch_norm_gradient_correlation` on kinds: [to, from]."""
    first, weight, second, inner = _pairs(phi.kinks, batch)
    slope, x = phi.derivative(first), first[:, None]
    # E M_ac M_bd, over what a and b are to c and d: where c and d are two samples, and where they are one.
    apart = _pullbacks(x, second, weight[:, None] * inner * slope[:, None] * phi.derivative(second), x + second, batch - x**2 - second**2, batch - 2, batch)
    alike = _pullbacks(first, first, weight * slope**2, first, batch - first**2, batch - 1, batch)
    c, d = np.indices((batch, batch))
    kind = np.where((c == d) & (c > 1), 8, _KINDS[np.minimum(c, 2), np.minimum(d, 2)])
    found = []
    for a, b in _EXAMPLES:
        role_a = np.where(a == c, 0, np.where(a == d, 1, 2))
        role_b = np.where(b == d, 1, np.where(b == c, 0, 2 + (a != b)))
        role_b = np.where((role_b == 3) & (role_a < 2), 2, role_b)
        found.append(np.bincount(kind.ravel(), np.where(c == d, alike[role_a, role_b], apart[role_a, role_b]).ravel(), minlength=10))
    return np.array(found)


def _pullbacks(n_c: Array, n_d: Array, weight: Array, total: Array, square: Array, others: int, batch: int) -> Array:
    """E M_ac M_bd [4, 4], a and b being c (0), d (1), one of the others (2) or, beside it, a second one (3).

    The others' sum is -total and the sum of their squares `square`, which is all that the sphere says of them.
    """
    means = (n_c, n_d, -total / others, -total / others)

    def product(a: int, b: int) -> Array:
        if min(a, b) < 2:
            return means[a] * means[b]
        return square / others if a == b else (total**2 - square) / (others * (others - 1))

    def pulled(a: int, b: int) -> float:
        # (1[a = c] - (1 + n_a n_c) / B) (1[b = d] - (1 + n_b n_d) / B).
        along = 1 + means[a] * n_c + means[b] * n_d + product(a, b) * n_c * n_d
        kept = (a == 0) * (b == 1) - (a == 0) * (1 + means[b] * n_d) / batch - (b == 1) * (1 + means[a] * n_c) / batch
        return float((weight * (kept + along / batch**2)).sum())

    return np.array([[pulled(a, b) for b in range(4)] for a in range(4)])


@lru_cache(maxsize=256)
def _moments(phi: ScalarFunction, batch: int) -> BatchNormMoments:
    b = float(batch)
    first, weight, second, inner = _pairs(phi.kinks, batch)
    value, slope = phi.value(first), phi.derivative(first)

    def mean(f: Array) -> float:
        return float(weight @ f)

    def paired(one: Array, other: Callable[[Array], Array]) -> float:
        return float(weight @ (one * (inner * other(second)).sum(1)))

    square, product = mean(value**2), paired(value, phi.value)
    # tr(D G D) - |G^(1/2) D 1|^2 / B - |G^(1/2) D n|^2 / B with G = 1 - 11^T / B, over tr G = B - 1.
    slopes, pulled_n = mean(slope**2), mean((first * slope) ** 2)
    slopes_12 = paired(slope, phi.derivative)
    n_12 = paired(first * slope, lambda n: n * phi.derivative(n))
    trace = b * slopes * (1 - 1 / b)
    along_1 = slopes - (b * slopes + b * (b - 1) * slopes_12) / b**2
    along_n = pulled_n - (b * pulled_n + b * (b - 1) * n_12) / b**2
    in_common = slopes - (slopes + (b - 1) * slopes_12 + pulled_n + (b - 1) * n_12) / b
    pulled = (trace - along_1 - along_n) / (b - 1)
    memories = _memories(first, weight, value, second, weight[:, None] * inner * value[:, None] * phi.value(second), batch)
    return BatchNormMoments(mean(value), square, product, pulled, in_common, b / (b - 3), *(memory / (square - product) for memory in memories))


def _memories(first: Array, weight: Array, value: Array, second: Array, product: Array, batch: int) -> tuple[float, float]:
    """What the covariance of phi over the batch has of a departure of h's, times `variance`: of one in pairs, and in single samples.

    Of h ~ N(0, P + e D), P D P = D, the mean of f(n) changes by e E f(n) (h^T D h) / 2, and h^T D h = |h|^2 n^T D n / B with |h| independent of n. In pairs:
    D = (e_1 - e_3)(e_2 - e_4)^T and its transpose, of which the answer has D_12 = 1 times as much. In samples: D = diag(d), sum d = 0, whose
    answer is A d_i on the diagonal and C (d_i + d_j) beside it, of which centring leaves (A - 2 C) diag(d). Others' sums and squares as in `_pullbacks`.
    `product` is phi(n_1) phi(n_2) times the weights of both, [K, Q].
    """
    one, others = first[:, None], batch - 2
    total, square = one + second, batch - one**2 - second**2
    # n_1 n_2 - n_1 n_4 - n_3 n_2 + n_3 n_4.
    in_pairs = (product * (one * second + total**2 / others + (total**2 - square) / (others * (batch - 3)))).sum()
    diagonal = weight @ (value**2 * (first**2 - (batch - first**2) / (batch - 1)))
    beside = (product * (one**2 - square / others)).sum()
    scale = (batch - 1) / batch
    return float(scale * in_pairs), float(scale * (diagonal - 2 * beside) / 2)


def _pairs(kinks: tuple[float, ...], batch: int) -> tuple[Array, Array, Array, Array]:
    """Nodes n_1 [K] with weights [K], and for each of them nodes n_2 [K, Q] with weights [K, Q]."""
    dimension, root = batch - 1, math.sqrt(batch - 1)
    apart, inside = math.acos(-1 / dimension), [math.acos(kink / root) for kink in kinks if abs(kink) < root]
    # At a kink of its own, and where n_2 begins or ceases to reach one.
    cuts = np.array([math.pi / 2 - angle for kink in inside for angle in (kink, abs(apart - kink), min(apart + kink, 2 * math.pi - apart - kink))])
    angle, weight = _rule(cuts[None, :], dimension)
    t, w = np.sin(angle[0]), weight[0]
    # The second direction has the inner product -1 / (B - 1) with the first; what is left is free in one dimension less.
    along, across = -t / dimension, np.sqrt((1 - dimension**-2.0) * (1 - t**2))
    with np.errstate(divide="ignore", invalid="ignore"):
        inner_cuts = (np.array(kinks)[None, :] / root - along[:, None]) / across[:, None]
    inner_angle, inner_weight = _rule(np.arcsin(np.clip(np.nan_to_num(inner_cuts), -1, 1)), dimension - 1)
    return root * t, w, root * (along[:, None] + across[:, None] * np.sin(inner_angle)), inner_weight


def _rule(cuts_KP: Array, dimension: int) -> tuple[Array, Array]:
    """Nodes and weights [K, Q] for the angle whose sine is a coordinate of a uniform unit vector: density ~ cos^(dimension - 2)."""
    spread = np.array([edge / math.sqrt(dimension) for edge in _EDGES if edge / math.sqrt(dimension) < math.pi / 2])
    fixed = np.concatenate([-spread[:0:-1], spread, [-math.pi / 2, math.pi / 2]])
    edges = np.sort(np.concatenate([np.broadcast_to(fixed, (len(cuts_KP), len(fixed))), cuts_KP], axis=1), axis=1)
    x, w = np.polynomial.legendre.leggauss(_NODES)
    middle, half = (edges[:, 1:] + edges[:, :-1]) / 2, (edges[:, 1:] - edges[:, :-1]) / 2
    angle = (middle[:, :, None] + half[:, :, None] * x).reshape(len(cuts_KP), -1)
    power = dimension - 2
    log_total = 0.5 * math.log(math.pi) + gammaln((power + 1) / 2) - gammaln(power / 2 + 1)
    with np.errstate(divide="ignore"):
        density = np.exp(power * np.log(np.cos(angle)) - log_total) if power else np.full_like(angle, math.exp(-log_total))
    return angle, (half[:, :, None] * w).reshape(len(cuts_KP), -1) * density
