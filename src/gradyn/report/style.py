"""The one look: page widths, sheets of panels, and the colour, mark and dash of every parameter value.

Same colour = same parameter in every figure; depth runs along a sequential map, everything else has a colour, a mark and a
lightness of its own, so that a print in grey can still be read. Theory and bounds are dashed, measurements solid.
"""

from __future__ import annotations

import math
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import FuncNorm, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

# Inches: a two-column paper's text block and its column.
WIDTHS = {"full": 7.0, "column": 3.4}
INK, GREY, PALE = "#222222", "#777777", "#bbbbbb"
# Okabe and Ito's colours, in the order of their lightness here; the marks tell them apart in grey.
_BLUE, _SKY, _GREEN, _ORANGE, _RED, _PURPLE, _YELLOW, _BLACK = "#0072B2", "#56B4E9", "#009E73", "#E69F00", "#D55E00", "#CC79A7", "#B8A800", "#000000"
# Weight and derivative: a dark and a light colour of opposite hue, in every figure that splits a step.
WEIGHT, DERIVATIVE = "#B3470A", "#7FB8DE"
SICK, CURED = "#999999", _BLUE

# Axis -> value -> (colour, mark). The order of the values is the order of rows, columns and legends.
_LOOKS: dict[str, dict[str, tuple[str, str]]] = {
    "activation": {
        "linear": (_BLACK, "x"),
        "sigmoid": (_RED, "o"),
        "tanh": (_BLUE, "s"),
        "hard_tanh": (_SKY, "D"),
        "softsign": (_PURPLE, "v"),
        "erf": (_YELLOW, "P"),
        "relu": (_GREEN, "^"),
        "leaky_relu": (_YELLOW, "<"),
        "elu": (_SKY, ">"),
        "selu": (_PURPLE, "*"),
        "gelu": (_ORANGE, "D"),
        "silu": (_BLUE, "h"),
        "softplus": (_RED, "p"),
        "sin": (_BLACK, "+"),
    },
    "init": {
        "small": (_BLUE, "v"),
        "torch_default": (_BLACK, "x"),
        "lecun_normal": (_YELLOW, "P"),
        "xavier_uniform": (_PURPLE, "h"),
        "xavier_normal": (_SKY, "s"),
        "he_uniform": (_YELLOW, "*"),
        "he_normal": (_GREEN, "o"),
        "orthogonal": (_ORANGE, "D"),
        "looks_linear": (_PURPLE, "X"),
        "lsuv": (_BLACK, "p"),
        "gaussian": (_PURPLE, "+"),
        "large": (_RED, "^"),
    },
    "norm": {"none": (_BLACK, "o"), "batch": (_RED, "s"), "layer": (_BLUE, "D"), "rms": (_SKY, "v"), "weight_standardized": (_GREEN, "^")},
    "residual": {"plain": (_BLACK, "o"), "identity": (_GREEN, "s"), "scaled": (_SKY, "D"), "rezero": (_ORANGE, "v"), "fixup": (_PURPLE, "^")},
    "clip": {"none": (_BLACK, "o"), "global_l2": (_BLUE, "s"), "layer_l2": (_SKY, "D"), "value": (_ORANGE, "v"), "adaptive": (_PURPLE, "^")},
}
_SPARE = [(_BLUE, "o"), (_RED, "^"), (_GREEN, "s"), (_PURPLE, "D"), (_ORANGE, "v"), (_SKY, "P"), (_YELLOW, "X"), (_BLACK, "x")]
# Dark for shallow to light for deep would hide the deep nets, which the figures are about: light to dark, cut off before white.
_DEPTH_MAP = LinearSegmentedColormap.from_list("depth", mpl.colormaps["viridis_r"](np.linspace(0.12, 1.0, 64)))
RATE_MAP = LinearSegmentedColormap.from_list("rate", ["#0B4F8A", "#5AA2D0", "#D4E6F1", "#FAFAFA", "#FBDCC6", "#E3844C", "#A63603"])


def look(axis: str, value: Any, values: Sequence[Any]) -> tuple[Any, str]:
    """Colour and mark of one value of an axis, of the values drawn.

    Numbers run along the sequential map by rank; names that the tables lack take spare looks by their place.
    """
    if axis in _LOOKS and str(value) in _LOOKS[axis]:
        return _LOOKS[axis][str(value)]
    place = list(values).index(value)
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return _DEPTH_MAP(place / max(len(values) - 1, 1)), "os^DvPX"[place % 7]
    return _SPARE[place % len(_SPARE)]


def ordered(axis: str, values: Iterable[Any]) -> list[Any]:
    """The values in the order in which every figure shows them: numbers by size, names as in the tables above, the rest by name."""
    known = list(_LOOKS.get(axis, {}))
    return sorted(
        set(values), key=lambda v: (0, v, "") if isinstance(v, (int, float, np.number)) else (1, known.index(v) if v in known else len(known), str(v))
    )


@contextmanager
def styled() -> Iterator[None]:
    """The style sheet, for as long as figures are made and saved; leaves the user's settings alone."""
    with mpl.rc_context(fname=str(Path(__file__).with_name("gradyn.mplstyle"))):
        yield


@dataclass(frozen=True, slots=True)
class Page:
    """A printed width, and the sheets laid out for it in inches (so that nothing moves when a label grows)."""

    width: float = WIDTHS["full"]

    @property
    def is_narrow(self) -> bool:
        """Whether it is a paper's column: panels go below each other where they stood side by side."""
        return self.width < 5.0

    def wrap(self, text: str, points: float, *, bold: bool = False) -> list[str]:
        """Lines that fit the width; a letter of DejaVu Sans is 0.54 of its size wide on average, a bold one 0.63 (measured on the captions)."""
        room = (self.width - 0.2) * 72 / ((0.63 if bold else 0.54) * points)
        # A formula that is cut in two is none any more: its spaces must not break a line (textwrap takes a no-break space for a letter).
        whole = re.sub(r"\$[^$]*\$", lambda formula: formula[0].replace(" ", "\u00a0"), text)
        return [line.replace("\u00a0", " ") for part in whole.split("\n") for line in textwrap.wrap(part, int(room))]

    def sheet(
        self,
        rows: int,
        columns: int,
        *,
        height: float,
        title: str,
        setting: str = "",
        foot: str = "",
        legend: float = 0.0,
        left: float = 0.52,
        right: float = 0.12,
        bottom: float = 0.36,
        gap: tuple[float, float] = (0.16, 0.3),
        share: tuple[bool | str, bool | str] = (True, True),
    ) -> tuple[Figure, np.ndarray]:
        """A figure with its claim as title, its setting below, `rows x columns` panels, and a foot line.

        Args:
            rows: of panels.
            columns: of panels.
            height: of one panel, inches.
            title: the claim, a sentence.
            setting: what is held fixed, at which step, how many seeds.
            foot: what lines, bands and marks are; ends with the count of runs where the sweep is incomplete.
            legend: inches kept free between the heading and the panels.
            left: inches left of the panels, for labels.
            right: inches right of the panels.
            bottom: inches below the panels, above the foot.
            gap: inches between panels, horizontally and vertically (titles of panels live in the latter).
            share: as `sharex`, `sharey` of matplotlib's `subplots`.

        Returns:
            The figure, and its axes as an array [rows, columns].
        """
        heads, subs, feet = self.wrap(title, 9.0, bold=True), self.wrap(setting, 6.8), self.wrap(foot, 6.2)
        top = 0.10 + 0.155 * len(heads) + 0.122 * len(subs) + legend + 0.22
        base = bottom + (0.06 + 0.108 * len(feet) if feet else 0.0)
        total = top + rows * height + (rows - 1) * gap[1] + base
        panel = (self.width - left - right - (columns - 1) * gap[0]) / columns
        figure = Figure(figsize=(self.width, total))
        grid = {
            "left": left / self.width,
            "right": 1 - right / self.width,
            "top": 1 - top / total,
            "bottom": base / total,
            "wspace": gap[0] / panel,
            "hspace": gap[1] / height,
        }
        axes = figure.subplots(rows, columns, sharex=share[0], sharey=share[1], squeeze=False, gridspec_kw=grid)
        y = total - 0.09
        for lines, size, step, colour, weight in ((heads, 9.0, 0.155, INK, "bold"), (subs, 6.8, 0.122, GREY, "normal")):
            for line in lines:
                figure.text(0.1 / self.width, y / total, line, size=size, color=colour, weight=weight, va="top")
                y -= step
        for number, line in enumerate(reversed(feet)):
            figure.text(0.1 / self.width, (0.05 + 0.108 * number) / total, line, size=6.2, color=GREY, va="bottom")
        figure.legend_y = (y - 0.02) / total
        return figure, axes

    def legend(self, figure: Figure, handles: Sequence[Any], columns: int | None = None, title: str | None = None, left: float = 0.45) -> None:
        """A legend in the strip that `sheet(legend=...)` kept free."""
        figure.legend(
            handles=handles,
            loc="upper left",
            bbox_to_anchor=(left / self.width, figure.legend_y),
            ncols=columns or len(handles),
            title=title,
            borderaxespad=0.0,
            alignment="left",
        )


def line_key(axis: str, values: Sequence[Any], label: str | None = None) -> list[Line2D]:
    """Legend entries of the values of an axis."""
    keys = []
    for value in values:
        colour, mark = look(axis, value, values)
        keys.append(Line2D([], [], color=colour, marker=mark, markersize=3.2, label=f"{label or ''}{value}"))
    return keys


def seed_lines(ax: Axes, x: np.ndarray, y: np.ndarray, colour: Any, mark: str = "", every: int | None = None, size: float = 3.2) -> None:
    """The measurement over seeds: with fewer than ten each seed as a thin line, else a band from minimum to maximum; the median thick.

    Args:
        ax: where.
        x: places [L].
        y: values [S, L], one row a seed; what is not finite is left out.
        colour: of everything.
        mark: of the median's points.
        every: distance of the marks in points; about eight along the line when left out.
        size: of the marks, points; where lines may coincide, let those drawn first be larger.
    """
    y = np.where(np.isfinite(y), y, np.nan)
    with np.errstate(all="ignore"):
        seen = np.isfinite(y).any(axis=0)
        middle = np.full(y.shape[1], np.nan)
        middle[seen] = np.nanmedian(y[:, seen], axis=0)
    if len(y) >= 10:
        ax.fill_between(x[seen], np.nanmin(y[:, seen], axis=0), np.nanmax(y[:, seen], axis=0), color=colour, alpha=0.2, linewidth=0)
    elif len(y) > 1:
        for row in y:
            ax.plot(x, row, color=colour, linewidth=0.5, alpha=0.55, zorder=2)
    ax.plot(
        x,
        middle,
        color=colour,
        marker=mark,
        markersize=size,
        markeredgecolor="white" if mark not in ("", "x", "+") else colour,
        markeredgewidth=0.35,
        markevery=every or max(1, math.ceil(len(x) / 8)),
        zorder=3,
    )


def diverging(values: np.ndarray) -> FuncNorm:
    """Colours centred at 0, symmetric, out to the largest finite value, growing with the square root: small rates must not look like 0."""
    finite = np.abs(values[np.isfinite(values)])
    top = float(finite.max()) if len(finite) and finite.max() > 0 else 1.0
    return FuncNorm((lambda v: np.sign(v) * np.sqrt(np.abs(v)), lambda r: np.sign(r) * np.square(r)), -top, top)


def layer_ticks(ax: Axes, depth: int) -> None:
    """Ticks at layer 1, at about every quarter of the depth, and at the readout."""
    step = max(1, 2 ** round(math.log2(max(depth, 4) / 4)))
    ax.set_xlim(0.5, depth + 0.5)
    ax.set_xticks(sorted({1, depth, *(tick for tick in range(step, depth, step) if depth - tick >= step / 2)}))


def remark(ax: Axes, text: str, size: float = 6.0) -> None:
    """A grey line of text in the panel's lower right corner, above those that are there."""
    above = sum(existing.get_gid() == "remark" for existing in ax.texts)
    height = ax.get_position().height * ax.figure.get_figheight() * 72
    ax.text(0.98, (3 + above * (size + 1.5)) / height, text, transform=ax.transAxes, ha="right", va="bottom", size=size, color=GREY, gid="remark", zorder=6)
