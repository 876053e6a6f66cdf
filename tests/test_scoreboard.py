"""The scoreboard: every experiment is on it, a failed or untested claim too, nothing is run twice, and a subset leaves the rest alone."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from gradyn.cli import main
from gradyn.core import ConfigError
from gradyn.report import MOST_CLAIMS, Claim, Experiment, Frames, chosen, described, experiments, reproduce, shown
from gradyn.report import scoreboard as board_of

CHECKOUT = Path(__file__).resolve().parents[1]


def test_an_experiment_without_runs_is_on_the_board_untested_with_the_reason(tmp_path):
    assert reproduce(tmp_path / "results", tmp_path, is_run=False) == 0
    board = pd.read_csv(tmp_path / "scoreboard.csv")
    assert set(board["experiment"]) == set(experiments())
    assert set(board["verdict"]) == {"not tested"}
    assert board["reason"].str.contains("folder").all()


def test_one_experiment_is_swept_drawn_and_judged_and_a_failed_claim_exits_with_1(tmp_path):
    from gradyn.sweep import launch
    from hydra_plugins.gradyn.compose import plan

    # What the command would find done already: a corner of the first look, so that the test stays short.
    made = plan(["experiment=quick", "depth=4,64", "activation=tanh", "init=small,large", "norm=none", "steps=0", f"results={tmp_path}"])
    assert launch(made) == 0
    assert reproduce(tmp_path, tmp_path / "board", only=["quick"], is_run=False) == 1
    board = pd.read_csv(tmp_path / "board" / "scoreboard.csv").set_index("claim")
    assert board.loc["the most ill net loses more than 30 decades", "verdict"] == "holds"
    # tanh with small weights and tanh with large ones: neither arrives, and the board says so.
    assert board.loc["one stays within a decade", "verdict"] == "fails"
    text = (tmp_path / "board" / "scoreboard.md").read_text()
    assert "1 fails" in text
    # Weights depend on the cotangent of a cross entropy: the backward columns have no prediction, and the board says so.
    assert 0 < board["predicted_share"].iloc[0] < 1
    assert f"| quick | 4 | {board['predicted_share'].iloc[0]:.0%} | the loss's cotangent depends on the weights" in text
    assert "Glorot & Bengio 2010" in text


def test_an_experiment_of_no_name_is_refused_with_what_is_near(tmp_path):
    with pytest.raises(ConfigError, match=r"experiment must be one of .*quick.*; got 'qiuck'. Did you mean quick\?"):
        reproduce(tmp_path, tmp_path, only=["qiuck"])
    with pytest.raises(ConfigError, match=r"got 'trainable_dpeth\*'. Did you mean trainable_depth"):
        chosen(["quick", "trainable_dpeth*"])
    assert chosen(["q*", "train*depth", "quick"]) == ["quick", "trainable_depth"]


def test_initialization_is_every_experiment_whose_nets_take_no_step():
    found = chosen(["initialization"])
    assert {"glorot_bengio", "phase_diagram", "batch_mean"} <= set(found)
    # Trained, measured without a sweep, trained beside a sweep.
    assert not {"quick", "deep_linear", "autodiff_graph", "gates", "trainable_depth_map"} & set(found)
    assert chosen(["initialization", "quick"]) == sorted([*found, "quick"])
    with pytest.raises(ConfigError, match=r"initialization \(all whose nets take no step\).* Did you mean initialization\?"):
        chosen(["initialisation"])


@pytest.fixture
def two(monkeypatch):
    """Two experiments of one claim each, whose measured numbers a test may change."""
    numbers = {"a_one": 1.0, "b_two": 1.0}

    def make(name):
        return Experiment(name, experiments_source, lambda frames, page: [], lambda frames: [Claim(f"of {name}", numbers[name], 1.0, 0.1, "made up")])

    experiments_source = experiments()["quick"].source
    found = {name: make(name) for name in numbers}
    monkeypatch.setattr(board_of, "experiments", lambda: found)
    monkeypatch.setattr(board_of, "read", lambda folder: Frames(folder.name, pd.DataFrame(), pd.DataFrame(), pd.DataFrame()))
    return numbers


def test_a_sweep_that_is_refused_does_not_keep_the_others_from_being_judged(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["quick", "curve_length"]
    assert reproduce(tmp_path, tmp_path, only=asked, scale="smoke", sweep=lambda words: 2) == 1
    board = pd.read_csv(tmp_path / "smoke" / "scoreboard.csv")
    assert dict(zip(board["experiment"], board["verdict"], strict=True)) == dict.fromkeys(asked, "not tested")
    assert [line.split(".")[0] for line in capsys.readouterr().err.splitlines()] == [f"{name}: no figures" for name in sorted(asked)]


def test_judging_a_subset_keeps_the_rows_of_the_others(two, tmp_path):
    assert reproduce(tmp_path, tmp_path, is_run=False) == 0
    two["a_one"] = two["b_two"] = 2.0
    assert reproduce(tmp_path, tmp_path, only=["b_*"], is_run=False) == 1
    board = pd.read_csv(tmp_path / "scoreboard.csv").set_index("experiment")
    assert board["verdict"].to_dict() == {"a_one": "holds", "b_two": "fails"}
    assert board["measured"].to_dict() == {"a_one": 1.0, "b_two": 2.0}
    text = (tmp_path / "scoreboard.md").read_text()
    assert "1 holds, 1 fails" in text
    assert text.index("a_one") < text.index("b_two")
    # A failed claim of an experiment that was not asked for does not fail this command.
    two["b_two"], two["a_one"] = 2.0, 1.0
    assert reproduce(tmp_path, tmp_path, only=["a_one"], is_run=False) == 0


def test_every_row_says_where_and_when_it_was_judged(two, tmp_path):
    reproduce(tmp_path, tmp_path, is_run=False)
    board = pd.read_csv(tmp_path / "scoreboard.csv")
    assert board[["versions", "hardware", "date"]].notna().all(axis=None)
    assert (tmp_path / "scoreboard.md").read_text().count("Commit ") == 1
    board.loc[0, "date"] = "2001-01-01T00:00:00+00:00"
    board.to_csv(tmp_path / "scoreboard.csv", index=False)
    reproduce(tmp_path, tmp_path, only=["b_two"], is_run=False)
    lines = [line for line in (tmp_path / "scoreboard.md").read_text().splitlines() if "Commit " in line]
    assert len(lines) == 2
    assert lines[0].endswith("2001-01-01: a_one.")


def test_what_is_shown_is_what_was_asked_for(two, tmp_path):
    reproduce(tmp_path, tmp_path, is_run=False)
    assert shown(tmp_path) == (tmp_path / "scoreboard.md").read_text()
    text = shown(tmp_path, only=["b_*"])
    assert "1 holds." in text
    assert "of b_two" in text
    assert "a_one" not in text


def test_rows_of_an_experiment_that_is_gone_leave_the_board(two, tmp_path):
    reproduce(tmp_path, tmp_path, is_run=False)
    board = pd.read_csv(tmp_path / "scoreboard.csv")
    board.loc[0, "experiment"] = "gone"
    board.to_csv(tmp_path / "scoreboard.csv", index=False)
    reproduce(tmp_path, tmp_path, only=["b_two"], is_run=False)
    assert set(pd.read_csv(tmp_path / "scoreboard.csv")["experiment"]) == {"b_two"}


def test_the_small_scale_writes_to_its_own_folder_whatever_is_asked(two, tmp_path):
    reproduce(tmp_path / "results", tmp_path / "reference", is_run=False, scale="smoke")
    assert not (tmp_path / "reference").exists()
    assert (tmp_path / "results" / "smoke" / "scoreboard.csv").is_file()
    with pytest.raises(ConfigError, match=r"scale must be among full, smoke; got 'tiny'"):
        reproduce(tmp_path, tmp_path, scale="tiny")


def test_the_list_says_what_each_claims_and_costs(capsys):
    assert main(["reproduce", "--list", "--only", "q*"]) == 0
    claim, cost = described("quick")
    assert capsys.readouterr().out == f"quick\n  {claim}\n  {cost}\n"
    assert claim.startswith("Through 64 layers")
    assert cost == "36 runs, under 15 seconds on two cores."


def test_a_count_is_said_in_full_and_a_measurement_in_four_digits():
    said = [board_of._number(value) for value in (50005000.0, 5, 0.0, 2.0, 0.123456, 1e300, float("nan"), "x", float("inf"))]
    assert said == ["50005000", "5", "0", "2", "0.1235", "1e+300", "", "", "inf"]


def test_the_figures_lie_beside_a_board_of_its_own_and_are_linked(two, tmp_path):
    drawn = tmp_path / "results" / "a_one" / "figures"
    drawn.mkdir(parents=True)
    for name in ("a_one.png", "a_one.md", "a_one.csv", "maps.png"):
        (drawn / name).write_text(name)
    reproduce(tmp_path / "results", tmp_path / "board", is_run=False)
    assert sorted(path.name for path in (tmp_path / "board").iterdir()) == [
        "a_one.md",
        "a_one.png",
        "a_one_maps.png",
        "scoreboard.csv",
        "scoreboard.md",
        "scoreboard.tex",
    ]
    text = (tmp_path / "board" / "scoreboard.md").read_text()
    assert "- a_one: [a_one.png](a_one.png), [a_one_maps.png](a_one_maps.png)" in text
    # Judged again beside the results nothing is copied; rows of the other experiment keep their links.
    reproduce(tmp_path / "results", tmp_path / "board", only=["b_two"], is_run=False)
    assert "[a_one.png](a_one.png)" in (tmp_path / "board" / "scoreboard.md").read_text()
    reproduce(tmp_path / "results", tmp_path / "results", is_run=False)
    assert not list((tmp_path / "results").glob("*.png"))


def test_the_committed_board_has_every_experiment_and_no_more_claims_than_its_limit_allows():
    folder = CHECKOUT / "results" / "reference"
    if not folder.is_dir():
        pytest.skip("the sdist leaves results/ out")
    board = pd.read_csv(folder / "scoreboard.csv")
    assert set(board["experiment"]) == set(experiments()), "make reproduce"
    judged = board[(board["side"] == "equal") & (board["standard_error"] > 0)]
    # What was measured without a sweep has a bound for its error: no chance moves it.
    assert 0 < judged["settings"].notna().sum() <= MOST_CLAIMS
    assert (judged["rival_z"].abs() > 6).sum() >= 10
    for names in board["figures"].dropna():
        assert all((folder / name).is_file() for name in names.split())
    # Empty cells of the CSV are empty on the page.
    assert "| nan |" not in (folder / "scoreboard.md").read_text(encoding="utf-8")
