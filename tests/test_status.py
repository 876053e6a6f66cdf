"""`gradyn status`: where the runs of a folder are, told by somebody who locks and writes nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gradyn
from gradyn.store import done, status

SWEEP = ["depth=16", "width=48", "steps=30", "seed=range(32)", "exec.workers=2", "exec.pack_size=2", "exec.figures=false"]


def gradyn_command(*words: str) -> list[str]:
    return [sys.executable, "-m", "gradyn", *words]


def wait_for(condition, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.05)


def test_a_driver_killed_with_kill_9_is_seen_by_status_and_the_same_command_goes_on(tmp_path: Path) -> None:
    folder = tmp_path / "cut"
    command = gradyn_command("sweep", "name=cut", f"results={tmp_path}", *SWEEP)
    driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    wait_for(lambda: (folder / "runs").is_dir() and any((folder / "runs").glob("*.parquet")), driver)
    running = status(folder)
    assert running.flight is not None
    assert running.flight.holder.pid == driver.pid
    assert running.planned == 32
    assert running.done.total() + running.in_flight + running.missing == 32
    assert running.in_flight > 0
    os.kill(driver.pid, signal.SIGKILL)
    driver.communicate()
    killed = status(folder)
    assert killed.flight is None
    assert killed.in_flight == 0
    assert 0 < killed.done.total() < 32
    assert killed.missing == 32 - killed.done.total()
    told = subprocess.run(gradyn_command("status", str(folder)), capture_output=True, text=True, check=False)
    assert told.returncode == 1
    assert "nobody is at work: the same command goes on" in told.stdout
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"{killed.done.total()} before, {killed.missing} now" in again
    assert len(done(folder)) == 32
    assert gradyn.load(folder).runs["run_id"].is_unique
    told = subprocess.run(gradyn_command("status", str(folder)), capture_output=True, text=True, check=True)
    assert "32 of 32 runs done (100%)" in told.stdout
