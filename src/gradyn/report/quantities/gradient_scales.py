"""Gradient scale coefficients of the steps between hidden layers, beside theory."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from gradyn.report.frames import Frames
from gradyn.report.wide import by_layer_and_run
from gradyn.theory import chi_1, lengths, moment


def gradient_scales(frames: Frames, phi: str, norm: str, sigma_w: float) -> tuple[pd.DataFrame, np.ndarray, float]:
    """Rows of the steps between hidden layers, ln(10) log10 GSC as `step` and `through`; GSC of each by theory, and chi_1, the gradient's own factor."""
    rows = by_layer_and_run(frames, activation=phi, norm=norm, init__sigma_w=sigma_w)
    q = lengths(phi, 1.0, rows["depth"].max() - 1, sigma_w=sigma_w, sigma_b=0.0)[1:] if norm == "none" else np.ones(rows["depth"].max() - 2)
    rows[["step", "through"]] = rows[["log10_gsc_step", "log10_gsc_to_output"]] * math.log(10)
    gsc = q * moment(phi, q, derivative=2).value / moment(phi, q, value=2).value
    return rows[rows["layer"].between(2, rows["depth"].max() - 1)], gsc, float(np.exp(np.log(chi_1(phi, q, sigma_w=sigma_w, sigma_b=0.0)).mean()))
