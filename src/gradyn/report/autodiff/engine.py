"""What the value engine does: the boundary that its net draws between two moons, the loss, and what a second backward pass leaves."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgb
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames
from gradyn.report.style import GREY, INK, Page, look

_ENGINES = {"fifty": "usual fifty lines", "value": "Value"}
_CLASSES = [look("class", name, ["lower", "upper"])[0] for name in ("lower", "upper")]
# Pale, so that the points stand out; by mixing with white and not by transparency, which shows seams between the levels.
_PLANE = LinearSegmentedColormap.from_list("classes", [0.45 * np.array(to_rgb(_CLASSES[0])) + 0.55, "#ffffff", 0.45 * np.array(to_rgb(_CLASSES[1])) + 0.55])


def draw_engine(frames: Frames, page: Page) -> list[Drawn]:
    """`autodiff_engine`: three panels from the tables of the measurement; the faults of the fifty lines are a table beside."""
    tables, settings = frames.tables, frames.settings
    held_out = tables["points"][tables["points"]["is_held_out"]]
    accuracy = float(((held_out["output"] > 0) == (held_out["label"] == 1)).mean())
    sizes = [2, *settings["hidden"], 1]
    parameters = sum((fan_in + 1) * fan_out for fan_in, fan_out in pairwise(sizes))
    claim = f"A net of scalars tells two moons apart: {accuracy:.1%} of {len(held_out):,} points that it has not seen."
    setting = (
        f"{parameters} parameters ({'-'.join(map(str, sizes))}, tanh), {settings['samples']} samples, "
        f"{settings['steps']} steps of {settings['batch_size']}, rate {settings['rate']:g} falling to 0."
    )
    expressions = tables["apart"]
    foot = (
        "First: the samples trained on; colour: the net's probability, dashed: one half. Second: the batch's loss (thin), mean of 20 steps (thick). "
        "Third: dL/dx of a chain y = y * 1, where two passes make 2. "
        f"On {len(expressions):,} random expressions Value and torch differ by {expressions['relative'].max():.0e} at most, relative to max(1, |gradient|)."
    )
    rows, columns = (3, 1) if page.is_narrow else (1, 3)
    height = 1.6 if page.is_narrow else 1.8
    figure, axes = page.sheet(rows, columns, height=height, title=claim, setting=setting, foot=foot, gap=(0.5, 0.56), share=(False, False))
    _moons(axes.ravel()[0], tables["plane"], tables["points"][~tables["points"]["is_held_out"]])
    _loss(axes.ravel()[1], tables["training"])
    _twice(axes.ravel()[2], tables["twice"])
    apart = {f"autodiff_engine_{name}": tables[name] for name in ("plane", "training", "twice", "faults")}
    return [Drawn("autodiff_engine", figure, claim, setting, foot, tables["points"], (), apart)]


def _moons(ax: Axes, plane: pd.DataFrame, points: pd.DataFrame) -> None:
    grid = plane.pivot(index="y", columns="x", values="output")
    # Clipped far beyond what the colours can show: the exponential must not overflow.
    probability = 1 / (1 + np.exp(-grid.to_numpy().clip(-50, 50)))
    ax.contourf(grid.columns, grid.index, probability, levels=np.linspace(0, 1, 21), cmap=_PLANE)
    ax.contour(grid.columns, grid.index, probability, levels=[0.5], colors=INK, linestyles="--", linewidths=0.9)
    for label, mark in ((0, "o"), (1, "s")):
        one = points[points["label"] == label]
        ax.plot(one["x"], one["y"], linestyle="none", marker=mark, markersize=2.6, color=_CLASSES[label], markeredgecolor="white", markeredgewidth=0.3)
    ax.grid(False)
    ax.set_xlabel("$x_1$ [dimensionless]")
    ax.set_ylabel("$x_2$ [dimensionless]")


def _loss(ax: Axes, training: pd.DataFrame) -> None:
    colour = look("engine", "value", list(_ENGINES))[0]
    ax.plot(training["step"], training["loss"], color=colour, linewidth=0.5, alpha=0.55)
    ax.plot(training["step"], training["loss"].rolling(20, center=True, min_periods=5).mean(), color=colour)
    ax.set_yscale("log")
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("step")
    ax.set_ylabel("loss of the batch [nats]")


def _twice(ax: Axes, twice: pd.DataFrame) -> None:
    for name, words in _ENGINES.items():
        colour, mark = look("engine", name, list(_ENGINES))
        ax.plot(twice["length"], twice[name], color=colour, marker=mark)
        above = twice[name].iloc[-1]
        ax.annotate(words, (twice["length"].iloc[-1], above), (-4, 5), textcoords="offset points", ha="right", size=6.5, color=colour)
    ax.axhline(2, color=GREY, linestyle="--", linewidth=0.9, zorder=1)
    ax.set_xscale("log", base=2)
    ax.xaxis.set_major_locator(FixedLocator(twice["length"].tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([str(length) for length in twice["length"]])
    ax.set_ylim(0, None)
    ax.yaxis.set_major_locator(MaxNLocator(6, integer=True))
    ax.set_xlabel("operations between x and the output")
    ax.set_ylabel("dL/dx after two backward passes")
