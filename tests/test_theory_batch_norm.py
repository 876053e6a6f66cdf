"""Batch norm at a finite batch: against Yang et al.'s closed forms, against sampling for every activation, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest

from catalogue import activations
from gradyn.core import ConfigError
from gradyn.theory import as_function, batch_norm_gradient_correlation, batch_norm_moments, batch_norm_rate


def relu_rate(batch: int) -> float:
    """Yang et al. 2019, theorem 8: [J'(c) + B - 1] / [(B - 3)(1 - J(c))] - 1 / (B - 3), c = -1 / (B - 1)."""
    c = -1 / (batch - 1)
    kernel = (math.sqrt(1 - c * c) + (math.pi - math.acos(c)) * c) / math.pi
    slope = (math.pi - math.acos(c)) / math.pi
    return (slope + batch - 1) / ((batch - 3) * (1 - kernel)) - 1 / (batch - 3)


@pytest.mark.parametrize(("batch", "digits"), [(4, 1e-6), (5, 1e-11), (6, 1e-11), (17, 1e-12), (100, 1e-12), (1000, 1e-12)])
def test_relu_has_the_rate_of_the_theorem(batch: int, digits: float) -> None:
    # At B = 4 the inner density is flat up to its ends, which leaves roots in the outer integrand.
    assert batch_norm_rate("relu", batch) == pytest.approx(relu_rate(batch), rel=digits)


@pytest.mark.parametrize("batch", [4, 7, 64])
def test_linear_has_the_rate_of_the_theorem(batch: int) -> None:
    assert batch_norm_rate("linear", batch) == pytest.approx((batch - 2) / (batch - 3), rel=1e-13)


def test_wide_batches_reach_pi_over_pi_minus_1() -> None:
    # The rest falls as 1 / B: doubling the batch halves it.
    limit = math.pi / (math.pi - 1)
    rest = [batch_norm_rate("relu", batch) - limit for batch in (1000, 2000)]
    assert rest[0] / rest[1] == pytest.approx(2.0, rel=0.01)
    assert 2 * batch_norm_rate("relu", 2000) - batch_norm_rate("relu", 1000) == pytest.approx(limit, rel=1e-5)


@pytest.mark.parametrize("activation", activations(), ids=repr)
def test_moments_are_those_of_drawn_batches(activation, rng: np.random.Generator) -> None:
    batch, draws = int(rng.integers(4, 12)), 20_000
    phi, found = as_function(activation), batch_norm_moments(activation, batch)
    h = rng.standard_normal((draws, batch))
    h -= h.mean(1, keepdims=True)
    n = h / np.sqrt((h**2).mean(1, keepdims=True))
    g = rng.standard_normal((draws, batch))
    g -= g.mean(1, keepdims=True)
    u = phi.derivative(n) * g
    pulled = u - u.mean(1, keepdims=True) - n * (u * n).mean(1, keepdims=True)
    slope = phi.derivative(n)
    common = slope - slope.mean(1, keepdims=True) - n * (slope * n).mean(1, keepdims=True)
    x = phi.value(n)
    drawn = {
        "mean": x.mean(1),
        "square": (x**2).mean(1),
        "product": (x.sum(1) ** 2 - (x**2).sum(1)) / (batch * (batch - 1)),
        "pulled": (pulled**2).sum(1) / (batch - 1),
        "pulled_mean": (common**2).sum(1) / batch,
    }
    for name, values in drawn.items():
        error = values.std(ddof=1) / math.sqrt(draws)
        z = (values.mean() - getattr(found, name)) / max(error, 1e-12)
        # 17 activations x 4 moments: one false alarm in 10,000 runs of this test's cases together.
        assert abs(z) < 5.2, f"{activation}, B = {batch}: {name} {values.mean():.6f} +- {error:.1g}, predicted {getattr(found, name):.6f}"


@pytest.mark.parametrize("batch", [4, 9, 64])
def test_linear_layers_forget_as_uniform_directions_do(batch: int) -> None:
    # E (s^T D s) s s^T = 2 D / (n (n + 2)) for a traceless D and a uniform unit vector s of n dimensions, against E s s^T = 1 / n.
    found, n = batch_norm_moments("linear", batch), batch - 1
    assert found.pair_memory == pytest.approx(n / (n + 2), rel=1e-12)
    assert found.sample_memory == pytest.approx(n / (n + 2), rel=1e-12)


@pytest.mark.parametrize("name", ["tanh", "gelu", "silu"])
def test_memories_are_those_of_drawn_covariances(name: str, rng: np.random.Generator) -> None:
    # The covariance of phi over the batch for h ~ N(0, P + e D) less that for h ~ N(0, P - e D), on the same draws: odd in e, off by e^2.
    batch, eps, draws, phi = int(rng.integers(5, 24)), 0.04, 20_000, as_function(name)
    p = np.eye(batch) - 1 / batch
    in_pairs = np.zeros((batch, batch))
    in_pairs[[0, 0, 2, 2], [1, 3, 1, 3]] = (1, -1, -1, 1)
    own = rng.standard_normal(batch)
    moments = batch_norm_moments(name, batch)
    for departure, said in ((in_pairs + in_pairs.T, moments.pair_memory), (np.diag(own - own.mean()), moments.sample_memory)):
        d = p @ departure @ p
        d /= np.linalg.norm(d)
        found = []
        for _ in range(12):
            z, after = rng.standard_normal((draws, batch)), []
            for sign in (1, -1):
                size, axes = np.linalg.eigh(p + sign * eps * d)
                h = z @ (axes * np.sqrt(np.maximum(size, 0))).T @ p
                x = phi.value(h / np.sqrt((h**2).mean(1, keepdims=True))) @ p
                after.append(np.einsum("kb,kc,bc->", x, x, d) / draws)
            found.append((after[0] - after[1]) / (2 * eps) / moments.variance)
        # Student's t of 11 degrees: 6 is one in 11,000.
        assert abs(np.mean(found) - said) < 6 * np.std(found, ddof=1) / math.sqrt(12) + 4 * eps**2, f"{name}, {batch} samples"


def test_exchangeable_batches_are_left_where_single_samples_are_remembered_too_well() -> None:
    assert batch_norm_moments("silu", 64).sample_memory > 1.05
    assert batch_norm_moments("relu", 64).sample_memory < 1


def test_small_batches_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"batch must be a whole number >= 4; got 3. With fewer samples"):
        batch_norm_moments("tanh", 3)
    with pytest.raises(ConfigError, match="activation must be one of"):
        batch_norm_rate("tanhh", 8)


@pytest.mark.parametrize(("name", "batch"), [("relu", 6), ("tanh", 5), ("relu", 10)])
def test_own_derivatives_come_back_through_other_samples(name: str, batch: int, seed: int) -> None:
    draws, layers, phi = 4000, 3, as_function(name)
    generator, found = np.random.default_rng(seed), []
    for _ in range(200):
        # The same recursion from sampled pullbacks of its own for every layer: covariances from e_0 e_1^T and e_0 e_0^T.
        covariance = np.zeros((2, batch, batch))
        covariance[0, 0, 1] = covariance[1, 0, 0] = 1
        for _ in range(layers):
            n = generator.standard_normal((draws, batch))
            n -= n.mean(1, keepdims=True)
            n *= math.sqrt(batch) / np.linalg.norm(n, axis=1, keepdims=True)
            pulled = np.eye(batch) - (1 + n[:, :, None] * n[:, None, :]) / batch
            pulled *= phi.derivative(n)[:, None, :]
            covariance = np.array([np.einsum("sac,cd,sbd->ab", pulled, c, pulled, optimize=True) for c in covariance]) / draws
        found.append((covariance[0, 0, 1], covariance[1, 0, 0]))
    product, square = np.array(found).T
    rest = product - batch_norm_gradient_correlation(name, layers, batch) * square
    # The ratio of two means, by its linearization; 4.9: one in a million for a normal number.
    assert abs(rest.mean()) < 4.9 * rest.std() / math.sqrt(len(rest))
    # Without what comes back it is the power of one layer's.
    alone = product - batch_norm_gradient_correlation(name, 1, batch) ** layers * square
    assert abs(alone.mean()) > 6 * alone.std() / math.sqrt(len(alone))
