"""Every component's pullback is the transposed Jacobian of its own forward: fused = default (torch.func.vjp) = autograd."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from catalogue import activations, losses, norms, penalties
from gradyn.nn import AbstractActivation, AbstractNorm
from gradyn.optim import AbstractLoss, AbstractPenalty

EPS = torch.finfo(torch.float64).eps
# A pullback is a dozen roundings of numbers of size |u| max|phi'|, or a mean over at most 64 of them.
ROUNDINGS = 64


def uniform(rng: np.random.Generator, *shape: int, size: float = 4.0) -> Tensor:
    return torch.from_numpy(rng.uniform(-size, size, shape))


def autograd(function, argument: Tensor, upstream: Tensor) -> Tensor:
    leaf = argument.clone().requires_grad_()
    return torch.autograd.grad(function(leaf), leaf, upstream)[0]


def assert_equal(found: Tensor, expected: Tensor, scale: float, what: str) -> None:
    error, bound = float((found - expected).abs().max()), ROUNDINGS * EPS * scale
    assert error <= bound, f"{what}: largest difference {error:.3e}, bound {bound:.3e}"


def assert_activation_pullback(activation: AbstractActivation, rng: np.random.Generator) -> None:
    h, upstream = uniform(rng, 2, 5, 7), uniform(rng, 2, 5, 7)
    h.view(-1)[:3] = torch.tensor([0.0, 1.0, -1.0])  # the corners
    found = activation.pullback(upstream.clone(), h, activation.forward(h))
    default = AbstractActivation.pullback(activation, upstream, h, activation.forward(h))
    scale = 4 * max(activation.max_derivative, 1.0)
    assert_equal(found, default, scale, f"{activation} against its default")
    assert_equal(found, autograd(activation.forward, h, upstream), scale, f"{activation} against autograd")


@pytest.mark.parametrize("activation", activations(), ids=repr)
def test_an_activations_pullback_is_its_forwards(activation, rng):
    assert_activation_pullback(activation, rng)


@pytest.mark.parametrize("activation", activations(), ids=repr)
def test_derivatives_stay_below_their_stated_bound_and_reach_it(activation, rng):
    h = torch.cat([uniform(rng, 100_000, size=30.0), torch.linspace(-30, 30, 600_001)])
    largest = float(activation.derivative(h, activation.forward(h)).abs().max())
    # The search behind the bound has a step of 1e-3, this one 1e-4: they differ by |phi'''| 1e-6 / 8 at most, and |phi'''| < 4.
    assert largest == pytest.approx(activation.max_derivative, abs=1e-6)


@pytest.mark.parametrize("activation", [a for a in activations() if a.name in ("sigmoid", "tanh", "softsign")], ids=repr)
def test_saturating_derivatives_do_not_cancel(activation):
    h = torch.tensor([[-30.0, -18.0, 18.0, 30.0]])
    exact = {"sigmoid": np.exp(-30.0), "tanh": 4 * np.exp(-60.0), "softsign": 1 / 31**2}[activation.name]
    derivative = activation.derivative(h, activation.forward(h))[0]
    # exp(-30) in place of 1 / (4 cosh^2(15)): the next term of the series is exp(-30) times smaller.
    assert derivative[3] == pytest.approx(exact, rel=1e-12)
    assert derivative[0] == pytest.approx(exact, rel=1e-12)


def assert_norm_pullback(norm: AbstractNorm, rng: np.random.Generator) -> None:
    t, upstream = uniform(rng, 2, 6, 9), uniform(rng, 2, 6, 9)
    normalized, saved = norm.forward(t)
    found = norm.pullback(upstream, normalized, saved)
    # Divided by a standard deviation of at least 0.3 here.
    scale = 4 / 0.3 * 9
    assert_equal(normalized, norm.normalize(t), 4.0, f"{norm}: forward against normalize")
    assert_equal(found, torch.func.vjp(norm.normalize, t)[1](upstream)[0], scale, f"{norm} against its default")
    assert_equal(found, autograd(norm.normalize, t, upstream), scale, f"{norm} against autograd")


@pytest.mark.parametrize("norm", norms(), ids=repr)
def test_a_norms_pullback_is_its_forwards(norm, rng):
    assert_norm_pullback(norm, rng)


@pytest.mark.parametrize("eps", [1e-3, 1e-5])
def test_norms_are_torchs(eps, rng):
    from gradyn.nn import BatchNorm, LayerNorm, RmsNorm

    t = uniform(rng, 3, 8, 6)
    for run in range(3):
        batch = torch.nn.functional.batch_norm(t[run], None, None, training=True, eps=eps)
        assert_equal(BatchNorm(eps=eps).normalize(t)[run], batch, 4.0, "batch")
        assert_equal(LayerNorm(eps=eps).normalize(t)[run], torch.nn.functional.layer_norm(t[run], (6,), eps=eps), 4.0, "layer")
        assert_equal(RmsNorm(eps=eps).normalize(t)[run], torch.nn.functional.rms_norm(t[run], (6,), eps=eps), 4.0, "rms")


def targets(loss: AbstractLoss, rng: np.random.Generator, runs: int, batch: int, classes: int) -> Tensor:
    return torch.from_numpy(rng.integers(0, classes, (runs, batch))) if loss.target == "labels" else uniform(rng, runs, batch, classes)


def assert_loss_cotangent(loss: AbstractLoss, rng: np.random.Generator) -> None:
    output = uniform(rng, 2, 5, 4)
    y = targets(loss, rng, 2, 5, 4)
    found = loss.cotangent(output.clone(), y)
    assert_equal(found, AbstractLoss.cotangent(loss, output, y), 8.0, f"{loss} against its default")
    assert_equal(found, autograd(lambda o: loss.mean(o, y).sum(), output, torch.tensor(1.0)), 8.0, f"{loss} against autograd")


@pytest.mark.parametrize("loss", losses(), ids=repr)
def test_a_losss_cotangent_is_its_gradient(loss, rng):
    assert_loss_cotangent(loss, rng)


def test_cross_entropy_is_torchs_and_keeps_the_gradient_of_a_certain_sample(rng):
    from gradyn.optim import CrossEntropy

    output, labels = uniform(rng, 1, 6, 4), torch.from_numpy(rng.integers(0, 4, (1, 6)))
    assert float(CrossEntropy().mean(output, labels)) == pytest.approx(float(torch.nn.functional.cross_entropy(output[0], labels[0])), abs=ROUNDINGS * EPS)
    certain = CrossEntropy().cotangent(torch.tensor([[[60.0, 0.0, 0.0]]]), torch.tensor([[0]]))
    assert float(certain[0, 0, 0]) == pytest.approx(-2 * np.exp(-60.0), rel=1e-12)


def assert_penalty_gradient(penalty: AbstractPenalty, rng: np.random.Generator) -> None:
    for shape in ((2, 4, 7), (2, 7, 4)):
        w = uniform(rng, *shape, size=1.0)
        found = penalty.gradient(w)
        scale = 4 * 7 * 4.0 * max(penalty.coefficient, 1.0)
        assert_equal(found, AbstractPenalty.gradient(penalty, w), scale, f"{penalty} against its default")
        assert_equal(found, autograd(lambda t: penalty.value(t).sum(), w, torch.tensor(1.0)), scale, f"{penalty} against autograd")


@pytest.mark.parametrize("penalty", penalties(), ids=repr)
def test_a_penaltys_gradient_is_its_values(penalty, rng):
    assert_penalty_gradient(penalty, rng)
