"""Status of a run: what went wrong first, at which step, in which layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from torch import Tensor

from gradyn.nn import BatchNorm, Fixup, HeNormal, Large, LayerNorm, Linear, Relu, Rezero, Sigmoid, Small, Tanh
from gradyn.optim import GlobalL2, Sgd
from gradyn.optim.optimizers import State
from gradyn.sweep import Log, RunSpec, Schedule, execute
from runs import make_spec

EVERY_STEP = Log(Schedule(None), Schedule(None))


def health(spec: RunSpec) -> tuple[str, int | None, int | None]:
    runs = execute([spec], EVERY_STEP).runs
    return runs["status"][0], runs["first_bad_step"][0], runs["first_bad_layer"][0]


def test_a_sound_run_is_ok():
    assert health(make_spec()) == ("ok", None, None)


def test_a_forward_pass_beyond_float32_is_overflow_at_step_0_in_its_layer():
    # Gain 1e10 a layer: 1e38 is passed in layer 4 (64 inputs of size 1).
    spec = make_spec(activation=Linear(), init=Large(std=1e9), depth=9, width=64)
    status, step, layer = health(spec)
    assert (status, step) == ("overflow", 0)
    assert layer == 4


def test_training_that_blows_up_is_diverged_with_its_step():
    status, step, _ = health(make_spec(learning_rate=1e25, steps=6))
    assert status == "diverged"
    assert 1 <= step <= 6


@dataclass(frozen=True, slots=True)
class Losing(Sgd):
    """SGD whose last step sets the first layer's last bias to one value."""

    value: str = "inf"  # settings are JSON, which has no inf

    def step(self, parameters_RP: Tensor, gradients_RP: Tensor, state: State, rate_RP: Tensor, count: int) -> None:
        Sgd.step(self, parameters_RP, gradients_RP, state, rate_RP, count)
        if count == 3:
            parameters_RP[:, 64 * 8 + 7] = float(self.value)


@pytest.mark.parametrize("value", ["inf", "-inf", "nan"])
def test_weights_lost_in_the_last_step_are_found_though_the_loss_may_be_finite(value):
    # tanh makes 1 or -1 of an infinite preactivation: the loss after training is finite.
    assert health(make_spec(activation=Tanh(), optimizer=Losing(value=value))) == ("diverged", 3, None)
    assert health(make_spec(activation=Tanh(), optimizer=Losing(value="-1e30"))) == ("ok", None, None)


def test_a_forward_signal_below_float32_is_underflow_in_its_layer():
    # Factor 1e-10 * 8 a layer from layer 2 on: below 1.2e-38 in layer 5.
    spec = make_spec(activation=Linear(), init=Small(std=1e-10), depth=9, width=64)
    status, step, layer = health(spec)
    assert (status, step) == ("underflow", 0)
    assert layer in (4, 5)


def test_a_layer_whose_derivatives_are_all_zero_is_saturated():
    # Preactivations of size 1e4 and more: exp(-1e4) is 0 in float32 and float64.
    assert health(make_spec(activation=Sigmoid(), init=Large(std=1e6), steps=1))[0] == "saturated"


@pytest.mark.parametrize("residual", [Fixup(), Rezero()], ids=repr)
def test_gradients_that_are_zero_by_design_are_ok(residual):
    assert health(make_spec(residual=residual, activation=Tanh(), depth=7))[0] == "ok"


def test_a_gradient_below_float32_is_neither_lost_nor_a_fault():
    spec = make_spec(activation=Sigmoid(), init=HeNormal(), depth=80, width=32, steps=1)
    records = execute([spec], EVERY_STEP)
    norms = np.asarray(records.layers["log10_grad_w_l2"])
    assert records.runs["status"][0] == "ok"
    # float32 ends at 1e-45; sqrt(chi) = 0.32 a layer loses 40 decades over 80 layers.
    assert np.isfinite(norms).all()
    assert norms[0] < -36


@pytest.mark.parametrize("norm", [BatchNorm(), LayerNorm()], ids=repr)
def test_normalized_nets_of_large_weights_train_clipped(norm):
    spec = make_spec(activation=Linear(), init=Large(std=30.0), depth=40, width=32, clip=GlobalL2(max_norm=1.0), norm=norm, steps=2, learning_rate=1.0)
    records = execute([spec], EVERY_STEP)
    assert np.isfinite(records.steps["loss"]).all()
    assert np.isfinite(records.steps["log10_grad_l2"]).all()


def test_a_gradient_of_1e60_in_float32_moves_the_weights_by_the_rate():
    """tanh with sigma_w = 28: the forward signal is bounded by 1, the backward one gains half a decade a layer."""
    from gradyn.data import Gaussian
    from gradyn.optim import Cotangent

    common = dict(init=Large(std=2.5), activation=Tanh(), width=128, loss=Cotangent(), data=Gaussian(samples=32, features=4), steps=1, learning_rate=1.0)
    spec = make_spec(depth=100, clip=GlobalL2(max_norm=1.0), **common)
    records = execute([spec], EVERY_STEP)
    total, scale = records.steps["log10_grad_l2"][0], records.steps["clip_scale"][0]
    assert records.runs["status"][0] == "ok"
    assert total > 38.6, "the gradient must lie beyond float32's largest number, 10^38.53"
    # clip_scale * norm = max_norm * norm / (norm + eps) = 1, but for the rounding of log2 norms near 130: 130 eps ln 2 a few times.
    assert scale * 10.0**total == pytest.approx(1.0, rel=1e-12)
    moved = 10.0 ** np.asarray(records.layers["log10_update_ratio"]) * np.asarray(records.layers["weight_l2"])
    # Rate 1 and norm 1: all parameters together move by 1; the biases' share is left out here, so at most 1.
    assert 0.5 < np.sqrt((moved**2).sum()) <= 1 + 1e-6


def test_a_net_through_which_nothing_passes_though_no_layer_is_cut_is_saturated():
    # The right class has all of the softmax: the output's cotangent is exactly 0, and with it every gradient, from the readout down.
    spec = make_spec(activation=Relu(), init=Large(std=3.0), width=3, depth=9, batch_size=1, steps=0, seed=6, dtype="float64")
    assert health(spec) == ("saturated", 0, 9)


def test_a_runs_processor_time_is_its_stacks_over_the_runs_whatever_the_clock_on_the_wall_says(monkeypatch):
    import time

    def clock(seconds: float):
        times = iter([0.0, seconds])
        return lambda: next(times)

    monkeypatch.setattr(time, "process_time", clock(3.0))
    monkeypatch.setattr(time, "perf_counter", clock(100.0))
    runs = execute([make_spec(seed=seed) for seed in range(2)], EVERY_STEP).runs
    assert runs["cpu_s"].tolist() == [1.5, 1.5]
    assert runs["wall_s"].tolist() == [50.0, 50.0]
