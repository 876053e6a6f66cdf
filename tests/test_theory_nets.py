"""Predictions of whole nets: against the harness's own measurements over the catalogue, and a reason wherever there is none."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.integrate import quad

import catalogue
from gradyn.core import ConfigError
from gradyn.data import Circle, Digits, Line
from gradyn.data import Gaussian as GaussianData
from gradyn.nn import (
    AbstractNorm,
    BatchNorm,
    Fixup,
    Gaussian,
    Gelu,
    HeNormal,
    Identity,
    Inverted,
    LayerNorm,
    LeakyRelu,
    Linear,
    LooksLinear,
    Lsuv,
    MaximalUpdate,
    NoDropout,
    NoNorm,
    Orthogonal,
    Plain,
    Relu,
    Rezero,
    RmsNorm,
    ScaledBranch,
    Sigmoid,
    Softplus,
    Tanh,
    TorchDefault,
    WeightStandardized,
    XavierNormal,
)
from gradyn.optim import L2, Cotangent, CrossEntropy
from gradyn.probes import LAYER_COLUMNS
from gradyn.sweep import Log, RunSpec, Schedule, execute
from gradyn.theory import NoTheoryError, lengths, net_moments, predict
from gradyn.theory import predict as predict_function
from runs import make_spec

WIDTH, DEPTH, SEEDS = 256, 7, 8
FEW_FEATURES = GaussianData(samples=64, features=5, classes=10, labels=False)
PLACEMENTS = ("pre", "post", "branch")
SHARED = Cotangent(vectors="shared")
LOG = Log(Schedule((0,)), Schedule((0,)), ())


def spec_of(**changes: Any) -> RunSpec:
    """A float64 net of 256 units on Gaussian inputs, under a random cotangent, at initialization."""
    wide = {"depth": DEPTH, "width": WIDTH, "batch_size": 8, "steps": 0, "dtype": "float64", "loss": Cotangent()}
    data = GaussianData(samples=64, features=WIDTH, classes=WIDTH, labels=False)
    return make_spec(**{**wide, "data": data, **changes})


def measured(spec: RunSpec, first_seed: int) -> dict[str, np.ndarray]:
    """Column -> [seeds, layers]; squares where the column is a logarithm."""
    records = execute([replace(spec, seed=first_seed + seed, data=replace(spec.data, seed=first_seed + seed)) for seed in range(SEEDS)], LOG)
    return {column.name: np.ma.filled(records.layers[column.name], np.nan).reshape(SEEDS, -1) for column in LAYER_COLUMNS if column.name in records.layers}


def assert_predicted(spec: RunSpec, seed: int) -> int:
    """Every predicted column within finite width and five standard errors; returns how many numbers were compared."""
    said, found, count = predict(spec), measured(spec, seed), 0
    for name in said.columns[3:-2]:
        expected, drawn = said[name].to_numpy(), found.get(name)
        if drawn is None or not np.isfinite(expected).any():
            continue
        is_log = name.startswith("log10")
        for layer in np.flatnonzero(np.isfinite(expected)):
            values = 10 ** (2 * drawn[:, layer]) if is_log else drawn[:, layer]
            target = 10 ** (2 * expected[layer]) if is_log else expected[layer]
            error = values.std(ddof=1) / math.sqrt(SEEDS)
            # Corrections of finite width: squares off by up to 4 / N a layer passed on the way (5 / N is ReLU's variance of ln |x|^2 a
            # layer), plus the scatter. Student's t of 7 degrees: 9 is one in 20,000.
            size = max(abs(target), float(np.sqrt(np.mean(values**2))), 0.05)
            bound = 9 * error + 4 * (DEPTH + 1) / WIDTH * size
            assert abs(values.mean() - target) < bound, f"{name}, layer {layer + 1}: {values.mean():.5g} +- {error:.1g}, predicted {target:.5g}, seed {seed}"
            count += 1
    return count


NETS: dict[str, dict[str, Any]] = {
    "chaotic tanh": {"activation": Tanh(), "init": Gaussian(sigma_w=2.0, sigma_b=0.3)},
    "sigmoid": {"activation": Sigmoid(), "init": XavierNormal()},
    "defaults": {"activation": LeakyRelu(0.3), "init": TorchDefault()},
    "orthogonal": {"activation": Tanh(), "init": Orthogonal(gain=1.2)},
    "layer, pre": {"norm": LayerNorm()},
    "layer, post": {"norm": LayerNorm(placement="post")},
    "rms, pre": {"norm": RmsNorm(), "activation": Tanh()},
    "rms, post": {"norm": RmsNorm(placement="post")},
    "weights": {"norm": WeightStandardized(gain=1.3)},
    "dropout": {"dropout": Inverted(keep=0.6)},
    "residual": {"residual": Identity()},
    "residual, full": {"residual": Identity(branch="full"), "activation": Tanh()},
    "residual, layer on the branch": {"residual": ScaledBranch(scale=0.5, skip=0.9), "norm": LayerNorm(placement="branch")},
    "residual, rms after phi": {"residual": Identity(branch="full"), "norm": RmsNorm(placement="post")},
    "residual, dropout": {"residual": ScaledBranch(), "dropout": Inverted(keep=0.8)},
    "rezero": {"residual": Rezero()},
    "fixup": {"residual": Fixup(zero_readout=False)},
    "gelu of long arguments": {"activation": Gelu(), "init": Gaussian(sigma_w=3.0, sigma_b=3.0), "dtype": "float32"},
    "batch": {"norm": BatchNorm(), "depth": 14, "batch_size": 16},
    "batch, dropout": {"norm": BatchNorm(), "dropout": Inverted(keep=0.6), "depth": 14, "batch_size": 8},
    "batch, residual": {"norm": BatchNorm(), "residual": Identity(), "activation": Tanh(), "depth": 14, "batch_size": 16},
}
# One cotangent for all samples: what a batch's mean has of two samples at a time.
PAIRED = ("chaotic tanh", "layer, pre", "rms, post", "weights", "residual, layer on the branch", "residual, dropout", "batch")
NETS |= {f"{net}, shared": {**NETS[net], "loss": SHARED, "init": Gaussian(sigma_w=1.3, sigma_b=0.3)} for net in PAIRED}


@pytest.mark.parametrize("net", NETS)
def test_a_net_is_as_predicted(net: str, seed: int) -> None:
    assert assert_predicted(spec_of(**NETS[net]), seed % 10_000) > 20


@pytest.mark.parametrize("activation", catalogue.activations(), ids=repr)
def test_every_activation_is_as_predicted(activation: Any, seed: int) -> None:
    assert assert_predicted(spec_of(activation=activation, init=Gaussian(sigma_w=1.1, sigma_b=0.2), depth=5), seed % 10_000) > 20


@pytest.mark.parametrize("init", catalogue.initializers(), ids=repr)
def test_every_initializer_is_predicted_or_says_why_not(init: Any, seed: int) -> None:
    spec = spec_of(init=init, activation=Tanh(), depth=4)
    said = predict(spec, ["log10_delta_rms"])
    if init.variance(4, 4) is None:
        assert not said["valid"].any()
        assert said["reason"].str.contains(f"init={init.name}").all()
    else:
        assert said["valid"].all()
        assert_predicted(spec, seed % 10_000)


BROKEN = {
    "a norm that does not centre": ({"norm": LayerNorm(placement="post")}, {"norm": RmsNorm(placement="post")}),
    "dropout forgotten": ({"dropout": Inverted(keep=0.6)}, {}),
    "the skip forgotten": ({"residual": Identity()}, {}),
    "biases forgotten": ({"activation": Tanh(), "init": Gaussian(sigma_b=0.8)}, {"activation": Tanh(), "init": Gaussian()}),
    "cross terms forgotten": ({"loss": SHARED, "init": Gaussian(sigma_b=0.3)}, {"init": Gaussian(sigma_b=0.3)}),
    "batch norm's dropout forgotten": (NETS["batch, dropout"], NETS["batch, dropout"] | {"dropout": NoDropout()}),
    "zeros of the other format": (NETS["gelu of long arguments"], NETS["gelu of long arguments"] | {"dtype": "float64"}),
    "one branch for two": ({"residual": Identity(branch="full")}, {"residual": Identity()}),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_prediction_of_another_net_is_rejected(name: str, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    true, wrong = BROKEN[name]
    monkeypatch.setitem(globals(), "predict", lambda _: predict_function(spec_of(**wrong)))
    with pytest.raises(AssertionError, match="predicted"):
        assert_predicted(spec_of(**true), seed % 10_000)


def test_inputs_that_have_a_little_in_common_count_once_for_every_other_sample() -> None:
    # One ReLU layer and a readout: E delta delta' = E phi'phi' = (pi - arccos c) / (2 pi) of what E delta^2 = 1/2 is, c the inputs' cosine, of density
    # (1 - c^2)^((M - 3) / 2). Its mean product with c is of order 1 / M and counts B - 1 times, to the sample's own 1/2.
    features, batch = 12, 16
    data = GaussianData(samples=64, features=features, classes=10, labels=False)
    own, shared = (predict(spec_of(depth=2, batch_size=batch, data=data, loss=loss), ["log10_grad_w_l2"]) for loss in (Cotangent(), SHARED))
    density = [quad(lambda c, power=power: c**power * (1 - c * c) ** ((features - 3) / 2), -1, 1)[0] for power in (0, 2)]
    assert density[1] / density[0] == pytest.approx(1 / features, rel=1e-10)
    cross = quad(lambda c: c * (math.pi - math.acos(c)) / (2 * math.pi) * (1 - c * c) ** ((features - 3) / 2), -1, 1)[0] / density[0]
    ratio = 10 ** (2 * (shared["log10_grad_w_l2"][0] - own["log10_grad_w_l2"][0]))
    # The rule is exact to c^5; c^6 comes with 3 / 40 / pi and 15 / M^3, of 1 / (2 pi M).
    assert ratio - 1 == pytest.approx((batch - 1) * cross / 0.5, rel=2 * 3 / 40 * 15 / features**2)
    assert ratio > 1.3


def test_standardized_rows_see_no_mean_of_few_features() -> None:
    # E h^2 = gain^2 |u - mean(u)|^2 / (M - 1) of M features, whose sample variance is 1.
    spec = spec_of(depth=2, norm=WeightStandardized(gain=1.3), init=Gaussian(sigma_b=0), data=GaussianData(samples=64, features=5, classes=10, labels=False))
    assert net_moments(spec, 1.0, 5, 10)[0].preact_ms[0] == pytest.approx(1.3**2, rel=1e-12)


def test_lengths_that_differ_are_nothing_in_common() -> None:
    # Layer norm takes the mean over units away, each sample's own: what two samples' softplus have in common at c = 0 is none of their lengths'.
    data = GaussianData(samples=64, features=12, classes=10, labels=False)
    spec = spec_of(depth=3, activation=Softplus(), norm=LayerNorm(placement="post"), data=data, loss=SHARED)
    for layer in net_moments(spec, (0.4, 1.0, 1.6), 12, 10, batch=8, shared=True):
        assert abs(layer.input_product[0]) < 1e-12


def test_a_shift_that_batch_norm_takes_away_has_no_gradient() -> None:
    # The plain layer that full branches leave over normalizes the stream: what the last branches' biases add is not seen.
    spec = spec_of(depth=13, activation=Tanh(), batch_size=16, norm=BatchNorm(), residual=Identity(branch="full"), init=Gaussian(sigma_b=0.3))
    said = predict(spec, ["log10_grad_b_l2"])["log10_grad_b_l2"]
    assert (said[[2, 4, 6, 8, 10]] == -math.inf).all(), said
    even = predict(replace(spec, depth=12), ["log10_grad_b_l2"])["log10_grad_b_l2"]
    assert np.isfinite(even[[2, 4, 6, 8, 10]]).all(), "the readout sees them"


def test_plain_nets_have_the_lengths_of_the_maps() -> None:
    spec = spec_of(activation=Tanh(), init=Gaussian(sigma_w=1.7, sigma_b=0.4))
    found = np.array([layer.preact_ms[0] for layer in net_moments(spec, 0.7, WIDTH, WIDTH)])
    np.testing.assert_allclose(found, lengths("tanh", 0.7, DEPTH, sigma_w=1.7, sigma_b=0.4), rtol=1e-12)


def test_samples_of_different_length_keep_their_own_moments() -> None:
    spec = spec_of(activation=Tanh(), init=Gaussian(sigma_w=1.7))
    together = net_moments(spec, [0.1, 4.0], WIDTH, WIDTH)
    for place, square in enumerate((0.1, 4.0)):
        alone = net_moments(spec, square, WIDTH, WIDTH)
        for one, all_ in zip(alone, together, strict=True):
            assert one.delta_ms[0] == pytest.approx(all_.delta_ms[place], rel=1e-13)


def test_scaled_residual_relu_nets_grow_by_one_plus_one_over_depth() -> None:
    # (1 + 1 / L)^L -> e (Hanin & Rolnick 2018): with He weights a branch of scale 1 / sqrt(L) adds 1 / L of the square back.
    spec = spec_of(residual=ScaledBranch(), depth=102)
    found = net_moments(spec, 1.0, WIDTH, WIDTH)
    blocks = 100
    ratio = found[0].delta_ms[0] / (found[-1].pulled_ms[0] * 0.5)
    assert ratio == pytest.approx((1 + 1 / blocks) ** blocks, rel=1e-12)


@dataclass(frozen=True, slots=True)
class OwnNorm(AbstractNorm):
    """A norm that somebody has added, of which theory knows nothing."""

    @property
    def where(self) -> str:
        return "pre"

    def normalize(self, t: torch.Tensor) -> torch.Tensor:
        return t / t.abs().mean(2, keepdim=True)


REASONS = {
    "norm=own_norm: no formula is known for it": ({"norm": OwnNorm()}, "log10_act_rms"),
    "init=mup: its layers have no one law of their variance": ({"init": MaximalUpdate()}, "log10_act_rms"),
    "depends on the weights": ({"loss": CrossEntropy(), "data": Digits()}, "log10_delta_rms"),
    "init=lsuv: its weights depend on the data": ({"init": Lsuv()}, "log10_act_rms"),
    "init=looks_linear": ({"init": LooksLinear()}, "log10_act_rms"),
    "not Gaussian over the batch": ({"norm": BatchNorm(placement="post")}, "log10_act_rms"),
    "sum of blocks is not Gaussian": ({"norm": BatchNorm(placement="branch"), "residual": Identity()}, "log10_act_rms"),
    "exchangeable samples": ({"norm": BatchNorm(), "data": Circle(features=WIDTH)}, "log10_act_rms"),
    "fewer than 4 samples": ({"norm": BatchNorm(), "batch_size": 3}, "log10_act_rms"),
    "falls to norm.eps": ({"norm": BatchNorm(eps=0.1)}, "log10_act_rms"),
    "samples are not exchangeable yet": ({"norm": BatchNorm(), "data": FEW_FEATURES}, "log10_delta_rms"),
    "64 samples do not stay": ({"norm": BatchNorm(), "activation": Gelu(), "batch_size": 64}, "log10_act_rms"),
    "linear layers keep their rank": ({"norm": BatchNorm(), "activation": Linear(), "data": FEW_FEATURES}, "log10_act_rms"),
    "have no mean of 1 / variance": ({"norm": WeightStandardized(), "data": Line()}, "log10_act_rms"),
    "2 units, fewer than 8": ({"data": replace(FEW_FEATURES, classes=2)}, "act_std"),
    "scatter too much": ({"loss": SHARED, "data": FEW_FEATURES}, "log10_grad_w_l2"),
    "a batch's cotangents sum to 0": ({"norm": BatchNorm(), "depth": 10, "init": Gaussian(sigma_b=0.1)}, "log10_grad_b_l2"),
    "cross terms are known of inputs": ({"loss": SHARED, "data": Circle(features=WIDTH)}, "log10_grad_w_l2"),
    "dtype=bfloat16": ({"dtype": "bfloat16"}, "log10_delta_rms"),
    "the penalty's gradient is added": ({"penalty": L2()}, "log10_grad_w_l2"),
    "first step of training": ({}, "log10_update_ratio"),
    "there is no bias": ({"residual": Fixup()}, "log10_grad_b_l2"),
}


@pytest.mark.parametrize("reason", REASONS)
def test_where_no_theory_holds_the_reason_is_said_and_no_number(reason: str) -> None:
    changes, column = REASONS[reason]
    said = predict(spec_of(**changes), [column])
    refused = said[~said["valid"]]
    assert len(refused)
    assert refused[column].isna().all()
    assert refused["reason"].str.contains(reason, regex=False).any(), refused["reason"].unique()
    assert said.loc[said["valid"], column].notna().all()


def test_the_frame_has_the_store_s_columns() -> None:
    said = predict(spec_of())
    assert list(said.columns) == ["run_id", "step", "layer", *(column.name for column in LAYER_COLUMNS), "valid", "reason"]
    assert said["layer"].tolist() == list(range(1, DEPTH + 1))
    assert (said["run_id"] == spec_of().run_id).all()
    assert isinstance(said, pd.DataFrame)
    with pytest.raises(ConfigError, match="columns must be columns of layers"):
        predict(spec_of(), ["log10_delta_rmss"])


def test_a_net_without_theory_raises_its_reason() -> None:
    with pytest.raises(NoTheoryError, match="depend on the data"):
        net_moments(spec_of(init=Lsuv()), 1.0, WIDTH, WIDTH)
    with pytest.raises(NoTheoryError, match="batch's size"):
        net_moments(spec_of(norm=BatchNorm()), 1.0, WIDTH, WIDTH)


def test_an_exact_zero_is_predicted_as_one() -> None:
    said = predict(spec_of(residual=Rezero()), ["log10_delta_rms"])
    assert (said["log10_delta_rms"].iloc[1:-1] == -math.inf).all(), "a branch whose factor is 0 receives nothing"
    assert said["valid"].all()


def test_defaults_of_the_spec_are_what_the_test_says() -> None:
    spec = spec_of()
    assert (spec.activation, spec.init, spec.residual) == (Relu(), HeNormal(), Plain())


def random_spec(rng: np.random.Generator) -> RunSpec:
    """A net from the whole catalogue, as nobody would choose it."""

    def one_of(things: Any) -> Any:
        return things[int(rng.integers(len(things)))]

    norms = [NoNorm(), *(norm if "placement" not in norm.settings else replace(norm, placement=one_of(PLACEMENTS)) for norm in catalogue.norms())]
    while True:
        norm, features = one_of(norms), one_of((12, 64, WIDTH))
        data = GaussianData(samples=512, features=features, classes=one_of((10, 100)), labels=False)
        parts = {"activation": one_of(catalogue.activations()), "init": one_of(catalogue.initializers()), "residual": one_of(catalogue.residuals())}
        parts |= {"norm": norm, "dropout": one_of((NoDropout(), NoDropout(), Inverted(keep=0.7)))}
        sizes = {"depth": int(rng.integers(3, 12)), "batch_size": one_of((4, 8, 16))}
        try:
            return spec_of(**parts, **sizes, data=data, loss=one_of((Cotangent(), Cotangent(vectors="rademacher"), SHARED)))
        except ConfigError:
            continue


@pytest.mark.parametrize("draw", range(24))
def test_a_random_net_is_as_predicted_or_refused_with_a_reason(draw: int, seed: int) -> None:
    spec = random_spec(np.random.default_rng(seed))
    said = predict(spec)
    assert (said["reason"].str.len() > 0).eq(~said["valid"]).all()
    if said.iloc[:, 3:-2].notna().any(axis=None):
        assert_predicted(spec, seed % 10_000)
