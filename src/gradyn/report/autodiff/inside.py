"""Both faces of accumulation: the swing of a descent that forgets zero_grad, and how near micro-batches come to their batch."""

from __future__ import annotations

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames
from gradyn.report.style import GREY, INK, Page, look

_WAYS = {"zeroed": "zero_grad before each backward", "forgotten": "forgotten"}
_WEIGHTS = {
    "summed": "equal sizes, weight 1",
    "unequal_by_count": "unequal sizes, weight $1/K$",
    "equal": "equal sizes, weight $n_k/n$",
    "unequal": "unequal sizes, weight $n_k/n$",
}
# Where an error is exactly 0 it is drawn here, below the smallest that there is.
_FLOOR = 3e-17


def draw_inside(frames: Frames, page: Page) -> list[Drawn]:
    """`autodiff_inside`: two panels from the tables of the measurement; the explanations are a table beside."""
    micro, settings = frames.tables["micro"], frames.settings
    right = float(micro[["equal", "unequal"]].max().max())
    claim = "Accumulated by mistake, gradients make a swing that never rests; with the right weights, one batch out of many."
    setting = (
        f"First: w²/2 from w = 1, learning rate {settings['rate']:g}. Second: a tanh net of {settings['features']}-{settings['width']}-1, "
        f"mean square loss over {settings['samples']} samples, float64."
    )
    omega = math.acos(1 - settings["rate"] / 2)
    # No mathtext where a line may be broken: a formula cut in two is shown as its source.
    foot = (
        f"First, dashed: (1 − η)ᵗ, and cos(ω(t + ½)) / cos(ω/2) with cos ω = 1 − η/2, a period of {2 * math.pi / omega:.0f} steps. "
        f"Second: largest difference over largest number of the gradient, at most {right:.0e} with weights $n_k/n$; "
        "dashed: bound of rounding, and K − 1 where a plain sum is K gradients."
    )
    rows, columns = (2, 1) if page.is_narrow else (1, 2)
    gap = (0.62, 0.86) if page.is_narrow else (0.62, 0.3)
    figure, axes = page.sheet(rows, columns, height=1.7, title=claim, setting=setting, foot=foot, legend=0.22, gap=gap, share=(False, False), right=0.16)
    _swing(axes.ravel()[0], frames)
    _micro(axes.ravel()[1], frames)
    for ax, words, marks, across in ((axes.ravel()[0], _WAYS, False, 1), (axes.ravel()[1], _WEIGHTS, True, 2)):
        keys = []
        for name, text in words.items():
            colour, mark = look("way", name, list(words))
            keys.append(Line2D([], [], color=colour, marker=mark if marks else "", label=text))
        ax.legend(handles=keys, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=across, borderaxespad=0.0, fontsize=6.0 if page.is_narrow else 6.3)
    return [
        Drawn(
            "autodiff_inside", figure, claim, setting, foot, micro, (), {f"autodiff_inside_{name}": frames.tables[name] for name in ("swing", "explanations")}
        )
    ]


def _swing(ax: Axes, frames: Frames) -> None:
    swing = frames.tables["swing"]
    fine = np.linspace(0, float(swing["step"].max()), 400)
    rate = frames.settings["rate"]
    omega = math.acos(1 - rate / 2)
    curves = {"zeroed": (1 - rate) ** fine, "forgotten": np.cos(omega * (fine + 0.5)) / math.cos(omega / 2)}
    ax.axhline(0, color=GREY, linewidth=0.5, zorder=1)
    for name in _WAYS:
        colour = look("way", name, list(_WAYS))[0]
        ax.plot(swing["step"], swing[name], color=colour, linewidth=1.8)
        ax.plot(fine, curves[name], color=INK, linestyle="--", linewidth=0.7, dashes=(4, 3))
    ax.set_xlim(0, float(swing["step"].max()))
    ax.set_xlabel("step")
    ax.set_ylabel("w [dimensionless]")


def _micro(ax: Axes, frames: Frames) -> None:
    micro = frames.tables["micro"]
    k = micro["micro_batches"]
    ax.plot(k, micro["bound"], color=GREY, linestyle="--", linewidth=0.9)
    ax.plot(k[k > 1], k[k > 1] - 1, color=GREY, linestyle="--", linewidth=0.9, zorder=4)
    for place, name in enumerate(_WEIGHTS):
        colour, mark = look("way", name, list(_WEIGHTS))
        # The last two coincide mostly: the one drawn first is larger.
        ax.plot(
            k, np.maximum(micro[name], _FLOOR), color=colour, marker=mark, markersize=4.6 if place == 2 else 3.2, markeredgecolor="white", markeredgewidth=0.35
        )
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ax.set_ylim(_FLOOR / 2, 1e3)
    ax.xaxis.set_major_locator(FixedLocator(k.tolist()))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"{value:g}" for value in k])
    ax.yaxis.set_major_locator(LogLocator(numticks=8))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("K, micro-batches in the batch")
    ax.set_ylabel("relative error of the gradient")
