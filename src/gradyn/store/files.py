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
    _sync(temporary)
    temporary.replace(path)
    # The new name is durable when the folder is; the file's own fsync does not reach it.
    _sync(path.parent)


def create_text(path: Path, text: str) -> bool:
    """Write a small file atomically unless its name is taken; two processes never both succeed.

    Returns:
        Whether it was made; False: the name was taken, and that file is as before.

    Raises:
        OSError: the disk refused.
    """
    temporary = temporary_name(path)
    try:
        temporary.write_text(text, encoding="utf-8")
        _sync(temporary)
        # A link, unlike a rename, refuses a name that is taken.
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    _sync(path.parent)
    return True


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


def _sync(place: Path) -> None:
    # A file's bytes, or a folder's names, to the disk.
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
