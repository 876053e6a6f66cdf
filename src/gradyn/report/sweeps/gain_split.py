"""Figure 3: why. Each layer's backward step, split into what the weights do and what phi' does, stacked about zero.

log10 ||delta_{l-1}|| - log10 ||delta_l|| = weight gain ||W^T delta|| / ||delta|| + derivative gain ||phi' W^T delta|| / ||W^T delta||: exact, layer by layer.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from gradyn.report.figure import Drawn, decades
from gradyn.report.frames import Frames, MissingError
from gradyn.report.style import DERIVATIVE, GREY, INK, WEIGHT, Page, layer_ticks
from gradyn.report.sweeps.cures import WELL

# Behind a number that stands on bars.
_PLATE = {"facecolor": "white", "edgecolor": "none", "pad": 0.8, "alpha": 0.85}
_PARTS = ("log10_gain_weight", "log10_gain_derivative")


def draw(frames: Frames, page: Page) -> list[Drawn]:
    """`gain_split`: activation x init at the deepest depth; on a narrow page the inits go down the page."""
    frames.need("depth", "activation", "init")
    runs = frames.baseline(("activation", "init"), depth=frames.values("depth")[-1])
    down, across = ("init", "activation") if page.is_narrow else ("activation", "init")
    rows = [value for value in frames.values(down) if value in set(runs[down])]
    columns = [value for value in frames.values(across) if value in set(runs[across])]
    table = frames.at_start(runs, (*_PARTS, "log10_delta_rms"))
    split = _split(frames, runs, table)
    if split.empty:
        raise MissingError(f"{frames.name} has no finite gain at depth {runs['depth'].iloc[0]}; sweep a smaller depth.")
    held = frames.setting(runs, ("activation", "init"))
    foot = (
        "Bars: median over seeds of log10 ‖W_lᵀδ_l‖/‖δ_l‖ (weights) and of log10 ‖φ′·W_lᵀδ_l‖/‖W_lᵀδ_l‖ (derivative), stacked about zero; the "
        f"net's step from layer l to l − 1 is their sum (line), and its mean over layers is the number in the panel. {frames.progress}"
    )
    size: dict[str, Any] = (
        {"height": 0.7, "legend": 0.34, "left": 0.56, "gap": (0.1, 0.12)}
        if page.is_narrow
        else {"height": 0.95, "legend": 0.17, "left": 0.5, "gap": (0.12, 0.27)}
    )
    figure, axes = page.sheet(len(rows), len(columns), title=_claim(split), setting=held, foot=foot, **size)
    depth = int(runs["depth"].iloc[0])
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            ax = axes[i, j]
            part = split[(split[down] == row) & (split[across] == column)]
            _panel(ax, part, page)
            if not page.is_narrow:
                ax.set_title(f"{row}, {column}", size=7.0)
            elif i == 0:
                ax.set_title(column)
            if j == 0:
                ax.set_ylabel(f"{row}\n[decades]" if page.is_narrow else "step [decades]")
    layer_ticks(axes[0, 0], depth)
    if page.is_narrow:
        axes[0, 0].set_xticks([1, depth])
    for ax in axes[-1]:
        ax.set_xlabel("layer l")
    page.legend(
        figure,
        [
            Patch(color=WEIGHT, label="weight gain"),
            Patch(color=DERIVATIVE, label="derivative gain"),
            Line2D([], [], color=INK, linewidth=0.9, label="their sum: the step"),
        ],
        columns=2 if page.is_narrow else 3,
    )
    return [Drawn("gain_split", figure, _claim(split), held, foot, split, _PARTS)]


def _split(frames: Frames, runs: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    joined = table.merge(runs[["run_id", "activation", "init"]], on="run_id")
    joined = joined[joined["layer"] > 1]
    # Medians of the parts need not add to the median of the sums; what is stacked are the parts, and the line is their sum.
    middle = joined.groupby(["activation", "init", "layer"], observed=True)[list(_PARTS)].median().reset_index()
    with np.errstate(invalid="ignore"):
        middle["step"] = middle[_PARTS[0]] + middle[_PARTS[1]]
    zero = joined[np.isneginf(joined["log10_delta_rms"])][["activation", "init"]].drop_duplicates().assign(is_cut=True)
    middle = middle.merge(zero, how="left", on=["activation", "init"])
    middle["is_cut"] = middle["is_cut"].notna()
    return middle


def _panel(ax: Axes, part: pd.DataFrame, page: Page) -> None:
    ax.axhline(0, color=GREY, linewidth=0.6, zorder=4)
    if not np.isfinite(part["step"]).any():
        fault = "no run yet" if part.empty else "δ exactly zero" if part["is_cut"].all() else "not finite"
        ax.text(0.5, 0.4, fault, transform=ax.transAxes, ha="center", va="top", size=5.5 if page.is_narrow else 6.2, color=GREY)
        return
    part = part[np.isfinite(part["step"])]
    layers = part["layer"].to_numpy()
    weight, derivative = (part[name].to_numpy() for name in _PARTS)
    edges = np.append(layers - 0.5, layers[-1] + 0.5)
    # Same sign: the derivative's bar starts where the weight's ends; opposite signs: both start at zero.
    base = np.where(np.sign(weight) == np.sign(derivative), weight, 0.0)
    ax.stairs(weight, edges, fill=True, color=WEIGHT)
    ax.stairs(base + derivative, edges, baseline=base, fill=True, color=DERIVATIVE)
    ax.plot(layers, part["step"], color=INK, linewidth=0.9, zorder=5)
    ax.text(0.97, 0.96, decades(float(part["step"].mean()), 2), transform=ax.transAxes, ha="right", va="top", size=6.2, color=INK, zorder=6, bbox=_PLATE)


def _claim(split: pd.DataFrame) -> str:
    mean = split[np.isfinite(split["step"])].groupby(["activation", "init"], observed=True)[[*_PARTS, "step"]].mean()
    if mean.empty:
        return "Every step is zero or not finite."
    low, high = mean["step"].idxmin(), mean["step"].idxmax()
    parts = []
    for (activation, init), verb in ((low, "vanishes"), (high, "explodes")):
        row = mean.loc[(activation, init)]
        # As everywhere: what stays within two decades from end to end is neither.
        if abs(row["step"]) * split["layer"].max() > WELL and (row["step"] < 0) == (verb == "vanishes"):
            parts.append(f"{activation} {init} {verb}: weights {decades(row[_PARTS[0]])}, φ′ {decades(row[_PARTS[1]])} decades a layer")
    return ("; ".join(parts) or "In every net weight gain and derivative gain cancel to within two decades") + "."
