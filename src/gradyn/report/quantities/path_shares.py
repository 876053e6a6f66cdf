"""Shares of the gradient by the number of branches it came through, beside theory."""

from __future__ import annotations

import pandas as pd
from scipy import stats

from gradyn.report.frames import Frames
from gradyn.report.wide import by_layer_and_run


def path_shares(frames: Frames, scale: float) -> tuple[pd.DataFrame, stats.rv_discrete]:
    """One row a run and number k of branches, and the law of k: Binomial(blocks, B / (1 + B))."""
    rows = by_layer_and_run(frames, residual__scale=scale).dropna(subset=["path_length_share"])
    gain = 2 * scale**2
    return rows.assign(k=rows["layer"] - 1), stats.binom(rows["depth"].max() // 2 - 1, gain / (1 + gain))
