"""Autocorrelation of gradients along a line of inputs, beside theory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from gradyn.report.frames import Frames
from gradyn.report.wide import by_layer_and_run
from gradyn.theory import gradient_autocorrelation


def line_gradients(frames: Frames, residual: str, lags: Sequence[int], norm: str = "none") -> tuple[pd.DataFrame, np.ndarray]:
    """Rows of the nets of one kind, and the law of those without norm, [layers, lags]."""
    t, depth = np.linspace(-2, 2, frames.runs["data.samples"].max()), frames.runs["depth"].max()
    law = gradient_autocorrelation(t, depth, lags, sigma_w=2**0.5, sigma_b=0.5, is_residual=residual != "plain")
    return by_layer_and_run(frames, residual=residual, norm=norm), law
