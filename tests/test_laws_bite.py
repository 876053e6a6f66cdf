"""Every law rejects a broken twin: a copy of a real component with one line changed, named in its docstring."""

from __future__ import annotations

import importlib
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import gradyn.nn.net as net_module
from gradyn.core import Scaled
from gradyn.nn import HeNormal, Identity, LayerNorm, Net, ScaledBranch, Tanh, TorchDefault
from gradyn.optim import L2, CrossEntropy, GlobalL2, Momentum
from runs import make_spec
from test_initializers import assert_variance_is_as_stated
from test_plain_loop import assert_agrees
from test_pullbacks import assert_activation_pullback, assert_loss_cotangent, assert_norm_pullback, assert_penalty_gradient
from test_stack import assert_packing_changes_nothing


@dataclass(frozen=True, slots=True)
class BrokenTanh(Tanh):
    """1 - x instead of 1 - x^2."""

    option: ClassVar[str | None] = "broken_tanh"

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        return upstream * (1 - x)


@dataclass(frozen=True, slots=True)
class BrokenLayerNorm(LayerNorm):
    """The pullback forgets that the mean moves too."""

    option: ClassVar[str] = "broken_layer"

    def pullback(self, upstream: Tensor, normalized: Tensor, saved: Tensor) -> Tensor:
        along = (upstream * normalized).mean(self.axis, keepdim=True)
        return (upstream - normalized * along) * saved


@dataclass(frozen=True, slots=True)
class BrokenCrossEntropy(CrossEntropy):
    """A sum over the batch instead of a mean."""

    option: ClassVar[str] = "broken_cross_entropy"

    def cotangent(self, output: Tensor, y: Tensor) -> Tensor:
        return CrossEntropy.cotangent(self, output, y) * output.shape[-2]


@dataclass(frozen=True, slots=True)
class BrokenL2(L2):
    """Twice the gradient: the 1/2 is forgotten."""

    option: ClassVar[str] = "broken_l2"

    def gradient(self, w_RNM: Tensor) -> Tensor:
        return 2 * self.coefficient * w_RNM


@dataclass(frozen=True, slots=True)
class BrokenHeNormal(HeNormal):
    """Draws with fan_out where it states fan_in."""

    option: ClassVar[str] = "broken_he_normal"

    def weight(self, rng: np.random.Generator, fan_out: int, fan_in: int, *, layer: int, is_readout: bool) -> np.ndarray:
        return np.sqrt(2 / fan_out) * rng.standard_normal((fan_out, fan_in))


@dataclass(frozen=True, slots=True)
class BrokenTorchDefault(TorchDefault):
    """Bounds of +-1/fan_in instead of +-1/sqrt(fan_in)."""

    option: ClassVar[str] = "broken_torch_default"

    def weight(self, rng: np.random.Generator, fan_out: int, fan_in: int, *, layer: int, is_readout: bool) -> np.ndarray:
        return (2 * rng.random((fan_out, fan_in)) - 1) / fan_in


@dataclass(frozen=True, slots=True)
class BrokenMomentum(Momentum):
    """Dampens the gradient by 1 - momentum, which torch's default does not."""

    option: ClassVar[str] = "broken_momentum"

    def direction(self, gradients_RP: Tensor, state: dict[str, Tensor], count: int) -> Tensor:
        return Momentum.direction(self, gradients_RP * (1 - self.momentum), state, count)


@dataclass(frozen=True, slots=True)
class BrokenGlobalL2(GlobalL2):
    """Clips every parameter by its own norm instead of by the norm of all."""

    option: ClassVar[str] = "broken_global_l2"

    def log2_factors(self, log2_l2_RP: np.ndarray, layer_of: object) -> np.ndarray:
        return self._log2_factor(log2_l2_RP)


@pytest.mark.parametrize(
    ("law", "twin"),
    [
        (assert_activation_pullback, BrokenTanh()),
        (assert_norm_pullback, BrokenLayerNorm()),
        (assert_loss_cotangent, BrokenCrossEntropy()),
        (assert_penalty_gradient, BrokenL2(coefficient=0.01)),
        (assert_variance_is_as_stated, BrokenHeNormal()),
        (assert_variance_is_as_stated, BrokenTorchDefault()),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_components_law_rejects_its_broken_twin(law, twin, rng):
    with pytest.raises(AssertionError):
        law(twin, rng)


@pytest.mark.parametrize(
    "change",
    [
        dict(activation=BrokenTanh()),
        dict(norm=BrokenLayerNorm()),
        dict(loss=BrokenCrossEntropy()),
        dict(optimizer=BrokenMomentum()),
        dict(clip=BrokenGlobalL2(max_norm=0.1)),
    ],
    ids=lambda change: next(iter(change.values())).name,
)
def test_the_plain_loop_rejects_a_broken_component(change):
    # The twin's autograd side is right (its forward is), or torch's own optimizer and clip stand in for it.
    clip = change.get("clip")
    spec = make_spec(**{"activation": Tanh(), "dtype": "float64", **change})
    with pytest.raises(AssertionError):
        assert_agrees(spec) if clip is None else _agrees_with_torchs_clip(spec)


def _agrees_with_torchs_clip(spec) -> None:
    import test_plain_loop

    right = replace(spec, clip=GlobalL2(max_norm=spec.clip.max_norm))
    original = test_plain_loop.plain_loop
    test_plain_loop.plain_loop = lambda _: original(right)
    try:
        assert_agrees(spec)
    finally:
        test_plain_loop.plain_loop = original


def test_the_plain_loop_rejects_a_backward_pass_that_forgets_the_skip(monkeypatch):
    def forgetful(self, *arguments):
        skip, branch = original(self, *arguments)
        return skip.with_mantissa(skip.mantissa * 0), branch

    original = Net._split
    monkeypatch.setattr(Net, "_split", forgetful)
    with pytest.raises(AssertionError):
        assert_agrees(make_spec(residual=Identity(), activation=Tanh(), dtype="float64"))


def test_the_plain_loop_rejects_two_ways_that_meet_without_being_aligned(monkeypatch):
    def unaligned(self, other):
        return Scaled(self.mantissa + other.mantissa, self.exponent)

    monkeypatch.setattr(Scaled, "plus", unaligned)
    # Branches of weight 1e-9: their cotangent has another exponent than the skip's.
    spec = make_spec(residual=ScaledBranch(scale=1e-9), activation=Tanh(), dtype="float64", depth=8)
    with pytest.raises(AssertionError):
        assert_agrees(spec)


def test_the_packing_law_rejects_activations_outside_their_lanes(monkeypatch):
    monkeypatch.setattr(net_module, "elementwise", lambda function, *tensors: function(*tensors))
    from gradyn.nn import Elu, Gelu, Silu, Softplus

    # Lanes of 350 numbers: some elements meet the scalar loop, others the vector loop, depending on the stack.
    rejected = []
    for activation in (Softplus(), Elu(), Silu(), Gelu()):
        for dtype in ("float32", "float64"):
            try:
                assert_packing_changes_nothing([make_spec(activation=activation, batch_size=5, width=7, seed=seed, dtype=dtype) for seed in range(3)])
            except AssertionError:
                rejected.append(activation)
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("where torch has no vector loops the two loops are one")
    assert rejected


def test_the_packing_law_rejects_a_step_that_looks_at_the_neighbours(monkeypatch):
    def leaking(gradients, *rest):
        return original(gradients, *rest).max(0, keepdims=True) + 0 * original(gradients, *rest)

    execute_module = importlib.import_module("gradyn.sweep.execute")  # the attribute of that name is the function
    original = execute_module.log2_l2
    monkeypatch.setattr(execute_module, "log2_l2", leaking)
    with pytest.raises(AssertionError, match="differs when"):
        assert_packing_changes_nothing([make_spec(seed=seed) for seed in range(2)])
