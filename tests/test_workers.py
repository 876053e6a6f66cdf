"""Workers that a command keeps from launch to launch: the same ones, whole ones, and none afterwards."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import gradyn
from gradyn.store import StoreError
from gradyn.sweep import RunSpec, kept_workers, launch
from gradyn.sweep.workers import one_thread, worker_pool
from runs import make_plan, make_spec

shows_processes = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="this system does not show its processes")


def alive() -> set[int]:
    """Those of them that the system knows: multiprocessing may count a moment longer one that another thread has taken its leave of."""
    return {child.pid for child in multiprocessing.active_children() if child.pid is not None and is_running(child.pid)}


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def shards(seed: int, count: int = 3) -> list[RunSpec]:
    """Specs of so many structures, which is so many shards."""
    return [make_spec(depth=2 + place, steps=1, seed=seed) for place in range(count)]


@shows_processes
def test_a_launch_ends_its_own_workers_and_leaves_kept_ones_to_the_next(tmp_path):
    assert launch(make_plan(tmp_path / "own", shards(0), workers=2, pack_size=1)) == 0
    assert not alive()
    with kept_workers():
        assert not alive()
        assert launch(make_plan(tmp_path / "a", shards(1), workers=2, pack_size=1)) == 0
        first = alive()
        assert len(first) == 2
        assert launch(make_plan(tmp_path / "b", shards(2), workers=2, pack_size=1)) == 0
        assert alive() == first
    assert not alive()
    assert [len(gradyn.load(tmp_path / name).runs) for name in ("own", "a", "b")] == [3, 3, 3]


@shows_processes
def test_a_launch_with_fewer_workers_gets_no_more_than_it_asked_for(tmp_path):
    with kept_workers():
        assert launch(make_plan(tmp_path / "a", shards(1), workers=3, pack_size=1)) == 0
        first = alive()
        assert launch(make_plan(tmp_path / "b", shards(2), workers=2, pack_size=1)) == 0
        assert len(alive()) == 2
        assert not alive() & first
        # A single shard is computed by the command itself; nobody has to end for that.
        second = alive()
        assert launch(make_plan(tmp_path / "c", shards(3, 1), workers=2, pack_size=1)) == 0
        assert alive() == second


@shows_processes
def test_a_kept_worker_that_was_killed_between_launches_costs_nothing(tmp_path, capsys):
    with kept_workers():
        assert launch(make_plan(tmp_path / "a", shards(1), workers=2, pack_size=1)) == 0
        first = alive()
        os.kill(min(first), signal.SIGKILL)
        while is_running(min(first)):
            time.sleep(0.01)
        assert launch(make_plan(tmp_path / "b", shards(2), workers=2, pack_size=1)) == 0
        assert not alive() & first
    assert not alive()
    assert len(gradyn.load(tmp_path / "b").runs) == 3


@shows_processes
def test_what_stops_a_launch_stops_kept_workers_too(tmp_path, monkeypatch):
    def full(run_count: int, total: int) -> None:
        raise StoreError("the disk is full")

    with kept_workers():
        assert launch(make_plan(tmp_path / "a", shards(1), workers=2, pack_size=1)) == 0
        first = alive()
        assert launch(make_plan(tmp_path / "b", shards(2, 12), workers=2, pack_size=1), full) == 1
        assert not alive()
        assert launch(make_plan(tmp_path / "b", shards(2, 12), workers=2, pack_size=1)) == 0
        assert alive()
        assert not alive() & first
    assert len(gradyn.load(tmp_path / "b").runs) == 12


@shows_processes
def test_kept_workers_die_with_a_command_that_is_killed(tmp_path):
    program = f"""
import os, signal, sys
sys.path[:0] = {sys.path!r}
from test_workers import *
if __name__ == "__main__":
    with kept_workers():
        assert launch(make_plan(Path({str(tmp_path)!r}) / "a", shards(1), workers=2, pack_size=1)) == 0
        print(*alive(), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""
    (tmp_path / "killed.py").write_text(program)
    # Into files: workers that live on would hold a pipe open. And apart: multiprocessing complains of what such a command leaves behind.
    with (tmp_path / "said").open("w", encoding="utf-8") as said, (tmp_path / "complained").open("w", encoding="utf-8") as complained:
        command = subprocess.run([sys.executable, tmp_path / "killed.py"], stdout=said, stderr=complained, check=False)
    assert command.returncode == -signal.SIGKILL, (tmp_path / "complained").read_text(encoding="utf-8")
    workers = [int(word) for word in (tmp_path / "said").read_text(encoding="utf-8").splitlines()[-1].split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 20
    while (left := [pid for pid in workers if is_running(pid)]) and time.monotonic() < deadline:
        time.sleep(0.05)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left


def test_every_library_of_a_worker_has_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    # Its own of numpy's too: more than one on a worker's core wait for each other, busily.
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "2")
    with worker_pool(1) as pool:
        found = pool.submit(threadpool_info).result()
    assert found
    assert {library["num_threads"] for library in found} == {1}
    with threadpool_limits(limits=2):
        with one_thread():
            assert {library["num_threads"] for library in threadpool_info()} == {1}
        assert max(library["num_threads"] for library in threadpool_info()) > 1 or os.cpu_count() == 1
