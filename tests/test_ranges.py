"""Ranges, ties and zips: numbers written as papers write them, and axes that advance together."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradyn.core import ConfigError
from hydra_plugins.gradyn._arithmetic import evaluate, lower, parse, range_values
from hydra_plugins.gradyn.compose import plan


def test_ranges_are_numpys() -> None:
    assert range_values("k", "linspace(0.5,3,11)") == np.linspace(0.5, 3, 11).tolist()
    assert range_values("k", "logspace(-3,0,4)") == [0.001, 0.01, 0.1, 1.0]
    assert range_values("k", "geomspace(1e-3,1,4)") == np.geomspace(1e-3, 1, 4).tolist()
    assert range_values("k", "round(geomspace(2,64,6))") == [2, 4, 8, 16, 32, 64]
    assert range_values("k", "round(linspace(1,3,9))") == [1, 2, 3]  # each once
    assert range_values("k", "4*depth") is None
    assert range_values("k", "linspace(1,1,1)") == [1.0]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("linspace(0,1)", "Three arguments are needed"),
        ("linspace(0,1,0)", "whole number >= 1"),
        ("linspace(0,1,2.5)", "whole number >= 1"),
        ("geomspace(0,1,3)", "one sign"),
        ("logspace(0,400,3)", "finite"),
        ("linspace(0,depth,3)", "not the key depth"),
    ],
)
def test_a_wrong_range_says_what_it_takes(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        range_values("init.sigma_w", text)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4*depth", 32),
        ("0.1/depth", 0.1 / 8),
        ("2**3 + 1", 9),
        ("-(depth - 10)//3", 0),
        ("round(sqrt(2*depth))", 4),
        ("max(1, depth, init.gain)", 8),
        ("pi", math.pi),
    ],
)
def test_arithmetic_is_pythons(text: str, value: float) -> None:
    assert evaluate("k", text, {"depth": 8, "init.gain": 2.0}.__getitem__) == value


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "depth.__class__()",
        "[1,2]",
        "'text'",
        "1 if depth else 2",
        "lambda: 1",
        "depth[0]",
        "a and b",
        "open(1)",
        "mnist/raw data",
        "x=1",
        "1j",
        "True",
        "(1",
        "",
    ],
)
def test_what_is_not_arithmetic_is_left_alone(text: str) -> None:
    assert parse(text) is None


@pytest.mark.parametrize("text", ["1/0", "9**9**9", "(-1)**0.5", "sqrt(-1)", "1e308*10", "exp(1000)", "linspace(0,1,3)+1", "sqrt()"])
def test_arithmetic_without_a_finite_real_result_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="k must be a finite number"):
        evaluate("k", text, {}.__getitem__)


@pytest.mark.parametrize(
    ("given_", "lowered"),
    [
        ("depth=2,4", "depth=2,4"),
        ("seed=range(5)", "seed=range(5)"),
        ("width=4*depth", "width=4*depth"),
        ("width=4*(depth+1),3", 'width="4*(depth+1)",3'),
        ("init.sigma_w=linspace(1,2,3)", 'init.sigma_w=choice("linspace(1,2,3)")'),
        ("init.sigma_w=2", "init.sigma_w=choice(2)"),
        ("log.layers=[0,1]", "log.layers=choice([0,1])"),
        ("hydra.sweeper.zip=[[a,b]]", "hydra.sweeper.zip=[[a,b]]"),
        ("~init.gain", "~init.gain"),
    ],
)
def test_overrides_are_brought_into_hydras_grammar(given_: str, lowered: str) -> None:
    assert lower(given_) == lowered
    assert lower(lowered) == lowered


def test_a_tie_follows_the_axis_it_reads() -> None:
    specs = plan(["depth=2,4", "width=4*depth", "learning_rate=0.1/width", "seed=0,1"]).specs
    assert [(spec.depth, spec.width, spec.learning_rate, spec.seed) for spec in specs] == [
        (depth, 4 * depth, 0.1 / (4 * depth), seed) for depth in (2, 4) for seed in (0, 1)
    ]
    assert all(type(spec.width) is int for spec in specs)


def test_a_tie_reads_component_settings_and_may_stand_in_a_list() -> None:
    specs = plan(["init=gaussian", "init.sigma_w=1,2", "init.sigma_b=init.sigma_w/4,0.5"]).specs
    # The fourth, (2, 2/4) and (2, 0.5), is one run.
    assert [(spec.init.sigma_w, spec.init.sigma_b) for spec in specs] == [(1.0, 0.25), (1.0, 0.5), (2.0, 0.5)]


def test_a_tie_and_its_number_are_one_run() -> None:
    (tied,) = plan(["depth=4", "width=4*depth"]).specs
    (plain,) = plan(["depth=4", "width=16"]).specs
    assert tied.run_id == plain.run_id


def test_whole_numbers_and_floats_of_one_value_are_one_run() -> None:
    one, other = plan(["learning_rate=1"]).specs, plan(["learning_rate=1.0"]).specs
    assert one[0].run_id == other[0].run_id
    assert plan(["init=gaussian", "init.sigma_w=2"]).specs[0].run_id == plan(["init=gaussian", "init.sigma_w=2.0"]).specs[0].run_id


def test_zipped_axes_advance_together() -> None:
    made = plan(["depth=2,4,8", "seed=0,1", "width=8,16,32", "hydra.sweeper.zip=[[depth,width]]"])
    assert "depth and width advance together" in made.notes
    assert [(spec.depth, spec.width, spec.seed) for spec in made.specs] == [(d, 4 * d, s) for d in (2, 4, 8) for s in (0, 1)]


def test_the_command_line_replaces_the_axes_of_an_experiment() -> None:
    whole = plan(["experiment=vanishing_exploding"])
    narrowed = plan(["experiment=vanishing_exploding", "depth=2,4", "activation=relu", "seed=range(5)"])
    assert len(whole.specs) == 4320
    assert len(narrowed.specs) == 4320 // 6 // 4 // 3 * 2 * 5
    assert narrowed.axes["depth"] == (2, 4)
    assert "activation" not in narrowed.axes


def test_repeated_runs_run_once_and_the_plan_says_so() -> None:
    made = plan(["seed=1,1,2"])
    assert [spec.seed for spec in made.specs] == [1, 2]
    assert "1 of 3 combinations repeat another and run once" in made.notes


def test_a_hidden_layer_left_over_is_noted() -> None:
    made = plan(["depth=4,5,6,7", "residual=identity,plain", "residual=identity", "residual.branch=full"])
    assert "2 runs have a hidden layer left over by residual.branch=full, which is plain" in made.notes
