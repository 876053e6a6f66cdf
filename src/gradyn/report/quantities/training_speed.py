"""How fast the nets of each cure learn at their best rate: loss over steps, and the steps that half of the loss takes."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames
from gradyn.report.style import GREY, Page, look
from gradyn.report.sweeps.trainable import best_rates, cure_words

# Steps over which the loss of single batches is averaged.
WINDOW = 20
# Half of the loss of equal odds over the ten classes of digits.
HALF = float(np.log(10) / 2)


def training_speed(frames: Frames) -> pd.DataFrame:
    """One row a cure and seed at the cure's best rate, cures in the order of the grid.

    `steps_to_half`: the first step at which the mean loss of the last WINDOW steps is at most HALF; inf where none is.
    """
    chosen = chosen_runs(frames)
    rows = []
    for run in chosen.itertuples():
        loss = _smoothed(frames, run.run_id)
        below = loss.index[loss <= HALF]
        rows.append((run.cure, run.seed, run.learning_rate, float(below[0]) if len(below) else np.inf, run.final_accuracy, run.test_accuracy))
    return pd.DataFrame(rows, columns=["cure", "seed", "learning_rate", "steps_to_half", "final_accuracy", "test_accuracy"])


def chosen_runs(frames: Frames) -> pd.DataFrame:
    """The runs of each cure at the rate with the lowest late loss, with the column `cure`."""
    runs = frames.runs.assign(cure=cure_words(frames.runs))
    best = best_rates(frames)[["cure", "learning_rate"]]
    order = runs["cure"].drop_duplicates().tolist()
    chosen = runs.merge(best, on=["cure", "learning_rate"])
    return chosen.assign(place=chosen["cure"].map(order.index)).sort_values(["place", "seed"]).drop(columns="place")


def draw_training_speed(frames: Frames, page: Page, stem: str, title: str, setting: str, text: str) -> Drawn:
    """Mean loss of the last WINDOW steps over steps, median over seeds; and beside it each cure's accuracy on held-out samples, a mark a seed.

    Cures stand in the order of that accuracy, colours and marks alike in both panels.
    """
    table = training_speed(frames)
    order = table.groupby("cure")["test_accuracy"].mean().sort_values(ascending=False, kind="stable").index.tolist()
    shape, left_room = ((2, 1), 1.35) if page.is_narrow else ((1, 2), 0.55)
    foot = f"Each cure at the rate (in brackets) with the lowest late loss of those tried; loss: mean of {WINDOW} steps, median of seeds. {text}"
    figure, axes = page.sheet(*shape, height=2.5, title=title, setting=setting, foot=foot, left=left_room, gap=(1.75, 0.6), share=(False, False), bottom=0.4)
    left, right = axes.ravel()
    points, chosen = [], chosen_runs(frames)
    for place, cure in enumerate(order):
        colour, mark = look("cure", cure, order)
        runs = chosen[chosen["cure"] == cure]
        losses = pd.concat([_smoothed(frames, run_id) for run_id in runs["run_id"]], axis=1).median(axis=1)
        kept = losses.iloc[:: max(len(losses) // 60, 1)]
        left.plot(kept.index, kept, color=colour, linewidth=1.1)
        # Marks far apart, and each cure's at steps of its own, so that lines on top of each other show theirs.
        left.plot(kept.index[place * 2 :: 16], kept.iloc[place * 2 :: 16], mark, color=colour, markersize=4)
        right.plot(runs["test_accuracy"].fillna(0.0), [place] * len(runs), mark, color=colour, markersize=5, clip_on=False)
        points.append(pd.DataFrame({"cure": cure, "step": kept.index, "loss": kept.to_numpy()}))
    left.axhline(HALF, color=GREY, linestyle=":", linewidth=0.8)
    left.set_yscale("log")
    left.set_xlabel("step")
    left.set_ylabel("loss")
    rates = table.groupby("cure")["learning_rate"].first()
    right.set_yticks(range(len(order)), labels=[f"{cure} ({rates[cure]:g})".replace(", ", ",\n" if page.is_narrow else ", ") for cure in order])
    right.invert_yaxis()
    right.set_xlim(0, 1)
    right.set_xlabel("accuracy on held-out samples")
    right.grid(visible=True, axis="x")
    return Drawn(stem, figure, title, setting, foot, pd.concat(points, ignore_index=True), ("loss", "test_accuracy"), {f"{stem}_speed": table})


def _smoothed(frames: Frames, run_id: str) -> pd.Series:
    own = frames.steps[frames.steps["run_id"] == run_id].sort_values("step").set_index("step")["loss"]
    return own.rolling(WINDOW, min_periods=1).mean()
