"""Files that are whole or not there: temporary name, fsync, rename, fsync of the folder."""

from __future__ import annotations

import os
from pathlib import Path

# Ends a temporary file's name; never `.parquet` or `.json`, so that no reader's pattern matches one.
TEMPORARY = ".tmp"


def temporary_name(path: Path) -> Path:
    """A hidden name beside `path`, of this process only; it begins with the final name, which says whose leftover it is."""
    return path.with_name(f".{path.name}.{os.getpid()}{TEMPORARY}")


def commit(temporary: Path, path: Path) -> None:
    """Give a written file its name, so that after a power cut it is there whole or not at all.

    Raises:
        OSError: the disk refused; `path` is as before.
    """
    descriptor = os.open(temporary, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the folder's names durable; a renamed file's own fsync does not."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write a small file atomically.

    Raises:
        OSError: the disk refused; the temporary file is removed, `path` is as before.
    """
    temporary = temporary_name(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        commit(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
