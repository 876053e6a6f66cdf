"""Which samples make which batch: a pure function of four whole numbers, the same for every device, packing and worker."""

from __future__ import annotations

import numpy as np

from gradyn.core import require, stream
from gradyn.data.dataset import Integers


def batch_order(samples: int, batch_size: int, steps: int, seed: int) -> Integers:
    """Row numbers of the batch of every step: epoch after epoch, each a fresh permutation cut into consecutive batches.

    The last `samples % batch_size` rows of an epoch's permutation are dropped: the batch size is constant (a smaller batch would
    be another gradient noise, another batch norm, and another shape to compile), and no sample appears twice in an epoch. Which
    rows are dropped changes from epoch to epoch. Step t depends on (samples, batch_size, seed, t) alone: a longer run begins
    with the batches of a shorter one.

    Args:
        samples: rows of the training part.
        batch_size: rows a batch, at most `samples`.
        steps: batches wanted; 0 gives no row.
        seed: the run's `seed` (not the data's).

    Returns:
        [steps, batch_size] int64 row numbers.

    Raises:
        ConfigError: `batch_size` is not in 1 .. samples, or `steps` is negative.
    """
    require(1 <= batch_size <= samples, "batch_size", f"be between 1 and the {samples} training samples", batch_size)
    require(steps >= 0, "steps", "be >= 0", steps)
    per_epoch = samples // batch_size
    epochs = -(-steps // per_epoch)
    cut = [stream(seed, "batch order", epoch).permutation(samples)[: per_epoch * batch_size] for epoch in range(epochs)]
    order = np.concatenate(cut) if cut else np.empty(0)
    return order.astype(np.int64, copy=False).reshape(-1, batch_size)[:steps]
