"""The scoreboard: every experiment is on it, a failed or untested claim too, and nothing is run twice."""

from __future__ import annotations

import pandas as pd
import pytest

from gradyn.core import ConfigError
from gradyn.report import experiments, reproduce


def test_an_experiment_without_runs_is_on_the_board_untested_with_the_reason(tmp_path):
    assert reproduce(tmp_path / "results", tmp_path, is_run=False) == 0
    board = pd.read_csv(tmp_path / "scoreboard.csv")
    assert set(board["experiment"]) == set(experiments())
    assert set(board["verdict"]) == {"not tested"}
    assert board["reason"].str.contains("folder").all()


def test_one_experiment_is_swept_drawn_and_judged(tmp_path):
    from gradyn.sweep import launch
    from hydra_plugins.gradyn.compose import plan

    # What the command would find done already: a corner of the first look, so that the test stays short.
    made = plan(["experiment=quick", "depth=4,64", "activation=tanh", "init=small,large", "norm=none", "steps=0", f"results={tmp_path}"])
    assert launch(made) == 0
    assert reproduce(tmp_path, tmp_path / "board", only=["quick"], is_run=False) == 0
    board = pd.read_csv(tmp_path / "board" / "scoreboard.csv").set_index("claim")
    assert board.loc["the most ill net loses more than 30 decades", "verdict"] == "holds"
    # tanh with small weights and tanh with large ones: neither arrives, and the board says so.
    assert board.loc["one stays within a decade", "verdict"] == "fails"
    text = (tmp_path / "board" / "scoreboard.md").read_text()
    assert "1 fails" in text
    assert "Glorot & Bengio 2010" in text


def test_an_experiment_of_no_name_is_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"experiment must be one of .*quick.*; got 'qiuck'"):
        reproduce(tmp_path, tmp_path, only=["qiuck"])
