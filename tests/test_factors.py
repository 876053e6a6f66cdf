"""Factors per layer: read off lines of known slope, predicted by the recursion, and judged against each other."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

import gradyn
from gradyn.report import Frames, factor_claim, layer_values, log_factors, mean_field, predicted_factor
from gradyn.theory import chi_1, lengths, moment
from made_frames import make_frames, rate

EPS = float(np.finfo(np.float64).eps)
ONE_NET = {"depth": [16], "activation": ["relu"], "init": ["he_normal"], "norm": ["none"], "clip": ["none"]}


def _runs(*overrides: str) -> pd.DataFrame:
    specs = gradyn.plan(["loss=cotangent", "data=pair", "batch_size=2", "data.length=1.7", "steps=0", "depth=9", "width=32", *overrides])
    return pd.DataFrame([spec.columns for spec in specs])


def test_a_factor_is_the_slope_of_the_line_in_natural_logarithms_of_squares() -> None:
    frames = make_frames(ONE_NET)
    slopes = np.array([rate(run)[0] for _, run in frames.runs.iterrows()]) * 2 * math.log(10)
    (width,) = frames.runs["width"].unique()
    for window in ({}, {"first": 4}, {"first": 2, "last": 9}):
        np.testing.assert_allclose(log_factors(frames, frames.runs, **window)[width], slopes, rtol=64 * EPS)
        np.testing.assert_allclose(log_factors(frames, frames.runs, "log10_act_rms", **window)[width], slopes, rtol=64 * EPS)
    act = layer_values(frames, frames.runs, "log10_act_rms", 5)[width]
    np.testing.assert_allclose(act * 2 * math.log(10), 5 * slopes, rtol=64 * EPS)
    np.testing.assert_allclose(layer_values(frames, frames.runs, "log10_act_rms", 5, is_squared=True)[width], act**2, rtol=EPS)


@pytest.mark.parametrize(
    ("overrides", "sigma_w", "sigma_b"),
    [
        (["init=gaussian", "init.sigma_w=1.3", "init.sigma_b=0.4"], 1.3, 0.4),
        (["init=he_uniform"], 2**0.5, 0.0),
        (["init=torch_default"], 3**-0.5, 0.0),
        (["init=xavier_uniform", "init.gain=1.5"], 1.5, 0.0),
    ],
    ids=str,
)
@pytest.mark.parametrize("activation", ["tanh", "softplus"])
def test_what_is_predicted_is_the_recursion_at_infinite_width(overrides: list[str], sigma_w: float, sigma_b: float, activation: str) -> None:
    layers = mean_field(_runs(f"activation={activation}", *overrides))
    q = lengths(activation, 1.7, 9, sigma_w=sigma_w, sigma_b=sigma_b)
    chi = chi_1(activation, q, sigma_w=sigma_w, sigma_b=sigma_b)
    square = moment(activation, q, value=2).value
    # Integrals known to 1e-13 over eight layers; torch's biases leave 1e-12 of variance at the width that stands for infinity, in lengths above 1e-5.
    np.testing.assert_allclose(predicted_factor(layers), math.exp(np.log(chi[:7]).mean()), rtol=1e-7)
    np.testing.assert_allclose(predicted_factor(layers, first=2, last=7), math.exp(np.log(chi[1:6]).mean()), rtol=1e-7)
    np.testing.assert_allclose(predicted_factor(layers, "log10_act_rms", first=2, last=7), (square[6] / square[1]) ** 0.2, rtol=1e-7)


def test_a_setting_of_the_initializer_may_be_another() -> None:
    runs = _runs("init=gaussian", "activation=relu")
    np.testing.assert_allclose(predicted_factor(mean_field(runs, init={"sigma_w": 3.0})), 4.5, rtol=64 * EPS)


def test_nets_are_chosen_by_name_and_by_number() -> None:
    runs = _runs("init=gaussian", "init.sigma_w=1.4142135623731,2", "activation=tanh,relu", "seed=0,1")
    frames = Frames("made", runs, pd.DataFrame(), pd.DataFrame())
    assert len(frames.where(activation="tanh", init__sigma_w=2**0.5)) == 2
    assert frames.where(init__sigma_w=1.5).empty


def test_a_claim_without_runs_is_not_tested() -> None:
    frames = make_frames(ONE_NET)
    assert factor_claim(frames, frames.where(activation="gelu"), "no net").verdict == "not tested"
