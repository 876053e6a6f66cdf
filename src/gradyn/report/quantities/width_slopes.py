"""How far activations move over width: the coordinate check of a parametrization."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradyn.report.frames import Frames
from gradyn.report.overlay import Curve


def changes(frames: Frames) -> pd.DataFrame:
    """One row a run and layer: parametrization, width, seed, and mean |change of h_l| at the last measured step."""
    last = frames.layers[frames.layers["step"] == frames.layers["step"].max()]
    table = last[["run_id", "layer", "preact_change"]].merge(frames.runs[["run_id", "rates", "width", "seed"]], on="run_id")
    return table.rename(columns={"preact_change": "change"}).sort_values(["rates", "layer", "width", "seed"]).reset_index(drop=True)


def width_slopes(table: pd.DataFrame, rates: str, layer: int, least: int = 0) -> pd.Series:
    """Slope of log2 change over log2 width from width `least` on, one a seed: draws of other seeds are independent, a seed's widths are drawn apart."""
    own = table[(table["rates"] == rates) & (table["layer"] == layer) & (table["width"] >= least)]
    found = {}
    for seed, rows in own.groupby("seed"):
        found[seed] = np.polyfit(np.log2(rows["width"]), np.log2(rows["change"]), 1)[0] if rows["width"].nunique() > 1 else np.nan
    return pd.Series(found, dtype=float)


def change_curves(table: pd.DataFrame, rates: str) -> list[Curve]:
    """Mean over seeds with its standard error over width, a curve a layer; the readout's are the logits."""
    curves, last = [], table["layer"].max()
    for layer, rows in table[table["rates"] == rates].groupby("layer"):
        means = rows.groupby("width")["change"].agg(["mean", "sem"])
        curves.append(Curve("logits" if layer == last else f"layer {layer}", means.index.to_numpy(), means["mean"], error=means["sem"], is_joined=True))
    return curves
