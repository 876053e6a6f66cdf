"""A real Slurm for the tests marked `slurm`, and the bill of the faults."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
import pytest
from slurm_faults import BILL, FAULTS, HERE, make_plan, tables

from gradyn.sweep import RunSpec, launch


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """The cluster of `make slurm-up`, or of the machine; skipped where there is none, unless GRADYN_SLURM=required."""
    before = dict(os.environ)
    conf = subprocess.run([HERE / "node.sh", "conf"], capture_output=True, text=True, check=True).stdout.strip()
    if Path(conf).exists():
        os.environ["SLURM_CONF"] = conf
    is_up = shutil.which("sinfo") is not None and subprocess.run(["sinfo"], capture_output=True, check=False).returncode == 0
    if not is_up:
        reason = "no Slurm answers here; make slurm-up starts one"
        if os.environ.get("GRADYN_SLURM") == "required":
            pytest.fail(reason)
        pytest.skip(reason)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Callable[[list[RunSpec]], dict[str, pd.DataFrame]]:
    """The tables of a local sweep of some runs, made once for each list."""
    known: dict[tuple[str, ...], dict[str, pd.DataFrame]] = {}

    def run(specs: list[RunSpec]) -> dict[str, pd.DataFrame]:
        key = tuple(spec.run_id for spec in specs)
        if key not in known:
            folder = tmp_path_factory.mktemp("undisturbed") / "local"
            assert launch(make_plan(folder, specs)) == 0
            known[key] = tables(folder)
        return known[key]

    return run


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the faults by kind and what they cost."""
    if FAULTS:
        kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(FAULTS.items()) if count)
        bill = ", ".join(f"{kind} {BILL[kind]}" for kind in ("lost", "doubled", "different"))
        terminalreporter.write_line(f"Slurm faults: {kinds}; {bill}")
