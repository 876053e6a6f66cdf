"""Gradients of two inputs: closed forms of the gate model against sampling, and those of real nets against differences of kernels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gradyn.core import ConfigError
from gradyn.report import sample_gates
from gradyn.theory import GATE_NETS, gate_covariance, gate_variance, gradient_autocorrelation, orthogonal_gradient_correlation, product
from gradyn.theory import moment as gaussian_moment

SIGMAS = {"sigma_w": 1.3, "sigma_b": 0.5}


def test_the_gate_model_has_the_source_s_numbers() -> None:
    assert [gate_variance(net, 8) for net in GATE_NETS] == pytest.approx([1, 2**8, 9], rel=1e-14)
    # prod (l + 1/2) / (l + 1), about 2 / sqrt(pi L).
    expected = [2**-8, 1.5**8, 9 * math.gamma(9.5) / (math.gamma(1.5) * math.factorial(9))]
    assert [gate_covariance(net, 8) for net in GATE_NETS] == pytest.approx(expected, rel=1e-14)
    with pytest.raises(ConfigError, match="net must be one of plain, residual"):
        gate_variance("highway", 3)


@pytest.mark.parametrize("net", GATE_NETS)
def test_sampled_gates_have_the_moments_of_the_model(net: str, seed: int) -> None:
    table = sample_gates({"seed": seed, "draws": 200, "vectors": 4, "width": 16, "layers": 4}).query("net == @net and layers == 4")
    for column, said in (("variance", gate_variance(net, 4)), ("covariance", gate_covariance(net, 4))):
        z = (table[column].mean() - said) / table[column].sem()
        # 4.9: one in a million for a normal mean; the mean of 200 log-normals of variance 5 L / N is skewed, and gets one more.
        assert abs(z) < 5.9, f"{column}: {table[column].mean():.4g}, by the model {said:.4g}, seed {seed}"


def test_real_nets_lose_the_correlation_as_a_power_of_depth() -> None:
    # A number computed beside the project for orthogonal inputs (six digits), and the exponent -3 of c_l = 1 - (9 pi^2 / 2) / l^2.
    log = {depth: math.log(orthogonal_gradient_correlation(depth)) for depth in (6, 500, 1000, 2000)}
    assert math.exp(log[6]) == pytest.approx(0.0798058, abs=5e-8)
    slopes = [(log[2 * depth] - log[depth]) / math.log(2) for depth in (500, 1000)]
    assert abs(slopes[1] + 3) < abs(slopes[0] + 3) < 0.1


def test_batch_norm_brings_the_exponential_law_back() -> None:
    # 2^-L but for 1 / B: half of it at twice the batch, and 1 / B^2 beside it.
    off = {batch: 1 - 2**4 * orthogonal_gradient_correlation(4, batch) for batch in (128, 256, 512)}
    assert 0 < off[512] < 0.005
    assert abs(off[256] / off[512] - 2) < abs(off[128] / off[256] - 2) < 0.1
    with pytest.raises(ConfigError, match="batch must be a whole number >= 4; got 3"):
        orthogonal_gradient_correlation(2, 3)


@pytest.mark.parametrize("batch", [6, 8, 12])
def test_two_samples_of_a_normalized_batch_have_the_correlation_of_sampled_ones(batch: int, seed: int) -> None:
    draws = 200_000
    h = torch.from_numpy(np.random.default_rng(seed).standard_normal((draws, batch))).requires_grad_()
    spread = h.std(1, correction=0, keepdim=True)
    normalized = (h - h.mean(1, keepdim=True)) / spread
    # By autograd, not by the formula; the spread is common to all samples.
    own = torch.stack([torch.autograd.grad(normalized[:, place].sum(), h, retain_graph=True)[0][:, place] for place in range(batch)], 1)
    passed = (own * spread * (normalized > 0)).detach()
    squares = passed.square().sum(1)
    products = (passed.sum(1).square() - squares) / (batch - 1)  # mean over the other samples, summed over the first
    # The ratio of two means, by its linearization; 4.9: one in a million for a normal number.
    rest = products - orthogonal_gradient_correlation(1, batch) * squares
    assert rest.mean().abs() < 4.9 * rest.std() / math.sqrt(draws)
    # J'(c) is as far off as these many batches can tell.
    constant = products - (1 - math.acos(-1 / (batch - 1)) / math.pi) * squares
    assert constant.mean().abs() > 6 * constant.std() / math.sqrt(draws)


@pytest.mark.parametrize("is_residual", [False, True])
def test_the_gradient_s_covariance_is_the_kernel_s_mixed_difference(is_residual: bool) -> None:
    points, depth, lags = np.linspace(-1.0, 1.4, 7), 4, (1, 3)

    def differenced(step: float) -> np.ndarray:
        t = np.sort(np.concatenate([points - step, points + step]))
        x, mean = np.outer(t, t), np.zeros_like(t)
        rows = []
        for layer in range(1, depth + 1):
            h = SIGMAS["sigma_w"] ** 2 * x + SIGMAS["sigma_b"] ** 2
            mixed = (h[1::2, 1::2] - h[1::2, ::2] - h[::2, 1::2] + h[::2, ::2]) / (4 * step**2)
            off = mixed - mixed.mean(0)
            off = off - off.mean(1, keepdims=True)
            rows.append([np.trace(off, lag) / np.trace(off) for lag in lags])
            q = np.diag(h)
            phi = product("relu", q[:, None], q[None, :], c=np.clip(h / np.sqrt(np.outer(q, q)), -1, 1)).value
            phi_mean = gaussian_moment("relu", q, value=1).value
            x = x + phi + np.outer(mean, phi_mean) + np.outer(phi_mean, mean) if is_residual and layer > 1 else phi
            mean = mean + phi_mean if is_residual and layer > 1 else phi_mean
        return np.array(rows)[1:]

    found = gradient_autocorrelation(points, depth, lags, **SIGMAS, is_residual=is_residual)[1:]
    # On the diagonal the kernel has a term |t - t'|^3: the difference is off by the step to first order, which two steps cancel, and 1e-15 / step^2 rounding.
    step = 1e-3
    once, twice = differenced(step), differenced(2 * step)
    assert np.abs(2 * once - twice - found).max() < 100 * step**2 + 1e-8, (found, once)
    assert np.abs(once - found).max() < 3 * np.abs(once - twice).max() + 1e-6


def test_a_line_without_biases_is_refused() -> None:
    with pytest.raises(ConfigError, match="sigma_b must be above 0"):
        gradient_autocorrelation([0.0, 1.0, 2.0], 3, (1,), sigma_w=1.0, sigma_b=0.0)
    with pytest.raises(ConfigError, match="lags must be between 1 and 2"):
        gradient_autocorrelation([0.0, 1.0, 2.0], 3, (3,), sigma_w=1.0, sigma_b=0.1)
