"""What the tests on a real Slurm share: plans, waiting, and what a sweep must have left behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gradyn.sweep import Execution, Log, Plan, RunSpec, Schedule, slurm
from gradyn.sweep.ledger import job_name

HERE = Path(__file__).resolve().parent
KEYS = {"runs": ["run_id"], "steps": ["run_id", "step"], "layers": ["run_id", "step", "layer"]}
# Of the machine and the moment.
_OF_THE_MOMENT = ("wall_s", "cpu_s", "date", "commit", "dirty")


def make_plan(folder: Path, specs: list[RunSpec], **execution: object) -> Plan:
    """A plan in stacks of two."""
    settings = {"workers": 1, "figures": False, "pack_size": 2} | execution
    return Plan(tuple(specs), folder.name, folder, Log(Schedule((0, 2)), Schedule(None)), Execution(**settings))


@dataclass(frozen=True)
class Verdict:
    """Runs that a sweep lost, has twice, or has otherwise than an undisturbed one."""

    lost: int
    doubled: int
    different: int


def tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables as they lie there: nothing is dropped that is there twice."""
    found = {}
    for table, keys in KEYS.items():
        frame = pd.concat([pd.read_parquet(path) for path in sorted((folder / table).glob("*.parquet"))])
        found[table] = frame.sort_values(keys).reset_index(drop=True)
    return found


def compare(folder: Path, reference: dict[str, pd.DataFrame]) -> Verdict:
    """Hold a folder to the tables of an undisturbed local sweep of the same runs."""
    ours = tables(folder)
    wanted = set(reference["runs"]["run_id"])
    lost, doubled, different = wanted - set(ours["runs"]["run_id"]), set(), set()
    for table, keys in KEYS.items():
        doubled |= set(ours[table].loc[ours[table].duplicated(keys), "run_id"])
        # A column that is null everywhere may be a setting of a component that only this process has loaded.
        columns = [name for name in reference[table].dropna(axis="columns", how="all").columns if name not in _OF_THE_MOMENT]
        one, other = (frame[table].set_index(keys)[[name for name in columns if name not in keys]] for frame in (ours, reference))
        for run_id in wanted - lost - doubled:
            mine, theirs = (part[part.index.get_level_values("run_id") == run_id] for part in (one, other))
            if not mine.equals(theirs):
                different.add(run_id)
        strangers = set(ours[table]["run_id"]) - wanted
        assert not strangers, f"{table} has runs that nobody asked for: {strangers}"
    return Verdict(len(lost), len(doubled), len(different))


def until(holds: Callable[[], object], seconds: float = 60.0) -> None:
    """Wait until something is true.

    Raises:
        AssertionError: it never was.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.1)


def running(folder: Path) -> list[slurm.Job]:
    """The folder's jobs that run at this moment."""
    return [job for job in slurm.queue(job_name(folder)) if job.state == "RUNNING"]


def committed(folder: Path) -> int:
    """How many files `runs/` has."""
    return len(list((folder / "runs").glob("*.parquet")))
