"""Theory beside a sweep: predictions in the columns of its runs, and the error of the rate in decades per layer.

Like on like: a run's own settings are predicted, for the mean over the batch of squares, under the cotangent that the run had.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradyn.core import ConfigError
from gradyn.sweep import RunSpec
from gradyn.theory import predict


def predicted(runs: pd.DataFrame, column: str) -> tuple[np.ndarray, str]:
    """A column by layer as theory has it, for runs that differ in their seeds alone.

    Args:
        runs: rows of the `runs` table, of one setting.
        column: of `layers`.

    Returns:
        [depth], nan where nothing is predicted; and the first reason why not, empty where every layer has a prediction.
    """
    row = runs.iloc[0].to_dict()
    try:
        said = predict(RunSpec.from_columns(row), [column])
    except (ConfigError, KeyError) as error:
        # A row of another version, or data that is not there: nothing can be said of it.
        return np.full(int(row["depth"]), np.nan), str(error)
    return said[column].to_numpy(), next((reason for reason in said["reason"] if reason), "")


def rate_error(layers: np.ndarray, values: np.ndarray, said: np.ndarray) -> float:
    """Slope over l of measurement minus prediction, in decades per layer; the measurement is the root mean square over seeds.

    Args:
        layers: layer numbers [L].
        values: log10 of a root mean square, [S, L], one row a seed.
        said: the prediction [L].

    Returns:
        The least-squares slope over the layers where both are numbers; nan with fewer than three.
    """
    known = np.isfinite(values).all(axis=0) & np.isfinite(said)
    off = np.log10(np.mean(10 ** (2 * (values[:, known] - said[known])), axis=0)) / 2
    return float(np.polyfit(layers[known], off, 1)[0]) if known.sum() >= 3 else float("nan")
