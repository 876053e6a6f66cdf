"""What can happen to a sweep, each kind defined once: `test_faults.py` does each once, `soak.py` all of them for ten minutes.

A kind is a function of a `Rig` that starts drivers, does its harm at a moment drawn from the rig's generator, and returns whether
it took place. Afterwards `Rig.finish` gives the same command again and compares with a sweep that nobody disturbed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fault_rig import DISK, MNT_DETACH, MS_BIND, MS_RDONLY, MS_REMOUNT, Rig, mount, unmount
from gradyn.core import ConfigError
from gradyn.store import TABLES, status

# ---- processes


def _workers(driver: int) -> list[int]:
    try:
        return [int(pid) for pid in Path(f"/proc/{driver}/task/{driver}/children").read_text().split()]
    except OSError:
        return []


def _hit(pid: int, number: int) -> bool:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True


def kill_driver(rig: Rig) -> bool:
    """`kill -9` of the driver."""
    driver = rig.start()
    rig.wait()
    _hit(driver, signal.SIGKILL)
    return rig.ends(driver) == -signal.SIGKILL


def kill_worker(rig: Rig) -> bool:
    """`kill -9` of one of its workers: the sweep itself goes on."""
    driver = rig.start()
    rig.wait()
    workers = _workers(driver)
    is_hit = bool(workers) and _hit(int(rig.rng.choice(workers)), signal.SIGKILL)
    rig.ends(driver)
    return is_hit


def kill_both(rig: Rig) -> bool:
    """`kill -9` of the driver and all of its workers."""
    driver = rig.start()
    rig.wait()
    for pid in [driver, *_workers(driver)]:
        _hit(pid, signal.SIGKILL)
    return rig.ends(driver) == -signal.SIGKILL


def _signalled(rig: Rig, number: int, *, times: int = 1, is_group: bool = False) -> bool:
    driver = rig.start()
    rig.wait()
    is_running = rig.code(driver) is None
    for _ in range(times if is_running else 0):
        try:
            os.killpg(driver, number) if is_group else os.kill(driver, number)
        except ProcessLookupError:
            break
        time.sleep(float(rig.rng.uniform(0, 0.05)))
    if not is_running:
        return False
    # 0: the last shard was committed before the signal was heard.
    return rig.ends(driver) in (128 + number, -number)


def sigterm(rig: Rig) -> bool:
    """SIGTERM to the driver."""
    return _signalled(rig, signal.SIGTERM)


def sigint_once(rig: Rig) -> bool:
    """Ctrl-C: SIGINT to the whole group."""
    return _signalled(rig, signal.SIGINT, is_group=True)


def sigint_twice(rig: Rig) -> bool:
    """Ctrl-C twice, within a twentieth of a second."""
    return _signalled(rig, signal.SIGINT, times=2, is_group=True)


def kill_between_steps(rig: Rig) -> bool:
    """`kill -9` before a random step of a worker's commits, or of the driver's own files."""
    in_driver = rig.rng.random() < 0.2
    return rig.plant("killed_between_steps", in_driver=in_driver, step=int(rig.rng.integers(10 if in_driver else 100)))


def out_of_memory(rig: Rig) -> bool:
    """A stack that does not fit: an allocation is refused, or the system kills the worker."""
    if rig.rng.random() < 0.3:
        return rig.plant("kills_its_worker", runs=int(rig.rng.integers(1, 3)))
    by_torch, in_commit = (bool(rig.rng.random() < 0.5) for _ in range(2))
    return rig.plant("out_of_memory", step=int(rig.rng.integers(6)), by_torch=by_torch, in_commit=in_commit)


def raising_component(rig: Rig) -> bool:
    """A component raises in one run of a stack; mended, it is tried again on demand."""
    rig.broken.touch()
    code = rig.ends(rig.start())
    rig.broken.unlink()
    found = status(rig.folder)
    if not found.failed:
        return False
    assert code == 1
    assert found.failed == (rig.fragile,)
    assert found.missing == 0
    kept = json.loads(max((rig.folder / "failures").glob(f"{rig.fragile}.*.json")).read_text())
    assert "a defect on purpose" in kept["traceback"]
    said = rig.said()
    assert f"run {rig.fragile} raised RuntimeError: a defect on purpose" in said
    assert "\x1b" not in said
    return True


# ---- disks


def full_disk(rig: Rig) -> bool:
    """The disk shrinks to what is on it and a little more."""
    driver = rig.start()
    rig.wait()
    used = shutil.disk_usage(rig.place).used
    is_small = mount("tmpfs", rig.place, "tmpfs", MS_REMOUNT, f"size={used + int(rig.rng.integers(1, 40)) * 4096}")
    code = rig.ends(driver)
    assert mount("tmpfs", rig.place, "tmpfs", MS_REMOUNT, f"size={DISK}")
    return is_small and code in (1, 2)


def read_only_folder(rig: Rig) -> bool:
    """The folder, or one of its tables, can only be read from some moment on."""
    driver = rig.start()
    rig.wait()
    place = rig.folder / str(rig.rng.choice([*TABLES, "."]))
    is_mounted = place.is_dir() and mount(place, place, None, MS_BIND, None)
    # Refused while a worker writes through the new mount: then it is tried again.
    while is_mounted and not mount(place, place, None, MS_BIND | MS_REMOUNT | MS_RDONLY, None):
        time.sleep(0.002)
    code = rig.ends(driver)
    if is_mounted and code == 0:
        # It was done before; a second command is refused where it would write.
        code = rig.ends(rig.start())
    if is_mounted:
        assert unmount(place, MNT_DETACH)
    return is_mounted and code in (1, 2)


# ---- files


def _half_done(rig: Rig) -> list[Path]:
    """Let a sweep run for a while and kill it; returns its shards' files."""
    driver = rig.start()
    if rig.rng.random() < 0.7:
        time.sleep(float(rig.rng.uniform(0.5, 1.0)) * rig.seconds)
        _hit(driver, signal.SIGKILL)
    rig.ends(driver)
    return sorted(path for table in TABLES for path in (rig.folder / table).glob("[!.]*.parquet"))


def truncated_shard(rig: Rig) -> bool:
    """A file of a shard loses its end."""
    files = _half_done(rig)
    for path in rig.rng.choice(np.array(files, dtype=object), min(2, len(files)), replace=False):
        os.truncate(path, int(rig.rng.integers(1, path.stat().st_size)))
    return bool(files)


def empty_shard(rig: Rig) -> bool:
    """A file of a shard has no byte left; and so have the small files that every start writes anew."""
    files = _half_done(rig)
    for path in [*rig.rng.choice(np.array(files, dtype=object), min(2, len(files)), replace=False), rig.folder / "plan.json", rig.folder / ".flight.json"]:
        if path.exists() and (path.suffix == ".parquet" or rig.rng.random() < 0.5):
            os.truncate(path, 0)
    if files and (rig.folder / "plan.json").stat().st_size == 0:
        with pytest.raises(ConfigError, match=r"plan\.json must be the JSON that gradyn wrote"):
            status(rig.folder)
        rig.ends(rig.start())
    return bool(files)


def flipped_bit(rig: Rig) -> bool:
    """One bit of a shard's file is another."""
    files = _half_done(rig)
    if not files:
        return False
    path = files[int(rig.rng.integers(len(files)))]
    content = bytearray(path.read_bytes())
    content[int(rig.rng.integers(len(content)))] ^= 1 << int(rig.rng.integers(8))
    path.write_bytes(content)
    return True


def foreign_shard(rig: Rig) -> bool:
    """Files that are not this sweep's: somebody's table, noise, a copy of a shard under another name, one in a shard's place."""
    files = _half_done(rig)
    if not files:
        return False
    table = str(rig.rng.choice(TABLES))
    stranger = rig.folder / table / f"stranger{rig.rng.integers(10)}.parquet"
    kind = rig.rng.integers(4)
    if kind == 0:
        pq.write_table(pa.table({"run_id": rig.run_ids[:2], "x": [1, 2]}), stranger)
    elif kind == 1:
        stranger.write_bytes(rig.rng.bytes(int(rig.rng.integers(1, 5000))))
    elif kind == 2:
        shutil.copy2(files[int(rig.rng.integers(len(files)))], stranger)
    else:
        pq.write_table(pa.table({"run_id": rig.run_ids[:2], "x": [1, 2]}), files[int(rig.rng.integers(len(files)))])
    return True


# ---- the rest


def two_drivers(rig: Rig) -> bool:
    """The command is given twice at once; one of them works."""
    first = rig.start()
    time.sleep(float(rig.rng.uniform(0, 0.3)) * rig.seconds)
    second = rig.start()
    codes = sorted([rig.ends(first), rig.ends(second)])
    # 1: a run that raised in an earlier fault is not tried again by itself.
    is_content = {0, 1} if any((rig.folder / "failures").iterdir()) else {0}
    assert codes[0] in is_content, f"{codes}\n{rig.said()}"
    assert codes[1] in is_content | {2}, f"{codes}\n{rig.said()}"
    assert codes[1] != 2 or "must be written by one driver at a time" in rig.said()
    return codes[1] == 2


def jumping_clock(rig: Rig) -> bool:
    """The clock goes back and forth by years, and so do the files' times."""
    is_hit = rig.plant("clock_jumps", seed=int(rig.rng.integers(2**31)))
    for path in rig.folder.rglob("*.*"):
        if rig.rng.random() < 0.3:
            when = int(rig.rng.integers(0, 4 * 10**9))
            os.utime(path, (when, when))
    return is_hit


NEEDS_MOUNT = {full_disk, read_only_folder}
KINDS: tuple[Callable[[Rig], bool], ...] = (
    kill_driver,
    kill_worker,
    kill_both,
    sigterm,
    sigint_once,
    sigint_twice,
    kill_between_steps,
    out_of_memory,
    raising_component,
    full_disk,
    read_only_folder,
    truncated_shard,
    empty_shard,
    flipped_bit,
    foreign_shard,
    two_drivers,
    jumping_clock,
)
