"""Clipping at the ends of float32: a gradient that is finite is clipped, not zeroed, and one beyond the float has its right update."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from gradyn.core import Scaled, cosine, log2_l2, log2_total
from gradyn.optim import AbstractClip, GlobalL2, LayerL2

# A gradient is rounded once, to float32: half an eps of 2**-23, and log2 of its norm, of size n, is off by an eps of 2**-52 of n.
ROUNDED = 2.0**-24


def clipped(clip: AbstractClip, gradients: list[Scaled], layer_of: list[int]) -> list[torch.Tensor]:
    """What the optimizer gets of one run's gradients."""
    factors_RP = clip.log2_factors(log2_l2(gradients), layer_of)
    assert factors_RP is not None
    out = [torch.empty_like(gradient.mantissa) for gradient in gradients]
    return [clip.limited(gradient, gradient.mantissa, factors_RP[:, place], out[place]) for place, gradient in enumerate(gradients)]


def drawn(rng: np.random.Generator, size: float) -> list[torch.Tensor]:
    """A weight's, a bias' and a scalar's gradient of one run, float32."""
    return [torch.from_numpy(size * rng.standard_normal((1, *shape))).float() for shape in ((7, 5), (7,), ())]


def torchs(gradients: list[torch.Tensor], clip: GlobalL2 | LayerL2) -> list[torch.Tensor]:
    """g min(1, max_norm / (||g|| + eps)) in float64, where no square of these leaves the range."""
    wide = [gradient.double() for gradient in gradients]
    total = math.sqrt(sum(float(gradient.square().sum()) for gradient in wide))
    return [gradient * min(1.0, clip.max_norm / (total + clip.eps)) for gradient in wide]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("size", [1e20, 3e37, 1e3, 1e-3, 3e-7, 1e-20])
@pytest.mark.parametrize("max_norm", [1.0, 1e-6, 1e30])
def test_finite_float32_gradients_are_clipped_by_torchs_formula_at_any_size(size: float, max_norm: float, seed: int) -> None:
    gradients, clip = drawn(np.random.default_rng(seed), size), GlobalL2(max_norm=max_norm)
    found = clipped(clip, [Scaled.plain(gradient) for gradient in gradients], [1, 1, 2])
    for ours, theirs in zip(found, torchs(gradients, clip), strict=True):
        # The rounded gradient, and before it the factor as float32 holds it; the norm's and log2's roundings are nothing beside these.
        assert torch.allclose(ours.double(), theirs, rtol=3 * ROUNDED, atol=2.0**-149)
        assert ours.any()


def test_torch_itself_zeroes_what_is_clipped_here() -> None:
    """Else the law above would hold no more than torch does."""
    gradients = drawn(np.random.default_rng(0), 1e20)
    parameters = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, 1.0)
    assert not any(parameter.grad.any() for parameter in parameters if parameter.grad is not None)


@pytest.mark.parametrize("size", [1e3, 1.0, 1e-5])
@pytest.mark.parametrize("max_norm", [1.0, 0.01])
def test_in_range_it_is_torchs_own_clip(size: float, max_norm: float, rng: np.random.Generator) -> None:
    gradients = drawn(rng, size)
    parameters = [torch.nn.Parameter(torch.zeros_like(gradient)) for gradient in gradients]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        parameter.grad = gradient.clone()
    torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    found = clipped(GlobalL2(max_norm=max_norm), [Scaled.plain(gradient) for gradient in gradients], [1, 1, 2])
    for ours, parameter in zip(found, parameters, strict=True):
        # torch's norm in float32 is a sum of 35 squares and then of three norms: 40 roundings at most.
        assert torch.allclose(ours, parameter.grad, rtol=40 * ROUNDED, atol=0)


@pytest.mark.parametrize("decades", [-300, -60, 60, 300])
@pytest.mark.parametrize("clip", [GlobalL2(max_norm=1.0), LayerL2(max_norm=1.0)], ids=lambda clip: clip.name)
def test_a_gradient_of_1e60_gives_a_finite_right_update(clip: GlobalL2 | LayerL2, decades: int, rng: np.random.Generator) -> None:
    """max_norm / (||g|| + eps): the direction to the last bit but one, at the norm asked for; far below eps nothing is enlarged, and float32 says 0."""
    mantissas = drawn(rng, 1.0)
    exponent = np.array([round(decades / math.log10(2))])
    found = clipped(clip, [Scaled(mantissa, exponent) for mantissa in mantissas], [1, 1, 1])
    assert all(bool(torch.isfinite(ours).all()) for ours in found)
    if decades < 0:
        assert not any(ours.any() for ours in found)
        return
    total = math.sqrt(sum(float(mantissa.double().square().sum()) for mantissa in mantissas))
    for ours, mantissa in zip(found, mantissas, strict=True):
        # log2 of a norm of 2**1000 is off by 2**-43, so is the factor, times ln 2: nothing beside float32's roundings.
        assert torch.allclose(ours.double(), mantissa.double() / total, rtol=3 * ROUNDED, atol=0)


@pytest.mark.parametrize("exponent", [-3000, -200, 0, 200, 3000])
def test_the_cosine_of_clipping_holds_at_any_size(exponent: int, rng: np.random.Generator) -> None:
    # Signs times a constant, what the smallest threshold leaves of a gradient: the cosine is the l1 norm over l2 norm and root of the number.
    mantissas = [torch.from_numpy(rng.standard_normal((2, *shape))) for shape in ((7, 5), (7,), ())]
    pairs = [(Scaled(mantissa, np.array([exponent, 0])), mantissa.sign() * 1e-5) for mantissa in mantissas]
    sizes = [log2_total(log2_l2(tensors)) for tensors in ([one for one, _ in pairs], [Scaled.plain(two) for _, two in pairs])]
    flat = np.concatenate([mantissa.reshape(2, -1).numpy() for mantissa in mantissas], 1)
    expected = np.abs(flat).sum(1) / np.linalg.norm(flat, axis=1) / math.sqrt(flat.shape[1])
    # log2 norms near 3,000 are rounded by 3000 eps / 2 each, four of them in the exponent of two.
    rounding = 4 * 3000 * 2.0**-53 + 1e-14
    assert cosine(pairs, *sizes) == pytest.approx(expected, rel=rounding)
    # Turned round, it is minus that: it is a cosine, not a ratio of norms.
    assert cosine([(one, -two) for one, two in pairs], *sizes) == pytest.approx(-expected, rel=rounding)
    assert np.isnan(cosine(pairs, np.array([-np.inf, np.inf]), sizes[1])).all()
