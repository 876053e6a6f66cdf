"""Backward rate, forward rate and level of every run: the three numbers by which a net is judged, always together.

The slope of the weight gradient alone is none of them: in bias-free ReLU nets it is 0 at any scale (Euler), be the gradient
1e-79 or 1e+47. What travels is delta, backwards, and the activation, forwards; the level says what the first layer receives.

Fit window: hidden layers only (the readout has no activation), and for depth >= 16 without the first three, where the lengths
of the activations are still settling; with batch norm without the first and last six. Layers of one run are a random walk, so
the residuals of one fit say nothing about the slope's error: `interval` takes it from seeds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats

from gradyn.core import Column
from gradyn.report.frames import Frames

_WINDOW = "hidden layers, for depth >= 16 without the first three (batch norm: without the first and last six)"

RATE_COLUMNS = (
    Column(
        "backward_rate",
        "decades per layer",
        f"minus the least-squares slope of log10_delta_rms over l ({_WINDOW}): the change per layer as delta travels to the input; < 0 vanishes, > 0 explodes",
        "run",
        "backward rate [decades / layer]",
    ),
    Column(
        "forward_rate",
        "decades per layer",
        f"least-squares slope of log10_act_rms over l ({_WINDOW}): the change per layer as the signal travels to the readout",
        "run",
        "forward rate [decades / layer]",
    ),
    Column("level", "log10 of [loss / weight]", "log10_grad_w_l2 of layer 1", "run", r"level: $\log_{10}\|\partial L/\partial W_1\|$"),
    Column("level_update", "dimensionless, log10", "log10_update_ratio of layer 1", "run", r"$\log_{10}\|\Delta W_1\|/\|W_1\|$"),
    Column("backward_span", "decades", "backward_rate times the number of hidden steps, depth - 2", "run", "backward span [decades]"),
    Column("forward_span", "decades", "forward_rate times the number of hidden steps, depth - 2", "run", "forward span [decades]"),
    Column("backward_zeros", "layers", "hidden layers in which delta is exactly zero", "run", "layers with zero delta", kind="int64"),
    Column("forward_faults", "layers", "hidden layers whose activation is not finite", "run", "layers not finite", kind="int64"),
)


def rates(frames: Frames, runs: pd.DataFrame | None = None, step: int | None = None) -> pd.DataFrame:
    """RATE_COLUMNS of the runs, one row a run, beside the runs' own columns.

    A rate is fitted over the finite layers of its window when there are at least three (two where the net has no more than
    two hidden layers); else it is -inf where an exact zero is the reason, and nan where the numbers ended. Depth 2 has one
    hidden layer and no rate.

    Args:
        frames: the folder.
        runs: which; all when left out.
        step: at which logged step; the first when left out.
    """
    runs = frames.runs if runs is None else runs
    rows = frames.initial if step is None else frames.layers[frames.layers["step"] == step]
    where = pd.Index(runs["run_id"])
    code = where.get_indexer(rows["run_id"])
    rows, code = rows[code >= 0], code[code >= 0]
    depth = runs["depth"].to_numpy()
    layer = rows["layer"].to_numpy()
    delta, act = rows["log10_delta_rms"].to_numpy(dtype=float), rows["log10_act_rms"].to_numpy(dtype=float)
    is_batch = runs["norm"].to_numpy() == "batch" if "norm" in runs else np.zeros(len(runs), bool)
    low = np.where(depth >= 16, np.where(is_batch, 7, 4), 1)
    high = np.where((depth >= 16) & is_batch, depth - 7, depth - 1)
    hidden = layer < depth[code]
    window = hidden & (layer >= low[code]) & (layer <= high[code])
    out = runs.copy()
    out["backward_rate"] = -_slopes(layer, delta, code, window, len(runs))
    # -(-inf) marks an exact zero: delta that is cut off has vanished.
    out["backward_rate"] = out["backward_rate"].where(out["backward_rate"] != math.inf, -math.inf)
    out["forward_rate"] = _slopes(layer, act, code, window, len(runs))
    out["backward_span"] = out["backward_rate"] * (depth - 2)
    out["forward_span"] = out["forward_rate"] * (depth - 2)
    out["backward_zeros"] = np.bincount(code[hidden & np.isneginf(delta)], minlength=len(runs))
    out["forward_faults"] = np.bincount(code[hidden & np.isnan(act)], minlength=len(runs))
    first = rows["layer"].to_numpy() == 1
    for name, column in (("level", "log10_grad_w_l2"), ("level_update", "log10_update_ratio")):
        level = np.full(len(runs), np.nan)
        if column in rows:
            level[code[first]] = rows[column].to_numpy(dtype=float)[first]
        out[name] = level
    return out


def _slopes(layer: np.ndarray, value: np.ndarray, code: np.ndarray, window: np.ndarray, count: int) -> np.ndarray:
    use = window & np.isfinite(value)
    at, x, y = code[use], layer[use].astype(float), value[use]

    def total(weights: np.ndarray | None = None) -> np.ndarray:
        return np.bincount(at, weights=weights, minlength=count).astype(float)

    n = total()
    with np.errstate(all="ignore"):
        mean_x, mean_y = total(x) / n, total(y) / n
        dx, dy = x - mean_x[at], y - mean_y[at]
        slope = total(dx * dy) / total(dx * dx)
    enough = n >= np.minimum(3, np.maximum(2, np.bincount(code[window], minlength=count)))
    zeros = np.bincount(code[window & np.isneginf(value)], minlength=count) > 0
    return np.where(enough, slope, np.where(zeros, -math.inf, math.nan))


def mean_of_logs(values: pd.Series) -> float:
    """Mean over seeds of a logarithm: -inf where one of them is an exact zero; seeds without a number are left out, nan if all are."""
    values = values.dropna()
    return math.nan if values.empty else -math.inf if np.isneginf(values).any() else float(values.mean())


@dataclass(frozen=True, slots=True)
class Interval:
    """Mean over seeds and a two-sided 95 % t-interval from their scatter; infinitely wide with fewer than two seeds."""

    mean: float
    low: float
    high: float
    count: int

    def __str__(self) -> str:
        return f"{self.mean:+.2f} [{self.low:+.2f}, {self.high:+.2f}]"


def interval(values: np.ndarray) -> Interval:
    """The interval of the finite values: mean -+ t(0.975, n - 1) s / sqrt(n).

    -inf (an exact zero) is kept: the mean of anything with it is -inf, and so are both ends if every value is.
    """
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if len(values) == 0:
        return Interval(math.nan, math.nan, math.nan, 0)
    if not np.isfinite(values).all():
        return Interval(-math.inf, -math.inf, float(values.max()), len(values))
    mean = float(values.mean())
    if len(values) < 2:
        return Interval(mean, -math.inf, math.inf, 1)
    half = float(stats.t.ppf(0.975, len(values) - 1)) * float(values.std(ddof=1)) / math.sqrt(len(values))
    return Interval(mean, mean - half, mean + half, len(values))
