"""Nets at the ends of the float: what is stored there is the net's, not the float's."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradyn
from gradyn.core import ConfigError, Scaled, outer
from gradyn.data import Gaussian
from gradyn.nn import HardTanh, Large, Lsuv, Silu, Small, Tanh, WeightStandardized
from gradyn.optim import Adam, Adaptive, Cotangent
from gradyn.sweep import Log, RunSpec, Schedule, execute
from runs import make_spec

EVERY_STEP = Log(Schedule(None), Schedule(None))


def weight_gradients(spec: RunSpec) -> np.ndarray:
    return np.asarray(execute([spec], EVERY_STEP).layers["log10_grad_w_l2"])[: spec.depth]


def test_a_tiny_input_times_a_tiny_cotangent_is_no_zero():
    delta, u = torch.full((2, 3, 2), 1e-10, dtype=torch.float32), torch.full((2, 3, 4), 1e-37, dtype=torch.float32)
    u[1] = 1.0
    assert not torch.bmm(delta.transpose(1, 2), u)[0].any(), "float32 itself must lose it, or this tests nothing"
    found = outer(Scaled.plain(delta), u, tracked=True)
    values = found.mantissa.double().numpy() * np.exp2(found.exponent.astype(float))[:, None, None]
    # Three products of two float32 numbers, each rounded: 8 eps.
    assert np.allclose(values[0], 3e-47, rtol=8 * 1.2e-7, atol=0)
    assert np.allclose(values[1], 3e-10, rtol=8 * 1.2e-7, atol=0)


@pytest.mark.parametrize(("activation", "std", "depth"), [(Tanh(), 1e-3, 16), (Tanh(), 1e-2, 24), (Silu(), 1e-3, 14)], ids=repr)
def test_weight_gradients_of_vanishing_float32_nets_are_those_of_float64(activation, std, depth):
    # Weights of 1e-3 in 6 columns lose 2.6 decades a layer, both ways: where x is 1e-30, delta is a mantissa of 1e-8.
    common = dict(activation=activation, init=Small(std=std), depth=depth, width=6, batch_size=4, steps=0)
    single, double = (execute([make_spec(dtype=dtype, **common)], EVERY_STEP).layers for dtype in ("float32", "float64"))
    # Where the layer's own input is a normal float32 with all its digits; below, the forward pass has lost it (decision 0006).
    is_held = np.concatenate([[True], np.asarray(double["log10_act_rms"])[:-1] > -35.5])
    assert np.asarray(double["log10_grad_w_l2"])[is_held].max() < -34
    # Rounding of the layers' products in float32, amplified by nothing: depth * 64 eps, in decades.
    difference = np.abs(np.asarray(single["log10_grad_w_l2"]) - np.asarray(double["log10_grad_w_l2"]))[is_held]
    assert difference.max() < depth * 64 * 1.2e-7


def test_a_row_of_zeros_is_clipped_to_zeros_at_any_exponent():
    data = Gaussian(samples=64, features=20)
    spec = make_spec(
        data=data, loss=Cotangent(), width=64, batch_size=4, steps=2, init=Large(), activation=HardTanh(), depth=130, clip=Adaptive(), learning_rate=0.01
    )
    records = execute([spec], EVERY_STEP)
    assert records.runs["status"][0] == "ok"
    assert np.isfinite(records.steps["log10_grad_l2"]).all()


def test_an_optimizer_that_divides_zero_by_zero_in_the_padding_does_not_diverge():
    assert execute([make_spec(optimizer=Adam(eps=0.0), activation=Tanh(), learning_rate=0.001)], EVERY_STEP).runs["status"][0] == "ok"


def test_a_gradient_that_is_cut_off_by_zeros_of_the_float_is_no_sound_run():
    records = execute([make_spec(activation=Silu(), init=Large(std=3.0), depth=40, width=5, batch_size=2, steps=0)], EVERY_STEP)
    has_zero = np.isneginf(np.asarray(records.layers["log10_grad_w_l2"])).any()
    assert (records.runs["status"][0] == "ok") == (not has_zero)
    assert has_zero, "the net must be one whose phi' underflow"


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (lambda: make_spec(init=Lsuv(), norm=WeightStandardized()), r"init must not be lsuv with norm=weight_standardized"),
        (lambda: make_spec(depth=10**8), r"depth must be at most 100,000; got 100000000"),
    ],
)
def test_what_can_not_work_is_refused(build, line):
    with pytest.raises(ConfigError, match=line):
        build()


def test_materialize_agrees_where_the_stored_norm_is_beyond_what_float32_squares_hold():
    spec = make_spec(activation=Tanh(), init=Small(std=0.01), depth=12, width=8, steps=1)
    module, batches, loss_fn = gradyn.materialize(spec)
    x, y = next(batches)
    loss_fn(module(x), y).backward()
    expected = [float(module.get_parameter(f"layers.{layer}.weight").grad.double().norm().log10()) for layer in range(1, 13)]
    assert np.abs(weight_gradients(spec) - expected).max() < 12 * 64 * 1.2e-7
