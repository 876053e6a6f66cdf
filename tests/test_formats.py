"""Emulated formats, loss scale and what floats make of gradients: against torch's own casts and autograd."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import catalogue
import gradyn
from gradyn.core import FORMATS, ConfigError, Scaled, flushing, l2
from gradyn.data import Gaussian
from gradyn.nn import HeNormal, Large, Linear, Orthogonal, Relu, Sigmoid, Tanh
from gradyn.optim import Cotangent, GlobalL2
from gradyn.probes import FloatCounts
from gradyn.sweep import Log, RunSpec, Schedule, execute
from runs import make_spec

EVERY_STEP = Log(Schedule(None), Schedule(None), (FloatCounts(),))


def layers(spec: RunSpec, column: str) -> np.ndarray:
    return np.asarray(execute([spec], EVERY_STEP).layers[column])[: spec.depth]


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
def test_rounding_is_torchs_cast_with_subnormals_even_where_they_are_flushed(name: str, rng: np.random.Generator) -> None:
    t = torch.from_numpy(rng.standard_normal(4096) * 2.0 ** rng.uniform(-30, 17, 4096)).float()
    held = t.to(FORMATS[name].held)
    assert torch.equal(FORMATS[name].rounded(t), held.float())
    if name == "float16":
        with flushing(True):
            assert torch.equal(FORMATS[name].rounded(t), held.float())
        assert float(FORMATS[name].rounded(torch.tensor(2.0**-24, dtype=torch.float32))) == 2.0**-24
        assert math.isinf(float(FORMATS[name].rounded(torch.tensor(65520.0, dtype=torch.float32))))


@pytest.mark.parametrize("name", ["float16", "bfloat16"])
@pytest.mark.parametrize(
    "setting",
    [
        *({"activation": activation} for activation in (Relu(), Tanh(), Sigmoid())),
        *({"residual": residual, "activation": Tanh()} for residual in catalogue.residuals()),
        *({"norm": norm, "activation": Tanh()} for norm in catalogue.norms()),
    ],
    ids=lambda setting: next(iter(setting.values())).name,
)
def test_plain_emulated_gradients_are_those_of_autograd_with_casts(setting: dict[str, Any], name: str) -> None:
    if (norm := setting.get("norm")) is not None and norm.settings.get("placement") == "branch":
        pytest.skip("needs a residual net")
    spec = make_spec(dtype=name, backward="plain", loss_scale=1024.0, depth=5, width=9, steps=1, **setting)
    module, batches, loss_fn = gradyn.materialize(spec)
    x, y = next(batches)
    (loss_fn(module(x), y) * spec.loss_scale).backward()
    found = layers(spec, "log10_grad_w_l2")
    for layer in range(1, 6):
        gradient = module.get_parameter(f"layers.{layer}.weight").grad
        size = 0.0 if gradient is None else float(gradient.double().norm()) / spec.loss_scale
        # The two round at the same places; a product summed in another order may round to the neighbour: eps of the format, a few layers deep.
        eps = torch.finfo(FORMATS[name].held).eps
        assert (size == 0 and found[layer - 1] == -math.inf) or abs(found[layer - 1] - math.log10(size)) < 5 * 3 * eps, f"layer {layer}"


@pytest.mark.parametrize("name", FORMATS)
def test_a_loss_scale_moves_no_gradient_of_a_format_that_holds_it(name: str) -> None:
    spec = make_spec(dtype=name, backward="plain", activation=Tanh(), depth=4)
    one, scaled = (execute([replace(spec, loss_scale=scale)], EVERY_STEP).layers["log10_grad_w_l2"] for scale in (1.0, 2.0))
    if name == "float16":
        # Subnormal elements gain a digit: half a smallest number each, 2**-25, over gradients of 1e-3 and more.
        assert np.abs(np.asarray(one) - np.asarray(scaled)).max() < 1e-2
    else:
        # The same bits at another exponent: log2 of twice the norm, minus 1, is rounded elsewhere.
        assert np.abs(np.asarray(one) - np.asarray(scaled)).max() < 4 * 2.3e-16 * 4


def test_tracked_float16_sees_what_plain_float16_has_lost() -> None:
    spec = make_spec(dtype="float16", backward="tracked", activation=Sigmoid(), init=HeNormal(), depth=30, width=8, steps=0)
    plain, tracked = (layers(replace(spec, backward=way), "log10_delta_rms") for way in ("plain", "tracked"))
    true = layers(replace(spec, dtype="float64"), "log10_delta_rms")
    assert np.isneginf(plain[0])
    # 30 layers of 8 x 32 roundings of 2**-11, and as many of the forward pass: the root of their number each.
    assert np.abs(tracked - true).max() < 2 * 30 * 2.0**-11


@pytest.mark.parametrize(
    ("dtype", "way", "last"),
    [
        ("float16", "plain", 12),
        ("bfloat16", "plain", 66),
        ("float32", "plain", 74),
        ("float64", "plain", 537),
        ("float16", "flushed", 12),
        ("bfloat16", "flushed", 63),
        ("float32", "flushed", 63),
        ("float64", "flushed", 511),
    ],
)
def test_a_quarter_to_the_l_is_last_seen_where_ieee_754_says(dtype: str, way: str, last: int) -> None:
    data = Gaussian(samples=1, features=1, classes=1, labels=False)
    common = dict(data=data, loss=Cotangent(vectors="rademacher"), activation=Linear(), init=Orthogonal(gain=0.25), width=1, batch_size=1, steps=0)
    delta = layers(make_spec(dtype=dtype, backward=way, depth=545, **common), "log10_delta_rms")
    assert 545 - 1 - int(np.argmax(delta > -math.inf)) == last


def test_norms_of_float64_are_right_where_their_squares_are_not() -> None:
    for size in (1e-300, 1e-160, 1.0, 1e160, 1e300):
        assert float(l2(torch.full((1, 4), size))[0]) == pytest.approx(2 * size, rel=1e-15)
    assert float(l2(torch.zeros(1, 4))[0]) == 0.0
    assert math.isinf(float(l2(torch.tensor([[math.inf, 1.0]]))[0]))


def test_counts_are_those_of_the_held_gradient_and_the_norm_is_what_torch_reads() -> None:
    gradient = torch.tensor([[[0.0, 1e-41, 1e-20], [math.inf, math.nan, -2.0]], [[1e-23] * 3] * 2], dtype=torch.float32)

    class Moment:
        loss_scale = 1.0
        gradients = {"layers.1.weight": Scaled(gradient, np.zeros(2, dtype=np.int64))}  # noqa: RUF012

        class net:  # noqa: N801
            format = FORMATS["float32"]
            layers = (type("Layer", (), {"index": 1}),)

    found = {name: cells.values_RL[:, 0].tolist() for name, cells in FloatCounts().measure(Moment()).items()}
    assert [found[f"grad_w_{name}_count"][0] for name in ("zero", "subnormal", "infinite", "nan")] == [1, 1, 1, 1]
    assert found["log10_grad_w_l2_read"][1] == -math.inf, "six elements of 1e-23 have a float32 norm of 0"


def test_a_gradient_of_1e60_is_clipped_to_a_finite_right_update() -> None:
    data = Gaussian(samples=64, features=5, classes=3)
    common = dict(data=data, loss=Cotangent(), activation=Linear(), init=Large(std=30.0), depth=14, width=64, batch_size=4, steps=1, learning_rate=1.0)
    exploding = make_spec(clip=GlobalL2(max_norm=1.0), **common)
    records = execute([exploding], EVERY_STEP)
    assert records.steps["log10_grad_l2"][0] > 20
    assert records.steps["clip_scale"][0] * 10 ** records.steps["log10_grad_l2"][0] == pytest.approx(1.0, rel=1e-6)
    moved = 10 ** np.asarray(records.layers["log10_update_ratio"]) * np.asarray(records.layers["weight_l2"])
    # The update is the clipped gradient, weights and biases; the weights' part is nearly all, and none is 0, inf or nan.
    assert np.isfinite(moved).all()
    assert 0.5 < math.sqrt((moved**2).sum()) <= 1.0 + 1e-3


@pytest.mark.parametrize("value", [0.5, 3.0, 1000.0, 2.0**127, math.inf, math.nan, True])
def test_a_loss_scale_is_a_power_of_two(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"loss_scale must be a power of two from 1 to 2\*\*126; got"):
        make_spec(loss_scale=value)
