"""Numeric, symbolic, automatic: the V of a difference over its step, the swell of formulas, and a table of error, cost and size."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames
from gradyn.report.style import GREY, INK, PALE, Page, look

_METHODS = {"forward": "forward difference", "central": "central difference", "complex": "complex step"}
_SIZES = {"derivative": "symbolic, as it stands", "shared": "symbolic, shared", "automatic": "automatic"}
_FAMILIES = {"logistic": "$l_n'$ of the logistic map", "product": "(x + 1) … (x + n)"}
# An error of exactly 0 is drawn here, below half a unit in the last place of the derivative.
_FLOOR = 2e-16


def draw_numeric(frames: Frames, page: Page) -> list[Drawn]:
    """`autodiff_numeric`: V-curves and two swells; `autodiff_numeric_methods`: the table."""
    optima, methods = frames.tables["optima"].set_index("method"), frames.tables["methods"].set_index("method")
    digits = {name: -math.log10(methods.loc[name, "error"]) for name in _METHODS}
    sizes = frames.tables["sizes"]
    last = sizes[sizes["family"] == "logistic"].iloc[-1]
    claim = (
        f"At its best step a forward difference keeps {digits['forward']:.0f} digits, a central one {digits['central']:.0f}; automatic differentiation keeps "
        f"them all, with {last['automatic']} operations where the formula has {last['derivative']:,}."
    )
    setting = (
        f"First: l_4(x) = 64x(1 − x)(1 − 2x)²(1 − 8x + 8x²)² at x = {frames.settings['x']:g}, float64. Others: operations of the derivative, by sympy's count."
    )
    foot = (
        "First, dashed: |f''| h/2 + 2ε|f|/h and |f'''| h²/6 + ε|f|/h, for the complex step |f'''| h²/6 + ε|f'|; their lowest points are dotted, at log10 h = "
        f"{optima.loc['forward', 'predicted']:.2f} and {optima.loc['central', 'predicted']:.2f} (near ε^½ and ε^⅓), and diamonds are where the fitted arms "
        f"say: {optima.loc['forward', 'log10_h']:.2f} and {optima.loc['central', 'log10_h']:.2f}. An exact hit stands at the lower edge. Shared: every common "
        "subexpression once."
    )
    foot = foot.replace("-", "−")
    rows, columns = (3, 1) if page.is_narrow else (1, 3)
    gap = (0.62, 0.72) if page.is_narrow else (0.56, 0.3)
    figure, axes = page.sheet(rows, columns, height=2.0, title=claim, setting=setting, foot=foot, legend=0.12, gap=gap, share=(False, False), left=0.56)
    panels = axes.ravel()
    _curves(panels[0], frames)
    for ax, family in zip(panels[1:], _FAMILIES, strict=True):
        _swell(ax, frames, family)
    tables = {f"autodiff_numeric_{name}": frames.tables[name] for name in ("fits", "optima", "sizes")}
    return [Drawn("autodiff_numeric", figure, claim, setting, foot, frames.tables["errors"], (), tables), _table(frames, page)]


def _curves(ax: Axes, frames: Frames) -> None:
    errors, optima = frames.tables["errors"], frames.tables["optima"].set_index("method")
    keys = []
    for name, text in _METHODS.items():
        rows = errors[errors["method"] == name]
        colour, mark = look("method", name, list(_METHODS))
        ax.plot(rows["h"], np.maximum(rows["error"], _FLOOR), linestyle="", marker=mark, markersize=1.7, color=colour, alpha=0.75, markeredgewidth=0)
        ax.plot(rows["h"], rows["asymptotes"], linestyle="--", linewidth=0.9, color=INK, dashes=(4, 3), zorder=4)
        if name in optima.index:
            ax.axvline(10 ** optima.loc[name, "predicted"], color=colour, linestyle=":", linewidth=0.9, zorder=1)
            h = 10 ** optima.loc[name, "log10_h"]
            height = float(np.interp(np.log(h), np.log(rows["h"]), np.log(rows["asymptotes"])))
            ax.plot(h, math.exp(height), "D", color=colour, markersize=4.5, markeredgecolor="white", markeredgewidth=0.6, zorder=6)
        keys.append(Line2D([], [], color=colour, marker=mark, linestyle="", label=text.replace(" difference", "").replace(" step", "")))
    _logarithmic(ax)
    ax.set_xlim(errors["h"].min() / 2, errors["h"].max() * 2)
    ax.set_ylim(_FLOOR / 2, 1e3)
    ax.set_xlabel("step h [unit of x]")
    ax.set_ylabel("error of f' [unit of f']")
    ax.legend(handles=keys, loc="lower left", bbox_to_anchor=(-0.04, 1.0), ncols=3, borderaxespad=0.0, fontsize=6.2, handletextpad=0.0, columnspacing=0.7)


def _swell(ax: Axes, frames: Frames, family: str) -> None:
    rows = frames.tables["sizes"].query("family == @family")
    for name, text in _SIZES.items():
        colour, mark = look("size", name, list(_SIZES))
        ax.plot(rows["level"], rows[name], label=text, color=colour, marker=mark, markeredgecolor="white", markeredgewidth=0.35)
    x = rows["level"].to_numpy(dtype=float)
    if family == "product":
        ax.plot(x[x > 2], (2 * x**2 - 2 * x - 1)[x > 2], linestyle="--", color=INK, linewidth=0.8, dashes=(4, 3), zorder=4)
    ax.plot(x, 7 * (x - 1) if family == "logistic" else 4 * x - 3, linestyle="--", color=INK, linewidth=0.8, dashes=(4, 3), zorder=4)
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(numticks=6))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylim(1, rows["derivative"].max() * 4)
    ax.set_xticks([level for level in rows["level"] if family == "logistic" or level % 4 == 0 or len(rows) < 5])
    if family == "logistic":
        ax.legend(loc="upper left", fontsize=6.2, borderaxespad=0.1, handlelength=1.2)
    ax.set_title(_FAMILIES[family])
    ax.set_xlabel("level n" if family == "logistic" else "factors n")
    ax.set_ylabel("operations")


def _logarithmic(ax: Axes) -> None:
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis, ticks in ((ax.xaxis, 5), (ax.yaxis, 7)):
        axis.set_major_locator(LogLocator(numticks=ticks))
        axis.set_minor_locator(NullLocator())


def _table(frames: Frames, page: Page) -> Drawn:
    methods = frames.tables["methods"]
    claim = "Automatic differentiation is as exact as the formula and no larger than a difference."
    setting = f"The derivative of l_4 at x = {frames.settings['x']:g}, float64."
    foot = "Evaluations for the gradient of n inputs. Operations for one derivative of l_4, by count; all but the symbolic way compute l_4 with it."
    figure, axes = page.sheet(1, 1, height=0.19 * (len(methods) + 1), title=claim, setting=setting, foot=foot, bottom=0.08, left=0.14)
    ax = axes[0, 0]
    ax.set_axis_off()
    places = (0.0, 0.37, 0.54, 0.57, 1.0) if page.is_narrow else (0.0, 0.3, 0.46, 0.55, 1.0)
    heads = ("method", "relative error", "at step", "evaluations", "operations")
    sides = ("left", "right", "right", "left", "right")
    lines: list[tuple[Any, ...]] = [heads]
    for row in methods.itertuples():
        step = "" if math.isnan(row.step) else f"{row.step:.0e}"
        lines.append((row.method, "0" if row.error == 0 else f"{row.error:.0e}", step, row.evaluations, f"{row.operations}"))
    for number, line in enumerate(lines):
        y = 1 - (number + 0.5) / len(lines)
        for x, text, side in zip(places, line, sides, strict=True):
            ax.text(x, y, text, transform=ax.transAxes, size=6.2 if page.is_narrow else 7.0, color=INK if number else GREY, ha=side, va="center")
    ax.plot([0, 1], [1 - 1 / len(lines)] * 2, transform=ax.transAxes, color=PALE, linewidth=0.6)
    return Drawn("autodiff_numeric_methods", figure, claim, setting, foot, methods)
