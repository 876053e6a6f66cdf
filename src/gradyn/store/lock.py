"""One driver a folder: a lock that the system takes back when its holder dies, however it dies."""

from __future__ import annotations

import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from gradyn.core import ConfigError

_NAME = ".lock"


@contextmanager
def lock(folder: Path) -> Iterator[None]:
    """Hold the folder for writing while the `with` block runs; readers need no lock.

    `flock` on `<folder>/.lock`, a file that stays: removing it would let two drivers hold two files of one name. The descriptor
    is not inherited by spawned workers.

    Raises:
        ConfigError: another driver holds it; the line says which process, where and since when.
        OSError: the folder is not there or can't be written.
    """
    descriptor = os.open(folder / _NAME, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fix = "Wait for it or stop it, or choose another `name`."
            raise ConfigError(str(folder), "be written by one driver at a time", _holder(descriptor), fix) from None
        since = datetime.now(UTC).isoformat(timespec="seconds")
        _write(descriptor, json.dumps({"pid": os.getpid(), "host": platform.node(), "since": since}))
        try:
            yield
        finally:
            _write(descriptor, "")
    finally:
        # Closing gives the lock back.
        os.close(descriptor)


def _write(descriptor: int, text: str) -> None:
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, text.encode(), 0)


def _holder(descriptor: int) -> str:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        return f"process {holder['pid']} on {holder['host']} since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        # Between its lock and its first write; or a disk that is full.
        return "another process that has just started"
