"""A column of `layers` while the net trains: as a map of layer and step, and as a film of its curve by layer.

gradyn figures results/mine --only over_training --show log10_update_ratio
gradyn animate results/mine                          figures/over_training.gif
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.animation import FuncAnimation, PillowWriter
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize

from gradyn.core import require
from gradyn.report.figure import Drawn, label
from gradyn.report.frames import Frames, MissingError, read
from gradyn.report.style import WIDTHS, Page, layer_ticks, look, styled
from gradyn.report.sweeps.default_figures import swept

COLUMN = "log10_delta_rms"
# Panels, and lines of the film.
_MOST = 6
_COLOURS = "viridis"
_SECONDS_A_FRAME = 0.4


def draw(frames: Frames, page: Page, column: str = COLUMN) -> list[Drawn]:
    """`over_training`: median over seeds of a column over layer (up) and logged step, a panel for each value of one axis.

    Args:
        frames: the folder.
        page: the printed width.
        column: of `layers`.

    Raises:
        ConfigError: the folder's layers have no such column.
        MissingError: layers were logged at one step only.
    """
    axis, values, tables = _tables(frames, column)
    steps = next(iter(tables.values())).columns
    found = np.concatenate([table.to_numpy().ravel() for table in tables.values()])
    finite = found[np.isfinite(found)]
    norm = Normalize(*(np.quantile(finite, (0.0, 1.0)) if len(finite) else (0.0, 1.0)))
    across = min(len(values), 1 if page.is_narrow else 3)
    rows = -(-len(values) // across)
    runs = _runs(frames, axis)
    held = frames.setting(runs, (axis,) if axis else (), "")
    claim = f"While training: {label(column)} by layer and step" + (f", by {axis.replace('_', ' ')}" if axis else "")
    foot = f"Medians over seeds at the logged steps; grey: exactly zero or not finite. {frames.progress}"
    figure, panels = page.sheet(rows, across, height=1.5, title=claim, setting=held, foot=foot, right=0.75, gap=(0.2, 0.36))
    for ax, value in zip(panels.flat, values, strict=False):
        table = tables[value]
        ax.pcolormesh(np.arange(len(steps) + 1), np.arange(len(table) + 1) + 0.5, np.ma.masked_invalid(table.to_numpy()), norm=norm, cmap=_COLOURS)
        ax.set_facecolor("#c8c8c8")
        ax.grid(visible=False)
        ax.set_title(str(value) if axis else "")
        _layers_up(ax, len(table))
        every = max(1, -(-len(steps) // 8))
        ax.set_xticks(np.arange(0, len(steps), every) + 0.5, labels=[str(step) for step in steps[::every]])
    for ax in panels.flat[len(values) :]:
        ax.set_axis_off()
    for ax in panels[-1]:
        ax.set_xlabel("step")
    for ax in panels[:, 0]:
        ax.set_ylabel("layer")
    top, low = panels[0, 0].get_position().y1, panels[-1, 0].get_position().y0
    bar = figure.add_axes((1 - 0.62 / page.width, low, 0.11 / page.width, top - low))
    figure.colorbar(ScalarMappable(norm, _COLOURS), cax=bar).outline.set_visible(False)
    named = [(table, {axis: value} if axis else {}) for value, table in tables.items()]
    points = pd.concat([table.stack(future_stack=True).rename(column).reset_index().assign(**name) for table, name in named])
    return [Drawn("over_training", figure, claim, held, foot, points, (column,))]


def _layers_up(ax: Any, depth: int) -> None:
    """Layers upwards, the input's at the bottom."""
    places = sorted({1, *(round(depth * part) for part in (0.25, 0.5, 0.75)), depth} - {0})
    ax.set_yticks(places, labels=[str(place) for place in places])


def animate(folder: str | Path, column: str = COLUMN) -> Path:
    """Write `<folder>/figures/over_training.gif`: the column by layer, a frame a logged step, a line for each value of one axis.

    Args:
        folder: `results/<name>`.
        column: of `layers`.

    Raises:
        ConfigError: no such folder, no such column, or layers were logged at one step only.
    """
    frames = read(folder)
    try:
        axis, values, tables = _tables(frames, column)
    except MissingError as error:
        require(False, "folder", "hold layers at two steps or more", str(folder), f"{error}")
    steps = next(iter(tables.values())).columns
    path = Path(folder) / "figures" / "over_training.gif"
    path.parent.mkdir(parents=True, exist_ok=True)
    with styled():
        page = Page(WIDTHS["full"])
        title = f"While training: {label(column)}" + (f" by {axis.replace('_', ' ')}" if axis else "")
        figure, panels = page.sheet(1, 1, height=2.6, title=title, setting=frames.setting(_runs(frames, axis), (axis,) if axis else (), ""), right=1.6)
        ax = panels[0, 0]
        finite = pd.concat(tables.values()).to_numpy()
        finite = finite[np.isfinite(finite)]
        lines = []
        for value in values:
            colour, mark = look(axis, value, values) if axis else ("#0072B2", "o")
            lines += ax.plot([], [], color=colour, marker=mark, markevery=max(1, len(tables[value]) // 8), label=str(value))
        if axis:
            ax.legend(loc="upper left", bbox_to_anchor=(1.02, 1.0), title=axis.replace("_", " "), borderaxespad=0.0)
        layer_ticks(ax, max(len(table) for table in tables.values()))
        ax.set_xlim(0.5, max(len(table) for table in tables.values()) + 0.5)
        low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
        ax.set_ylim(low - 0.05 * (high - low) - 0.1, high + 0.05 * (high - low) + 0.1)
        ax.set_xlabel("layer")
        ax.set_ylabel(label(column))
        said = ax.text(1.02, 0.0, "", transform=ax.transAxes, size=9)

        def shown(number: int) -> Sequence[Any]:
            step = steps[number]
            for line, value in zip(lines, values, strict=True):
                table = tables[value]
                line.set_data(table.index, table[step].where(np.isfinite(table[step])))
            said.set_text(f"step {step}")
            return (*lines, said)

        FuncAnimation(figure, shown, frames=len(steps)).save(path, writer=PillowWriter(fps=1 / _SECONDS_A_FRAME), dpi=110)
    return path


def _runs(frames: Frames, axis: str | None) -> pd.DataFrame:
    return frames.baseline((axis,) if axis else (), depth=frames.values("depth")[-1])


def _tables(frames: Frames, column: str) -> tuple[str | None, list[Any], dict[Any, pd.DataFrame]]:
    """The axis with the most to say, its values (six at most), and value -> medians over seeds, layers down and steps across."""
    frames.need("depth")
    there = [name for name in frames.layers.columns if name not in ("run_id", "step", "layer")]
    require(column in there, "show", f"be a column of layers: {', '.join(there)}", column)
    if frames.layers["step"].nunique() < 2:
        raise MissingError(f"{frames.name} has layers at one step only; sweep with steps=50 and log.layers=all.")
    axis = next((name for name in swept(frames) if name != "depth"), None)
    runs = _runs(frames, axis)
    values = [value for value in frames.values(axis) if value in set(runs[axis])][:_MOST] if axis else ["every run"]
    tables = {}
    for value in values:
        some = runs[runs[axis] == value] if axis else runs
        rows = frames.layers[frames.layers["run_id"].isin(some["run_id"])]
        tables[value] = rows.pivot_table(index="layer", columns="step", values=column, aggfunc="median", dropna=False)
    return axis, values, tables
