"""Every experiment is one script with its YAML twin, draws from Parquet alone, and runs at smoke scale."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from gradyn import cli
from gradyn.report import claims_table, experiments, main, read, twin
from made_frames import make_frames

ROOT = Path(__file__).resolve().parents[1]
SCRIPTS = sorted((ROOT / "experiments").glob("*.py"))


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_the_shape_of_all(script: Path) -> None:
    text = script.read_text(encoding="utf-8")
    tree = ast.parse(text)
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    names = list(functions)
    has_measure = bool(twin(script.stem).measure)
    *shared, figure, claims = [name for name in names if name != "measure"]
    assert (figure, claims) == ("figure", "claims")
    # One function may stand before both: what they have in common, so that a figure shows what its claims judge.
    assert len(shared) <= 1
    for name in shared:
        assert name.startswith("_")
        for user in ("figure", "claims"):
            called = [node.func.id for node in ast.walk(functions[user]) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
            assert name in called, f"{user} does not use {name}"
    assert ("measure" in names) == has_measure == (experiments()[script.stem].measure is not None), "`measure` in the script and in the twin go together"
    assert 30 <= len(text.splitlines()) <= 65, f"{len(text.splitlines())} lines"
    doc = ast.get_docstring(tree) or ""
    for word in ("Source: ", "Cost: ", "Command: python experiments/" + script.name):
        assert word in doc, f"the docstring lacks {word!r}"
    assert doc.splitlines()[0].endswith("."), "the first line is the claim, one sentence"


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_script_has_a_yaml_twin_of_its_name(script: Path) -> None:
    twin_file = ROOT / "configs" / "experiment" / f"{script.stem}.yaml"
    assert f"name: {script.stem}" in twin_file.read_text(encoding="utf-8").splitlines()
    assert experiments()[script.stem].name == script.stem
    said = yaml.safe_load(twin_file.read_text(encoding="utf-8"))
    assert said["smoke"], "the small scale is missing"
    assert twin(script.stem).has_grid or twin(script.stem).measure, "neither a grid nor a measurement"
    # Whatever the small scale replaces is there: a setting that is misspelt would leave the full scale.
    assert twin(script.stem).settings("smoke") != twin(script.stem).settings("full") or twin(script.stem).has_grid


def test_a_script_is_a_command(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "experiments" / "autodiff_by_hand.py"), "--format=png", "--run", "--scale=smoke"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "holds: " in run.stdout


@pytest.mark.parametrize("name", sorted(experiments()))
def test_an_experiment_runs_and_draws_at_smoke_scale(name: str, tmp_path: Path) -> None:
    arguments = ["--format=png", "--scale=smoke", f"--results={tmp_path / 'results'}"]
    assert main(experiments()[name], [*arguments, "--run"], cli.sweep_together) == 0
    assert sorted(path.name for path in (tmp_path / "results").iterdir()) == ["smoke"], "the small scale has a folder of its own"
    folder = tmp_path / "results" / "smoke" / name
    drawn = sorted(path.name for path in (folder / "figures").iterdir())
    assert any(path.endswith(".png") for path in drawn), drawn
    # Again from Parquet alone: the same files with the same points.
    points = {path.name: path.read_bytes() for path in (folder / "figures").glob("*.csv")}
    shutil.rmtree(folder / "figures")
    assert main(experiments()[name], arguments) == 0
    assert {path.name: path.read_bytes() for path in (folder / "figures").glob("*.csv")} == points
    table = claims_table(experiments()[name], read(folder))
    assert len(table) >= 3
    assert not table["claim"].duplicated().any()
    assert table["verdict"].isin(["holds", "fails", "not tested"]).all()


def test_the_claims_of_the_default_experiment_hold_on_nets_that_keep_them_and_fail_on_others() -> None:
    grid = {"activation": ["sigmoid", "relu"], "init": ["small", "he_normal", "orthogonal", "large"], "norm": ["none", "batch"]}
    experiment = experiments()["vanishing_exploding"]
    table = claims_table(experiment, make_frames(grid)).set_index("claim")
    assert (table["verdict"] == "holds").all(), table["verdict"].to_dict()
    healthy = claims_table(experiment, make_frames(grid | {"init": ["he_normal", "orthogonal"], "activation": ["relu"], "norm": ["none"]})).set_index("claim")
    assert healthy.loc["the most ill net loses more than 30 decades", "verdict"] == "fails"
    assert healthy.loc["another gains more than 15", "verdict"] == "fails"
    assert healthy.filter(like="batch norm", axis=0)["verdict"].item() == "not tested"
