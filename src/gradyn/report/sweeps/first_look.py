"""The picture of the first look: delta in the deepest nets, from the readout where it starts to the input where it should arrive."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradyn.report.figure import Drawn, decades, label
from gradyn.report.frames import Frames, MissingError
from gradyn.report.style import GREY, INK, Page, layer_ticks
from gradyn.report.sweeps.cures import WELL

_VANISHES, _EXPLODES, _ARRIVES = "#0072B2", "#D55E00", "#009E73"
# The smallest normal float32: below it a framework's gradient loses digits, then is 0.
_FLOAT32 = -37.93
# As many labels as fit beside the panel.
_LABELS = 12


def draw(frames: Frames, page: Page) -> list[Drawn]:
    """`quick`: one panel, every plain net a line with its name; blue vanishes, orange explodes, green arrives."""
    frames.need("depth", "activation", "init")
    runs = frames.baseline(("activation", "init"), depth=frames.values("depth")[-1])
    rows = frames.at_start(runs, ("log10_delta_rms",))
    lines = {}
    for key, group in runs.groupby(["activation", "init"], observed=True):
        layers, values = frames.stacked(group, "log10_delta_rms", rows)
        if np.isfinite(values).all():
            lines[key] = np.median(values, axis=0)
    if not lines:
        raise MissingError(f"{frames.name} has no net with a finite delta yet.")
    # From end to end: what leaves the loss, and what reaches the first layer.
    span = pd.Series({key: line[0] - line[-1] for key, line in lines.items()})
    ends = {key: line[0] for key, line in lines.items()}
    depth = int(runs["depth"].iloc[0])
    held = frames.setting(runs, ("activation", "init"))
    claim = _claim(span, depth)
    foot = (
        "Each line is a net without norm and skip, median over seeds: blue vanishes, green stays within two decades, orange explodes; numbers: decades from "
        f"end to end. Grey zone: below 10⁻³⁸ float32 loses digits, and everything at 10⁻⁴⁵; computed here with an exponent of its own. {frames.progress}"
    )
    figure, axes = page.sheet(
        1, 1, height=2.7 if not page.is_narrow else 2.4, title=claim, setting=held, foot=foot, left=0.55, right=1.15 if page.is_narrow else 1.6
    )
    ax = axes[0, 0]
    for key, line in lines.items():
        colour = _VANISHES if span[key] < -WELL else _EXPLODES if span[key] > WELL else _ARRIVES
        # The readout is on the left, where delta starts; the input on the right, where it arrives.
        ax.plot(layers, line, color=colour, linewidth=1.8, zorder=3)
    points = [pd.DataFrame({"activation": key[0], "init": key[1], "layer": layers, "log10_delta_rms": line}) for key, line in lines.items()]
    floor, top = min(ends.values()), max(ends.values())
    ax.set_ylim(floor - 0.06 * (top - floor), top + 0.08 * (top - floor))
    if floor < _FLOAT32:
        ax.axhspan(ax.get_ylim()[0], _FLOAT32, color="#f1f1f1", zorder=0)
        ax.text(depth - 0.5, _FLOAT32 - 0.02 * (top - floor), "below float32", size=6.5, color=GREY, va="top", ha="left")
    layer_ticks(ax, depth)
    ax.invert_xaxis()
    ax.set_xlabel("layer, readout to input" if page.is_narrow else "layer: delta travels from the readout (left) to the input (right)")
    ax.set_ylabel(label("log10_delta_rms"))
    shown = sorted(_far_apart(span), key=lambda key: -ends[key])
    height = ax.get_ylim()[1] - ax.get_ylim()[0]
    for key, place in zip(shown, _apart([ends[key] for key in shown], 0.065 * height), strict=True):
        text = f"{key[0]} {key[1]}" + ("" if page.is_narrow else f"  {decades(span[key])}")
        ax.annotate(
            text,
            (1.0, ends[key]),
            (1.05, place),
            xycoords="data",
            textcoords=ax.get_yaxis_transform(),
            size=6.6,
            color=INK,
            va="center",
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.4, "shrinkA": 1, "shrinkB": 1, "relpos": (0, 0.5)},
        )
    ax.axhline(0, color=INK, linewidth=0.5, zorder=1)
    return [Drawn("quick", figure, claim, held, foot, pd.concat(points, ignore_index=True), ("log10_delta_rms",))]


def _claim(span: pd.Series, depth: int) -> str:
    parts = [f"vanishes by {decades(span.min())[1:]} decades"] if span.min() < -WELL else []
    parts += [f"explodes by {decades(span.max())[1:]}"] if span.max() > WELL else []
    parts += ["arrives"] if (span.abs() <= WELL).any() else []
    words = parts[0] if len(parts) == 1 else ", ".join(parts[:-1]) + " or " + parts[-1]
    return f"Sent back through {depth} layers, the gradient {words}: activation and initialization decide."


def _far_apart(span: pd.Series) -> list[tuple[str, str]]:
    """At most _LABELS nets, dropping again and again the one closest to its neighbours; the two extremes stay."""
    kept = list(span.sort_values().index)
    while len(kept) > _LABELS:
        room = [span[kept[i + 1]] - span[kept[i - 1]] for i in range(1, len(kept) - 1)]
        kept.pop(1 + int(np.argmin(room)))
    return kept


def _apart(places: list[float], least: float) -> list[float]:
    """Places, given from top to bottom, moved as little as need be (least squares) so that neighbours are `least` apart.

    Pooling of adjacent violators: blocks of touching labels stand evenly about the mean of where they want to be.
    """
    blocks: list[tuple[float, int]] = []
    for number, place in enumerate(places):
        blocks.append((place + number * least, 1))
        while len(blocks) > 1 and blocks[-1][0] > blocks[-2][0]:
            (late, m), (early, n) = blocks.pop(), blocks.pop()
            blocks.append(((late * m + early * n) / (m + n), m + n))
    level = [mean for mean, count in blocks for _ in range(count)]
    return [mean - number * least for number, mean in enumerate(level)]
