"""Theory over measurement: panels of curves, each with its points, its prediction and the formula that it rejects.

    Curve("tanh", layer, measured, error, theory=predicted)                    points with error bars on a dashed line
    Curve("width 64", k, share, theory=binomial, is_bars=True)                 a histogram with its law
    overlay(page, "sigmoid_vanishing", claim, setting, text, [Panel(...), Panel(...)])

Measurement solid or marked, theory dashed; one colour a curve in every panel that names it. Rivals dotted, in grey; several of a panel in the
colours of their curves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import ArrayLike

from gradyn.report.figure import Drawn
from gradyn.report.style import GREY, INK, Page, look

# Inches of a panel; of what stands below one; of a letter of a name written at an angle below its tick.
_HEIGHT, _BELOW, _LETTER = 2.0, 0.42, 0.022
# From this many letters on, names of ticks are written at an angle.
_LONG_NAME = 7
# Of log axes below this span ticks within a decade have numbers too.
_FEW_DECADES = 100
# Keys in one column of a legend.
_ONE_COLUMN = 6


@dataclass(frozen=True)
class Curve:
    """One parameter value's measurement and prediction.

    Args:
        label: in the legend.
        x: places of the measurement.
        measured: at x; None where only theory is drawn.
        error: standard error of `measured`, drawn as one bar to each side; None for none.
        theory: the prediction at `theory_x`; None for none.
        theory_x: its places; x where left out.
        rival: another formula's number at `theory_x`, drawn dotted; None for none.
        value: (axis, value) that names its colour and mark as in every figure; by its place in the panel where left out.
        is_bars: whether the measurement is drawn as bars (a histogram).
        is_joined: whether the measured points are joined.
    """

    label: str
    x: ArrayLike
    measured: ArrayLike | None = None
    error: ArrayLike | None = None
    theory: ArrayLike | None = None
    theory_x: ArrayLike | None = None
    rival: ArrayLike | None = None
    value: tuple[str, object] | None = None
    is_bars: bool = False
    is_joined: bool = False


@dataclass(frozen=True)
class Panel:
    """One pair of axes.

    Args:
        title: what it shows, a few words.
        xlabel: with unit.
        ylabel: with unit.
        curves: in order of the legend.
        xscale: linear, log, symlog.
        yscale: the same.
        rival: what the dotted lines are, for the legend; empty for none.
        ticks: places on x with their names, for categories; numbers where left out.
        limits: of y; as they come where left out.
    """

    title: str
    xlabel: str
    ylabel: str
    curves: Sequence[Curve]
    xscale: str = "linear"
    yscale: str = "linear"
    rival: str = ""
    ticks: Sequence[tuple[float, str]] = field(default_factory=tuple)
    limits: tuple[float, float] | None = None


def overlay(
    page: Page,
    stem: str,
    claim: str,
    setting: str,
    text: str,
    panels: Sequence[Panel],
    *,
    columns: int | None = None,
    height: float = _HEIGHT,
    measured_columns: tuple[str, ...] = (),
    tables: dict[str, pd.DataFrame] | None = None,
) -> Drawn:
    """A figure of panels side by side (below each other in a column), with the points of all of them as one table.

    Args:
        page: the printed width.
        stem: name of the files.
        claim: one sentence, the title.
        setting: what is held fixed.
        text: what is drawn, how to read it, and the source; ends up below the panels and in the caption.
        panels: in reading order.
        columns: panels a row at full width; all, up to three, where left out.
        height: of a panel, inches.
        measured_columns: names of the store's columns shown, for the caption.
        tables: further tables to leave beside the picture.
    """
    across = 1 if page.is_narrow else columns or min(len(panels), 3)
    rows = math.ceil(len(panels) / across)
    foot = f"{_reading(panels)} {text}"
    names = max((len(name) for panel in panels for _, name in panel.ticks), default=0)
    below = _BELOW + (_LETTER * names if names >= _LONG_NAME else 0.0)
    figure, axes = page.sheet(
        rows, across, height=height, title=claim, setting=setting, foot=foot, gap=(0.62, below + 0.2), left=0.55, bottom=below, share=(False, False)
    )
    for ax, panel in zip(axes.flat, panels, strict=False):
        _draw(ax, panel)
    for ax in axes.flat[len(panels) :]:
        ax.set_axis_off()
    points = pd.concat([_points(panel) for panel in panels], ignore_index=True)
    return Drawn(stem, figure, claim, setting, foot, points, measured_columns, tables or {})


def _reading(panels: Sequence[Panel]) -> str:
    """What points, bars, dashes and dots are, as far as they occur."""
    curves = [curve for panel in panels for curve in panel.curves if curve.measured is not None]
    kinds = [name for name, occurs in (("points", any(not c.is_bars for c in curves)), ("bars", any(c.is_bars for c in curves))) if occurs]
    error = ", with one standard error" if any(curve.error is not None for curve in curves) else ""
    parts = [f"{' and '.join(kinds).capitalize()}: measured{error}"] if kinds else []
    parts += ["dashed: theory"] if any(curve.theory is not None for panel in panels for curve in panel.curves) else []
    rivals = list(dict.fromkeys(panel.rival for panel in panels if panel.rival))
    parts += [f"dotted: {', '.join(rivals)}"] if rivals else []
    return "; ".join(parts) + "."


def _draw(ax: Axes, panel: Panel) -> None:
    ax.set_xscale(panel.xscale)
    ax.set_yscale(panel.yscale)
    keys = []
    labels = [curve.label for curve in panel.curves]
    # The same line for several curves is one, and no curve's own.
    is_one_rival = len({tuple(np.ravel(curve.rival)) for curve in panel.curves if curve.rival is not None}) == 1
    for place, curve in enumerate(panel.curves):
        colour, mark = look(*curve.value, [curve.value[1]]) if curve.value else look("", curve.label, labels)
        x = np.asarray(curve.x, dtype=float)
        theory_x = x if curve.theory_x is None else np.asarray(curve.theory_x, dtype=float)
        if curve.is_bars and curve.measured is not None:
            wide = (np.diff(np.sort(x)).min() if len(x) > 1 else 1.0) * 0.8 / len(panel.curves)
            ax.bar(x + (place - (len(panel.curves) - 1) / 2) * wide, np.asarray(curve.measured, dtype=float), wide, color=colour, alpha=0.55, zorder=2)
        elif curve.measured is not None:
            _points_on(ax, curve, x, colour, mark)
        # Drawn over its points: where both agree, the dashes are what shows that there is a theory at all.
        for values, style in (
            (curve.rival, {"color": GREY if is_one_rival else colour, "linestyle": ":", "linewidth": 1.0}),
            (curve.theory, {"color": _dark(colour, curve), "linestyle": "--", "linewidth": 1.0}),
        ):
            if values is not None:
                flat = np.broadcast_to(np.asarray(values, dtype=float), theory_x.shape)
                if len(theory_x) == 1:
                    # One place: a short level stroke instead of a line of no length.
                    ax.plot(theory_x[0] + np.array([-0.35, 0.35]), flat.repeat(2), zorder=4, **style)
                else:
                    ax.plot(theory_x, flat, zorder=4, **style)
        if curve.label:
            keys.append(Line2D([], [], color=colour, marker=mark, linestyle="-" if curve.is_joined else "none", markersize=3.2, label=curve.label))
    if len(keys) > 1:
        ax.legend(handles=keys, fontsize=6, loc="best", handlelength=1.2, ncols=2 if len(keys) > _ONE_COLUMN else 1)
    if panel.ticks:
        ax.set_xticks([place for place, _ in panel.ticks], labels=[name for _, name in panel.ticks])
        ax.set_xlim(min(place for place, _ in panel.ticks) - 0.6, max(place for place, _ in panel.ticks) + 0.6)
        if max(len(name) for _, name in panel.ticks) >= _LONG_NAME:
            for tick in ax.get_xticklabels():
                tick.set(rotation=35, rotation_mode="anchor", horizontalalignment="right")
    elif panel.xscale == "linear" and all(float(x).is_integer() for curve in panel.curves for x in np.ravel(curve.x)):
        ax.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if panel.limits is not None:
        ax.set_ylim(*panel.limits)
    for axis, scale, (low, high) in ((ax.xaxis, panel.xscale, ax.get_xlim()), (ax.yaxis, panel.yscale, ax.get_ylim())):
        if scale == "log" and high < _FEW_DECADES * low:
            _number_short(axis)
    ax.set_title(panel.title)
    ax.set_xlabel(panel.xlabel)
    ax.set_ylabel(panel.ylabel)


def _number_short(axis: Axis) -> None:
    """Ticks at 1, 2 and 5 of a decade as plain numbers: 2 x 10^-2 and the like would push the axis' label off the page."""
    axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _points_on(ax: Axes, curve: Curve, x: np.ndarray, colour: object, mark: str) -> None:
    y = np.asarray(curve.measured, dtype=float)
    error = None if curve.error is None else np.asarray(curve.error, dtype=float)
    ax.errorbar(
        x,
        y,
        yerr=error,
        color=colour,
        fmt=mark,
        linestyle="-" if curve.is_joined else "none",
        linewidth=0.8,
        markersize=3.4,
        markeredgecolor="white" if mark not in ("", "x", "+") else colour,
        markeredgewidth=0.35,
        elinewidth=0.8,
        zorder=3,
    )


def _dark(colour: object, curve: Curve) -> object:
    # A dashed line in the colour of its bars would vanish in them.
    return INK if curve.is_bars else colour


def _points(panel: Panel) -> pd.DataFrame:
    """Every place of a panel's curves, one row each; measurement and theory share a row where they share a place."""
    parts = []
    for curve in panel.curves:
        x = np.asarray(curve.x, dtype=float)
        measured = pd.DataFrame({"x": x})
        for name, values in (("measured", curve.measured), ("standard_error", curve.error)):
            measured[name] = np.nan if values is None else np.asarray(values, dtype=float)
        places = x if curve.theory_x is None else np.asarray(curve.theory_x, dtype=float)
        said = pd.DataFrame({"x": places})
        for name, values in (("theory", curve.theory), ("rival", curve.rival)):
            said[name] = np.nan if values is None else np.broadcast_to(np.asarray(values, dtype=float), places.shape)
        parts.append(measured.merge(said, on="x", how="outer").assign(panel=panel.title, curve=curve.label))
    return pd.concat(parts, ignore_index=True)[["panel", "curve", "x", "measured", "standard_error", "theory", "rival"]]
