"""Custom Functions: right where there is a derivative, known where there is none, and rejected by gradcheck where they are surrogates."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradcheck, gradgradcheck

from gradyn.autodiff import PLACES, RELUS, Exponent, GradientReversal, StraightThroughSign, TrackedIdentity, log_sum_exp, relu, subgradients

EPS = np.finfo(float).eps


def away_from_zero(rng: np.random.Generator, *shape: int) -> torch.Tensor:
    values = rng.standard_normal(shape)
    return torch.tensor(values + np.sign(values) * 0.1, requires_grad=True)


def test_relu_passes_gradcheck_and_gradgradcheck_away_from_its_kink(rng: np.random.Generator) -> None:
    x = away_from_zero(rng, 3, 4)
    assert gradcheck(relu, (x,))
    assert gradgradcheck(lambda x: relu(x) ** 2, (x,))


@pytest.mark.parametrize("dim", [0, 1, -1])
def test_log_sum_exp_passes_gradcheck_and_gradgradcheck(dim: int, rng: np.random.Generator) -> None:
    x = away_from_zero(rng, 3, 4)
    assert gradcheck(lambda x: log_sum_exp(x, dim), (x,))
    assert gradgradcheck(lambda x: log_sum_exp(x, dim), (x,))
    # m + log(sum): either rounds to eps of m and of the logarithm, which may cancel; sums of at most 4 terms.
    assert torch.allclose(log_sum_exp(x, dim), torch.logsumexp(x, dim), rtol=0, atol=8 * EPS * float(x.detach().abs().max() + 2))


def test_log_sum_exp_saved_off_the_graph_has_a_wrong_second_derivative(rng: np.random.Generator) -> None:
    class Forgetful(torch.autograd.Function):
        """Saves y before squeeze, which is neither input nor output."""

        @staticmethod
        def forward(ctx, x):
            y = x.logsumexp(-1, keepdim=True)
            ctx.save_for_backward(x, y)
            return y.squeeze(-1)

        @staticmethod
        def backward(ctx, u):
            x, y = ctx.saved_tensors
            return u.unsqueeze(-1) * (x - y).exp()

    x = away_from_zero(rng, 3, 4)
    assert gradcheck(Forgetful.apply, (x,))
    assert not gradgradcheck(Forgetful.apply, (x,), raise_exception=False)


@pytest.mark.parametrize("shift", [-1e4, -800.0, 0.0, 800.0, 1e4])
def test_log_sum_exp_neither_overflows_nor_vanishes(shift: float, rng: np.random.Generator) -> None:
    x = torch.tensor(rng.standard_normal(5) + shift, requires_grad=True)
    y = log_sum_exp(x)
    (p,) = torch.autograd.grad(y, x)
    assert math.isfinite(y.item())
    # exp(x - y) inherits the rounding of x - y, whose terms are of size |shift| + log 5; five of them are added.
    assert abs(p.sum().item() - 1) <= 5 * 4 * EPS * (abs(shift) + 4)


def test_log_sum_exp_of_infinities_is_what_torch_says_or_less_surprising() -> None:
    inf = float("inf")
    nothing = torch.tensor([-inf, -inf], requires_grad=True)
    assert log_sum_exp(nothing).item() == -inf
    assert torch.autograd.grad(log_sum_exp(nothing), nothing)[0].tolist() == [0.0, 0.0]
    assert log_sum_exp(torch.tensor([inf, 1.0])).item() == inf
    assert log_sum_exp(torch.tensor([-inf, 2.0])).item() == 2.0


# Way of writing -> gradient at -1, -0, 0, 1, inf, -inf, NaN.
TABLE = {
    "torch.relu(x)": (0.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0),
    "x.clamp(min=0)": (0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0),
    "mask x < 0 (textbooks)": (0.0, 1.0, 1.0, 1.0, 1.0, 0.0, 1.0),
    "gradyn.autodiff.relu": (0.0, 0.0, 0.0, 1.0, 1.0, 0.0, float("nan")),
}


@pytest.mark.parametrize("name", list(RELUS))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_the_table_of_subgradients_is_what_runs(name: str, dtype: torch.dtype) -> None:
    found = [subgradients(place, dtype)[name] for place in PLACES]
    np.testing.assert_array_equal([gradient for _, gradient in found], TABLE[name])
    np.testing.assert_array_equal([value for value, _ in found], [0.0, 0.0, 0.0, 1.0, math.inf, 0.0, math.nan])


def test_gradcheck_cannot_see_the_kink_until_it_is_forced_onto_it(rng: np.random.Generator) -> None:
    for function in RELUS.values():
        assert gradcheck(function, (away_from_zero(rng, 20),)), "whatever it answers at 0, a random input never asks"
        assert not gradcheck(function, (torch.zeros(1, requires_grad=True),), raise_exception=False), "a central difference answers 1/2 there"


@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_gradcheck_rejects_the_surrogates(strength: float, rng: np.random.Generator) -> None:
    x = away_from_zero(rng, 4)
    for surrogate in (StraightThroughSign.apply, lambda x: GradientReversal.apply(x, strength), lambda x: TrackedIdentity.apply(x, Exponent())):
        assert not gradcheck(surrogate, (x / 2,), raise_exception=False)


def test_a_surrogate_gives_the_cotangent_that_it_promises(rng: np.random.Generator) -> None:
    x, u = away_from_zero(rng, 50), torch.tensor(rng.standard_normal(50))
    (straight,) = torch.autograd.grad(StraightThroughSign.apply(x), x, u)
    assert torch.equal(straight, u * (x.abs() <= 1))
    (reversed_,) = torch.autograd.grad(GradientReversal.apply(x, 0.5), x, u)
    assert torch.equal(reversed_, -0.5 * u)
    assert torch.equal(GradientReversal.apply(x), x)


@pytest.mark.parametrize("scale", [2.0**-1040, 2.0**-300, 0.3, 1.0, 2.0**1000])
def test_mantissa_and_exponent_of_a_tracked_identity_are_the_cotangent_exactly(scale: float, rng: np.random.Generator) -> None:
    x, u, exponent = away_from_zero(rng, 9), torch.tensor(rng.standard_normal(9) * scale), Exponent()
    (mantissa,) = torch.autograd.grad(TrackedIdentity.apply(x, exponent), x, u)
    assert 0.5 <= mantissa.abs().max().item() < 1
    assert np.array_equal(np.ldexp(mantissa.numpy(), exponent.value), u.numpy())


def test_a_tracked_identity_carries_a_gradient_past_the_floats_end() -> None:
    x, exponent = torch.ones(2, dtype=torch.float32, requires_grad=True), Exponent()
    plain = tracked = x
    for _ in range(40):
        plain, tracked = plain * 2.0**-40, TrackedIdentity.apply(tracked * 2.0**-40, exponent)
    assert torch.autograd.grad(plain.sum(), x)[0].tolist() == [0.0, 0.0]
    (mantissa,) = torch.autograd.grad(tracked.sum(), x)
    assert np.log2(mantissa.numpy()) + exponent.value == pytest.approx([-1600, -1600], abs=0)


@pytest.mark.parametrize("u", [[0.0, 0.0], [math.inf, 1.0], [math.nan, 1.0]], ids=str)
def test_a_tracked_identity_leaves_zeros_and_what_is_not_finite(u: list[float]) -> None:
    x, exponent = torch.ones(2, requires_grad=True), Exponent()
    (passed,) = torch.autograd.grad(TrackedIdentity.apply(x, exponent), x, torch.tensor(u))
    np.testing.assert_array_equal(passed.numpy(), u)
    assert exponent.value == 0
