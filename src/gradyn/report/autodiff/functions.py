"""What gradcheck sees: the relative error over the step for four backwards, and the table of what ReLUs answer at their kink."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames
from gradyn.report.style import GREY, INK, Page, look

_CASES = {
    "right": "right: tanh",
    "wrong factor": "wrong factor: 2 tanh′",
    "kink": "kink: relu",
    "float32": "float32: tanh",
}
# gradcheck's step and its relative tolerance.
_EPS, _RTOL = 1e-6, 1e-3
_FLOOR = 1e-13
_PLACES = {"-1.0": "−1", "-0.0": "−0", "0.0": "0", "1.0": "1", "inf": "∞", "-inf": "−∞", "nan": "NaN"}
# Gradients 0, 1 and NaN, pale enough for the number in them.
_ANSWERS = ListedColormap(["#F7F4EF", "#9CC9DE", "#F0A58A"])


def draw_functions(frames: Frames, page: Page) -> list[Drawn]:
    """`autodiff_functions`: two panels from the tables of the measurement; the causes that were named are a table beside."""
    steps, table, named, settings = frames.tables["steps"], frames.tables["subgradients"], frames.tables["named"], frames.settings
    hits = int((named["cause"] == named["named"]).sum())
    claim = "Each fault has its own shape over the step; at its kink each ReLU has its own answer."
    wrongs = named["cause"].nunique() - 1
    setting = (
        f"First: tanh at {settings['place']:g}, and a ReLU at {settings['distance']:g} from its kink. "
        f"Second: gradient for a cotangent of 1. {hits} of {len(named)} drawn backwards, wrong in {wrongs} ways or right, are named rightly."
    )
    foot = (
        "First: |analytic − numeric| over the larger of the two, by central differences. Dashed: theory, h² |f‴| / 6|f′| plus the largest "
        "rounding, ½, and (1 − d/h)/2 for a kink at distance d. Exactly 0 stands at the lower edge. Grey cross: step and tolerance of torch's gradcheck."
    )
    rows, columns = (2, 1) if page.is_narrow else (1, 2)
    gap = (1.42, 0.2) if page.is_narrow else (1.42, 0.3)
    figure, axes = page.sheet(
        rows, columns, height=1.8, title=claim, setting=setting, foot=foot, legend=0.36 if page.is_narrow else 0.2, gap=gap, share=(False, False)
    )
    _errors(axes.ravel()[0], steps)
    wide = _answers(axes.ravel()[1], table)
    if page.is_narrow:
        # The names of the four ways need room that the curves don't.
        box = axes.ravel()[1].get_position()
        left = 1.42 / page.width
        axes.ravel()[1].set_position((left, box.y0, box.x1 - left, box.height * 0.8))
    keys = [
        Line2D([], [], color=look("case", name, list(_CASES))[0], marker=look("case", name, list(_CASES))[1], label=words) for name, words in _CASES.items()
    ]
    page.legend(figure, keys, columns=2 if page.is_narrow else 4)
    tables = {"autodiff_functions_subgradients": wide, "autodiff_functions_named": pd.crosstab(named["cause"], named["named"]).reset_index()}
    return [Drawn("autodiff_functions", figure, claim, setting, foot, steps, (), tables)]


def _errors(ax: Axes, steps: pd.DataFrame) -> None:
    for name in _CASES:
        case = steps[(steps["case"] == name) & (steps["step"] > 5e-10)]
        colour, mark = look("case", name, list(_CASES))
        ax.plot(case["step"], case["predicted"], color=colour, linestyle="--", linewidth=0.8, zorder=2)
        ax.plot(case["step"], np.maximum(case["error"], _FLOOR), color=colour, marker=mark, markeredgecolor="white", markeredgewidth=0.35, zorder=3)
    ax.plot([_EPS], [_RTOL], color=GREY, marker="+", markersize=9, markeredgewidth=1.2, zorder=4)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(3e-10, 2e-2)
    ax.set_ylim(_FLOOR / 2, 5)
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(numticks=8))
        axis.set_minor_locator(NullLocator())
    ax.set_xlabel("step h [dimensionless]")
    ax.set_ylabel("relative error")


def _answers(ax: Axes, table: pd.DataFrame) -> pd.DataFrame:
    ways = list(dict.fromkeys(table["way"]))
    wide = table.pivot(index="way", columns="place", values="gradient").reindex(index=ways, columns=list(_PLACES))
    kinds = np.where(np.isnan(wide), 2, wide)
    ax.imshow(kinds, cmap=_ANSWERS, vmin=0, vmax=2, aspect="auto")
    for row in range(len(ways)):
        for column, value in enumerate(wide.iloc[row]):
            ax.text(column, row, "NaN" if np.isnan(value) else f"{value:g}", ha="center", va="center", size=7, color=INK)
    ax.set_xticks(range(len(_PLACES)), labels=list(_PLACES.values()))
    ax.set_yticks(range(len(ways)), labels=ways)
    ax.set_xlabel("x")
    ax.set_title("gradient of a ReLU")
    ax.grid(False)
    ax.tick_params(length=0)
    for spine in ax.spines.values():
        spine.set_visible(False)
    return wide.reset_index()
