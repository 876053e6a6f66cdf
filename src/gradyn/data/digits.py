"""scikit-learn's handwritten digits."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import Dataset, Floats, Standardize, held_out, split_rows

_SAMPLES = 1797
_FEATURES = 64
_CLASSES = 10


@dataclass(frozen=True, slots=True)
class Digits(AbstractData):
    """1,797 handwritten digits, 8 x 8 pixels of 0 .. 16, ten classes (scikit-learn's load_digits).

    Args:
        seed: draws which rows are held out.
        holdout: share of the rows that is held out as test part.
        standardize: none: pixels as they are; global: minus one mean, over one standard deviation, of all training pixels;
            feature: each pixel by its own. Statistics from the training part only; constant pixels stay 0.

    Source: Alpaydin and Kaynak 1998, Optical Recognition of Handwritten Digits, UCI repository, its test part.
    """

    package: ClassVar[str | None] = "sklearn"

    seed: int = 0
    holdout: float = 0.2
    standardize: Standardize = "global"

    def __post_init__(self) -> None:
        self.require_seed()
        self.require_holdout(_SAMPLES)
        self.require_standardize()

    @property
    def features(self) -> int:
        """M = 64, row by row."""
        return _FEATURES

    @property
    def classes(self) -> int:
        """C = 10."""
        return _CLASSES

    @property
    def samples(self) -> int:
        """Rows of both parts: 1,797."""
        return _SAMPLES

    @property
    def train_samples(self) -> int:
        """S: what `holdout` leaves."""
        return _SAMPLES - held_out(_SAMPLES, self.holdout)

    def load(self) -> Dataset:
        """Read the installed file, split it by `seed`, standardise it."""
        self.require_package()
        table = _table()
        return self.parted(table[:, :-1], table[:, -1].astype(np.int64), None, split_rows(_SAMPLES, self.holdout, self.seed), self.standardize)


def _table() -> Floats:
    # [1797, 65]: pixels, label. Importing sklearn.datasets costs a worker 1.5 s, its file of 57 kB 0.05 s (two cores, 2026-11), and
    # the file has stood at this place since 2012; where it does not, its own loader is asked.
    spec = importlib.util.find_spec("sklearn")
    for folder in spec.submodule_search_locations or [] if spec is not None else []:
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return np.loadtxt(path, delimiter=",", dtype=np.float64)
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target]).astype(np.float64)
