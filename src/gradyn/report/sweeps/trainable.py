"""Figure 7: which depth trains, under which cure, at which learning rate: accuracy in colour, the chosen rate in the cell.

In each cell every learning rate of the grid is tried, and the one with the lowest training loss is taken: the mean over the last
tenth of the steps, then the median over seeds; a run that diverged has an infinite loss. The accuracy shown plays no part in it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.colors import LinearSegmentedColormap, Normalize

from gradyn.report.figure import Drawn, label
from gradyn.report.frames import Frames, MissingError
from gradyn.report.style import Page
from gradyn.report.sweeps.maps import heat_map

# A cell trains from here on: far above chance on ten classes, below what shallow nets of any kind reach on digits (0.95).
TRAINED = 0.8
_AXES = ("activation", "init", "norm", "residual", "clip", "penalty", "dropout", "optimizer")
ACCURACY = LinearSegmentedColormap.from_list("accuracy", ["#F7F4EF", "#F2D8A7", "#86B8A5", "#2B7C8C", "#123F5C"])


def draw(frames: Frames, page: Page) -> list[Drawn]:
    """`trainable_depth`: one row a cure, one column a depth."""
    frames.need("depth", "learning_rate")
    best = best_rates(frames)
    rates = frames.values("learning_rate")
    accuracy = "test_accuracy" if frames.runs["test_accuracy"].notna().any() else "final_accuracy"
    if best[accuracy].isna().all() and best["loss"].isna().all():
        raise MissingError(f"{frames.name} has no trained run with labels; sweep with steps=400 and data=digits.")
    depths = frames.values("depth")
    rows = best["cure"].drop_duplicates().tolist()
    grid = best.pivot(index="cure", columns="depth", values=accuracy).reindex(index=rows, columns=depths)
    words = best.assign(text=best.apply(_cell, axis=1, column=accuracy, edges=(min(rates), max(rates)), is_narrow=page.is_narrow))
    words = words.pivot(index="cure", columns="depth", values="text").reindex(index=rows, columns=depths).fillna("no run")
    held = frames.setting(frames.baseline(("depth", "learning_rate", *_AXES)), ("depth", "learning_rate", *_AXES), f"{int(frames.runs['steps'].max())} steps")
    foot = (
        f"Upper number: {label(accuracy)} (mean over seeds); lower: the learning rate with the lowest training loss, of "
        f"{len(rates)} between {min(rates):g} and {max(rates):g}; "
        f"an arrow where it is the grid's last, so that a better one may lie beyond. none: every rate diverged. {frames.progress}"
    )
    claim = _claim(grid)
    longest = max(len(row) for row in rows)
    figure, axes = page.sheet(
        1,
        1,
        height=0.29 * len(rows),
        title=claim,
        setting=held,
        foot=foot,
        left=min(0.2 + 0.052 * longest, 0.52 * page.width),
        bottom=0.36,
    )
    ax = axes[0, 0]
    heat_map(ax, grid, Normalize(0, 1), words=words, colours=ACCURACY, size=5.8 if page.is_narrow else 6.5)
    ax.set_xticks(np.arange(len(depths)) + 0.5, labels=[str(depth) for depth in depths], rotation=0, ha="center")
    ax.set_xlabel("depth of the net")
    points = best.drop(columns=["loss_rank"], errors="ignore")
    return [Drawn("trainable_depth", figure, claim, held, foot, points, (accuracy, "learning_rate"))]


def best_rates(frames: Frames) -> pd.DataFrame:
    """One row a cure and depth: the chosen rate, its loss and accuracies (means over seeds), and the share of its runs that stayed finite."""
    runs = frames.baseline(("depth", "learning_rate", *_AXES))
    runs = runs.assign(cure=cure_words(runs))
    best = at_best_rate(frames, runs, ("cure", "depth"))
    order = {cure: place for place, cure in enumerate(runs["cure"].drop_duplicates())}
    # Cures by how deep they train: the sum of accuracies over depths; ties in the order of the grid.
    total = best.groupby("cure")["test_accuracy" if best["test_accuracy"].notna().any() else "final_accuracy"].sum()
    return best.sort_values(["cure", "depth"], key=lambda column: column if column.name == "depth" else column.map(lambda cure: (total[cure], -order[cure])))


def at_best_rate(frames: Frames, runs: pd.DataFrame, axes: Sequence[str]) -> pd.DataFrame:
    """One row a setting of the axes: the learning rate with the lowest loss of all those tried, its loss, accuracies and share of finite runs.

    Args:
        frames: where the losses are.
        runs: over the axes, learning rates and seeds.
        axes: columns of `runs`.
    """
    runs = runs.assign(loss=runs["run_id"].map(_late_loss(frames)).fillna(runs["final_loss"]))
    runs["loss"] = runs["loss"].where(np.isfinite(runs["loss"]) & ~runs["status"].isin(("diverged", "overflow")), np.inf)
    runs["finite"] = np.isfinite(runs["loss"]).astype(float)
    tried = runs.groupby([*axes, "learning_rate"], observed=True, sort=False).agg(
        loss=("loss", "median"),
        final_accuracy=("final_accuracy", "mean"),
        test_accuracy=("test_accuracy", "mean"),
        finite=("finite", "mean"),
        seeds=("seed", "nunique"),
    )
    tried = tried.reset_index().sort_values(["loss", "learning_rate"], kind="stable")
    best = tried.groupby([*axes], observed=True, sort=False).head(1)
    lost = ~np.isfinite(best["loss"])
    best.loc[lost, ["final_accuracy", "test_accuracy"]] = np.nan
    return best


def _late_loss(frames: Frames) -> pd.Series:
    last = frames.steps.groupby("run_id", observed=True)["step"].transform("max")
    late = frames.steps[frames.steps["step"] > 0.9 * last - 1]
    return late.groupby("run_id", observed=True)["loss"].mean()


def cure_words(runs: pd.DataFrame) -> pd.Series:
    """The values of all axes that vary, in words: `relu he_normal, batch norm`; what rests (none, plain) is not said."""
    varying = [axis for axis in _AXES if axis in runs and runs[axis].nunique() > 1] or ["activation"]
    words = {"norm": "{} norm", "residual": "{} residual", "clip": "clip {}", "penalty": "{} penalty", "dropout": "{} dropout"}

    def say(row: pd.Series) -> str:
        parts = [" ".join(str(row[axis]) for axis in ("activation", "init") if axis in varying)]
        parts += [words.get(axis, "{}").format(row[axis]) for axis in varying if axis not in ("activation", "init") and row[axis] not in ("none", "plain")]
        return ", ".join(part for part in parts if part) or "plain"

    kinds = runs[varying].drop_duplicates()
    return runs[varying].merge(kinds.assign(cure=kinds.apply(say, axis=1)), on=varying, how="left").set_index(runs.index)["cure"]


def _cell(row: pd.Series, column: str, edges: tuple[float, float], is_narrow: bool) -> str:
    if not np.isfinite(row["loss"]):
        return "none"
    arrow = "" if edges[0] == edges[1] else "↓" if row["learning_rate"] == edges[0] else "↑" if row["learning_rate"] == edges[1] else ""
    return f"{row[column]:.2f}\n{row['learning_rate']:g}{arrow}"


def _claim(grid: pd.DataFrame) -> str:
    deepest = {cure: max((depth for depth in grid.columns if row[depth] >= TRAINED), default=0) for cure, row in grid.iterrows()}
    best, worst = max(deepest, key=lambda cure: deepest[cure]), min(deepest, key=lambda cure: deepest[cure])
    if deepest[best] == 0:
        return f"No net reaches an accuracy of {TRAINED:g} at any depth and learning rate."
    last = f"to depth {deepest[worst]}" if deepest[worst] else "at no depth"
    text = f"At its best learning rate {best} trains to depth {deepest[best]}"
    return text + ("; so do all." if deepest[best] == deepest[worst] else f", {worst} only {last}.".replace("only at", "at"))
