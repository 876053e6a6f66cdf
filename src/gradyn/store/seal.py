"""A checksum over every byte of a Parquet file, kept in the file itself, and a modification time that says whether to look again.

The footer of a sealed file has one more entry, eight hex digits of the file's CRC-32 (any one flipped bit, any burst of 32 and all
but one in 4e9 other changes give another), computed while those digits are zeros. The file's modification time is set to the whole
second that its metadata names: a file that still has it has been written by nobody since, so that a start need not read it.
Pages have checksums of their own (Parquet's), which every read of ours verifies.
"""

from __future__ import annotations

import contextlib
import os
import re
import zlib
from pathlib import Path

# Name and value of the entry in the footer, in Thrift's compact writing: after the name, the field's type and the length.
NAME, BLANK = "gradyn_crc32", "0" * 8
_ENTRY = re.compile(re.escape(NAME.encode()) + rb"\x18\x08([0-9a-f]{8})")
_PIECE = 2**20
# A footer of a hundred columns and 192 run ids has 30 kB a row group; one beyond this is none of ours.
_LONGEST_FOOTER = 2**28


def seal(path: Path, written: int) -> None:
    """Put the checksum into a closed file that has the entry, and set its modification time to `written`, in seconds.

    Raises:
        OSError: the disk refused.
        ValueError: the file has no such entry.
    """
    place = _place(path)
    if place is None:
        raise ValueError(f"{path.name} must have an entry {NAME} in its footer; got none.")
    digits = b"%08x" % _crc(path, place)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(digits)
    restore_time(path, written)


def is_whole(path: Path) -> bool:
    """Whether every byte of a sealed file is as it was sealed.

    Raises:
        OSError: it can't be read.
    """
    place = _place(path)
    if place is None:
        return False
    with path.open("rb") as file:
        file.seek(place)
        return file.read(len(BLANK)) == b"%08x" % _crc(path, place)


def is_untouched(path: Path, written: int, size: int | None = None) -> bool:
    """Whether nobody has written to the file since it was sealed, as far as its time (and size) can tell."""
    about = path.stat()
    return about.st_mtime_ns == written * 10**9 and size in (None, about.st_size)


def restore_time(path: Path, written: int) -> None:
    """Set the time that says that the file is as sealed; where the system does not allow it, it is only read again."""
    with contextlib.suppress(OSError):
        os.utime(path, ns=(written * 10**9, written * 10**9))


def _place(path: Path) -> int | None:
    """Where the digits begin; None: no sealed Parquet file."""
    size = path.stat().st_size
    if size < 12:
        return None
    with path.open("rb") as file:
        file.seek(size - 8)
        tail = file.read(8)
        length = int.from_bytes(tail[:4], "little")
        if tail[4:] != b"PAR1" or length > min(size - 12, _LONGEST_FOOTER):
            return None
        file.seek(size - 8 - length)
        found = [match.start(1) for match in _ENTRY.finditer(file.read(length))]
    return size - 8 - length + found[-1] if found else None


def _crc(path: Path, place: int) -> int:
    crc, position = 0, 0
    with path.open("rb") as file:
        while piece := file.read(_PIECE):
            overlap = range(max(place, position), min(place + len(BLANK), position + len(piece)))
            if overlap:
                blanked = bytearray(piece)
                blanked[overlap.start - position : overlap.stop - position] = b"0" * len(overlap)
                piece = bytes(blanked)
            crc = zlib.crc32(piece, crc)
            position += len(piece)
    return crc
