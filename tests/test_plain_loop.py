"""The store's numbers are those of a plain torch loop that starts from `gradyn.materialize`."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch

import catalogue
import gradyn
from gradyn.core import elementwise
from gradyn.data import Gaussian, Teacher
from gradyn.nn import BatchNorm, Fixup, HeNormal, Identity, LayerNorm, Linear, Net, Orthogonal, Relu, Tanh, TorchDefault
from gradyn.optim import CrossEntropy, GlobalL2
from gradyn.sweep import Log, RunSpec, Schedule, execute
from oracles import plain_loop
from runs import make_spec

EVERY_STEP = Log(Schedule(None), Schedule(None))
# Two float64 programs that order their sums differently: each of depth * steps layers of passes adds some tens of roundings,
# and every step may amplify what it is given by the largest local slope (20 a step were seen); three steps at these sizes
# stay below 2**16 eps = 1.5e-11. At step 0 nothing is amplified: 2**10 eps.
FIRST, LATER = 2**10 * 2.2e-16, 2**16 * 2.2e-16


def assert_agrees(spec: RunSpec) -> None:
    records, seen = execute([spec], EVERY_STEP), plain_loop(spec)
    shape = (max(spec.steps, 1), spec.depth)
    found = {name: np.ma.asarray(records.layers[name]).reshape(shape) for name in ("log10_grad_w_l2", "log10_grad_b_l2")}
    for step, bound in zip(range(shape[0]), itertools.chain([FIRST], itertools.repeat(LATER)), strict=False):
        noise = np.log10(bound) + seen.log10_grad_l2[step]
        for name, column in found.items():
            for layer, expected in enumerate(getattr(seen, name)[step], start=1):
                value = column[step, layer - 1]
                if expected is None:
                    assert value is np.ma.masked, f"{name} of layer {layer} must be null"
                elif max(expected, value) < noise:
                    # A bias before a batch norm has a gradient of 0 that both programs compute as a sum of cancelling terms.
                    continue
                else:
                    assert abs(value - expected) <= bound, f"{spec}: {name} of layer {layer} at step {step}: {value!r}, autograd {expected!r}"
        for name in ("loss", "log10_grad_l2"):
            value, expected = records.steps[name][step], getattr(seen, name)[step]
            assert abs(value - expected) <= bound * max(1.0, abs(expected)), f"{spec}: {name} at step {step}: {value!r}, autograd {expected!r}"
        if spec.steps:
            for name in ("clip_scale", "clip_cosine"):
                value, expected = records.steps[name][step], getattr(seen, name)[step]
                assert value == pytest.approx(expected, rel=0, abs=bound, nan_ok=True), f"{spec}: {name} at step {step}"


@pytest.mark.parametrize("activation", catalogue.activations(), ids=repr)
def test_every_activation(activation):
    assert_agrees(make_spec(activation=activation, dtype="float64", depth=5))


@pytest.mark.parametrize("init", catalogue.initializers(), ids=repr)
def test_every_initializer(init):
    assert_agrees(make_spec(init=init, dtype="float64", learning_rate=0.01))


@pytest.mark.parametrize(("residual", "norm"), list(itertools.product(catalogue.residuals(), catalogue.norms())), ids=repr)
def test_every_residual_with_every_norm_at_every_placement(residual, norm):
    for placement in ("pre", "post", "branch") if "placement" in norm.settings else (None,):
        if placement == "branch" and not residual.has_skip:
            continue
        if residual.is_fixup and norm.where == "weight":
            norm = replace(norm, eps=1e-5)  # a zero matrix has no standard deviation
        placed = norm if placement is None else replace(norm, placement=placement)
        assert_agrees(make_spec(residual=residual, norm=placed, activation=Tanh(), dtype="float64", depth=6, steps=2))


@pytest.mark.parametrize(("clip", "optimizer"), list(itertools.product(catalogue.clips(), catalogue.optimizers())), ids=repr)
def test_every_clip_with_every_optimizer(clip, optimizer):
    assert_agrees(make_spec(clip=clip, optimizer=optimizer, activation=Tanh(), dtype="float64", learning_rate=0.02, residual=Identity(branch="full")))


@pytest.mark.parametrize("penalty", catalogue.penalties(), ids=repr)
def test_every_penalty(penalty):
    assert_agrees(make_spec(penalty=penalty, activation=Tanh(), dtype="float64"))


@pytest.mark.parametrize("dropout", catalogue.dropouts(), ids=repr)
def test_every_dropout(dropout):
    assert_agrees(make_spec(dropout=dropout, dtype="float64", norm=LayerNorm(placement="post")))


@pytest.mark.parametrize(("loss", "data"), list(itertools.product(catalogue.losses(), (None, Teacher(samples=200)))), ids=repr)
def test_every_loss_on_labels_and_on_real_targets(loss, data):
    changes = {} if data is None else {"data": data}
    assert_agrees(make_spec(loss=loss, dtype="float64", activation=Tanh(), **changes))


def test_measuring_at_initialization_only():
    assert_agrees(make_spec(steps=0, dtype="float64", depth=12, activation=Tanh(), data=Gaussian(samples=64, features=5), batch_size=64))


def test_clipped_float32_training_stays_with_torchs():
    # Clipping binds at every step: torch divides by norm + 1e-6, and so do we. float32: 2**12 eps for ten steps of a net
    # whose steps are bounded by the clip.
    spec = make_spec(clip=GlobalL2(max_norm=0.05), depth=6, width=16, steps=10, learning_rate=0.5)
    records, seen = execute([spec], EVERY_STEP), plain_loop(spec)
    assert max(seen.clip_scale) < 1
    assert np.abs(records.steps["loss"] - seen.loss).max() <= 2**12 * np.finfo(np.float32).eps
    assert np.abs(records.steps["log10_grad_l2"] - seen.log10_grad_l2).max() <= 2**12 * np.finfo(np.float32).eps


def test_the_stack_is_what_vmap_computes():
    from torch.func import functional_call, grad, stack_module_state, vmap

    specs = [make_spec(seed=seed, dtype="float64", activation=Tanh(), residual=Identity(), norm=LayerNorm()) for seed in range(4)]
    made = [gradyn.materialize(spec) for spec in specs]
    parameters, _ = stack_module_state([module for module, _, _ in made])
    first = [next(batches) for _, batches, _ in made]
    x, y = torch.stack([pair[0] for pair in first]), torch.stack([pair[1] for pair in first])
    skeleton = made[0][0]
    gradients = vmap(grad(lambda p, x, y: CrossEntropy().mean(functional_call(skeleton, p, (x,)), y)))(parameters, x, y)
    records = execute(specs, EVERY_STEP)
    for layer in range(1, specs[0].depth + 1):
        expected = gradients[f"layers.{layer}.weight"].flatten(1).norm(dim=1).log10().detach().numpy()
        at = (records.layers["step"] == 0) & (records.layers["layer"] == layer)
        assert np.abs(records.layers["log10_grad_w_l2"][at] - expected).max() <= FIRST


@pytest.mark.parametrize("activation", [Linear(), Relu()], ids=repr)
@pytest.mark.parametrize("init", [HeNormal(), Orthogonal(gain=0.5)], ids=repr)
def test_in_nets_of_degree_one_w_times_its_gradient_is_the_same_sum_in_every_layer(activation, init):
    """Euler: the output is linear in each W_l, so that sum(W_l * dL/dW_l) = sum(delta_L * h_L) for every l."""
    spec = make_spec(activation=activation, init=init, dtype="float64", depth=9)
    module, batches, loss_fn = gradyn.materialize(spec)
    x, y = next(batches)
    loss_fn(module(x), y).backward()
    sums = [float((module.layers[str(layer)].weight * module.layers[str(layer)].weight.grad).sum().detach()) for layer in range(1, 10)]
    assert np.ptp(sums) <= 2**10 * 2.2e-16 * max(map(abs, sums))


@pytest.mark.parametrize("residual", catalogue.residuals(), ids=repr)
@pytest.mark.parametrize("norm", [None, BatchNorm(), LayerNorm(placement="post")], ids=repr)
def test_the_two_gains_of_a_layer_add_up_to_its_step(residual, norm):
    changes = {} if norm is None else {"norm": norm}
    if isinstance(residual, Fixup):
        residual = Fixup(zero_readout=False)
    records = execute([make_spec(residual=residual, depth=8, activation=Tanh(), init=TorchDefault(), steps=2, **changes)], EVERY_STEP)
    # At step 0 a rezero net's branches get exact zeros, and a step between zeros has no gain.
    delta = np.asarray(records.layers["log10_delta_rms"]).reshape(2, 8)[-1:]
    step = np.diff(delta, axis=1)
    gains = np.ma.asarray(records.layers["log10_gain_weight"] + records.layers["log10_gain_derivative"]).reshape(2, 8)[-1:]
    assert gains.mask[:, 0].all()
    # rms and l2 differ by the number of units, the same in all hidden layers; layer 8 is the readout with ten outputs.
    hidden = -np.asarray(gains)[:, 1:7]
    # rms from l2 is one multiplication in decades of size 10: a few eps * 10.
    assert np.abs(hidden - step[:, :6]).max() <= 32 * 10 * 2.2e-16


def test_elementwise_pads_and_cuts_without_a_trace(rng):
    t = torch.from_numpy(rng.standard_normal((3, 5, 7)))
    assert torch.equal(elementwise(torch.tanh, t), torch.tanh(t))


def test_materialized_modules_have_the_documented_names_and_shapes():
    spec = make_spec(norm=LayerNorm(), residual=Identity())
    module, batches, _ = gradyn.materialize(spec)
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    assert shapes["layers.1.weight"] == (8, 64)
    assert shapes["layers.4.weight"] == (10, 8)
    assert shapes["layers.4.bias"] == (10,)
    assert len(list(batches)) == spec.steps
    net = Net(spec, 64, 10)
    assert {slot.name for slot in net.slots} == set(shapes)
