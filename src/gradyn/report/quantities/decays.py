"""How what is small decays over the layers: differences of two inputs' lengths and correlations, and gradients.

    table = differences(rows, "data.length", "log10_preact_ms")        ln |q_l(high) - q_l(low)| over its value in layer 1, by width and seed
    decay_curve("ordered", table, xi)                                  its mean, carried to infinite width, beside exp(-(l - 1) / xi)
    decay_claim("...", table, 6, xi)                                   the factor per layer from layer 1 to layer 6

Both inputs of a difference go through the same weights: what the weights do by chance to both cancels, and what is left is the map's derivative.
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from gradyn.report.claims import Claim, Rival
from gradyn.report.overlay import Curve
from gradyn.report.wide import by_width, rate_claim, wide_limit

_LN10 = math.log(10)


def differences(rows: pd.DataFrame, by: str, column: str) -> pd.DataFrame:
    """ln of |10^column at the larger value of `by` - the same at the smaller| over that of layer 1.

    Args:
        rows: as `by_layer_and_run`, of two values of `by`, each with the same seeds.
        by: the setting whose two values are compared.
        column: log10 of what is compared.

    Returns:
        One row a width and seed, a column a hidden layer; empty without rows.
    """
    hidden = rows[rows["layer"] < rows["depth"]]
    table = (10.0 ** hidden.set_index(["width", "seed", by, "layer"])[column]).unstack([by, "layer"])
    if table.empty:
        return pd.DataFrame()
    low, high = sorted(rows[by].unique())
    off = np.log((table[high] - table[low]).abs())
    return off.sub(off[1], axis=0)


def logarithms(rows: pd.DataFrame, column: str, scale: float = _LN10) -> pd.DataFrame:
    """`scale` times a column, mean over the runs of a seed, less its value in layer 1; shaped as `differences`."""
    hidden = rows[rows["layer"] < rows["depth"]]
    table = scale * hidden.groupby(["width", "seed", "layer"])[column].mean().unstack()
    return table.sub(table[1], axis=0)


def decay_curve(label: str, table: pd.DataFrame, log_factor: float, last: int | None = None, rival: float | None = None) -> Curve:
    """exp of a table's means, carried to infinite width, at layers 1 to `last`, beside exp((l - 1) log_factor), and exp((l - 1) rival) dotted."""
    layers = [layer for layer in table.columns if last is None or layer <= last]
    found = [wide_limit(by_width(table[layer])) for layer in layers]
    values, steps = np.exp([value for value, _, _ in found]), np.array(layers) - 1
    dotted = None if rival is None else np.exp(steps * rival)
    return Curve(label, layers, values, values * [error for _, error, _ in found], theory=np.exp(steps * log_factor), rival=dotted)


def decay_claim(text: str, table: pd.DataFrame, last: int, log_factor: float, rival: Rival | None = None) -> Claim:
    """The factor per layer from layer 1 to layer `last` (the last hidden one where there are fewer) against exp(log_factor)."""
    if table.empty:
        return Claim(text, math.nan, math.exp(log_factor), math.nan, "no runs", rival=rival)
    end = min(last, int(table.columns[-1]))
    return rate_claim(text, by_width(table[end] / (end - 1)), math.exp(log_factor), rival=rival)
