"""Figure 2: delta and the weight gradient against layer, one line an initializer, and the level against depth.

The level is the first layer's weight gradient: what a ReLU net shows when its weight gradient is flat over layers at 1e-79.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gradyn.report.figure import Drawn, decades, label
from gradyn.report.frames import Frames, seed_words
from gradyn.report.rates import rates
from gradyn.report.style import Page, layer_ticks, line_key, look, seed_lines
from gradyn.report.sweeps.by_layer import mark_end

_QUANTITIES = ("log10_delta_rms", "log10_grad_w_l2")


def draw(frames: Frames, page: Page) -> list[Drawn]:
    """`norms_by_init`: a row of panels an activation; delta and weight gradient at the deepest depth, level over all depths."""
    frames.need("depth", "activation", "init")
    runs = frames.baseline(("depth", "activation", "init"))
    depths, depth = np.array(frames.values("depth")), runs["depth"].max()
    deepest = runs[runs["depth"] == depth]
    activations = [value for value in frames.values("activation") if value in set(runs["activation"])]
    inits = [value for value in frames.values("init") if value in set(runs["init"])]
    table = rates(frames, runs)
    held = frames.setting(runs, ("depth", "activation", "init"))
    foot = (
        f"Left and middle: depth {depth}. Right: the first layer's weight gradient in nets of every depth. {seed_words(runs['seed'].nunique())} "
        f"Cross: not finite from there on; triangle: exactly zero; a depth that is missing on the right is one of both. {frames.progress}"
    )
    size: dict[str, Any] = (
        {"left": 0.64, "gap": (0.14, 0.3), "height": 0.95, "legend": 0.34}
        if page.is_narrow
        else {"left": 0.55, "gap": (0.5, 0.3), "height": 1.05, "legend": 0.17}
    )
    claim = _claim(table[table["depth"] == depth])
    figure, axes = page.sheet(len(activations), 3, title=claim, setting=held, foot=foot, share=("col", True), **size)
    rows = frames.at_start(deepest, _QUANTITIES)
    points = []
    for row, activation in enumerate(activations):
        for init in inits:
            colour, mark = look("init", init, inits)
            # Orthogonal and Xavier nets run into each other: what is drawn first has larger marks, which look out from below.
            big = max(4.8 - 0.5 * inits.index(init), 2.4)
            group = deepest[(deepest["activation"] == activation) & (deepest["init"] == init)]
            for side, quantity in enumerate(_QUANTITIES if len(group) else ()):
                layers, values = frames.stacked(group, quantity, rows)
                seed_lines(axes[row, side], layers, values, colour, mark, size=big)
                mark_end(axes[row, side], layers, values, colour, init, 5.2 if page.is_narrow else 6.0)
                points.append(_points(quantity, activation, init, values, layer=layers, depth=np.full(len(layers), depth)))
            levels = (
                table[(table["activation"] == activation) & (table["init"] == init)]
                .pivot(index="seed", columns="depth", values="level")
                .reindex(columns=depths)
            )
            if len(levels):
                seed_lines(axes[row, 2], depths, levels.to_numpy(), colour, mark, every=1, size=big)
                points.append(_points("level", activation, init, levels.to_numpy(), layer=np.ones(len(depths)), depth=depths))
        for side, title in enumerate(("delta", "weight gradient", "level")):
            words = f"{activation}: {title}"
            if page.is_narrow:
                words = title.replace("gradient", "grad.")
            axes[row, side].set_title(words)
            if not page.is_narrow:
                axes[row, side].set_ylabel(label("level" if side == 2 else _QUANTITIES[side]))
                axes[row, side].tick_params(labelleft=True)
        if page.is_narrow:
            axes[row, 0].set_ylabel(f"{activation}\nlog10")
    for side in (0, 1):
        axes[-1, side].set_xlabel("layer l" if page.is_narrow else "layer l (1 = next to the input)")
        layer_ticks(axes[-1, side], int(depth))
    axes[-1, 2].set_xscale("log", base=2)
    axes[-1, 2].set_xlabel("depth" if page.is_narrow else "depth of the net")
    axes[-1, 2].set_xticks(depths, labels=[str(value) for value in depths])
    axes[-1, 2].minorticks_off()
    page.legend(figure, line_key("init", inits), columns=3 if page.is_narrow else None)
    return [Drawn("norms_by_init", figure, claim, held, foot, pd.concat(points, ignore_index=True), (*_QUANTITIES, "level"))]


def _claim(table: pd.DataFrame) -> str:
    span = table[np.isfinite(table["backward_span"])].groupby(["activation", "init"], observed=True)["backward_span"].median()
    depth = int(table["depth"].iloc[0])
    if span.empty:
        return f"At depth {depth} delta is zero or not finite in every net."
    low, high, still = span.idxmin(), span.idxmax(), span.abs().idxmin()
    words = [f"{low[0]} {low[1]} loses {decades(-span[low])} decades"] if span[low] < 0 else []
    words += [f"{high[0]} {high[1]} gains {decades(span[high])}"] if span[high] > 0 else []
    words += [f"{still[0]} {still[1]} changes by {decades(span[still])}"] if still not in (low, high) else []
    return f"On its way through {depth} layers delta in " + ", in ".join(words).replace("+", "") + "."


def _points(quantity: str, activation: str, init: str, values: np.ndarray, **places: np.ndarray) -> pd.DataFrame:
    frame = {name: np.tile(place, len(values)) for name, place in places.items()}
    seeds = np.repeat(np.arange(len(values)), values.shape[1])
    return pd.DataFrame({"quantity": quantity, "activation": activation, "init": init, **frame, "draw": seeds, "value": values.ravel()})
