"""Finite width: exact laws against sampled nets, the order 1 / width against the exact laws and against sampling, for any activation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy import special, stats

from catalogue import activations
from gradyn.core import ConfigError
from gradyn.nn import LeakyRelu
from gradyn.theory import as_function, chi_1, finite_width_law, gaussian_relu_law, lengths, orthogonal_relu_law

EPS = np.finfo(np.float64).eps
# Two-sided; a hundred statistics in this file: 4e-6 false alarms a run.
Z = 5.5


def assert_mean(draws: np.ndarray, expected: float, what: str, slack: float = 0.0) -> None:
    error = draws.std(ddof=1) / math.sqrt(len(draws))
    assert abs(draws.mean() - expected) <= Z * error + slack, f"{what}: {draws.mean()} against {expected}, standard error {error}, slack {slack}"


def assert_variance(draws: np.ndarray, expected: float, what: str, slack: float = 0.0) -> None:
    # The variance is a mean of squares about the sample mean, whose own error is of second order.
    assert_mean(np.square(draws - draws.mean()), expected, f"variance of {what}", slack + expected / len(draws))


def net_logs(activation, rng, *, widths, draws, q0, sigma_w, sigma_b, random=None):
    """log |x_l|^2 and log |delta_l|^2 [draws, layers] of whole nets, weights drawn one by one: nothing of the theory is in here."""
    phi, x = as_function(activation), np.full((draws, widths[0]), math.sqrt(q0))
    hs, ws, xs = [], [], []
    for fan_in, fan_out in itertools.pairwise(widths):
        w = random(draws, fan_in) if random else rng.standard_normal((draws, fan_out, fan_in)) * sigma_w / math.sqrt(fan_in)
        h = np.einsum("dij,dj->di", w, x) + sigma_b * rng.standard_normal((draws, fan_out))
        x = phi.value(h)
        hs, ws, xs = [*hs, h], [*ws, w], [*xs, x]
    deltas = [rng.standard_normal((draws, widths[-1]))]
    for w, h in zip(ws[:0:-1], hs[-2::-1], strict=True):
        deltas.insert(0, np.einsum("dij,di->dj", w, deltas[0]) * phi.derivative(h))
    with np.errstate(divide="ignore"):
        return tuple(np.log(np.stack([np.square(t).sum(1) for t in ts], 1)) for ts in (xs, deltas))


@pytest.mark.parametrize("slope", [0.0, 0.3, -1.5])
def test_norms_of_relus_kind_follow_the_exact_law_forwards_and_backwards(slope, rng):
    width, layers, sigma_w = 6, 4, rng.uniform(0.8, 1.8)
    phi = as_function("relu" if slope == 0 else LeakyRelu(slope))
    law = gaussian_relu_law([width] * layers, sigma_w=sigma_w, negative_slope=slope)
    x, delta = net_logs(phi, rng, widths=[width] * (layers + 2), draws=20_000, q0=1.0, sigma_w=sigma_w, sigma_b=0.0)
    for name, logs in (("|x|^2", x[:, layers - 1] - math.log(width)), ("|delta|^2", delta[:, 0] - delta[:, layers])):
        alive = np.isfinite(logs)
        assert_mean((~alive).astype(float), law.p_zero, f"dying {name}")
        assert_mean(logs[alive], law.mean, f"log {name}, slope {slope}")
        assert_variance(logs[alive], law.variance, f"log {name}, slope {slope}")


def test_orthogonal_relu_nets_follow_the_exact_law(rng):
    width, layers, gain = 6, 4, rng.uniform(0.8, 1.8)
    law = orthogonal_relu_law(width, layers, gain=gain)

    def random(draws: int, n: int) -> np.ndarray:
        return gain * stats.ortho_group.rvs(n, size=draws, random_state=rng)

    x, delta = net_logs("relu", rng, widths=[width] * (layers + 2), draws=4000, q0=1.0, sigma_w=1.0, sigma_b=0.0, random=random)
    for name, logs in (("|x|^2", x[:, layers - 1] - math.log(width)), ("|delta|^2", delta[:, 0] - delta[:, layers])):
        alive = np.isfinite(logs)
        assert_mean((~alive).astype(float), law.p_zero, f"dying {name}")
        assert_mean(logs[alive], law.mean, f"log {name}")
        assert_variance(logs[alive], law.variance, f"log {name}")


@pytest.mark.parametrize("width", [1, 2, 9, 300])
def test_the_leaky_transform_is_chi_squared_where_the_net_is_linear(width):
    law = gaussian_relu_law([width], sigma_w=1.0, negative_slope=1.0)
    # Sums of 20,000 terms of order one; u * difference reaches a hundred.
    assert law.mean == pytest.approx(special.digamma(width / 2) + math.log(2 / width), abs=1e3 * EPS)
    assert law.variance == pytest.approx(special.polygamma(1, width / 2), abs=1e5 * EPS)


def test_a_slope_near_zero_is_relu():
    # At width 40 no unit alive has probability 1e-12, times log^2 of slope^2 (700): below 1e-9.
    leaky, relu = gaussian_relu_law([40] * 3, sigma_w=1.2, negative_slope=1e-6), gaussian_relu_law([40] * 3, sigma_w=1.2)
    assert leaky.mean == pytest.approx(relu.mean, abs=1e-9)
    assert leaky.variance == pytest.approx(relu.variance, abs=1e-8)


def test_the_known_values_of_the_exact_laws():
    assert gaussian_relu_law([50] * 10, sigma_w=math.sqrt(2)).variance == pytest.approx(1.08168, abs=5e-6)
    assert gaussian_relu_law([4] * 10, sigma_w=math.sqrt(2)).p_zero == pytest.approx(1 - (1 - 2**-4) ** 10)
    assert gaussian_relu_law([80] * 10, sigma_w=math.sqrt(2)).p_zero == pytest.approx(10 * 2.0**-80, rel=1e-12)


@pytest.mark.parametrize("slope", [0.0, 0.4, 1.0])
def test_the_order_one_over_width_is_the_exact_laws_expansion(slope):
    phi, sigma_w, steps = as_function(LeakyRelu(slope)), 1.3, 5
    for width in (2000, 8000):
        law = finite_width_law(phi, q0=1.0, depth=steps + 1, width=width, sigma_w=sigma_w, sigma_b=0.0)
        exact = gaussian_relu_law([width] * steps, sigma_w=sigma_w, negative_slope=slope)
        # What is left is of order steps / width^2, with a constant of the square of Var R / chi^2 (at most 5).
        assert law.log_ratio_mean.sum() == pytest.approx(exact.mean, abs=25 * steps / width**2)
        assert law.log_ratio_covariance.sum() == pytest.approx(exact.variance, abs=50 * steps / width**2)
    # And for ReLU's kind the mean of the square is exact: no shift.
    assert law.log_annealed_ratio == pytest.approx(law.log_chi, abs=64 * EPS)
    if slope == 0:
        assert width * (law.log_ratio_mean - law.log_chi) == pytest.approx(-2.5, rel=1e-10)


def conditional_logs(activation, rng, *, width, depth, draws, q0, sigma_w, sigma_b):
    """log |delta_l|^2 and q_l of nets as `net_logs`, in law exactly, at the cost of vectors: h given x, then W^T delta given all h."""
    phi, s2 = as_function(activation), sigma_w**2
    q = np.full(draws, s2 * q0 + sigma_b**2)
    hs, qs = [], []
    for _ in range(depth):
        hs, qs = [*hs, np.sqrt(q)[:, None] * rng.standard_normal((draws, width))], [*qs, q]
        q = s2 * np.square(phi.value(hs[-1])).mean(1) + sigma_b**2
    delta = rng.standard_normal((draws, width))
    logs = [np.log(np.square(delta).sum(1))]
    for i in reversed(range(depth - 1)):
        x, g = phi.value(hs[i]), rng.standard_normal((draws, width))
        x_square, along = np.square(x).sum(1), (x * g).sum(1)
        # (s2 / N)(1 - (s2 / N) x x^T / Q): along x a variance smaller by sigma_b^2 / Q.
        with np.errstate(invalid="ignore"):
            g += x * (along * (sigma_b / np.sqrt(qs[i + 1]) - 1) / x_square)[:, None]
        g *= np.sqrt(s2 / width * np.square(delta).sum(1))[:, None]
        g += x * (s2 / width * (hs[i + 1] * delta).sum(1) / qs[i + 1])[:, None]
        delta = phi.derivative(hs[i]) * g
        logs.insert(0, np.log(np.square(delta).sum(1)))
    return np.stack(logs, 1), np.stack(qs, 1)


SETTINGS = [("tanh", 1.5, 0.2), ("sigmoid", 3.0, 0.5), ("gelu", 1.2, 0.3), ("relu", 1.4, 0.4)]


@pytest.mark.parametrize(("activation", "sigma_w", "sigma_b"), SETTINGS[1:])
def test_the_conditional_sampler_is_a_net(activation, sigma_w, sigma_b, rng):
    """Both at width 12, where 1 / N^2 is large: the conditioning of W on the forward pass is exact."""
    width, depth, settings = 12, 4, {"q0": 0.8, "sigma_w": sigma_w, "sigma_b": sigma_b}
    _, nets = net_logs(activation, rng, widths=[width] * (depth + 1), draws=5000, **settings)
    vectors, _ = conditional_logs(activation, rng, width=width, depth=depth, draws=40_000, **settings)
    nets, vectors = (logs[np.isfinite(logs).all(1)] for logs in (nets, vectors))
    for upper in (-1, 1):
        by_net, expected = (logs[:, 0] - logs[:, upper] for logs in (nets, vectors))
        assert_mean(by_net, expected.mean(), activation, Z * expected.std() / math.sqrt(len(expected)))
        squares = np.square(expected - expected.mean())
        assert_variance(by_net, squares.mean(), activation, Z * squares.std() / math.sqrt(len(squares)))


@pytest.mark.parametrize(
    ("activation", "sigma_w", "sigma_b"),
    [*SETTINGS[:2], *(pytest.param(*more, marks=pytest.mark.slow) for more in (*SETTINGS[2:], ("linear", 1.0, 0.3), ("selu", 1.0, 0.2), ("sin", 1.5, 0.3)))],
)
def test_the_order_one_over_width_is_what_nets_have(activation, sigma_w, sigma_b, rng):
    width, depth, draws = 96, 6, 12_000
    settings = {"q0": 0.8, "sigma_w": sigma_w, "sigma_b": sigma_b}
    law = finite_width_law(activation, depth=depth, width=width, **settings)
    logs, q = conditional_logs(activation, rng, width=width, depth=depth, draws=draws, **settings)
    total, steps = logs[:, 0] - logs[:, -1], depth - 1
    # What is left is of order steps / width^2. Its constants were measured at widths 32 and 64, depth 8: at most 8 for the mean, 50 for the variance (GELU).
    left, left_of_variance = 12 * steps / width**2, 60 * steps / width**2
    assert_mean(total, law.log_ratio_mean.sum(), f"{activation}: mean log", left)
    assert_variance(total, law.log_ratio_covariance.sum(), f"{activation}: log", left_of_variance)
    assert_mean(np.exp(total - law.log_chi.sum()), math.exp((law.log_annealed_ratio - law.log_chi).sum()), f"{activation}: annealed", left)
    assert_mean(q[:, -1] / law.length_mean[-1], 1.0, f"{activation}: length", left)
    assert_variance(q[:, -1] / law.length_mean[-1], law.length_variance[-1] / law.length_mean[-1] ** 2, f"{activation}: length", left)
    expected, spread = law.slope(1, depth)
    slopes = np.polyfit(np.arange(depth), logs[:, ::-1].T, 1)[0]
    assert_mean(slopes, expected, f"{activation}: slope", left)
    assert_variance(slopes, spread**2, f"{activation}: slope", left)


@pytest.mark.parametrize(
    ("activation", "sigma_w", "sigma_b"),
    [("elu", 1.1, 0.3), *(pytest.param(*more, marks=pytest.mark.slow) for more in SETTINGS if more[0] != "gelu")],
)
def test_a_steps_mean_ratio_knows_that_weights_were_seen_by_the_forward_pass(activation, sigma_w, sigma_b, rng):
    """E R_l / chi - 1, summed over a deep net's steps: no logarithm hides the term of x, about -0.4 / N a step for sigmoid, 0 for ReLU.

    GELU is left to the test above: its lengths fluctuate so that the next order is ten times as large.
    """
    # What is left was measured at widths 32 and 64, 24,000 draws: nothing beyond the error of 1 / N^2 a step.
    width, depth, draws = 32, 20, 12_000
    settings = {"q0": 0.8, "sigma_w": sigma_w, "sigma_b": sigma_b}
    law = finite_width_law(activation, depth=depth, width=width, **settings)
    logs, _ = conditional_logs(activation, rng, width=width, depth=depth, draws=draws, **settings)
    ratios = np.exp(logs[:, :-1] - logs[:, 1:] - law.log_chi)
    expected = np.exp(law.log_ratio_mean + np.diag(law.log_ratio_covariance) / 2 - law.log_chi)
    assert_mean((ratios - 1).sum(1), (expected - 1).sum(), activation, 2 * (depth - 1) / width**2)


@pytest.mark.parametrize("activation", activations(), ids=repr)
def test_infinite_width_is_the_mean_field_theory(activation):
    settings = {"sigma_w": 1.1, "sigma_b": 0.3}
    law = finite_width_law(activation, q0=0.7, depth=4, width=10**9, **settings)
    q_L = lengths(activation, 0.7, 4, **settings)
    assert law.log_ratio_mean == pytest.approx(np.log(chi_1(activation, q_L[:-1], **settings)), abs=1e-7)
    assert law.length_mean == pytest.approx(q_L, rel=1e-7)
    assert np.linalg.eigvalsh(law.log_ratio_covariance).min() > 0


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: gaussian_relu_law([], sigma_w=1.0), "widths must be numbers of units"),
        (lambda: gaussian_relu_law([4, 0], sigma_w=1.0), "widths must be numbers of units, 1 or more; got"),
        (lambda: gaussian_relu_law([4], sigma_w=0.0), "sigma_w must be above 0; got 0.0"),
        (lambda: orthogonal_relu_law(4, 0, gain=1.0), "layers must be 1 or more; got 0"),
        (lambda: finite_width_law("tanh", q0=1.0, depth=1, width=9, sigma_w=1.0, sigma_b=0.0), "depth must be at least 2"),
        (lambda: finite_width_law("tanh", q0=0.0, depth=3, width=9, sigma_w=1.0, sigma_b=0.0), "q0 must lead to lengths above 0"),
        (lambda: finite_width_law("tanh", q0=1.0, depth=3, width=9, sigma_w=1.0, sigma_b=0.0).slope(2, 4), "first must be a layer below last"),
    ],
    ids=range(7),
)
def test_settings_without_a_law_are_refused(call, line):
    with pytest.raises(ConfigError, match=line):
        call()
