"""One driver a folder: a lock that the system takes back when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gradyn.core import ConfigError, inert

_NAME = ".lock"


@dataclass(frozen=True, slots=True)
class Holder:
    """The process that holds a folder, as it wrote itself down.

    Args:
        pid: its number on its host.
        host: where it runs.
        since: when it took the folder, in UTC.
        born: when it was started, in the system's own ticks since boot, which no set clock moves; None where there is no `/proc`.
    """

    pid: int
    host: str
    since: str
    born: int | None

    @classmethod
    def this(cls) -> Holder:
        """This process, from now on."""
        return cls(os.getpid(), platform.node(), datetime.now(UTC).isoformat(timespec="seconds"), _born(os.getpid()))

    @property
    def identity(self) -> list[int | str | None]:
        """What no two processes share, also where a number is given out again."""
        return [self.pid, self.host, self.born]

    @property
    def is_here(self) -> bool:
        """Whether it runs on this host, so that its life can be seen."""
        return self.host == platform.node()

    @property
    def may_live(self) -> bool:
        """Whether the process is there; of another host's nothing is known."""
        if not self.is_here:
            return True
        if self.born is not None:
            return _born(self.pid) == self.born
        with contextlib.suppress(ProcessLookupError, PermissionError, OverflowError):
            os.kill(self.pid, 0)
            return True
        return False

    def __str__(self) -> str:
        return f"process {self.pid} on {inert(self.host)} since {inert(self.since)}"


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
            raise ConfigError(str(folder), "be written by one driver at a time", _said(descriptor), fix) from None
        held = Holder.this()
        _write(descriptor, json.dumps({"pid": held.pid, "host": held.host, "since": held.since, "born": held.born}))
        try:
            yield
        finally:
            _write(descriptor, "")
    finally:
        # Closing gives the lock back.
        os.close(descriptor)


def holder(folder: Path) -> Holder | None:
    """The process that holds a folder, or None; nothing is locked or written, and a dead process holds nothing."""
    try:
        held = _read((folder / _NAME).read_bytes())
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return held if held.may_live else None


def _write(descriptor: int, text: str) -> None:
    # For readers only: on a full disk the lock holds without a name on it.
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)


def _read(text: bytes) -> Holder:
    about = json.loads(text)
    born = about["born"]
    return Holder(int(about["pid"]), str(about["host"]), str(about["since"]), None if born is None else int(born))


def _said(descriptor: int) -> str:
    try:
        return str(_read(os.pread(descriptor, 4096, 0)))
    except (ValueError, KeyError, TypeError):
        # Between its lock and its first write; or a disk that is full.
        return "another process that has just started"


def _born(pid: int) -> int | None:
    # Field 22 of /proc/<pid>/stat; the name in parentheses before it may hold spaces and parentheses.
    try:
        return int(Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19])
    except (OSError, ValueError, IndexError):
        return None
