"""Grids of one experiment, launched as one: the runs of all of them once, the same numbers, and a stop that stops the rest."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

import gradyn
import gradyn.sweep
from gradyn.cli import main
from gradyn.report.experiment import in_a_process
from gradyn.sweep import Log, Schedule, joined, launch
from runs import make_plan, make_spec


def test_grids_that_are_alike_are_one_plan_of_all_their_runs_once(tmp_path):
    shallow, deep = [make_spec(depth=2, seed=seed) for seed in range(3)], [make_spec(depth=3, seed=seed) for seed in range(3)]
    one = replace(make_plan(tmp_path, shallow), axes={"seed": (0, 1, 2)}, config="first")
    two = replace(make_plan(tmp_path, [*shallow[1:], *deep]), notes=("a note",), config="second")
    (plan,) = joined([one, two])
    assert list(plan.specs) == [*shallow, *deep]
    assert list(plan.run_ids) == [spec.run_id for spec in plan.specs]
    assert (plan.folder, plan.log, plan.execution, plan.config) == (tmp_path, one.log, one.execution, "second")
    assert not plan.axes
    assert not plan.notes
    assert joined([one])[0].specs == one.specs


def test_grids_that_keep_or_compute_something_else_stay_apart_in_their_order(tmp_path):
    specs = [make_spec(depth=depth) for depth in (2, 3, 4, 5)]
    plain = [make_plan(tmp_path, [spec]) for spec in specs[:2]]
    other_log = replace(make_plan(tmp_path, specs[2:3]), log=Log(Schedule((0,)), Schedule(None), spectral=False))
    elsewhere = make_plan(tmp_path / "elsewhere", specs[2:3])
    other_workers = make_plan(tmp_path, specs[3:], workers=2)
    found = joined([plain[0], other_log, elsewhere, plain[1], other_workers])
    assert [list(plan.specs) for plan in found] == [specs[:2], specs[2:3], specs[2:3], specs[3:]]
    assert [(plan.folder, plan.log.spectral, plan.execution.workers) for plan in found] == [
        (tmp_path, True, 1),
        (tmp_path, False, 1),
        (tmp_path / "elsewhere", True, 1),
        (tmp_path, True, 2),
    ]


def test_together_or_one_by_one_the_numbers_are_the_same(tmp_path):
    grids = [[make_spec(depth=depth, seed=seed) for seed in range(3)] for depth in (2, 2, 4)]
    for place, specs in enumerate(grids):
        assert launch(make_plan(tmp_path / "apart", [replace(spec, seed=spec.seed + 10 * place) for spec in specs])) == 0
    plans = [make_plan(tmp_path / "joined", [replace(spec, seed=spec.seed + 10 * place) for spec in specs]) for place, specs in enumerate(grids)]
    assert [launch(plan) for plan in joined(plans)] == [0]
    apart, together = gradyn.load(tmp_path / "apart"), gradyn.load(tmp_path / "joined")
    for table, keys in (("layers", ["run_id", "step", "layer"]), ("steps", ["run_id", "step"])):
        both = [getattr(results, table).sort_values(keys, ignore_index=True) for results in (apart, together)]
        pd.testing.assert_frame_equal(*both, check_exact=True)


@pytest.fixture
def launched(monkeypatch):
    """Plans that `reproduce` hands to a launch, which returns the codes that a test puts there."""
    plans, codes = [], []

    def record(plan):
        plans.append(plan)
        return codes.pop(0) if codes else 0

    monkeypatch.setattr(gradyn.sweep, "launch", record)
    return plans, codes


def reproduced(folder: Path, *names: str) -> int:
    only = [word for name in names for word in ("--only", name)]
    return main(["reproduce", *only, "--results", str(folder), "--scoreboard", str(folder), "--fresh", "3"])


def test_reproduce_launches_an_experiment_once_for_every_log(tmp_path, launched):
    plans, _ = launched
    reproduced(tmp_path, "phase_diagram", "sigmoid_bound")
    assert [(plan.name, plan.log.spectral) for plan in plans] == [("phase_diagram", False), ("sigmoid_bound", True), ("sigmoid_bound", False)]
    # Eight grids, and their seeds are all others.
    assert len(plans[0].specs) == len(set(plans[0].run_ids)) == 6450


def test_a_stop_stops_the_grids_and_experiments_that_are_left(tmp_path, launched):
    plans, codes = launched
    codes += [0, 130]
    assert reproduced(tmp_path, "phase_diagram", "sigmoid_bound") == 130
    assert [plan.name for plan in plans] == ["phase_diagram", "sigmoid_bound"]


def test_an_experiment_that_is_refused_is_said_and_the_others_go_on(tmp_path, launched, capsys):
    folder = tmp_path / "fresh" / "3" / "phase_diagram"
    folder.mkdir(parents=True)
    (folder / "sweep.json").write_text("no JSON")
    assert reproduced(tmp_path, "phase_diagram", "sigmoid_bound") == 1
    assert [plan.name for plan in launched[0]] == ["sigmoid_bound", "sigmoid_bound"]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "sweep.json" in line]
    assert line.startswith("gradyn: ")
    assert "must be the JSON that gradyn wrote" in line


def test_a_script_sweeps_grid_by_grid_until_one_is_stopped(monkeypatch):
    codes, asked = [1, 0, 130, 0], []

    def run(command, check):
        asked.append(command[-2:])
        return subprocess.CompletedProcess(command, codes[len(asked) - 1])

    monkeypatch.setattr(subprocess, "run", run)
    grids = [["experiment=quick", f"seed={seed}"] for seed in range(4)]
    assert in_a_process(grids) == 130
    assert asked == grids[:3], "a grid that failed keeps no other from running, one that was stopped does"
