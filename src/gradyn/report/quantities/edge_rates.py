"""Pairs of inputs at the edge of chaos: (1 - c_l)^(-1/power), which the asymptote has a straight line, in nets and in maps."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gradyn.core import ConfigError
from gradyn.report.frames import Frames
from gradyn.report.wide import by_layer_and_run
from gradyn.theory import EdgeRate, correlation_gaps, edge_of_chaos_rate


def edge_gaps(frames: Frames, activation: str, sigma_b: float) -> tuple[pd.DataFrame, np.ndarray, EdgeRate]:
    """Hidden layers of critical nets with 1 - c as `gap` and (1 - c)^(-1/power) as `line`; the map's gaps from the same start; the asymptote.

    Raises:
        ConfigError: the activation has no critical point at `sigma_b`.
    """
    rate = edge_of_chaos_rate(activation, sigma_b)
    rows = by_layer_and_run(frames, activation=activation).query("layer < depth")
    gap = 10.0 ** rows["log10_one_minus_pair_correlation"]
    rows = rows.assign(gap=gap, line=gap ** (-1 / rate.power))
    if rows.empty:
        return rows, np.array([]), rate
    start = rows.iloc[0]
    said = correlation_gaps(activation, 1 - start["data.correlation"], start["data.length"], int(rows["layer"].max()), sigma_w=rate.sigma_w, sigma_b=sigma_b)
    return rows, said, rate


def map_lines(activations: Sequence[str], gap: float, layers: int, sigma_b: float) -> pd.DataFrame:
    """Mean increment of (1 - c_l)^(-1/power) of each activation's critical map over the asymptote's, less 1, from inputs `gap` from alike.

    Where sigma_b leaves no fixed length (ReLU's kind) it is 0 instead. What is left is of order sqrt(gap) at a kink and of order gap without.
    """
    found = []
    for name in activations:
        try:
            bias, rate = sigma_b, edge_of_chaos_rate(name, sigma_b)
        except ConfigError:
            bias, rate = 0.0, edge_of_chaos_rate(name, 0.0)
        length = (rate.q - bias**2) / rate.sigma_w**2
        line = correlation_gaps(name, gap, length, layers, sigma_w=rate.sigma_w, sigma_b=bias) ** (-1 / rate.power)
        step = float(line[-1] - line[0]) / (layers - 1)
        found.append({"activation": name, "power": rate.power, "coefficient": rate.coefficient, "off": step * rate.coefficient ** (1 / rate.power) - 1})
    return pd.DataFrame(found)
