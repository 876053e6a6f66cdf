"""Writes files of the idx format, by the format's text and not by the reader's code."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np

NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
CODES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}


def idx_bytes(array: np.ndarray) -> bytes:
    """The array in the format, its type as it is."""
    code = CODES[array.dtype.str[1:]]
    header = struct.pack(">BBBB", 0, 0, code, array.ndim) + b"".join(struct.pack(">I", size) for size in array.shape)
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


def arrays(seed: int = 0, train: int = 30, test: int = 12, side: int = 5) -> list[np.ndarray]:
    """Small images with labels 0 .. 9, in the order of `NAMES`; one pixel of the training images is constant."""
    rng = np.random.default_rng(seed)
    found = []
    for count in (train, test):
        images = rng.integers(0, 256, size=(count, side, side), dtype=np.uint8)
        labels = (np.arange(count) % 10).astype(np.uint8)
        found += [images, labels]
    found[0][:, 0, 0] = 7
    return found


def write_folder(folder: Path, contents: list[np.ndarray], *, compressed: bool = False) -> Path:
    """The four files."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(NAMES, contents, strict=True):
        if compressed:
            # A time of our own in the stream's header: identity must not depend on it.
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx_bytes(array), mtime=12345))
        else:
            (folder / name).write_bytes(idx_bytes(array))
    return folder
