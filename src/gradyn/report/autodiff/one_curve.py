"""delta of sigmoid nets from the value engine, by hand and from the harness: over depth, over layers, and how far they are apart."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from gradyn.report.figure import Drawn, decades
from gradyn.report.frames import Frames
from gradyn.report.style import GREY, INK, Page, layer_ticks, look

# Way -> its words, and its look: the harness a line, a cross by hand, and the engine a ring around it, so that all three are seen.
_WAYS = {"harness": "harness (torch)", "hand": "by hand (numpy)", "value": "value engine"}
_COLOURS = dict(zip(_WAYS, (look("way", way, list(_WAYS))[0] for way in _WAYS), strict=True))
_EPS = 2.0**-52


def draw_one_curve(frames: Frames, page: Page) -> list[Drawn]:
    """`autodiff_one_curve`, from the table `layers` of the measurement; the first seed is drawn, the claims take all."""
    table = frames.tables["layers"]
    one = table[table["seed"] == table["seed"].min()].sort_values(["depth", "layer"])
    deepest = one[one["depth"] == one["depth"].max()]
    depth, first = int(deepest["depth"].iloc[0]), one[one["layer"] == 1]
    widest = max((table[way] / table["hand"] - 1).abs().max() for way in ("harness", "value")) / _EPS
    loose = math.log10(deepest["bound"].iloc[0] / deepest["hand"].iloc[0])
    lost = math.log10(deepest["hand"].iloc[0] / deepest["hand"].iloc[-1])
    claim = f"One curve, three ways: {decades(lost)} decades over {depth} layers, and never {_ceiling(widest)} roundings apart."
    net = dict(word.split("=") for word in frames.settings["net"])
    words = f"{net['activation']} nets of width {net['width']}, init {net['init']}, {net['batch_size']} samples, loss ⟨v, output⟩, {net['dtype']}"
    setting = f"{words}; {table['seed'].nunique()} seeds, the first drawn."
    foot = (
        f"Dashed, on the curves: |δ_l| ≤ |v| ∏ (max φ' · ‖W_k‖), from the net's own weights; it gives away {loose:.0f} decades at layer 1. Dashed, last panel: "
        "what roundings allow, to first order. One rounding is 2⁻⁵² of the number; a mark on the lowest line is an exact agreement. "
        "The harness keeps logarithms: at 10⁻⁴⁰ one rounding of a logarithm is 70 of the number."
    )
    rows, columns = (3, 1) if page.is_narrow else (1, 3)
    figure, axes = page.sheet(
        rows,
        columns,
        height=1.5 if page.is_narrow else 1.9,
        title=claim,
        setting=setting,
        foot=foot,
        legend=0.22 if page.is_narrow else 0.06,
        gap=(0.56, 0.5),
        share=(False, False),
    )
    over_depth, over_layers, apart = axes.ravel()
    _curves(over_depth, first, "depth")
    over_depth.set_xscale("log", base=2)
    over_depth.xaxis.set_major_locator(FixedLocator(first["depth"].tolist()))
    over_depth.xaxis.set_minor_locator(NullLocator())
    over_depth.set_xticklabels([str(value) for value in first["depth"]])
    over_depth.set_xlabel("depth of the net [weight matrices]")
    over_depth.set_ylabel("rms of $\\delta_1$ [loss / preactivation]")
    _curves(over_layers, deepest, "layer")
    over_layers.set_ylabel("rms of $\\delta_l$ [loss / preactivation]")
    _differences(apart, deepest)
    for ax in (over_layers, apart):
        layer_ticks(ax, depth)
        ax.set_xlabel(f"layer l of the net of depth {depth}")
    handles = [Line2D([], [], **_look(way), label=label) for way, label in _WAYS.items()]
    handles.append(Line2D([], [], color=INK, linestyle="--", linewidth=0.9, label="bound"))
    page.legend(figure, handles, columns=2 if page.is_narrow else 4)
    return [Drawn("autodiff_one_curve", figure, claim, setting, foot, one, (), {"autodiff_one_curve_all_seeds": table})]


def _look(way: str) -> dict[str, object]:
    if way == "harness":
        return {"color": _COLOURS[way], "linewidth": 1.3}
    ring = {"marker": "o", "markersize": 5.0, "markerfacecolor": "none", "markeredgewidth": 0.8}
    cross = {"marker": "x", "markersize": 3.0, "markeredgewidth": 0.8}
    return {"color": _COLOURS[way], "linestyle": "none", **(ring if way == "value" else cross)}


def _curves(ax: Axes, rows: pd.DataFrame, along: str) -> None:
    ax.plot(rows[along], rows["bound"], color=INK, linestyle="--", linewidth=0.9)
    for way in _WAYS:
        # A mark at every other layer or so: rings that touch would hide the line.
        ax.plot(rows[along], rows[way], markevery=max(1, len(rows) // 16), **_look(way))
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(numticks=7))
    ax.yaxis.set_minor_locator(NullLocator())


def _differences(ax: Axes, rows: pd.DataFrame) -> None:
    ax.plot(rows["layer"], rows["allowed"] / _EPS, color=INK, linestyle="--", linewidth=0.9)
    for way in ("harness", "value"):
        found = np.maximum((rows[way] / rows["hand"] - 1).abs() / _EPS, 0.25)
        look_of = _look(way) if way == "value" else {"color": _COLOURS[way], "linestyle": "none", "marker": "o", "markersize": 2.2}
        ax.plot(rows["layer"], found, **{**look_of, "markersize": 2.6})
    ax.set_yscale("log")
    ax.axhline(0.25, color=GREY, linewidth=0.5, zorder=0)
    ax.yaxis.set_minor_locator(NullLocator())
    ticks = [10.0**power for power in range(math.ceil(math.log10(rows["allowed"].max() / _EPS)) + 1)]
    ax.set_yticks([0.25, *ticks], labels=["0", *[f"{tick:,.0f}" for tick in ticks]])
    ax.set_ylabel("distance from by hand [roundings]")


def _ceiling(number: float) -> str:
    """The next number of one digit above, for a sentence that says `never`."""
    size = 10.0 ** math.floor(math.log10(max(number, 1.0)))
    return f"{(math.floor(number / size) + 1) * size:,.0f}"
