"""Two numbers of a sequence are to be added: how far back must a gradient reach?"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradyn.core import stream
from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import Dataset, held_out, split_rows


@dataclass(frozen=True, slots=True)
class Adding(AbstractData):
    """The adding problem: `length` steps of (value, mark); the target is the sum of the two marked values.

    Values are uniform on [0, 1]; one mark falls on each half of the sequence, uniformly; all other marks are 0. Guessing 1 has the
    mean squared error 1/6. For `loss=mse` and a recurrent cell with depth = length + 1.

    Args:
        seed: draws sequences and split.
        length: steps, at least 2.
        samples: sequences of both parts.
        holdout: share of them that is held out as test part.

    Source: Hochreiter and Schmidhuber 1997, Long short-term memory, section 5.4; marks in halves as in Le et al. 2015 (arXiv:1504.00941).
    """

    seed: int = 0
    length: int = 50
    samples: int = 4096
    holdout: float = 0.2

    def __post_init__(self) -> None:
        self.require_seed()
        self.require_count("length", low=2)
        self.require_count("samples")
        self.require_holdout(self.samples)

    @property
    def features(self) -> int:
        """Two a step."""
        return 2 * self.length

    @property
    def sequence_length(self) -> int:
        """T = `length`."""
        return self.length

    @property
    def classes(self) -> int:
        """One number."""
        return 1

    @property
    def train_samples(self) -> int:
        """S: what `holdout` leaves."""
        return self.samples - held_out(self.samples, self.holdout)

    @property
    def has_labels(self) -> bool:
        """No."""
        return False

    @property
    def has_targets(self) -> bool:
        """Yes: the sums."""
        return True

    def load(self) -> Dataset:
        """Draw values, then where the marks fall."""
        values = stream(self.seed, "adding values").random((self.samples, self.length))
        places = stream(self.seed, "adding marks")
        half = self.length // 2
        first, second = places.integers(0, half, self.samples), places.integers(half, self.length, self.samples)
        rows = np.arange(self.samples)
        marks = np.zeros_like(values)
        marks[rows, first] = marks[rows, second] = 1.0
        sums = values[rows, first] + values[rows, second]
        x = np.stack([values, marks], axis=2).reshape(self.samples, self.features)
        return self.parted(x, None, sums[:, None], split_rows(self.samples, self.holdout, self.seed))
