"""Counter-based random streams: the same numbers on every machine, in every dtype, in any order of asking."""

from __future__ import annotations

import hashlib

import numpy as np


def stream(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
    """A generator that depends on (seed, purpose, index) alone.

    numpy's Philox, keyed by the first 128 bits of sha256("gradyn/<seed>/<purpose>/<index>"). Draw in float64, cast after:
    then one net exists in every dtype, and layer l of a deep net equals layer l of a shallower one with the same seed.

    Args:
        seed: the run's `seed` (weights, batch order) or `data.seed` (data, split).
        purpose: what is drawn (`weight`, `batch order`, `dropout`, ...).
        index: layer, step or epoch within the purpose.
    """
    digest = hashlib.sha256(f"gradyn/{seed}/{purpose}/{index}".encode()).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
