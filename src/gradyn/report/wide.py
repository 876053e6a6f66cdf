"""Numbers over seeds and widths, and what they are at infinite width: for theory that speaks of that limit.

    wide_claim("its mean", {64: one number a seed, 128: of other seeds}, predicted)
    rate_claim("factor per layer", the same of its logarithms, predicted)
    rows = by_layer_and_run(frames, activation="tanh")                 one row a run and layer, with the settings of the run
    wide_claim("growth", rows.groupby(["width", "seed"])["log10_curve_growth"].mean(), predicted)
    wide_curve(rows, "layer", "pair_correlation")                      places, limits, their standard errors

Seeds at one width have to share nothing with those at another: give their grids ranges of seeds that don't meet.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from gradyn.report.claims import Claim, Rival
from gradyn.report.frames import Frames, equals

# One number a seed, by width; or in one series over both (levels width and seed).
ByWidth: TypeAlias = Mapping[int, pd.Series] | pd.Series


def by_layer_and_run(frames: Frames, **fixed: Any) -> pd.DataFrame:
    """Every row of `layers` at initialization beside the settings of its run, of those with the given values.

    Args:
        frames: the folder.
        fixed: column of either table (`init__sigma_w` for init.sigma_w) -> value.
    """
    rows = frames.initial.merge(frames.runs, on="run_id", validate="many_to_one")
    for name, value in fixed.items():
        rows = rows[equals(rows[name.replace("__", ".")], value)]
    return rows


def wide_limit(values: Mapping[int, pd.Series]) -> tuple[float, float, float]:
    """Means over seeds at up to three widths N, carried to 1 / N = 0 along the polynomial through them (Lagrange's; Richardson's extrapolation).

    mean_inf = sum_i w_i mean_i, w_i = product over j != i of N_i / (N_i - N_j). Of two widths corrections of order 1 / N cancel and those of order
    1 / N^2 stay; of three these cancel too, at some 2.5 times the variance (widths 64, 128, 256 against 128, 256).

    Args:
        values: width -> one number a seed, independent between widths.

    Returns:
        The limit, its standard error from the scatter of the seeds, and the degrees of freedom of that error (Welch, Satterthwaite).

    Raises:
        ValueError: no width, or more than three.
    """
    widths = sorted(values)
    if len(widths) not in (1, 2, 3):
        raise ValueError(f"wide_limit must have one to three widths; got {widths}.")
    weights = {width: math.prod(width / (width - other) for other in widths if other != width) for width in widths}
    means = {width: float(values[width].mean()) for width in widths}
    parts = {width: weights[width] ** 2 * float(values[width].var(ddof=1)) / len(values[width]) for width in widths}
    variance = sum(parts.values())
    degrees = variance**2 / sum(part**2 / (len(values[width]) - 1) for width, part in parts.items()) if variance > 0 else math.nan
    return sum(weights[width] * means[width] for width in widths), math.sqrt(variance), degrees


def by_width(values: ByWidth) -> dict[int, pd.Series]:
    """Width -> one number a seed, without missing numbers and empty widths."""
    groups = values.items() if isinstance(values, Mapping) else values.groupby(level="width")
    found = {int(width): group.dropna() for width, group in groups}
    return {width: group for width, group in found.items() if len(group)}


def wide_claim(text: str, values: ByWidth, predicted: float, *, rival: Rival | None = None) -> Claim:
    """A claim about a mean over seeds, carried to infinite width (`wide_limit`), or at the one width that there is.

    Args:
        text: what is claimed.
        values: one number a seed.
        predicted: by theory.
        rival: another formula.

    Returns:
        The claim; not tested without a run.
    """
    found = by_width(values)
    if not found:
        return Claim(text, math.nan, predicted, math.nan, "no runs", rival=rival)
    mean, error, degrees = wide_limit(found)
    *others, last = (str(width) for width in sorted(found))
    where = f", carried from widths {', '.join(others)} and {last} to infinite width" if others else f" at width {last}"
    derivation = f"scatter of {min(map(len, found.values()))} seeds over the root of their number{where}"
    return Claim(text, mean, predicted, error, derivation, rival=rival, degrees=degrees)


def rate_claim(text: str, log_rates: ByWidth, predicted: float, *, rival: Rival | None = None) -> Claim:
    """A claim about a factor per layer (chi, not its logarithm), from the natural logarithms of each seed's factor at up to three widths.

    The factor is exp of `wide_limit`: the logarithm's mean has errors that are nearly normal, and its bias falls as 1 / width.
    """
    of_logs = wide_claim(text, log_rates, predicted, rival=rival)
    factor = math.exp(of_logs.measured)
    return replace(of_logs, measured=factor, standard_error=factor * of_logs.standard_error)


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
