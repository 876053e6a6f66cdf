"""Sweeps on a real Slurm: whatever happens to drivers and jobs, the same command finishes, and nothing is lost, doubled or different."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slow_component import Raises, Slow
from slurm_faults import HERE, Verdict, committed, make_plan, running, until

import gradyn.sweep.tasks
from gradyn import cli
from gradyn.core import ConfigError
from gradyn.store import done
from gradyn.sweep import RunSpec, Site, in_flight, launch, launch_on_slurm, slurm
from gradyn.sweep.ledger import job_name, private_folder
from runs import make_spec

pytestmark = [pytest.mark.slurm, pytest.mark.usefixtures("cluster")]
CLEAN = Verdict(lost=0, doubled=0, different=0)
Judge = Callable[..., Verdict]
# Minutes: a stack of two of these runs is 0.0037 s by estimate, so that a task is one stack, or so many.
ONE_STACK, A_STACK = 1e-6, 0.0038 / 60


def site(slow: float = 0.0, **changes: Any) -> Site:
    """Tasks of a stack each, in which a run sleeps for `slow` seconds."""
    fields = {"partition": "main", "memory": None, "time": 10, "shard_minutes": ONE_STACK, "poll_seconds": 0.5, "setup": (f"export GRADYN_SLOW={slow}",)}
    return Site(**(fields | changes))


def specs(count: int, **changes: Any) -> list[RunSpec]:
    return [make_spec(depth=3, seed=seed, steps=6, init=Slow(), **changes) for seed in range(count)]


@pytest.fixture
def stacks_are_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every stack is committed by itself, also where a task has several."""
    monkeypatch.setattr(gradyn.sweep.tasks, "_PART_SECONDS", ONE_STACK)


@pytest.mark.usefixtures("stacks_are_parts")
def test_a_time_limit_puts_the_task_back_and_it_goes_on(tmp_path: Path, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(tmp_path / "limit", specs(48))
    # Eight stacks of 8 s a task; the notice of a limit of two minutes comes after 30 to 60 s.
    assert launch_on_slurm(plan, site(4.0, time=2, wait=False, shard_minutes=8 * A_STACK)) == 0
    said = capsys.readouterr().out
    assert "48 runs are on their way" in said
    assert "Cancel: scancel" in said
    jobs = in_flight(plan.folder)
    assert len(jobs) == 3
    assert frozenset().union(*jobs.values()) == {spec.run_id for spec in plan.specs}
    with pytest.raises(ConfigError, match="must have no Slurm jobs in flight"):
        launch(plan)
    put_back: set[Path] = set()

    def told() -> int:
        put_back.update(path for path in private_folder(plan.folder).glob("*/*_log.out") if "Requeued job" in path.read_text())
        return len(put_back)

    until(lambda: told() >= 3, seconds=100)
    assert committed(plan.folder) < 24, "the limit must fall into the work, or it tests nothing"
    assert launch_on_slurm(plan, site()) == 0
    assert "Submitted" not in capsys.readouterr().out
    assert judge(plan, "time limit", 3) == CLEAN


def test_slurm_gives_what_a_local_sweep_gives(tmp_path: Path, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(tmp_path / "same", specs(10))
    seen: list[tuple[int, int]] = []
    assert launch_on_slurm(plan, site(), lambda now, total: seen.append((now, total))) == 0
    said = capsys.readouterr().out
    # Five stacks, and MaxArraySize is 5 here.
    tasks = [int(line.split(", ")[1].split()[0]) for line in said.splitlines() if line.startswith("Submitted")]
    assert tasks == [slurm.largest_array(), 5 - slurm.largest_array()] == [4, 1]
    assert "10 of 10 runs" in said
    assert seen[-1] == (10, 10)
    assert judge(plan) == CLEAN
    assert not list((plan.folder / "slurm").iterdir())
    assert not list(plan.folder.rglob("*.pkl"))
    assert not list(private_folder(plan.folder).rglob("*.pkl"))


def test_a_killed_driver_and_another_shard_size_give_the_same_table(tmp_path: Path, judge: Judge, rng: np.random.Generator) -> None:
    plan = make_plan(tmp_path / "killed", specs(8))
    for minutes in (ONE_STACK, 2 * A_STACK, 3 * A_STACK):
        driver = drive(plan.folder, "4", str(minutes))
        # From when it holds the lock: some die before they have submitted, some after.
        until(lambda driver=driver: f'"pid": {driver.pid},' in holder(plan.folder))
        time.sleep(rng.uniform(0, 1.5))
        driver.send_signal(signal.SIGKILL)
        driver.communicate()
    assert launch_on_slurm(plan, site(shard_minutes=1.0)) == 0
    assert judge(plan, "driver killed", 3) == CLEAN


def test_an_array_whose_driver_died_before_the_ledger_is_cancelled(tmp_path: Path, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(tmp_path / "orphan", specs(4))
    # Arrays that wait, and at last one that runs.
    for begin in ("now+90", "now+90", "now"):
        driver = drive(plan.folder, "3", str(ONE_STACK), begin)
        said, _ = driver.communicate(timeout=60)
        assert driver.returncode == -signal.SIGKILL, said
        orphans = {job.array for job in slurm.queue(job_name(plan.folder))}
        assert len(orphans) == 1, "the next driver cancels what the last one left"
        assert not in_flight(plan.folder)
    until(lambda: running(plan.folder))
    with pytest.raises(ConfigError, match=f"have no Slurm jobs in flight; got 'jobs {orphans.copy().pop()}'"):
        launch(plan)
    assert launch_on_slurm(plan, site(shard_minutes=1.0)) == 0
    assert f"Array {orphans.pop()} is of this sweep, but its driver died" in capsys.readouterr().out
    assert judge(plan, "killed between sbatch and ledger", 3) == CLEAN


def test_cancelled_tasks_are_named_and_only_their_runs_are_done_again(tmp_path: Path, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(tmp_path / "cancelled", specs(8))
    cancelled: list[slurm.Job] = []

    def cancel() -> None:
        until(lambda: running(plan.folder))
        cancelled.extend(slurm.queue(job_name(plan.folder))[-3:])
        for job in cancelled:
            subprocess.run(["scancel", job.key], check=True)

    beside = threading.Thread(target=cancel)
    beside.start()
    # Four tasks, of which Slurm may run one at a time.
    assert launch_on_slurm(plan, site(4.0, max_in_flight=1)) == 1
    beside.join()
    said = capsys.readouterr().out
    for job in cancelled:
        assert f"Task {job.key} is over and left 2 of 2 runs undone; its log: {private_folder(plan.folder)}" in said
    assert len(done(plan.folder)) == 2
    assert launch_on_slurm(plan, site(shard_minutes=1.0)) == 0
    assert "Submitted 6 runs" in capsys.readouterr().out
    assert judge(plan, "scancel", 3) == CLEAN


@pytest.mark.usefixtures("stacks_are_parts")
def test_requeued_tasks_go_on_behind_their_last_part(tmp_path: Path, judge: Judge) -> None:
    plan = make_plan(tmp_path / "requeued", specs(18))
    assert launch_on_slurm(plan, site(1.0, wait=False, shard_minutes=3 * A_STACK)) == 0
    for count in (1, 2, 3):
        # Each in the midst of its work, and not before something was committed.
        until(lambda count=count: committed(plan.folder) >= count and running(plan.folder))
        subprocess.run(["scontrol", "requeue", running(plan.folder)[0].key], check=True)
    assert launch_on_slurm(plan, site()) == 0
    assert judge(plan, "requeue", 3) == CLEAN


@pytest.mark.usefixtures("stacks_are_parts")
def test_preempted_tasks_come_back(tmp_path: Path, judge: Judge) -> None:
    plan = make_plan(tmp_path / "preempted", specs(18))
    assert launch_on_slurm(plan, site(1.0, wait=False, partition="low", shard_minutes=3 * A_STACK)) == 0
    until(lambda: len(running(plan.folder)) == 3 and committed(plan.folder) >= 1)
    # All four processors of their node, for a moment.
    subprocess.run(["sbatch", "--partition=high", "--cpus-per-task=4", "--output=/dev/null", "--wrap=sleep 1"], check=True, capture_output=True)
    until(lambda: not running(plan.folder))
    assert len(in_flight(plan.folder)) == 3, "preempted, and back in the queue"
    assert launch_on_slurm(plan, site()) == 0
    assert judge(plan, "preemption", 3) == CLEAN


def test_ctrl_c_leaves_the_array_and_says_how_to_go_on(tmp_path: Path, judge: Judge, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(tmp_path / "interrupted", specs(4))
    driver = drive(plan.folder, "2", str(ONE_STACK))
    until(lambda: running(plan.folder))
    driver.send_signal(signal.SIGINT)
    said, _ = driver.communicate(timeout=30)
    assert driver.returncode == 130, said
    (array,) = {key.partition("_")[0] for key in in_flight(plan.folder)}
    assert f"The jobs go on without this command. Attach: the same command again. Cancel: scancel {array}" in said
    assert launch_on_slurm(plan, site()) == 0
    assert "Submitted" not in capsys.readouterr().out
    assert not list((plan.folder / "slurm").iterdir())
    assert judge(plan, "Ctrl-C", 1) == CLEAN


def test_a_run_that_raises_is_a_failure_and_its_neighbours_finish(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = specs(2, activation=Raises())
    good = specs(2)
    plan = make_plan(tmp_path / "raises", [*good, *bad])
    assert launch_on_slurm(plan, site(shard_minutes=1.0)) == 1
    said = capsys.readouterr().out
    for spec in bad:
        assert f"run {spec.run_id} raised RuntimeError: a defect on purpose" in said
    assert "2 of 4 runs in" in said
    assert done(plan.folder) == {spec.run_id for spec in good}
    assert launch_on_slurm(plan, site()) == 1, "what raised is not tried again by itself"
    assert "Submitted" not in capsys.readouterr().out


def test_what_slurm_refuses_is_one_line(tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "refused", specs(2))
    with pytest.raises(ConfigError, match=r"hydra.launcher must be what Slurm accepts; got 'sbatch: .*nonsense") as refused:
        launch_on_slurm(plan, site(partition="nonsense"))
    assert "\n" not in str(refused.value)
    assert not list(private_folder(plan.folder).iterdir())


def holder(folder: Path) -> str:
    """What the lock says of who has it."""
    lock = folder / ".lock"
    return lock.read_text(encoding="utf-8") if lock.exists() else ""


def drive(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A driver in a process of its own; see slurm_driver.py."""
    command = [sys.executable, str(HERE / "slurm_driver.py"), str(folder), *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE.parent), os.environ["PYTHONPATH"]])}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment, start_new_session=True)


def test_status_counts_what_jobs_have_in_hand(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(tmp_path / "status", specs(8))
    assert launch_on_slurm(plan, site(6.0, wait=False)) == 0
    capsys.readouterr()
    assert cli.main(["status", str(plan.folder)]) == 1
    assert "8 in flight" in capsys.readouterr().out
    # The same command waits for them; then everything is there, and nobody is asked.
    assert launch_on_slurm(plan, site(6.0)) == 0
    capsys.readouterr()
    assert cli.main(["status", str(plan.folder)]) == 0
    assert "8 of 8" in capsys.readouterr().out
