"""Figures that any sweep gets without code: curves by layer, maps of the three numbers, and training, over the axes that vary."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradyn.core import require
from gradyn.report.figure import Drawn, label
from gradyn.report.frames import Frames, MissingError, seed_words
from gradyn.report.rates import mean_of_logs, rates
from gradyn.report.style import RATE_MAP, Page, diverging, layer_ticks, line_key, look, seed_lines
from gradyn.report.sweeps.maps import heat_map

_QUANTITIES = ("log10_delta_rms", "log10_act_rms", "log10_grad_w_l2")
NUMBERS = ("backward_rate", "forward_rate", "level")
# What a page can hold: lines in a panel, rows of panels, pairs of axes.
_LINES, _ROWS, _PAIRS = 8, 6, 6
# Larger maps show colours alone.
_CELLS = 12
_NO_AXIS = "every run"
_OF_UPDATES = {"clip", "optimizer", "learning_rate", "steps"}


def swept(frames: Frames) -> list[str]:
    """The axes that vary in the folder, seeds aside; those with the most to say first."""
    first = ("depth", "activation", "init", "norm", "residual", "clip")
    found = [axis for axis in frames.axes if axis not in ("seed", "data.seed") and frames.is_swept(axis)]
    return sorted(found, key=lambda axis: first.index(axis) if axis in first else len(first))


def pairs(frames: Frames, axes: Sequence[str] | None = None) -> tuple[list[tuple[str, ...]], int]:
    """Which axes are drawn together, and how many such pairs there are.

    Every two of the axes, six pairs at most unless the axes are given; the one axis, or none, where there are fewer.

    Args:
        frames: the folder.
        axes: which; None: all that vary.

    Raises:
        ConfigError: an axis does not vary in the folder.
    """
    there = swept(frames)
    for axis in axes or ():
        require(axis in there, "axes", f"be among those that vary, {', '.join(there) or 'of which there are none'}", axis)
    chosen = list(axes) if axes else there
    found: list[tuple[str, ...]] = list(itertools.combinations(chosen, 2)) if len(chosen) > 1 else [tuple(chosen)]
    return (found if axes else found[:_PAIRS]), len(found)


def draw_defaults_of(frames: Frames, page: Page, axes: Sequence[str] | None = None) -> list[Drawn]:
    """Curves and maps of the `pairs` of axes, then loss and accuracy where something was trained.

    Raises:
        ConfigError: an axis does not vary in the folder.
        MissingError: the folder has no finished run.
    """
    frames.need("depth")
    found = []
    for together in pairs(frames, axes)[0]:
        for one in (_curves, _maps) if len(together) == 2 else (_curves,):
            found += one(frames, page, together)
    return found + _training(frames, page)


def _curves(frames: Frames, page: Page, axes: tuple[str, ...]) -> list[Drawn]:
    """One column of panels a quantity, one row a value of the second axis, one line a value of the first."""
    # More values are seen as lines than as rows of panels; of as many, the first axis has the lines.
    line, row = (*sorted(axes, key=lambda axis: -len(frames.values(axis))), None, None)[:2]
    runs, step = frames.baseline(axes), _step(frames, axes)
    lines, rows = _some(_there(frames, runs, line), _LINES), _some(_there(frames, runs, row), _ROWS)
    table = frames.at_start(runs, _QUANTITIES) if step is None else frames.layers[frames.layers["step"] == step]
    held = frames.setting(runs, axes, *([] if step is None else [f"at step {step}"]))
    claim = f"By layer: {' and '.join(axes)}" if axes else "By layer"
    foot = f"{seed_words(runs['seed'].nunique())} Not finite or exactly zero: no line. {_left_out(frames, runs, line, lines, row, rows)}{frames.progress}"
    figure, panels = page.sheet(
        len(rows),
        len(_QUANTITIES),
        height=1.25,
        title=claim,
        setting=held,
        foot=foot,
        legend=0.32 if line else 0.0,
        left=0.62,
        gap=(0.5, 0.3),
        share=(True, "col"),
    )
    points = []
    for i, at in enumerate(rows):
        for value in lines:
            group = _only(_only(runs, row, at), line, value)
            # Nets of several depths have no common layers: each depth is a line of its own.
            for _, same in group.groupby("depth"):
                for j, quantity in enumerate(_QUANTITIES):
                    layers, y = frames.stacked(same, quantity, table)
                    colour, mark = look(line, value, lines) if line else ("#0072B2", "o")
                    seed_lines(panels[i, j], layers, y, colour, mark)
                    names = {axis: what for axis, what in ((line, value), (row, at)) if axis}
                    with np.errstate(all="ignore"):
                        middle = np.nanmedian(np.where(np.isnan(y).all(axis=0), 0.0, y), axis=0)
                    middle[np.isnan(y).all(axis=0)] = math.nan
                    points.append(pd.DataFrame({**names, "depth": same["depth"].iloc[0], "quantity": quantity, "layer": layers, "median": middle}))
        for j, quantity in enumerate(_QUANTITIES):
            panels[i, j].set_title((f"{_plain(row)} {_word(at)}" if row and j == 0 else "") + ("" if row and j == 0 else label(quantity)) or label(quantity))
            panels[i, j].set_ylabel(label(quantity) if j == 0 else "")
            layer_ticks(panels[i, j], int(runs["depth"].max()))
            if i == len(rows) - 1:
                panels[i, j].set_xlabel("layer")
    if line:
        page.legend(figure, line_key(line, lines), columns=min(len(lines), 8), title=_plain(line))
    return [Drawn("_".join(["by_layer", *map(_stem, axes)]), figure, claim, held, foot, pd.concat(points, ignore_index=True), _QUANTITIES)]


def _maps(frames: Frames, page: Page, axes: tuple[str, ...]) -> list[Drawn]:
    """The three numbers over two axes, mean over seeds."""
    runs = frames.baseline(axes)
    # More values go down the page.
    across, down = sorted(axes, key=lambda axis: len(_there(frames, runs, axis)))
    step = _step(frames, axes)
    table = rates(frames, runs, step)
    columns, rows = _there(frames, runs, across), _there(frames, runs, down)
    held = frames.setting(runs, axes, *([] if step is None else [f"at step {step}"]))
    claim = f"Backward rate, forward rate and level over {down} and {across}"
    foot = f"Means over seeds of slopes of logarithms; below 0 (blue) shrinks, above 0 (orange) grows. zero: exactly zero; inf: no number. {frames.progress}"
    figure, panels = page.sheet(1, 3, height=max(0.19 * min(len(rows), 30), 0.5), title=claim, setting=held, foot=foot, left=0.85, bottom=0.62, gap=(0.12, 0.3))
    points = []
    for ax, number in zip(panels.ravel(), NUMBERS, strict=True):
        grid = table.groupby([down, across], observed=True)[number].agg(mean_of_logs).unstack().reindex(index=rows, columns=columns)
        scale = table[list(NUMBERS[:2])].to_numpy() if number != "level" else grid.to_numpy()
        shown = grid.set_axis([_word(v) for v in rows], axis=0).set_axis([_word(v) for v in columns], axis=1)
        words = pd.DataFrame("", index=shown.index, columns=shown.columns) if len(columns) > 6 or len(rows) > 2 * _CELLS else None
        heat_map(ax, shown, diverging(scale), digits=2 if number != "level" else 1, words=words, colours=RATE_MAP)
        for ticks, names in ((ax.set_xticks, columns), (ax.set_yticks, rows)):
            step = math.ceil(len(names) / _CELLS)
            ticks(np.arange(0, len(names), step) + 0.5, labels=[_word(v) for v in names[::step]])
        ax.set_title(label(number))
        ax.set_xlabel(_plain(across))
        points.append(grid.stack(future_stack=True).rename("value").reset_index().assign(quantity=number))
    panels[0, 0].set_ylabel(_plain(down))
    return [Drawn("_".join(["map", *map(_stem, axes)]), figure, claim, held, foot, pd.concat(points, ignore_index=True), NUMBERS)]


def _training(frames: Frames, page: Page) -> list[Drawn]:
    """Loss and accuracy over steps, one row of panels an axis; nothing where fewer than two steps were logged."""
    columns = [name for name in ("loss", "accuracy") if name in frames.steps and frames.steps[name].notna().any()]
    if not columns or frames.steps["step"].nunique() < 2:
        return []
    axes: list[str | None] = [*swept(frames)[:4]] or [None]
    # What every row holds, then what each row holds of the axes of the others.
    bases = {axis: frames.baseline((axis,)) for axis in axes if axis}
    held = frames.setting(next(iter(bases.values()), frames.runs), swept(frames), "")
    others = {
        axis: [f"{_plain(other)} {_word(runs[other].iloc[0])}" for other in bases if other != axis and runs[other].nunique() == 1]
        for axis, runs in bases.items()
    }
    held += "".join(f" By {_plain(axis)}: {', '.join(words)}." for axis, words in others.items() if words)
    foot = f"Medians over seeds. {frames.progress}"
    figure, panels = page.sheet(
        len(axes),
        len(columns),
        height=1.35,
        title="Loss and accuracy while training",
        setting=held,
        foot=foot,
        left=0.62,
        right=1.3,
        gap=(0.5, 0.36),
        share=(False, False),
    )
    points = []
    for i, axis in enumerate(axes):
        runs = frames.baseline((axis,) if axis else ())
        values = _some(_there(frames, runs, axis), _LINES)
        for value in values:
            group = _only(runs, axis, value)
            steps = frames.steps[frames.steps["run_id"].isin(group["run_id"])].groupby("step")[columns].median()
            colour, mark = look(axis, value, values) if axis else ("#0072B2", "o")
            for j, name in enumerate(columns):
                seed_lines(panels[i, j], steps.index.to_numpy(), steps[name].to_numpy(dtype=float)[None], colour, mark)
                panels[i, j].set_ylabel(label(name))
                panels[i, j].set_xlabel("step")
                panels[i, j].xaxis.get_major_locator().set_params(integer=True)
            points.append(steps.reset_index().assign(axis=axis or "", value=_word(value)))
        if axis:
            panels[i, -1].legend(handles=line_key(axis, values), loc="upper left", bbox_to_anchor=(1.02, 1.05), title=_plain(axis), borderaxespad=0.0)
    return [Drawn("training", figure, "Loss and accuracy while training", held, foot, pd.concat(points, ignore_index=True), tuple(columns))]


def _step(frames: Frames, axes: tuple[str, ...]) -> int | None:
    # What only acts on updates changes nothing at initialization: with such an axis the last logged step is drawn.
    return int(frames.layers["step"].max()) if _OF_UPDATES & {axis.split(".")[0] for axis in axes} else None


def _there(frames: Frames, runs: pd.DataFrame, axis: str | None) -> list[Any]:
    if axis is None:
        return [_NO_AXIS]
    values = set(runs[axis].dropna())
    found = [value for value in frames.values(axis) if value in values]
    if not found:
        raise MissingError(f"{frames.name} has no value of {axis!r} among the runs drawn.")
    return found


def _only(runs: pd.DataFrame, axis: str | None, value: Any) -> pd.DataFrame:
    return runs if axis is None else runs[runs[axis] == value]


def _some(values: Sequence[Any], most: int) -> list[Any]:
    # Evenly spaced by rank, both ends among them.
    if len(values) <= most:
        return list(values)
    return [values[i] for i in np.linspace(0, len(values) - 1, most).round().astype(int)]


def _left_out(frames: Frames, runs: pd.DataFrame, line: str | None, lines: list[Any], row: str | None, rows: list[Any]) -> str:
    parts = [
        f"{len(shown)} of {len(all_)} values of {axis}" for axis, shown in ((line, lines), (row, rows)) if len(all_ := _there(frames, runs, axis)) > len(shown)
    ]
    return f"Drawn: {' and '.join(parts)}. " if parts else ""


def _word(value: Any) -> str:
    # Dollars would begin mathematics in a label.
    return (f"{value:.4g}" if isinstance(value, (float, np.floating)) else str(value)).replace("$", r"\$")


def _plain(axis: str | None) -> str:
    return str(axis).replace("_", " ")


def _stem(axis: str) -> str:
    return "".join(letter if letter.isalnum() else "_" for letter in axis)
