"""Verdicts on cures and sentences: each rule meets nets whose answer is known, and can say each of its words."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from gradyn.report import Frames, MissingError, cure_nets, cure_table, sentences, state, verdict
from gradyn.report.sweeps.cures import plain_nets
from made_frames import make_frames

LARGE_GRID = {"activation": ["sigmoid", "tanh", "relu"], "init": ["small", "he_normal", "orthogonal", "large"], "residual": ["plain", "identity"]}


def net(back: float, forth: float = 0.0, level: float = 0.0, spread: float = 0.01, **columns: Any) -> pd.DataFrame:
    """Three seeds of one net with the given spans [decades], which scatter by `spread`."""
    at = np.array([-1.0, 0.0, 1.0]) * spread
    return pd.DataFrame(
        {"seed": [0, 1, 2], "backward_span": back + at, "forward_span": forth + at, "level": level + at, "backward_zeros": 0, "forward_faults": 0} | columns
    )


@pytest.fixture(scope="module")
def frames() -> Frames:
    return make_frames(LARGE_GRID)


@pytest.fixture(scope="module")
def nets(frames: Frames) -> pd.DataFrame:
    return cure_nets(frames)


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [
        (net(-30), "vanishes"),
        (net(30), "explodes"),
        (net(0.5), "well"),
        (net(0, forth=-30), "vanishes"),
        (net(0, forth=30), "explodes"),
        (net(0, level=-79), "vanishes"),
        (net(-1.9, spread=1), "undecided"),
        (net(-30, spread=30), "undecided"),
        (net(-math.inf), "vanishes"),
        (net(math.nan, forth=40, forward_faults=5), "explodes"),
        (net(math.nan, forth=math.nan, forward_faults=63), "explodes"),
        (net(-30, forward_faults=1), "explodes"),
    ],
    ids=["back-", "back+", "well", "forth-", "forth+", "level", "near", "scattered", "zero", "overflow", "at once", "late"],
)
def test_the_state_of_a_net_is_read_off_three_numbers(seeds: pd.DataFrame, expected: str) -> None:
    assert state(seeds) == expected


@pytest.mark.parametrize(
    ("sick", "cured", "expected"),
    [
        (net(-30), net(0), "cures"),
        (net(-30), net(-10), "helps"),
        (net(-30), net(-30), "no effect"),
        (net(-30), net(-29), "no effect"),
        (net(-30), net(-60), "worse"),
        (net(-30), net(30), "makes the opposite ill"),
        (net(30), net(-30), "makes the opposite ill"),
        (net(-30), net(-10, spread=20), "no effect"),
        (net(-30), net(0, level=-79), "helps"),
        (net(math.nan, forth=40, forward_faults=5), net(10), "helps"),
        (net(10), net(math.nan, forth=40, forward_faults=5), "worse"),
        (net(-30), net(math.nan, forth=40, forward_faults=5), "makes the opposite ill"),
        (net(-math.inf), net(-math.inf), "no effect"),
        (net(-math.inf), net(-10), "helps"),
    ],
)
def test_a_verdict_says_each_of_its_words(sick: pd.DataFrame, cured: pd.DataFrame, expected: str) -> None:
    assert verdict(sick, cured) == expected


def test_seeds_are_compared_in_pairs() -> None:
    # Seeds scatter by 5 decades, but each improves by exactly 6: only pairing sees it.
    sick, cured = net(-30, spread=5), net(-24, spread=5)
    assert verdict(sick, cured) == "helps"
    assert verdict(sick, cured.assign(backward_span=cured["backward_span"].to_numpy()[::-1])) == "no effect"


def test_chance_alone_seldom_moves_a_verdict(rng: np.random.Generator) -> None:
    # Same net twice, seeds that scatter by half a decade about -6: "helps" or "worse" needs |mean change| > 0.6 and a t-interval clear of it.
    words = [verdict(net(0).assign(backward_span=-6 + rng.normal(0, 0.5, 3)), net(0).assign(backward_span=-6 + rng.normal(0, 0.5, 3))) for _ in range(1000)]
    moved = sum(word in ("helps", "worse") for word in words)
    # At most 5 % by the interval alone; Binomial(1000, 0.05) exceeds 85 with probability 1e-6.
    assert moved <= 85, f"{moved} of 1000 equal nets were told apart"


def test_clipping_changes_no_rate_and_bounds_the_step(nets: pd.DataFrame) -> None:
    clipped = nets[nets["kind"] == "clipping"]
    assert (clipped["verdict"] == "no effect").all()
    assert (clipped["backward_rate_sick"] == clipped["backward_rate_cured"]).all()
    row = cure_table(nets).set_index(["cure", "illness"]).loc[("clipping: global_l2", "explodes")]
    assert (row["textbook"], row["agrees"]) == ("cures", "no")
    assert "bounds the step" in row["explanation"]
    assert "changes no rate" in row["explanation"]
    assert row["largest_update_cured"] < row["largest_update_sick"]


def test_batch_norm_turns_vanishing_into_exploding(nets: pd.DataFrame) -> None:
    row = cure_table(nets).set_index(["cure", "illness"]).loc[("batch norm", "vanishes")]
    assert row["verdict"] == "makes the opposite ill"
    assert "turns vanishing into exploding" in row["explanation"]
    assert "+0.08 decades a layer" in row["explanation"]


def test_an_explanation_names_what_still_shrinks_delta(nets: pd.DataFrame) -> None:
    table = cure_table(nets).set_index(["cure", "illness"])["explanation"]
    assert "the weights shrink delta by -1.10" in table.loc[("ReLU", "vanishes")]
    assert "phi' shrinks delta by -0.62" in table.loc[("initialization: orthogonal", "vanishes")]


def test_explanations_follow_the_measurement_and_not_the_name(frames: Frames) -> None:
    # The same grid, but batch norm leaves delta as it was: the sentence about it must go.
    batch = frames.layers["run_id"].isin(frames.runs[frames.runs["norm"] == "batch"]["run_id"])
    flat = frames.layers.assign(
        log10_delta_rms=frames.layers["log10_delta_rms"].where(~batch, 0.0), log10_grad_w_l2=frames.layers["log10_grad_w_l2"].where(~batch, 0.0)
    )
    table = cure_table(cure_nets(Frames("x", frames.runs, frames.steps, flat))).set_index(["cure", "illness"])
    assert table.loc[("batch norm", "vanishes"), "verdict"] == "cures"
    assert not table["explanation"].str.contains("into exploding").any()


def test_a_prescription_is_for_the_activations_it_is_meant_for(nets: pd.DataFrame) -> None:
    assert set(nets[nets["cure"] == "ReLU"]["activation"]) == {"sigmoid", "tanh"}
    assert set(nets[nets["cure"] == "initialization: he_normal"]["activation"]) == {"relu"}


def test_every_row_names_runs_that_exist(nets: pd.DataFrame, frames: Frames) -> None:
    runs = frames.runs.set_index("run_id")
    for _, row in nets.iterrows():
        sick, cured = runs.loc[row["run_id_sick"]], runs.loc[row["run_id_cured"]]
        assert (sick["activation"], sick["init"], sick["norm"], sick["clip"], sick["residual"]) == (row["activation"], row["init"], "none", "none", "plain")
        changed = [axis for axis in ("activation", "init", "norm", "residual", "clip") if sick[axis] != cured[axis]]
        assert len(changed) == 1, f"{row['cure']} changes {changed}"
        assert sick["depth"] == cured["depth"] == 64


def test_a_grid_without_cures_says_what_to_sweep() -> None:
    bare = make_frames({"activation": ["sigmoid"], "init": ["small"], "norm": ["none"], "clip": ["none"]})
    with pytest.raises(MissingError, match="add norm=none,batch"):
        cure_nets(bare)


def test_the_textbooks_sentences_meet_their_counterexamples(frames: Frames) -> None:
    judged = sentences(frames).set_index(["sentence", "scope"])
    runs = frames.runs.set_index("run_id")
    small = judged.loc[("sigma' < 1, so the gradient vanishes", "plain nets")]
    assert small["verdict"] == "neither"
    # sigmoid with large weights: -0.62 + 0.9 = +0.28 decades a layer; tanh with small ones vanishes though max|phi'| = 1.
    witness = runs.loc[small["not_sufficient_run"]]
    assert (witness["activation"], witness["init"], witness["norm"], witness["residual"]) == ("sigmoid", "large", "none", "plain")
    witness = runs.loc[small["not_necessary_run"]]
    assert witness["activation"] != "sigmoid"
    assert witness["init"] == "small"
    explodes = judged.loc[("||W|| > 1, so the gradient explodes", "plain nets")]
    assert explodes["verdict"] == "necessary, not sufficient"
    witness = runs.loc[explodes["not_sufficient_run"]]
    assert (witness["activation"], witness["init"]) == ("sigmoid", "he_normal")
    everywhere = judged.loc[("||W|| > 1, so the gradient explodes", "all nets")]
    assert everywhere["verdict"] == "neither"
    witness = runs.loc[everywhere["not_necessary_run"]]
    assert witness["init"] in ("small", "orthogonal"), "||W|| must not exceed 1"
    assert witness["norm"] == "batch"


def test_counts_of_a_sentence_add_up(frames: Frames) -> None:
    judged = sentences(frames)
    assert (judged["both"] + judged["condition_only"] + judged["consequence_only"] <= judged["runs"]).all()
    assert (judged["runs"] > 0).all()


def test_one_seed_cannot_tell_illness_from_chance() -> None:
    with pytest.raises(MissingError, match="one seed"):
        cure_nets(make_frames({"seed": [0]}))


def test_a_row_has_the_median_verdict_of_its_nets(nets: pd.DataFrame) -> None:
    some = nets[(nets["kind"] == "residual") & (nets["illness"] == "vanishes")].head(4)
    for verdicts, expected in (
        (["cures", "cures", "helps", "worse"], "helps"),
        (["cures", "helps", "no effect", "worse"], "no effect"),
        (["worse", "cures", "cures", "cures"], "cures"),
        (["makes the opposite ill"] * 3 + ["cures"], "makes the opposite ill"),
    ):
        row = cure_table(some.assign(verdict=verdicts)).iloc[0]
        assert (row["verdict"], row["nets"]) == (expected, f"{verdicts.count(expected)} of 4")


def test_gates_are_a_cure_of_recurrent_nets_beside_the_feedforward_ones(frames: Frames) -> None:
    # Of the recurrent nets the gates alone are judged: xavier_normal, which the others don't have, adds no row.
    grid = {"cell": ["rnn", "lstm", "gru"], "depth": [64], "activation": ["tanh"], "init": ["small", "xavier_normal"], "norm": ["none"], "clip": ["none"]}
    gated = make_frames(grid)
    # A recurrent net's gains are null, and its run ids are its own.
    layers = gated.layers.assign(run_id=gated.layers["run_id"] + "r", log10_gain_weight=np.nan, log10_gain_derivative=np.nan)
    runs = gated.runs.assign(run_id=gated.runs["run_id"] + "r").assign(**{"cell.chrono": np.where(gated.runs["cell"] == "gru", 62.0, np.nan)})
    plain = frames.runs.assign(cell="feedforward")
    both = Frames("x", pd.concat([plain, runs]), frames.steps, pd.concat([frames.layers, layers]))
    table = cure_table(cure_nets(both)).set_index(["cure", "illness"])
    alone = cure_table(cure_nets(frames)).set_index(["cure", "illness"])
    pd.testing.assert_frame_equal(table.loc[alone.index], alone)
    assert table.drop(alone.index)["verdict"].to_dict() == {("gates: gru", "vanishes"): "cures", ("gates: lstm", "vanishes"): "helps"}
    row = table.loc[("gates: lstm", "vanishes")]
    assert (row["textbook"], row["agrees"]) == ("cures", "no")
    assert row["explanation"] == "1 of 1 nets stay ill: there delta changes by -0.13 decades a step, and the first step's weight gradient is 10^-8.2"
    assert set(plain_nets(both)["cell"]) == {"feedforward"}
    # Two settings of one cell are two cures.
    two = runs.assign(**{"cell.chrono": np.where((runs["cell"] == "lstm") & (runs["seed"] > 0), 62.0, np.nan)})
    names = set(cure_nets(Frames("x", two, frames.steps, layers))["cure"])
    assert {"gates: lstm", "gates: lstm chrono=62", "gates: gru"} <= names
