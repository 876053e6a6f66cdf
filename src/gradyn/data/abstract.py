"""What every data set is, and what it refuses."""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from functools import cache
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradyn.core import AbstractComponent, require
from gradyn.data.dataset import STANDARDIZE, Dataset, Floats, Integers, Standardize, held_out, standardized


@dataclass(frozen=True, slots=True)
class AbstractData(AbstractComponent):
    """A data set: its sizes are known without loading (a plan of thousands of runs asks for them), its arrays on `load()`.

    A subclass has a field `seed` and gives `features`, `classes`, `samples` (as fields or properties) and `load`. All draws go
    through `gradyn.core.stream(seed, purpose)`, so that equal components load equal arrays: to the bit on one machine, up to the last
    digit of tanh and the like on another.
    """

    group: ClassVar[str] = "data"
    # Package that `load` imports, where it is not a hard dependency of gradyn.
    package: ClassVar[str | None] = None
    # Whether the training part's rows, in order, are points along a curve; and whether the first follows on the last.
    is_curve: ClassVar[bool] = False
    is_closed: ClassVar[bool] = False

    @property
    def features(self) -> int:
        """M, the width of the input."""
        raise NotImplementedError

    @property
    def classes(self) -> int:
        """C, the width of the readout."""
        raise NotImplementedError

    @property
    def samples(self) -> int:
        """Rows of the whole set: training and test part together."""
        raise NotImplementedError

    @property
    def train_samples(self) -> int:
        """S, rows of the training part."""
        return self.samples

    @property
    def sequence_length(self) -> int | None:
        """T, the steps that a sample is made of; None: its features may be cut into any number of equal steps."""
        return None

    @property
    def has_labels(self) -> bool:
        """Whether `y_train` is there."""
        return True

    @property
    def has_targets(self) -> bool:
        """Whether `targets_train` is there."""
        return False

    def load(self) -> Dataset:
        """The arrays; a new copy on each call, the same numbers. Called once per process and component: the caller keeps them.

        Raises:
            ConfigError: an optional package or a file is missing or broken.
        """
        raise NotImplementedError

    def check(self, spec: Any) -> None:
        """Refuse a run that this data set can't feed; called once per run, when planned.

        Raises:
            ConfigError: a package or file is missing, the batch exceeds the training part, or the loss asks for labels that are not there.
        """
        self.require_package()
        rows, size = self.train_samples, spec.batch_size
        require(size <= rows, "batch_size", f"be at most {rows}, the training samples of data={self.name}", size, f"Set batch_size={rows} or less.")
        # `values` takes labels too, one-hot.
        has_answers = {"labels": self.has_labels, "values": self.has_labels or self.has_targets, "cotangent": True}[spec.loss.target]
        rule = f"be one that needs no {spec.loss.target}: data={self.name} has none as set"
        require(has_answers, "loss", rule, spec.loss.name, "Set loss=cotangent, or choose other data.")

    def require_package(self) -> None:
        """Raise unless the optional package is installed; nothing is imported.

        Raises:
            ConfigError: it is missing; the line says how to install it.
        """
        if self.package is not None:
            rule = f"be a set whose package is installed ({self.package} is not)"
            require(_is_installed(self.package), "data", rule, self.name, 'Run pip install "gradyn[data]".')

    def require_seed(self) -> None:
        """Raise unless `seed` is a whole number >= 0 that the store's int64 column holds."""
        self.require_count("seed", low=0)
        self.require(self.settings["seed"] < 2**63, "seed", "be below 2^63")

    def require_count(self, field: str, low: int = 1) -> None:
        """Raise unless the field is a whole number >= `low` (True is none)."""
        self.require(type(getattr(self, field)) is int and getattr(self, field) >= low, field, f"be a whole number >= {low}")

    def require_holdout(self, samples: int) -> None:
        """Raise unless `holdout` is a share in [0, 1) that leaves at least one training row of `samples`."""
        self.require_finite("holdout", low=0.0, high=1.0, open_high=True)
        holdout = self.settings["holdout"]
        self.require(held_out(samples, holdout) < samples, "holdout", f"leave at least one of {samples} samples to train on", "Set a smaller share.")

    def require_standardize(self) -> None:
        """Raise unless `standardize` is one of its three words."""
        self.require(self.settings["standardize"] in STANDARDIZE, "standardize", f"be one of {', '.join(STANDARDIZE)}")

    def parted(
        self, x: NDArray[Any], y: Integers | None, targets: Floats | None, rows: tuple[Integers, Integers], standardize: Standardize = "none"
    ) -> Dataset:
        """The set cut at given rows, standardised by its training part; arrays are contiguous float64 and int64."""
        train, test = rows
        # Cut first, widened after: images come as bytes.
        x_train, x_test = standardized(x[train].astype(np.float64, copy=False), x[test].astype(np.float64, copy=False), standardize)
        return Dataset(
            x_train=x_train,
            x_test=x_test,
            y_train=None if y is None else np.asarray(y, np.int64)[train],
            y_test=None if y is None else np.asarray(y, np.int64)[test],
            targets_train=None if targets is None else targets[train],
            targets_test=None if targets is None else targets[test],
            features=x.shape[1],
            classes=self.classes,
        )


@cache
def _is_installed(package: str) -> bool:
    # Asked once per run of a plan; the answer can't change while the process lives.
    return importlib.util.find_spec(package) is not None
