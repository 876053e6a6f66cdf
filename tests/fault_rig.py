"""A sweep that may be harmed: drivers to run it, a disk of its own, and an undisturbed twin to compare with, bit by bit."""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa

from gradyn.store import TABLES, Table, arrow_schema, status
from gradyn.store.schema import KEYS, PROVENANCE_COLUMNS

VOLATILE = {"wall_s", "cpu_s", *(column.name for column in PROVENANCE_COLUMNS)}
DISK = 64 * 2**20
ENDED = {0, 1, 2, 129, 130, 143, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Verdict:
    """Runs against an undisturbed sweep's: not there, there more than once, with another bit."""

    lost: int = 0
    doubled: int = 0
    different: int = 0

    def __add__(self, other: Verdict) -> Verdict:
        return Verdict(self.lost + other.lost, self.doubled + other.doubled, self.different + other.different)


class Rig:
    """Sweeps of one plan in folders of their own on a disk of their own, drivers to run them, and the undisturbed twin."""

    def __init__(self, place: Path, seed: int) -> None:
        self.place, self.rng = place, np.random.default_rng(seed)
        self.folder = place
        self._count = 0
        place.mkdir(parents=True, exist_ok=True)
        self.can_mount = mount("tmpfs", place, "tmpfs", 0, f"size={DISK}")
        self._forker = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "fault_driver.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        plan = self._ask(do="plan")
        self.run_ids, self.fragile = plan["run_ids"], plan["fragile"]
        # The first sweep also reads what every later one finds in memory.
        for name in ("warm", "twin"):
            self.fresh(name)
            began = time.monotonic()
            code = self.ends(self.start())
            assert code == 0, self.said()
        self.seconds = time.monotonic() - began
        self.twin = {table: _read(self.folder, table, "pandas") for table in TABLES}

    def close(self) -> None:
        """End the forking process and give the disk back."""
        assert self._forker.stdin is not None
        self._forker.communicate()
        if self.can_mount:
            unmount(self.place, MNT_DETACH)

    def fresh(self, name: str | None = None) -> None:
        """Turn to a new folder; the old one goes."""
        shutil.rmtree(self.folder, ignore_errors=True) if self.folder != self.place else None
        self._count += 1
        self.folder = self.place / (name or f"sweep{self._count}")
        self._said = self.place.parent / f"said{self._count}"
        self.broken = self.place / f"broken{self._count}"

    def start(self, **request: Any) -> int:
        """The command, as a process of its own; returns its number."""
        return int(self._ask(do="start", folder=str(self.folder), said=str(self._said), broken=str(self.broken), **request))

    def plant(self, planted: str, **request: Any) -> bool:
        """The command with a fault planted in it, to its end; returns whether the fault took place."""
        self._count += 1
        token = self.place / f"token{self._count}"
        self.ends(self.start(planted=planted, token=str(token), **request))
        return token.exists()

    def code(self, pid: int) -> int | None:
        """A driver's exit code, or None while it runs."""
        code = self._ask(do="code", pid=pid)
        return None if code is None else int(code)

    def ends(self, pid: int) -> int:
        """Wait for a driver's end; returns its exit code."""
        deadline = time.monotonic() + 60
        while (code := self.code(pid)) is None:
            if time.monotonic() > deadline:
                os.killpg(pid, signal.SIGKILL)
                raise AssertionError(f"the driver hangs\n{self.said()}")
            time.sleep(0.003)
        assert code in ENDED, f"exit code {code}\n{self.said()}"
        return code

    def wait(self) -> None:
        """Until a random moment of a sweep."""
        time.sleep(float(self.rng.uniform(0, self.seconds)))

    def said(self) -> str:
        """What the drivers of this folder printed."""
        return self._said.read_text(encoding="utf-8") if self._said.exists() else ""

    def finish(self) -> Verdict:
        """The same command again until it is content, and the verdict on what is there."""
        self.broken.unlink(missing_ok=True)
        before = status(self.folder) if (self.folder / "sweep.json").exists() else None
        if before is not None and before.planned is not None:
            assert before.done.total() + len(before.failed) + before.in_flight + before.missing == len(self.run_ids)
        # What raised while its component was broken is tried again on demand only.
        code = self.ends(self.start())
        if code == 1 and (self.folder / "failures").is_dir() and any((self.folder / "failures").iterdir()):
            code = self.ends(self.start(execution={"retry_failed": True}))
        assert code == 0, f"exit code {code}\n{self.said()}"
        after = status(self.folder)
        assert after.is_complete, list(after.lines())
        assert not [path for table in TABLES for path in (self.folder / table).iterdir() if path.suffix != ".parquet"]
        return sum((self.verdict(reader) for reader in READERS), Verdict())

    def verdict(self, reader: str) -> Verdict:
        """What a reader finds in the folder, against the undisturbed sweep."""
        found = {table: _read(self.folder, table, reader) for table in TABLES}
        if all(_same(found[table], self.twin[table]) for table in TABLES):
            return Verdict()
        ids = found["runs"]["run_id"].to_pylist()
        different = set(ids) - set(self.run_ids)
        for table in TABLES:
            ours, theirs = _rows(found[table]), _rows(self.twin[table])
            different |= {run_id for run_id in ours.keys() | theirs.keys() if ours.get(run_id) != theirs.get(run_id)}
        return Verdict(len(set(self.run_ids) - set(ids)), len(ids) - len(set(ids)), len(different))

    def _ask(self, **request: Any) -> Any:
        assert self._forker.stdin is not None
        assert self._forker.stdout is not None
        self._forker.stdin.write(json.dumps(request) + "\n")
        self._forker.stdin.flush()
        return json.loads(self._forker.stdout.readline())


# ---- comparing


READERS: dict[str, Callable[[str], pa.Table]] = {
    "pandas": lambda folder: pa.Table.from_pandas(pd.read_parquet(folder, dtype_backend="pyarrow"), preserve_index=False),
    "polars": lambda folder: pl.read_parquet(f"{folder}/*.parquet").to_arrow(),
    "duckdb": lambda folder: duckdb.sql(f"select * from '{folder}/*.parquet'").to_arrow_table(),
}


def _read(folder: Path, table: Table, reader: str) -> pa.Table:
    names = [name for name in arrow_schema(table).names if name not in VOLATILE]
    schema = pa.schema([arrow_schema(table).field(name).remove_metadata() for name in names])
    rows = READERS[reader](f"{folder}/{table}").select(names).cast(schema)
    return rows.sort_by([(key, "ascending") for key in KEYS[table]]).combine_chunks()


def _bits(column: pa.ChunkedArray) -> list[Any]:
    if not pa.types.is_floating(column.type):
        return column.to_pylist()
    numbers = column.fill_null(0.0).to_numpy().view(np.int64)
    return [None if is_null else int(bits) for bits, is_null in zip(numbers, column.is_null().to_numpy(), strict=True)]


def _same(found: pa.Table, twin: pa.Table) -> bool:
    if found.num_rows != twin.num_rows:
        return False
    for ours, theirs in zip(found.columns, twin.columns, strict=True):
        if pa.types.is_floating(ours.type):
            # Bit by bit: a NaN equals itself, and 0.0 is not -0.0.
            if not ours.is_null().equals(theirs.is_null()):
                return False
            ours, theirs = (pa.chunked_array([column.fill_null(0.0).to_numpy().view(np.int64)]) for column in (ours, theirs))
        if not ours.equals(theirs):
            return False
    return True


def _rows(table: pa.Table) -> dict[str, list[Any]]:
    rows: dict[str, list[Any]] = {}
    for row in zip(*(_bits(table[name]) for name in table.column_names), strict=True):
        rows.setdefault(row[table.column_names.index("run_id")], []).append(row)
    return rows


# ---- disks

MS_RDONLY, MS_REMOUNT, MS_BIND, MNT_DETACH = 1, 32, 4096, 2


def mount(source: str | Path, target: Path, kind: str | None, flags: int, data: str | None) -> bool:
    """mount(2); False where it is refused, as to everybody but root."""
    texts = [None if text is None else os.fsencode(str(text)) for text in (source, target, kind, data)]
    return _libc.mount(texts[0], texts[1], texts[2], ctypes.c_ulong(flags), texts[3]) == 0


def unmount(target: Path, flags: int = 0) -> bool:
    """umount2(2)."""
    return _libc.umount2(os.fsencode(target), flags) == 0
