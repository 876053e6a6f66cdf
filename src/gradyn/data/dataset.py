"""What a data set loads to, and how rows are split and standardised.

Shapes: S samples of the training part, T of the test part, M features, C classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gradyn.core import stream

Standardize = Literal["none", "global", "feature"]
STANDARDIZE: tuple[str, ...] = get_args(Standardize)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Dataset:
    """Inputs with labels, real targets, both or neither; training part and test part.

    Args:
        x_train: [S, M] float64.
        x_test: [T, M] float64; T = 0 where nothing is held out.
        y_train: [S] int64 in 0 .. C-1, or None: no labels.
        y_test: [T], likewise.
        targets_train: [S, C] float64, or None: no real targets.
        targets_test: [T, C], likewise.
        features: M.
        classes: C, the width of the readout.
    """

    x_train: Floats
    x_test: Floats
    y_train: Integers | None
    y_test: Integers | None
    targets_train: Floats | None
    targets_test: Floats | None
    features: int
    classes: int


def held_out(samples: int, holdout: float) -> int:
    """Rows of the test part: `holdout * samples`, rounded to the nearest whole number (half to even)."""
    return round(holdout * samples)


def split_rows(samples: int, holdout: float, seed: int) -> tuple[Integers, Integers]:
    """Row numbers of the training part and of the test part: disjoint, together all rows, drawn without replacement.

    Returns:
        [S] and [T] row numbers in drawn order.
    """
    order = stream(seed, "split").permutation(samples)
    cut = samples - held_out(samples, holdout)
    return order[:cut], order[cut:]


def all_rows(samples: int) -> tuple[Integers, Integers]:
    """The split that holds nothing out: every row in its order, and no test row."""
    return np.arange(samples), np.arange(0)


def standardized(x_train: Floats, x_test: Floats, how: Standardize) -> tuple[Floats, Floats]:
    """Both parts after one affine map whose statistics come from the training part only (biased variance).

    none: values as the source has them. global: (x - m) / s, one mean m and one standard deviation s over all training values.
    feature: each feature by its own m and s.
    A feature (or, for global, a whole set) that is constant in the training part becomes 0 in both parts: there is no scale
    to divide by, and a test value far outside would otherwise be infinite.
    """
    if how == "none":
        return x_train, x_test
    axis = 0 if how == "feature" else None
    # Constancy is asked of the values, not of s: the mean of a constant column rounds, and s is then 1e-17, not 0.
    constant = x_train.max(axis=axis, keepdims=True) == x_train.min(axis=axis, keepdims=True)
    mean = x_train.mean(axis=axis, keepdims=True)
    scale = np.where(constant, 1.0, x_train.std(axis=axis, keepdims=True))
    return _mapped(x_train, mean, scale, constant), _mapped(x_test, mean, scale, constant)


def _mapped(x: Floats, mean: Floats, scale: Floats, constant: NDArray[np.bool_]) -> Floats:
    # One new array and no further one: 60,000 images are 376 MB, and every worker has its own.
    y = x - mean
    y /= scale
    np.copyto(y, 0.0, where=constant)
    return y
