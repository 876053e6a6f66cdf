"""The idx format of MNIST's files, read by hand: nothing in a file is executed, and no size it promises is believed.

Two zero bytes, a byte for the type, a byte for the number of dimensions, each dimension as a big-endian 32-bit number, then the
values, big-endian, and nothing after them. A file may be compressed by gzip.
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

# Type byte of the format -> numpy's name of it.
_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

_GZIP_MAGIC = b"\x1f\x8b"

# Asking for as many bytes as a header promises would allocate them, and a header may promise anything.
_PIECE_BYTES = 1 << 20

# More than the format's files ever have (images: 3); numpy's own limit is 64.
_MOST_DIMENSIONS = 32


class IdxError(ValueError):
    """A file that is not what its header says; the text is what is wrong with it."""


def read_idx(path: Path) -> tuple[NDArray[np.generic], bytes]:
    """A file's array, in the file's type, and its contents as if not compressed.

    Whether it is compressed is seen from its first two bytes, not from its name.

    Raises:
        IdxError: wrong magic, unknown type, cut off, longer than its header says, or a broken gzip stream.
        OSError: the file can't be read.
    """
    with path.open("rb") as file:
        compressed = file.read(2) == _GZIP_MAGIC
        file.seek(0)
        try:
            if not compressed:
                return _parsed(file)
            with gzip.GzipFile(fileobj=file) as plain:
                return _parsed(plain)
        except (EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise IdxError(f"its gzip stream is broken ({error})") from error


def idx_bytes(array: NDArray[np.generic]) -> bytes:
    """The array as a file of the format, in its own type; int64 becomes int32, which is the largest that the format has.

    Raises:
        IdxError: a type that the format does not have, or numbers beyond int32.
    """
    if array.dtype.kind == "i" and array.dtype.itemsize == 8:
        if array.size and not -(2**31) <= array.min() <= array.max() < 2**31:
            raise IdxError("it has whole numbers beyond 32 bits, which the format does not hold")
        array = array.astype(np.int32)
    kind = f">{array.dtype.str[1:]}"
    code = next((code for code, name in _TYPES.items() if name == kind), None)
    if code is None:
        raise IdxError(f"it is of type {array.dtype}; the format has uint8, int8, int16, int32, float32 and float64")
    header = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return header + array.astype(kind).tobytes()


def _parsed(file: BinaryIO | gzip.GzipFile) -> tuple[NDArray[np.generic], bytes]:
    magic = _at_most(file, 4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in _TYPES:
        raise IdxError(f"it begins with {magic.hex(' ') or 'nothing'}, not with 00 00, a type and a number of dimensions")
    dimensions = magic[3]
    if not 1 <= dimensions <= _MOST_DIMENSIONS:
        raise IdxError(f"it has {dimensions} dimensions")
    sizes = _at_most(file, 4 * dimensions)
    if len(sizes) < 4 * dimensions:
        raise IdxError("it is cut off within its header")
    shape = struct.unpack(f">{dimensions}I", sizes)
    kind = np.dtype(_TYPES[magic[2]])
    promised = math.prod(shape) * kind.itemsize
    values = _at_most(file, promised)
    if len(values) < promised:
        raise IdxError(f"its header promises {promised} bytes of values, it has {len(values)}")
    if _at_most(file, 1):
        raise IdxError(f"it goes on after the {promised} bytes of values that its header promises")
    return np.frombuffer(values, kind).reshape(shape), magic + sizes + values


def _at_most(file: BinaryIO | gzip.GzipFile, count: int) -> bytes:
    pieces = []
    while count > 0 and (piece := file.read(min(count, _PIECE_BYTES))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)
