"""Theory beside a sweep: predictions in the columns of its runs, and the error of the rate in decades per layer.

Like on like: a run's own settings are predicted, for the mean over the batch of squares, under the cotangent that the run had.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gradyn.core import ConfigError
from gradyn.report.frames import Frames
from gradyn.sweep import RunSpec
from gradyn.theory import predict

# Settings that are looked at for `coverage`; a prediction of a deep net takes some 40 ms.
_LOOKED_AT = 24


@dataclass(frozen=True, slots=True)
class Coverage:
    """For how much of a sweep theory has a prediction.

    Args:
        settings: that the sweep has, seeds aside.
        share: of the numbers at initialization (settings x layers x columns of theory that were measured), how many are predicted.
        reason: the most frequent one why not; empty where all are.
    """

    settings: int
    share: float
    reason: str


def coverage(frames: Frames) -> Coverage | None:
    """The share of settings and columns of a sweep that theory predicts, over at most 24 settings, evenly chosen; None without a sweep."""
    if frames.runs.empty:
        return None
    axes = [axis for axis in frames.axes if axis.split(".")[-1] != "seed"]
    settings = frames.runs.drop_duplicates(axes)
    chosen = settings.iloc[np.unique(np.linspace(0, len(settings) - 1, min(len(settings), _LOOKED_AT)).round().astype(int))]
    count, known, reasons = 0, 0, Counter[str]()
    for row in chosen.to_dict("records"):
        measured = frames.initial[frames.initial["run_id"] == row["run_id"]].set_index("layer")
        try:
            said = predict(RunSpec.from_columns(row)).set_index("layer").reindex(measured.index)
        except (ConfigError, KeyError) as error:
            # A row of another version, or data that is not there.
            count, reasons = count + 1, reasons + Counter([str(error)])
            continue
        columns = [column for column in said if column in measured and column != "run_id" and column != "step"]
        is_there = measured[columns].notna().to_numpy()
        is_said = said[columns].notna().to_numpy() & is_there
        count, known = count + int(is_there.sum()), known + int(is_said.sum())
        # `reason` holds one sentence a column, each behind the column's name.
        reasons.update(part.partition(": ")[2] for text in said["reason"].dropna() for part in text.split("; ") if part.partition(": ")[0] in columns)
    top = reasons.most_common(1)
    return Coverage(len(settings), known / count if count else float("nan"), top[0][0] if top and known < count else "")


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
