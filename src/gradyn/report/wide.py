"""Numbers of a layer over seeds and widths, and what they are at infinite width: for theory that speaks of that limit.

    rows = by_layer_and_run(frames, activation="tanh")                 one row a run and layer, with the settings of the run
    wide_claim("growth", rows.groupby(["width", "seed"])["log10_curve_growth"].mean(), predicted)
    wide_curve(rows, "layer", "pair_correlation")                      places, limits, their standard errors

Seeds at one width have to share nothing with those at another: give their grids ranges of seeds that don't meet.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from gradyn.report.claims import Claim, Rival, wide_limit
from gradyn.report.frames import Frames


def by_layer_and_run(frames: Frames, **fixed: Any) -> pd.DataFrame:
    """Every row of `layers` at initialization beside the settings of its run, of those with the given values.

    Args:
        frames: the folder.
        fixed: column of either table (`init__sigma_w` for init.sigma_w) -> value.
    """
    rows = frames.initial.merge(frames.runs, on="run_id", validate="many_to_one")
    for name, value in fixed.items():
        rows = rows[rows[name.replace("__", ".")] == value]
    return rows


def by_width(values: pd.Series) -> dict[int, pd.Series]:
    """Width -> one number a seed, from a series over (width, seed) without the missing ones."""
    return {int(width): group for width, group in values.dropna().groupby(level="width")}


def wide_claim(text: str, values: pd.Series, predicted: float, *, rival: Rival | None = None) -> Claim:
    """A claim about a mean over seeds, carried from two widths to infinite width (`wide_limit`), or at the one that there is.

    Args:
        text: what is claimed.
        values: by width and seed (levels of the index).
        predicted: by theory.
        rival: another formula.
    """
    found = by_width(values)
    if not found:
        return Claim(text, float("nan"), predicted, float("nan"), "no runs", rival=rival)
    mean, error, degrees = wide_limit(found)
    seeds = min(len(group) for group in found.values())
    widths = " and ".join(str(width) for width in sorted(found))
    limit = f", carried from widths {widths} to infinite width" if len(found) == 2 else f" at width {widths}"
    return Claim(text, mean, predicted, error, f"scatter of {seeds} seeds over the root of their number{limit}", rival=rival, degrees=degrees)


def wide_curve(rows: pd.DataFrame, x: str, column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Limit and standard error of a column at each place.

    Args:
        rows: with columns width and seed, `x` and `column`; means are taken over what comes more than once for a seed.
        x: the place.
        column: whose mean over seeds is carried to infinite width.

    Returns:
        Places in order, limits, standard errors; without the places where the column does not exist.
    """
    values = rows.dropna(subset=[column]).groupby([x, "width", "seed"])[column].mean()
    limits = {place: wide_limit(by_width(group.droplevel(0))) for place, group in values.groupby(level=0)}
    places = sorted(limits)
    return np.array(places), np.array([limits[place][0] for place in places]), np.array([limits[place][1] for place in places])
