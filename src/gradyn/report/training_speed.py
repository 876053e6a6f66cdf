"""How fast the nets of each cure learn at their best rate: loss over steps, and the steps that half of the loss takes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradyn.report.frames import Frames
from gradyn.report.overlay import Curve
from gradyn.report.trainable import best_rates, cure_words

# Steps over which the loss of single batches is averaged.
WINDOW = 20


def training_speed(frames: Frames) -> pd.DataFrame:
    """One row a cure and seed at the cure's best rate, cures in the order of the grid.

    `steps_to_half`: the first step at which the mean loss of the last WINDOW steps is at most half of that of equal odds, ln(classes) / 2; inf
    where none is.
    """
    chosen = chosen_runs(frames)
    half = np.log(10) / 2
    rows = []
    for run in chosen.itertuples():
        loss = _smoothed(frames, run.run_id)
        below = loss.index[loss <= half]
        rows.append((run.cure, run.seed, run.learning_rate, float(below[0]) if len(below) else np.inf, run.final_accuracy, run.test_accuracy))
    return pd.DataFrame(rows, columns=["cure", "seed", "learning_rate", "steps_to_half", "final_accuracy", "test_accuracy"])


def chosen_runs(frames: Frames) -> pd.DataFrame:
    """The runs of each cure at the rate with the lowest late loss, with the column `cure`."""
    runs = frames.runs.assign(cure=cure_words(frames.runs))
    best = best_rates(frames)[["cure", "learning_rate"]]
    order = runs["cure"].drop_duplicates().tolist()
    chosen = runs.merge(best, on=["cure", "learning_rate"])
    return chosen.assign(place=chosen["cure"].map(order.index)).sort_values(["place", "seed"]).drop(columns="place")


def speed_curves(frames: Frames) -> list[Curve]:
    """Mean loss of the last WINDOW steps over steps, median over seeds, a curve a cure."""
    curves = []
    for cure, runs in chosen_runs(frames).groupby("cure", sort=False):
        losses = pd.concat([_smoothed(frames, run_id) for run_id in runs["run_id"]], axis=1).median(axis=1)
        rate = runs["learning_rate"].iloc[0]
        kept = losses.iloc[:: max(len(losses) // 60, 1)]
        curves.append(Curve(f"{cure}, rate {rate:g}", kept.index.to_numpy(), kept.to_numpy(), is_joined=True))
    return curves


def _smoothed(frames: Frames, run_id: str) -> pd.Series:
    own = frames.steps[frames.steps["run_id"] == run_id].sort_values("step").set_index("step")["loss"]
    return own.rolling(WINDOW, min_periods=1).mean()
