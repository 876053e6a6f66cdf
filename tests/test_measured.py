"""Experiments that are no sweep: settings of two scales, tables that are whole and reused, refusals where only a sweep will do."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import gradyn.report.measured as module
from gradyn.core import ConfigError
from gradyn.report import Claim, Experiment, Frames, Twin, experiments, kept, measure_once, read, script
from gradyn.report import experiment as experiment_module
from hydra_plugins.gradyn.compose import plan

SETTINGS = {"points": 3, "seed": 0}
TWIN = Twin("made_up", {}, [], SETTINGS, {"measure": {"points": 2}})
ONLY_MEASURED = [name for name, experiment in experiments().items() if not module.twin(name).has_grid]


class Counted:
    """A measurement that counts how often it was made."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, settings: Any) -> dict[str, pd.DataFrame]:
        self.times += 1
        return _tables(settings)


def _tables(settings: Any) -> dict[str, pd.DataFrame]:
    rows = pd.DataFrame(
        {"x": np.arange(settings["points"]), "y": [math.inf, math.nan, 0.1][: settings["points"]], "word": ["a", "b", "c"][: settings["points"]]}
    )
    return {"rows": rows, "empty": rows.iloc[:0]}


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """A measurement as a function, as a script has it; `.count` says how often it was called."""
    inner = Counted()

    def measure(settings: Any) -> dict[str, pd.DataFrame]:
        return inner(settings)

    measure.count = inner  # type: ignore[attr-defined]
    return measure


def test_tables_come_back_as_they_were_with_settings_and_provenance(counted: Any, tmp_path: Path) -> None:
    assert measure_once(counted, tmp_path / "made_up", SETTINGS)
    frames = read(tmp_path / "made_up")
    for name, table in _tables(SETTINGS).items():
        pd.testing.assert_frame_equal(frames.tables[name], table, check_dtype=len(table) > 0)
    assert frames.runs.empty
    assert frames.settings == SETTINGS
    assert {"commit", "versions", "hardware", "date", "seconds"} <= set(frames.made)
    about = pq.read_schema(tmp_path / "made_up" / "measured" / "rows.parquet").metadata[b"gradyn"]
    assert b'"versions"' in about


def test_a_measurement_is_made_once_and_again_when_a_setting_changes(counted: Any, tmp_path: Path) -> None:
    assert [measure_once(counted, tmp_path, SETTINGS) for _ in range(2)] == [True, False]
    assert measure_once(counted, tmp_path, {**SETTINGS, "seed": 1})
    assert counted.count.times == 2
    assert kept(tmp_path).settings["seed"] == 1


@pytest.mark.parametrize("what", ["the script", "gradyn.autodiff"])
def test_a_measurement_is_made_again_when_a_source_changes(what: str, counted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = tmp_path / "source.py"
    source.write_text("x = 1\n")
    if what == "the script":
        monkeypatch.setattr(module.inspect, "getsourcefile", lambda _: str(source))
    else:
        monkeypatch.setattr(module.gradyn.autodiff, "__path__", [str(tmp_path)])
    assert [measure_once(counted, tmp_path / "made", SETTINGS) for _ in range(2)] == [True, False]
    source.write_text("x = 2\n")
    assert measure_once(counted, tmp_path / "made", SETTINGS)


def test_half_a_measurement_is_refused_when_read_and_made_anew_when_measure_once(counted: Any, tmp_path: Path) -> None:
    measure_once(counted, tmp_path, SETTINGS)
    old = (tmp_path / "measured" / "rows.parquet").read_bytes()
    measure_once(counted, tmp_path, {**SETTINGS, "seed": 1})
    # A kill between two tables leaves one of each.
    (tmp_path / "measured" / "rows.parquet").write_bytes(old)
    with pytest.raises(ConfigError, match=r"must hold the tables of one measurement; got 'empty, rows'. Measure again"):
        kept(tmp_path)
    assert measure_once(counted, tmp_path, {**SETTINGS, "seed": 1})
    (tmp_path / "measured" / "rows.parquet").write_bytes(old[:100])
    with pytest.raises(ConfigError, match=r"rows.parquet must be a whole table"):
        kept(tmp_path)
    assert measure_once(counted, tmp_path, {**SETTINGS, "seed": 1})
    (tmp_path / "measured" / "empty.parquet").unlink()
    with pytest.raises(ConfigError, match="must hold the tables of one measurement"):
        kept(tmp_path)


def test_a_table_that_is_measured_no_longer_is_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure_once(_tables, tmp_path, SETTINGS)
    measure_once(lambda settings: {"other": pd.DataFrame({"x": [1]})}, tmp_path, {"points": 1})
    assert set(kept(tmp_path).tables) == {"other"}


def test_a_disk_that_refuses_leaves_the_tables_that_were_there(counted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    measure_once(counted, tmp_path, SETTINGS)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module.pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        measure_once(counted, tmp_path, {**SETTINGS, "seed": 1})
    assert kept(tmp_path).settings == SETTINGS
    assert sorted(path.name for path in (tmp_path / "measured").iterdir()) == ["empty.parquet", "rows.parquet"]


def test_a_measurement_can_not_change_its_settings(tmp_path: Path) -> None:
    def spoils(settings: Any) -> dict[str, pd.DataFrame]:
        settings["points"] = 99
        return {"rows": pd.DataFrame({"x": [1]})}

    measure_once(spoils, tmp_path, SETTINGS)
    assert kept(tmp_path).settings == SETTINGS == {"points": 3, "seed": 0}


@pytest.mark.parametrize(
    ("tables", "said"), [({}, "return tables by name; got {}"), ({"a/b": pd.DataFrame({"x": [1]})}, "letters, digits and underscores; got 'a/b'")]
)
def test_what_a_measurement_returns_is_checked(tables: dict[str, pd.DataFrame], said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        measure_once(lambda _: tables, tmp_path, SETTINGS)


def test_the_small_scale_replaces_settings_and_the_command_line_comes_last() -> None:
    assert TWIN.settings("full") == SETTINGS
    assert TWIN.settings("smoke") == {"points": 2, "seed": 0}
    assert TWIN.settings("smoke", ["measure.points=7", "measure.seed=3"]) == {"points": 7, "seed": 3}
    assert SETTINGS == {"points": 3, "seed": 0}
    grid = Twin("made_up", {"depth": "4,64"}, [], {}, {"depth": "2,16", "width": 8})
    assert grid.grids("full", ["depth=4"]) == [["depth=4"]]
    assert grid.grids("smoke", ["depth=4", "norm=batch"]) == [["exec.workers=1", "depth=4", "width=8", "norm=batch"]]


def test_further_grids_go_into_the_same_folder_and_the_command_line_holds_for_all() -> None:
    grid = Twin("made_up", {"depth": "4,64", "seed": "range(3)"}, [["depth=2", "norm=batch"], ["seed=7"]], {}, {"width": 8})
    assert grid.grids("full") == [["seed=range(3)"], ["seed=range(3)", "depth=2", "norm=batch"], ["seed=7"]]
    assert grid.grids("smoke", ["depth=8", "norm=none", "seed=0"]) == [["seed=0", "exec.workers=1", "width=8", "depth=8", "norm=none"]], (
        "one, though in other orders"
    )
    assert grid.grids("full", ["depth=8"]) == [["seed=range(3)", "depth=8"], ["seed=range(3)", "depth=8", "norm=batch"], ["seed=7", "depth=8"]]


def test_fresh_seeds_are_as_many_and_none_of_the_twins() -> None:
    grid = Twin("made_up", {"depth": "4,64", "seed": "range(40)"}, [["seed=3,5"], ["seed=range(10, 12)"]], {"seed": 1}, {"measure": {"seed": 2}})
    assert [line[0] for line in grid.grids("full", fresh=2)] == ["seed=range(20000,20040)", "seed=20003,20005", "seed=range(20010,20012)"]
    assert Twin("made_up", {"depth": "4"}, [], {}, {}).grids("full", fresh=1) == [["seed=10000"]], "the seed of configs/config.yaml is 0"
    assert (grid.settings("full", fresh=3)["seed"], grid.settings("smoke", fresh=3)["seed"]) == (30_001, 30_002)
    assert grid.grids("full", ["seed=4"], fresh=2)[0] == ["seed=4"], "a seed that is asked for stays"
    with pytest.raises(ConfigError, match=r"seed must be range\(n\), range\(a, b\) or whole numbers, where fresh seeds are asked for; got 'choice\(1,2\)'"):
        Twin("made_up", {"seed": "choice(1,2)"}, [], {}, {}).grids("full", fresh=1)


def test_a_setting_that_is_not_there_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"measure.poins must be a setting of made_up \(points, seed\); got 7. Did you mean measure.points\?"):
        TWIN.settings("full", ["measure.poins=7"])
    with pytest.raises(ConfigError, match=r"measure.pints must be a setting"):
        Twin("made_up", {}, [], SETTINGS, {"measure": {"pints": 2}}).settings("smoke")
    with pytest.raises(ConfigError, match=r"depth must be a setting of the measurement; got 'depth=2'. made_up sweeps nothing"):
        TWIN.grids("full", ["depth=2"])
    with pytest.raises(ConfigError, match=r"experiment must have a YAML twin; got 'nowhere'"):
        module.twin("nowhere")


def test_a_script_measures_draws_and_says_its_claims(counted: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(experiment_module, "twin", lambda _: TWIN)
    made = Experiment(
        "made_up",
        experiments()["quick"].source,
        lambda frames, page: [],
        lambda frames: [Claim("rows", float(len(frames.tables["rows"])), 2.0, 0.1, "")],
        counted,
    )
    monkeypatch.setattr("gradyn.report.write.experiments", lambda: {"made_up": made})
    words = [f"--results={tmp_path}", "--scale=smoke", "--format=png"]
    assert [script.main(made, [*words, "--run"]), script.main(made, words), script.main(made, [*words, "--run"])] == [0, 0, 0]
    assert capsys.readouterr().out == "holds: rows (measured 2, equal 2)\n" * 3
    assert counted.count.times == 1
    assert (tmp_path / "smoke" / "made_up" / "measured").is_dir()


@pytest.mark.parametrize("name", ONLY_MEASURED)
def test_an_experiment_without_a_grid_is_refused_by_sweep_and_plan(name: str) -> None:
    for overrides in ([f"experiment={name}"], [f"experiment={name}", "depth=2,4"]):
        with pytest.raises(
            ConfigError, match=rf"^experiment must be one with a grid; got '{name}'. .*gradyn reproduce --only {name}, or python experiments/{name}.py --run.$"
        ):
            plan(overrides)


@pytest.mark.parametrize("name", ONLY_MEASURED)
def test_an_experiment_that_was_not_measured_says_how(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"hold the tables of a measurement; .* gradyn reproduce --only {name}"):
        read(tmp_path / name)


def test_what_the_yaml_says_to_the_script_is_no_part_of_a_run() -> None:
    with_smoke = plan(["experiment=quick", "depth=4", "activation=relu", "init=he_normal"])
    assert "smoke" not in with_smoke.config
    assert "\n  depth: 4" in with_smoke.config


def test_seconds_are_of_the_processor_and_of_the_clock_where_a_run_knows_no_other() -> None:
    runs = pd.DataFrame({"run_id": ["a", "b"], "wall_s": [100.0, 7.0], "cpu_s": [2.0, None]})
    frames = Frames("made_up", runs, *(pd.DataFrame(),) * 2, None)
    assert frames.seconds == 9.0
    assert replace(frames, runs=runs.drop(columns="cpu_s")).seconds == 107.0
