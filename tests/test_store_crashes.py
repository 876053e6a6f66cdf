"""No kill and no full disk spoils what was committed."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import gradyn.store.write as write_module
from gradyn.store import (
    TABLES,
    ShardWriter,
    StoreError,
    clean,
    done,
    load,
    open_folder,
)
from shard_records import DEPTH, LOG, STEPS, everything, run_ids, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "results" / "x"
    open_folder(place, LOG, "depth: 3\n")
    return place


class Killed(BaseException):
    """Stands for SIGKILL: nothing of the writer's own runs after it."""


@pytest.mark.parametrize("commits", [0, 1, 2])
def test_a_kill_between_the_three_renames_leaves_the_run_undone_and_cleaning_removes_its_traces(
    commits: int, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(folder, run_ids(1), "old")
    before = everything(folder)
    count = 0

    def killed(temporary: Path, path: Path) -> None:
        nonlocal count
        if count == commits:
            raise Killed
        count += 1
        temporary.replace(path)

    with monkeypatch.context() as patch:
        patch.setattr(write_module, "commit", killed)
        patch.setattr(ShardWriter, "_discard", lambda writer: None)
        with pytest.raises(Killed):
            write(folder, run_ids(2), "new")
    traces = everything(folder) - before
    assert len(traces) == 3
    assert done(folder) == set(run_ids(1))
    assert set(load(folder).layers["run_id"]) == set(run_ids(1))
    assert len(clean(folder)) == 3
    assert everything(folder) == before
    write(folder, run_ids(2), "new")
    assert done(folder) == set(run_ids(1, 2))


def test_a_process_that_is_killed_in_its_commit_loses_nothing_that_was_committed(folder: Path) -> None:
    write(folder, run_ids(1), "old")
    before = everything(folder)
    program = f"""
import os, signal, sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import gradyn.store.write as write_module
from pathlib import Path
from shard_records import run_ids, write
real = write_module.commit
def commit(temporary, path):
    real(temporary, path)
    os.kill(os.getpid(), signal.SIGKILL)
write_module.commit = commit
write(Path({str(folder)!r}), run_ids(2), "new")
"""
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert finished.returncode == -signal.SIGKILL, finished.stderr
    assert (folder / "layers" / "new.parquet").is_file()
    assert done(folder) == set(run_ids(1))
    assert len(load(folder).layers) == STEPS * DEPTH
    clean(folder)
    assert everything(folder) == before


def test_files_are_renamed_in_the_order_layers_steps_runs_after_their_bytes_are_on_the_disk(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(descriptor: int) -> None:
        said.append(f"sync {Path(f'/proc/self/fd/{descriptor}').readlink().relative_to(folder)}".split(".parquet")[0])
        fsync(descriptor)

    def renamed(path: Path, target: Path) -> Path:
        said.append(f"rename {target.relative_to(folder)}".split(".parquet")[0])
        return replace(path, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", renamed)
    write(folder, run_ids(1), "a")
    assert said == [line for table in TABLES for line in (f"sync {table}/.a", f"rename {table}/a", f"sync {table}")]
    assert TABLES == ("layers", "steps", "runs")


@pytest.mark.parametrize("refusing", ["open", "write", "commit"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_disk_that_refuses_loses_nothing_and_says_so_in_one_line(refusing: str, number: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, run_ids(1), "old")
    before = everything(folder)

    def refuse(*arguments: object, **changes: object) -> None:
        raise OSError(number, os.strerror(number))

    owner, name = {"open": (pq, "ParquetWriter"), "write": (pq.ParquetWriter, "write_table"), "commit": (write_module, "commit")}[refusing]
    monkeypatch.setattr(owner, name, refuse)
    reason = "no space left on the disk" if number == errno.ENOSPC else os.strerror(number)
    with pytest.raises(StoreError, match=rf"must take shard new; got: {reason}\. Every committed run is safe.*same command again\.$") as caught:
        write(folder, run_ids(2), "new")
    assert "\n" not in str(caught.value)
    # It crosses from a worker to the driver as it is.
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    assert everything(folder) == before
    assert done(folder) == set(run_ids(1))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    place = tmp_path / "disk"
    place.mkdir()
    mounted = (
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(place)], capture_output=True, check=False) if shutil.which("mount") else None
    )
    if mounted is None or mounted.returncode:
        pytest.skip("only root may mount a small disk; the refusals above are injected instead")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_real_disk_that_fills_keeps_what_was_committed(small_disk: Path) -> None:
    folder = small_disk / "x"
    open_folder(folder, LOG)
    written: list[str] = []

    def fill() -> None:
        for number in range(100):
            ids = run_ids(*range(8 * number, 8 * number + 8))
            write(folder, ids)
            written.extend(ids)

    with pytest.raises(StoreError, match="no space left on the disk"):
        fill()
    assert written
    assert not [name for name in everything(folder) if name.endswith(".tmp")]
    assert done(folder) == set(written)
    assert set(load(folder).layers["run_id"]) == set(written)


def test_cleaning_leaves_shards_in_flight_alone(folder: Path) -> None:
    write(folder, run_ids(1), "a")
    for table in ("layers", "steps"):
        shutil.copy(folder / table / "a.parquet", folder / table / "flying.parquet")
    (folder / "runs" / ".flying.parquet.123.tmp").write_bytes(b"")
    before = everything(folder)
    assert clean(folder, in_flight={"flying"}) == ()
    assert everything(folder) == before
    assert len(clean(folder)) == 3


def test_cleaning_removes_what_was_begun_beside_the_tables(folder: Path) -> None:
    before = everything(folder)
    (folder / ".config.yaml.123.tmp").write_text("dep")
    (folder / "failures" / ".aa.1.json.123.tmp").write_text("{")
    assert clean(folder, in_flight={"flying"}) == ()
    assert len(clean(folder)) == 2
    assert everything(folder) == before
