"""Deep linear nets: the law of a mode against quadrature, a flow of small steps and torch's own descent; and that each could fail."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy import integrate

from gradyn.core import ConfigError
from gradyn.report import half_rises, mode_curves, steps_to_target
from gradyn.theory import half_rise, mode_strength, steps_of_modes

CASES = [(matrices, s, start) for matrices in (1, 2, 3, 6) for s, start in ((3.0, 1e-3), (0.7, 0.02))]


@pytest.mark.parametrize(("matrices", "s", "start"), CASES)
def test_a_strength_is_where_its_own_time_integral_says(matrices, s, start):
    for share in (0.1, 0.5, 0.9):
        end = start + share * (s - start)
        # A decade at a time: the integrand falls by one of these powers over each.
        ends = np.geomspace(start, end, 9)
        parts = [integrate.quad(lambda u: 1 / (matrices * u ** (2 - 2 / matrices) * (s - u)), *pair, epsabs=0, epsrel=1e-13)[0] for pair in pairwise(ends)]
        time = sum(parts)
        # The docstring's 1e-9; the quadrature's 1e-13 of the time is below 40 x 3 x 1e-13 in ln u, d ln u / dt <= M s^(2 - 2/M) < 40.
        assert mode_strength(time, s, start, matrices=matrices) == pytest.approx(end, rel=1e-9)
        # The law of one matrix more is another one.
        assert mode_strength(time, s, start, matrices=matrices + 1) != pytest.approx(end, rel=1e-3)


@pytest.mark.parametrize(("matrices", "s", "start"), CASES)
def test_half_the_strength_is_reached_at_the_time_of_half_rise(matrices, s, start):
    assert mode_strength(half_rise(s, start, matrices=matrices), s, start, matrices=matrices) == pytest.approx(s / 2, rel=1e-9)


def test_two_matrices_have_the_closed_forms():
    assert half_rise(3.0, 1e-3) == pytest.approx(np.log(2999) / 6, rel=1e-10)
    # e^(2 s t) overflows here; the strength is s.
    assert mode_strength([0.0, 1e4], 3.0, 1e-3).tolist() == [1e-3, 3.0]


def torch_descent(matrices: int, strengths: np.ndarray, rate: float, share: float, seed: int) -> int:
    """Steps of torch's own gradient descent from orthogonal matrices to a target with the bases of their product."""
    torch.manual_seed(seed)
    weights = [torch.linalg.qr(torch.randn(len(strengths), len(strengths), dtype=torch.float64))[0].requires_grad_() for _ in range(matrices)]

    def product() -> torch.Tensor:
        out = weights[0]
        for weight in weights[1:]:
            out = weight @ out
        return out

    u, _, vt = torch.linalg.svd(product().detach())
    target, first = u @ torch.diag(torch.from_numpy(strengths)) @ vt, None
    for step in range(10_000):
        loss = (target - product()).square().sum() / 2
        first = loss.item() if first is None else first
        if loss.item() <= share * first:
            return step
        for weight, gradient in zip(weights, torch.autograd.grad(loss, weights), strict=True):
            weight.data -= rate * gradient
    return 10_000


@pytest.mark.parametrize("matrices", [2, 5, 16])
def test_steps_of_orthogonal_nets_are_the_recursions_of_their_modes(matrices):
    strengths = np.linspace(0.5, 1.5, 8)
    expected = steps_of_modes(strengths, matrices=matrices, rate=0.1 / matrices, share=0.01)
    assert torch_descent(matrices, strengths, 0.1 / matrices, 0.01, seed=matrices) == expected
    assert steps_of_modes(strengths, matrices=matrices, rate=0.2 / matrices, share=0.01) < expected
    table = steps_to_target("orthogonal", 8, [matrices], [0.1], 0.01, 1000, [3])
    assert table["steps"].tolist() == table["theory"].tolist() == [expected]


def test_measured_curves_are_theorys_up_to_the_extrapolation():
    for matrices, start in ((2, 1e-3), (6, 1e-2)):
        curves = mode_curves([2.0, 1.0], start, matrices, 2e-3, 6.0, seed=1)
        off = (curves["strength"] - curves["theory"]).abs().max()
        assert off <= 3 * curves["error"].max()
        # Euler's error is seen where it is not taken out.
        assert (curves["coarse"] - curves["theory"]).abs().max() > 50 * off
        times = half_rises(curves, start, matrices)
        # The cubic's own error: 1e-9 of the gap in logit.
        assert ((times["measured"] - times["theory"]).abs() <= 4 * times["error"] + 1e-7).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: mode_strength(1.0, 1.0, 2.0), "start must be between 0 and s=1; got 2.0"),
        (lambda: mode_strength(1.0, -1.0, 0.1), "s must be above 0; got -1.0"),
        (lambda: half_rise(1.0, 0.6), "start must be below s / 2; got 0.6"),
        (lambda: half_rise(1.0, 0.1, matrices=0), "matrices must be >= 1; got 0"),
    ],
)
def test_what_does_not_grow_is_refused(call, message):
    with pytest.raises(ConfigError, match=message):
        call()
