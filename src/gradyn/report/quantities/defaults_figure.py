"""What frameworks give by default: decades of gradient per layer as bars about zero, one group an initialization."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd

from gradyn.report.figure import Drawn, decades
from gradyn.report.frames import Frames
from gradyn.report.quantities.factors import log_factors, mean_field, predicted_factor
from gradyn.report.style import GREY, INK, RATE_MAP, Page
from gradyn.report.wide import wide_limit

# The depth of which the number beside a bar speaks.
LAYERS = 50
_ROW = 0.19  # inches


def defaults_table(frames: Frames, groups: Mapping[str, Mapping[str, pd.DataFrame]]) -> pd.DataFrame:
    """One row a bar: group, name, decades of |delta| per layer measured and predicted, and what the recursion has for LAYERS layers.

    Args:
        frames: the folder.
        groups: initialization -> activation -> runs; what has no runs is left out.
    """
    rows = []
    for group, nets in groups.items():
        for name, runs in nets.items():
            if runs.empty:
                continue
            value, error, _ = wide_limit(log_factors(frames, runs))
            deep = mean_field(runs, depth=LAYERS + 2)
            said = [math.log10(predicted_factor(layers)) / 2 for layers in (mean_field(runs), deep)]
            scale = 2 * math.log(10)
            rows.append({"init": group, "activation": name, "measured": value / scale, "standard_error": error / scale, "theory": said[0]})
            rows[-1]["decades_deep"] = said[1] * LAYERS
    return pd.DataFrame(rows)


def draw_defaults(frames: Frames, page: Page, stem: str, title: str, setting: str, text: str, groups: Mapping[str, Mapping[str, pd.DataFrame]]) -> Drawn:
    """Horizontal bars from zero: vanishing to the left, exploding to the right; a dashed stroke where theory has the end of the bar."""
    table = defaults_table(frames, groups)
    names = list(dict.fromkeys(table["init"]))
    foot = (
        f"Bars: measured, carried to infinite width, with one standard error; dashed strokes: mean-field theory. Numbers: decades of ‖δ‖ "
        f"between the ends of {LAYERS} layers, by theory. {text}"
    )
    place, places, at = 0.0, [], {}
    for name in names:
        at[name] = place
        for _ in range(int((table["init"] == name).sum())):
            place += 1.0
            places.append(place)
        place += 1.35
    figure, axes = page.sheet(1, 1, height=_ROW * place, title=title, setting=setting, foot=foot, left=0.72, right=0.62, bottom=0.42)
    ax = axes[0, 0]
    y, values = np.array(places), table["measured"].to_numpy()
    top = float(np.abs(values).max())
    # Colours as in the maps of rates: by the sign, and by the root of the size.
    shade = 0.5 + 0.5 * np.sign(values) * np.sqrt(np.abs(values) / top)
    ax.barh(y, values, height=0.72, color=RATE_MAP(shade), zorder=2)
    ax.errorbar(values, y, xerr=table["standard_error"], fmt="none", ecolor=INK, elinewidth=0.9, zorder=4)
    ax.vlines(table["theory"], y - 0.46, y + 0.46, color=INK, linestyles=(0, (2.2, 1.2)), linewidth=1.0, zorder=3)
    ax.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    for name, start in at.items():
        ax.text(0.008, start, name, transform=ax.get_yaxis_transform(), size=7.0, weight="bold", color=INK, va="center")
    for where, deep in zip(y, table["decades_deep"], strict=True):
        ax.text(1.02, where, decades(float(deep)), transform=ax.get_yaxis_transform(), size=6.5, color=INK, va="center")
    ax.text(1.02, -0.55, f"{LAYERS} layers\n[decades]", transform=ax.get_yaxis_transform(), size=6.0, color=GREY, va="center")
    ax.set_yticks(y, labels=list(table["activation"]))
    ax.tick_params(axis="y", length=0)
    ax.set_ylim(place - 0.7, -0.6)
    ax.grid(visible=False, axis="y")
    ax.set_xlabel("← vanishes      change of ‖δ‖ per layer, towards the input [decades / layer]      explodes →")
    if page.is_narrow:
        ax.set_xlabel("← vanishes   ‖δ‖ [decades / layer]   explodes →")
    return Drawn(stem, figure, title, setting, foot, table, ("log10_delta_rms",))
