"""Figure 6: the three numbers that judge a net, over activation x init: backward rate, forward rate, level."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize

from gradyn.report.figure import Drawn, decades, label
from gradyn.report.frames import Frames
from gradyn.report.rates import mean_of_logs, rates
from gradyn.report.style import INK, RATE_MAP, Page, diverging
from gradyn.report.sweeps.cures import LOWEST_LEVEL, WELL

_NUMBERS = ("backward_rate", "forward_rate", "level")


def draw(frames: Frames, page: Page) -> list[Drawn]:
    """`maps`: three maps at the deepest depth, side by side, on a narrow page below each other; means over seeds in the cells."""
    frames.need("depth", "activation", "init")
    runs = frames.baseline(("activation", "init"), depth=frames.values("depth")[-1])
    activations = [value for value in frames.values("activation") if value in set(runs["activation"])]
    inits = [value for value in frames.values("init") if value in set(runs["init"])]
    table = rates(frames, runs)
    held = frames.setting(runs, ("activation", "init"))
    foot = (
        "Rates are slopes over the hidden layers (without the first three), backward in the direction in which delta travels: below 0 (blue) "
        f"it shrinks layer by layer, above 0 (orange) it grows. Means over seeds of slopes of logarithms; the colour grows with the square root. "
        f"zero: exactly zero; inf: not finite in float range. {frames.progress}"
    )
    is_tall = page.is_narrow or len(inits) > 6
    cells = 0.19 * len(activations)
    claim = _claim(table)
    figure, axes = page.sheet(
        3 if is_tall else 1,
        1 if is_tall else 3,
        height=max(cells, 0.4),
        title=claim,
        setting=held,
        foot=foot,
        left=0.75,
        bottom=0.56,
        gap=(0.12, 0.3),
    )
    points = []
    for ax, number in zip(axes.ravel(), _NUMBERS, strict=True):
        grid = table.groupby(["activation", "init"], observed=True)[number].agg(mean_of_logs).unstack().reindex(index=activations, columns=inits)
        # Both rates on one scale: a colour is the same rate in both maps.
        scale = table[list(_NUMBERS[:2])].to_numpy() if number != "level" else grid.to_numpy()
        heat_map(ax, grid, diverging(scale), digits=2 if number != "level" else 1)
        ax.set_title(label(number))
        points.append(grid.stack(future_stack=True).rename("value").reset_index().assign(quantity=number))
    return [Drawn("maps", figure, claim, held, foot, pd.concat(points, ignore_index=True), _NUMBERS)]


def heat_map(
    ax: Axes, grid: pd.DataFrame, norm: Normalize, *, digits: int = 2, words: pd.DataFrame | None = None, colours: object = RATE_MAP, size: float = 6.5
) -> None:
    """A map with its numbers in the cells; -inf is written `zero`, nan `inf`, both on grey.

    Args:
        ax: where.
        grid: values, rows from top to bottom.
        norm: of the colours.
        digits: after the point.
        words: texts instead of the numbers.
        colours: a colour map.
        size: of the text, points.
    """
    values = grid.to_numpy(dtype=float)
    rows, columns = values.shape
    shown = np.ma.masked_invalid(values)
    mesh = ax.pcolormesh(np.arange(columns + 1), np.arange(rows + 1), shown, norm=norm, cmap=colours, edgecolors="white", linewidth=0.8)
    ax.set_facecolor("#e4e4e4")
    ax.set_ylim(rows, 0)
    ax.set_xlim(0, columns)
    ax.grid(visible=False)
    ax.set_xticks(np.arange(columns) + 0.5, labels=[str(value) for value in grid.columns], rotation=35, ha="right", rotation_mode="anchor")
    ax.set_yticks(np.arange(rows) + 0.5, labels=[str(value) for value in grid.index])
    ax.tick_params(length=0)
    for side in ax.spines.values():
        side.set_visible(False)
    for i in range(rows):
        for j in range(columns):
            value = values[i, j]
            text = str(words.iloc[i, j]) if words is not None else "zero" if value == -math.inf else "inf" if math.isnan(value) else decades(value, digits)
            red, green, blue, _ = mesh.cmap(norm(value)) if math.isfinite(value) else (0.9, 0.9, 0.9, 1)
            # Rec. 709 luma; below 0.5 white is read more easily.
            ax.text(j + 0.5, i + 0.5, text, ha="center", va="center", size=size, color="white" if 0.2126 * red + 0.7152 * green + 0.0722 * blue < 0.5 else INK)


def _claim(table: pd.DataFrame) -> str:
    mean = table.groupby(["activation", "init"], observed=True)[list(_NUMBERS)].agg(mean_of_logs)
    depth = int(table["depth"].iloc[0])
    back, forth = (mean[name] * (depth - 2) for name in _NUMBERS[:2])
    calm = mean[(back.abs() <= WELL) & (forth.abs() <= WELL)]
    names = [f"{activation} {init}" for activation, init in calm.index]
    lost, grown = int(((back < -WELL) | (mean["level"] < LOWEST_LEVEL)).sum()), int(((back > WELL) | back.isna()).sum())
    listed = f": {', '.join(names)}" if 0 < len(names) <= 4 else ""
    return f"At depth {depth}, {len(calm)} of {len(mean)} nets keep signal and gradient within two decades{listed}; {lost} vanish, {grown} explode."
