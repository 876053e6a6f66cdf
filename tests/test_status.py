"""`gradyn status`: where the runs of a folder are, told by somebody who locks and writes nothing."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import gradyn
from gradyn.cli import main
from gradyn.store import done, duration, lock, open_folder, status, tell, write_failure, write_plan
from shard_records import LOG, run_ids, write

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


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Runs 1 and 2 of a plan of five are done, run 3 raised; run 9 is of an earlier command."""
    place = tmp_path / "x"
    open_folder(place, LOG)
    write(place, run_ids(1, 2, 9))
    write_failure(place, run_ids(3)[0], RuntimeError("on purpose"))
    write_failure(place, run_ids(2)[0], RuntimeError("done since"))
    write_plan(place, run_ids(1, 2, 3, 4, 5))
    return place


def test_every_run_of_the_plan_is_counted_once(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    found = status(folder)
    assert (found.planned, dict(found.done), found.failed, found.in_flight, found.missing, found.besides) == (5, {"ok": 2}, tuple(run_ids(3)), 0, 2, 1)
    # A job queue's runs in flight join from outside.
    joined = status(folder, elsewhere=run_ids(4, 9, 77))
    assert (joined.in_flight, joined.missing) == (1, 1)
    assert "by jobs of the queue" in "\n".join(joined.lines())
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before, "nothing is locked or written"


def test_a_driver_at_work_is_believed_while_its_process_lives(folder: Path) -> None:
    with lock(folder):
        tell(folder, run_ids(4), 200.0)
        found = status(folder)
        assert (found.in_flight, found.missing) == (1, 1)
        lines = "\n".join(found.lines())
        assert f"by process {os.getpid()} on" in lines
        assert "time left  3 min 20 s" in lines
        held = json.loads((folder / ".lock").read_text())
        # The number was given out again: another process, born at another time.
        (folder / ".lock").write_text(json.dumps({**held, "born": held["born"] + 1}))
        assert status(folder).flight is None
        # Another host's process can't be seen, and what another driver told is not believed of it.
        (folder / ".lock").write_text(json.dumps({**held, "host": "elsewhere"}))
        assert status(folder).in_flight == 0
        assert "whether it lives can't be seen from here" in "\n".join(status(folder).lines())


@pytest.mark.parametrize(
    ("make", "line"),
    [
        (lambda place: None, "must be the folder of a sweep; got 'nothing there'"),
        (lambda place: place.write_text(""), "must be the folder of a sweep; got 'a file'"),
        (lambda place: place.mkdir(), "must be the folder of a sweep; got 'an empty folder'"),
        (lambda place: (place / "runs").mkdir(parents=True), "must be the folder of a sweep; got 'a folder without sweep.json'"),
    ],
    ids=["missing", "file", "empty", "foreign"],
)
def test_no_folder_of_a_sweep_is_said_in_one_line(make, line: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path / "x")
    assert main(["status", str(tmp_path / "x")]) == 2
    said = capsys.readouterr()
    assert line in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_watching_ends_with_the_work_and_the_code_says_whether_anything_is_missing(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", str(folder), "--watch"]) == 1
    assert "nobody is at work" in capsys.readouterr().out
    write_plan(folder, run_ids(1, 2))
    assert main(["status", str(folder), "--watch"]) == 0
    (folder / "plan.json").unlink()
    assert main(["status", str(folder)]) == 1
    assert "it keeps no plan" in capsys.readouterr().out


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (59, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (100_000, "1 d 3 h"), (-5, "0 s")])
def test_a_duration_has_the_two_units_that_matter(seconds: float, words: str) -> None:
    assert duration(seconds) == words
