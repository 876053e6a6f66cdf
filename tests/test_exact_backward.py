"""The tracked backward pass against 40 digits, against itself without exponents, and against torch's autograd."""

from __future__ import annotations

import copy
import itertools
import math
from dataclasses import replace
from typing import Any

import mpmath
import numpy as np
import pytest
import torch

import catalogue
import gradyn
from exact_backward import DIGITS, Exact, Recursion, exact, log10_l2
from gradyn.core import FORMATS, Scaled, flushing, log2, log2_l2, outer
from gradyn.data import Gaussian
from gradyn.nn import Erf, HardTanh, Inverted, LayerPass, Net, NoDropout, Plain, Relu, ScaledBranch, Softsign, Tanh
from gradyn.nn import Gaussian as GaussianInit
from gradyn.optim import Cotangent
from gradyn.sweep import RunSpec
from gradyn.sweep.batches import Batches
from gradyn.sweep.execute import _dropout_factors, _initial, views
from runs import make_spec

LOG10_2 = math.log10(2)
# The bounds, in decades. Errors met over 1,000 nets: 1e-11 (float64, and float32 where cotangents are float64).
BOUND = {"float64": 1e-9, "float32": 1e-5}


class Passes:
    """One run's forward pass and its tracked backward pass at step 0."""

    def __init__(self, spec: RunSpec, *, tracked: bool = True, with_backward: bool = True) -> None:
        self.spec, carrier = spec, FORMATS[spec.dtype].carrier
        with torch.no_grad(), flushing(tracked):
            batches = Batches([spec], carrier, "cpu")
            self.net = Net(spec, batches.features, batches.classes)
            self.parameters = views(self.net, _initial([spec], self.net, batches, carrier, "cpu"))
            self.x_RBM, y = batches.batch(0)
            self.factors = _dropout_factors([spec], self.net, 0, self.x_RBM) if spec.dropout.is_random else None
            self.passes: list[LayerPass] = self.net.forward(self.parameters, self.x_RBM, self.factors)
            self.cotangent = spec.loss.cotangent(self.passes[-1].x, y)
            self.is_finite = all(bool(torch.isfinite(done.h).all() and torch.isfinite(done.a).all()) for done in self.passes)
            if tracked and self.net.needs_float64(self.passes)[0]:
                self.net = self.net.for_saturated()
            if with_backward:
                self.gradients, self.kept = self.backward(tracked)

    def backward(self, tracked: bool) -> tuple[dict[str, Scaled], Any]:
        return self.net.backward(self.parameters, self.passes, Scaled.plain(self.cotangent.clone()), tracked=tracked, keep=True)

    def log10(self) -> dict[str, float]:
        """log10 norm of every gradient, and of every delta as `delta.<l>`."""
        names = list(self.gradients)
        found = dict(zip(names, (log2_l2([self.gradients[name] for name in names])[0] * LOG10_2).tolist(), strict=True))
        for layer, kept in enumerate(self.kept, start=1):
            found[f"delta.{layer}"] = float((log2(kept.delta_l2.numpy())[0] + kept.exponent[0]) * LOG10_2)
        return found


def reference(found: Exact) -> dict[str, float]:
    """log10 norms of the recursion."""
    return {name: log10_l2(value) for name, value in found.gradients.items()} | {f"delta.{layer}": log10_l2(value) for layer, value in found.deltas.items()}


def draw(seed: int, dtype: str, deepest: int) -> RunSpec:
    """A net of the whole catalogue: any depth, any scale of weights from 1e-3 to 1e3 an element."""
    rng = np.random.default_rng(seed)

    def one(options: list[Any]) -> Any:
        return options[rng.integers(len(options))]

    depth = round(2 * (deepest / 2) ** rng.random())
    residual = one([Plain(), Plain(), *catalogue.residuals(), ScaledBranch(scale=float(10 ** rng.uniform(-4, 1.5)), skip=float(10 ** rng.uniform(-4, 1.5)))])
    norm = one([catalogue.shipped("norm")["none"]()] * 3 + catalogue.norms())
    if norm.where in ("pre", "post"):
        norm = replace(norm, placement=one(["pre", "post"] + ["branch"] * residual.has_skip))
    if norm.name == "weight_standardized" and residual.is_fixup:
        norm = replace(norm, eps=1e-5)
    # Norms over two or three units leave next to nothing of a cotangent but rounding noise.
    width = int(rng.integers(2, 9)) if norm.where is None else int(rng.integers(4, 9))
    return make_spec(
        activation=one(catalogue.activations()),
        init=GaussianInit(sigma_w=float(10 ** rng.uniform(-3, 3)) * width**0.5, sigma_b=one([0.0, 0.1])),
        norm=norm,
        residual=residual,
        dropout=one([NoDropout(), NoDropout(), Inverted(keep=0.8)]),
        depth=max(depth, 4),
        width=width,
        # Batch norm of few samples cancels: of two, its gradient is rounding noise as a whole.
        batch_size=int(rng.integers(8, 13)) if norm.name == "batch" else int(rng.integers(1, 5)),
        dtype=dtype,
        seed=seed,
        steps=0,
        loss=Cotangent(),
        data=Gaussian(samples=24, features=3, classes=2),
    )


def disagreement(spec: RunSpec, recursion: type[Recursion] = Recursion) -> tuple[float, str] | None:
    """Largest difference from the recursion in decades, with its place; None where the forward pass left the floats."""
    run = Passes(spec)
    if not run.is_finite:
        return None
    ours = run.log10()
    theirs, noisy = (reference(recursion(run.net, run.parameters, run.passes, noise).run(run.cotangent)) for noise in (None, np.random.default_rng(spec.seed)))
    # Where digits cancel, any float's numbers are rounding noise: the bias before a batch norm, for one. Such are left out: those that
    # roundings 2**10 times as large move by so much that thirty of the float's own might reach the bound.
    held = [name for name in ours if theirs[name] == noisy[name] or abs(theirs[name] - noisy[name]) < BOUND["float64"] * 2**10 / 30]
    assert len(held) > len(ours) / 2 or spec.norm.where is not None, f"{len(held)} of {len(ours)} are well conditioned; seed {spec.seed}"
    worst = max(held, key=lambda name: 0.0 if ours[name] == theirs[name] else abs(ours[name] - theirs[name]))
    return (0.0 if ours[worst] == theirs[worst] else abs(ours[worst] - theirs[worst])), f"{worst}: ours {ours[worst]!r}, 40 digits {theirs[worst]!r}"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("block", range(6))
def test_log_norms_are_those_of_40_digits(block: int, dtype: str, capsys: pytest.CaptureFixture[str]) -> None:
    outside = 0
    for seed in range(100 * block, 100 * block + 12):
        spec = draw(seed, dtype, deepest=60)
        found = disagreement(spec)
        outside += found is None
        assert found is None or found[0] <= BOUND[dtype], f"{found[1]}; off by {found[0]:.1e}, bound {BOUND[dtype]:.0e}; seed {seed}, {spec}"
    with capsys.disabled():
        print(f" [{outside} of 12 nets left {dtype} in their forward pass]", end="")
    assert outside < 12


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    ("activation", "sigma_w", "reach"),
    [(Tanh(), 0.2, -1126.0), (Softsign(), 100.0, -1126.0), (catalogue.shipped("activation")["sin"](), 200.0, 308.0)],
    ids=lambda value: str(getattr(value, "name", value)),
)
def test_depth_2000_is_as_exact_as_depth_20(activation: Any, sigma_w: float, reach: float, dtype: str) -> None:
    data = Gaussian(samples=8, features=3, classes=2)
    spec = make_spec(
        activation=activation, init=GaussianInit(sigma_w=sigma_w), depth=2000, width=4, batch_size=2, steps=0, dtype=dtype, loss=Cotangent(), data=data
    )
    run = Passes(spec)
    ours, theirs = run.log10(), reference(Recursion(run.net, run.parameters, run.passes).run(run.cotangent))
    assert (min(theirs.values()) < reach) if reach < 0 else (max(theirs.values()) > reach), "the net must leave float64's range, or this tests nothing"
    for name, value in theirs.items():
        assert ours[name] == value or abs(ours[name] - value) <= BOUND[dtype], f"{name}: ours {ours[name]!r}, 40 digits {value!r}"


@pytest.mark.parametrize(("activation", "sigma_w", "depth", "seed"), [(Erf(), 200.0, 8, 1), (Erf(), 200.0, 8, 2), (Tanh(), 400.0, 12, 2)], ids=repr)
def test_wide_saturated_float32_nets_are_exact_too(activation: Any, sigma_w: float, depth: int, seed: int) -> None:
    """Of 48 slopes one outweighs the rest, and the samples' cotangents part by 1e38 and more: decision 0008."""
    data = Gaussian(samples=24, features=3, classes=2)
    common: dict[str, Any] = dict(depth=depth, width=48, batch_size=4, steps=0, loss=Cotangent(), data=data)
    run = Passes(make_spec(activation=activation, init=GaussianInit(sigma_w=sigma_w), seed=seed, **common))
    theirs = reference(Recursion(run.net, run.parameters, run.passes).run(run.cotangent))

    def off() -> float:
        ours = run.log10()
        return max(0.0 if ours[name] == theirs[name] else abs(ours[name] - theirs[name]) for name in theirs)

    assert off() <= BOUND["float32"]
    run.net = Net(run.spec, run.net.layers[0].fan_in, run.net.layers[-1].fan_out)
    run.gradients, run.kept = run.backward(True)
    assert off() > BOUND["float32"], "float32 cotangents must lose this net, or the rule tests nothing"


@pytest.mark.parametrize("activation", [Tanh(), Erf(), HardTanh(), Relu()], ids=repr)
def test_a_norm_is_minus_infinity_exactly_where_no_sample_has_a_way_up(activation: Any) -> None:
    """In a plain net delta_l is 0 if and only if every sample meets, at l or above, a layer whose slopes are all exactly 0."""
    met = {True: 0, False: 0}
    for seed, sigma_w in itertools.product(range(8), (10.0, 300.0, 1e3, 1e5)):
        data = Gaussian(samples=24, features=3, classes=2)
        common: dict[str, Any] = dict(depth=10, width=48 if seed % 2 else 4, batch_size=4, steps=0, loss=Cotangent(), data=data)
        spec = make_spec(activation=activation, init=GaussianInit(sigma_w=sigma_w), seed=seed, **common)
        run = Passes(spec)
        if not run.is_finite:
            continue
        found, lives = run.log10(), torch.ones(4, dtype=torch.bool)
        for layer, done in reversed(list(zip(run.net.layers, run.passes, strict=True))):
            with flushing(True):
                lives &= (layer.activation.derivative(done.z, done.a)[0] != 0).any(1)
            assert (found[f"delta.{layer.index}"] == -math.inf) == (not lives.any()), f"layer {layer.index}, seed {seed}, sigma_w {sigma_w}"
            met[bool(lives.any())] += 1
    assert min(met.values()) > 10


def test_the_oracle_rejects_ways_that_meet_without_being_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scaled, "plus", lambda self, other: Scaled(self.mantissa + other.mantissa, self.exponent))
    spec = make_spec(
        activation=Tanh(), residual=ScaledBranch(scale=1e-12), depth=60, width=5, batch_size=3, steps=0, dtype="float64", init=GaussianInit(sigma_w=0.01)
    )
    found = disagreement(spec)
    assert found is not None
    assert found[0] > 1e-3


def test_the_oracle_rejects_a_rescaling_that_forgets_the_exponent(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Scaled.rescaled
    monkeypatch.setattr(Scaled, "rescaled", lambda self: Scaled(original(self).mantissa, self.exponent))
    found = disagreement(make_spec(activation=Tanh(), depth=60, width=5, batch_size=3, steps=0, dtype="float64", init=GaussianInit(sigma_w=0.1)))
    assert found is not None
    assert found[0] > 1


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("residual", catalogue.residuals(), ids=repr)
@pytest.mark.parametrize("norm", [catalogue.shipped("norm")["none"](), *catalogue.norms()[:4]], ids=lambda norm: norm.name)
def test_with_the_exponent_pinned_to_0_the_bits_are_the_same_while_all_is_normal(residual: Any, norm: Any, dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if norm.name == "weight_standardized" and residual.is_fixup:
        norm = replace(norm, eps=1e-5)
    # Weights that gain or lose half a decade a layer: exponents are used, and the floats could do without.
    for sigma_w in (0.3, 1.0, 3.0):
        spec = make_spec(
            activation=Tanh(), residual=residual, norm=norm, init=GaussianInit(sigma_w=sigma_w), depth=24, width=7, batch_size=8, steps=0, dtype=dtype
        )
        run = Passes(spec)
        tracked = {name: _plain(gradient) for name, gradient in run.gradients.items()}
        with monkeypatch.context() as pinned:
            pinned.setattr(Scaled, "rescaled", lambda self: self)
            run.gradients, _ = run.backward(True)
        for name, gradient in run.gradients.items():
            assert torch.equal(_plain(gradient), tracked[name]), f"{name}, sigma_w {sigma_w}"


def _plain(gradient: Scaled) -> torch.Tensor:
    return gradient.mantissa.double() * torch.from_numpy(np.ldexp(1.0, np.clip(gradient.exponent, -1000, 1000))).view(-1, *(1,) * (gradient.mantissa.dim() - 1))


@pytest.mark.parametrize("seed", range(30))
def test_in_range_gradients_are_those_of_plain_autograd(seed: int) -> None:
    spec = draw(seed, "float64", deepest=12)
    # Not saturated: there autograd's own phi', such as x (1 - x), is rounding noise.
    residual = catalogue.residuals()[seed % len(catalogue.residuals())]
    spec = replace(spec, init=GaussianInit(sigma_w=0.7), dropout=NoDropout(), residual=residual, norm=catalogue.shipped("norm")["none"]())
    module, batches, loss_fn = gradyn.materialize(spec)
    x, y = next(batches)
    loss_fn(module(x), y).backward()
    run = Passes(spec)
    for name, parameter in module.named_parameters():
        theirs, ours = parameter.grad if parameter.grad is not None else torch.zeros_like(parameter), _plain(run.gradients[name])[0]
        # Some 100 roundings a layer, each of half an eps of the largest element; where columns cancel, of what cancels.
        assert (ours - theirs).abs().max() <= spec.depth * 100 * 2.3e-16 * max(float(theirs.abs().max()), 1e-300), f"{name}: {ours} and {theirs}, seed {seed}"


@pytest.mark.parametrize("factor", [0.05, 1.0, 20.0])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_shared_weights_accumulate_as_mantissa_and_exponent(factor: float, dtype: torch.dtype, rng: np.random.Generator) -> None:
    """A linear recurrent net h_t = W h_{t-1} + x_t whose states are given, 600 steps: dL/dW = sum_t delta_t h_{t-1}^T."""
    steps, width, batch = 600, 4, 3
    w = torch.from_numpy(factor * rng.standard_normal((1, width, width))).to(dtype)
    states = torch.from_numpy(rng.standard_normal((steps, 1, batch, width)) * 10.0 ** rng.uniform(-5, 5, (steps, 1, 1, 1))).to(dtype)
    delta = Scaled.plain(torch.from_numpy(rng.standard_normal((1, batch, width))).to(dtype))
    exact_w, exact_delta, exact_gradient = exact(w[0]), exact(delta.mantissa[0]), exact(np.zeros((width, width)))
    gradient = Scaled.plain(torch.zeros(1, width, width, dtype=dtype)).rescaled()
    with mpmath.workdps(DIGITS):
        for step in reversed(range(steps)):
            delta = delta.rescaled()
            gradient = gradient.plus(outer(delta, states[step], tracked=True).rescaled()).rescaled()
            delta = delta.with_mantissa(delta.mantissa @ w)
            exact_gradient = exact_gradient + exact_delta.T @ exact(states[step, 0])
            exact_delta = exact_delta @ exact_w
    for ours, theirs in ((gradient, exact_gradient), (delta, exact_delta)):
        found = float(log2_l2([ours])[0, 0] * LOG10_2)
        # float32: 600 roundings of 6e-8, amplified tenfold where the cotangent turns (decision 0008).
        assert abs(found - log10_l2(theirs)) <= (1e-9 if dtype == torch.float64 else 600 * 6e-8 * 10 * LOG10_2)


def test_an_element_at_the_floor_is_flushed_when_tracked_and_kept_when_plain() -> None:
    """One cotangent of 2^-140 beside one of 1, in samples of their own: in the norm it is nothing, in its own row it is all."""
    cotangent = torch.tensor([[[1.0, 0.0], [0.0, 2.0**-140]]], dtype=torch.float32)
    factor = torch.tensor([0.5], dtype=torch.float32)
    seen = {}
    for flushes in (True, False):
        with flushing(flushes):
            seen[flushes] = (Scaled.plain(cotangent.clone()).rescaled().mantissa * factor).double()
    assert float(seen[False][0, 1, 1]) == 2.0**-141
    assert float(seen[True][0, 1, 1]) == 0.0
    assert float(seen[True].norm()) == float(seen[False].norm()) == 0.5


def test_flushing_leaves_the_thread_as_it_was() -> None:
    tiny = torch.full((1,), torch.finfo(torch.float32).tiny, dtype=torch.float32)
    for before in (True, False):
        torch.set_flush_denormal(before)
        try:
            with flushing(not before):
                assert (float(tiny / 2) == 0) == (not before)
            assert (float(tiny / 2) == 0) == before
        finally:
            torch.set_flush_denormal(False)


def test_copies_share_nothing(rng: np.random.Generator) -> None:
    first = Scaled.plain(torch.from_numpy(rng.standard_normal((2, 3))))
    before = copy.deepcopy(first)
    first.near_one()
    first.times(1e-30)
    assert torch.equal(first.mantissa, before.mantissa)
