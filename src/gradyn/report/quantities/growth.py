"""How gradients grow from layer to layer: one number a seed, in the forms in which theory states it.

    growth(frames, runs, skip=6)             mean over steps of |delta_l|^2 / |delta_{l+1}|^2: mean field's chi, layer by layer
    stream_growth(frames, runs)              |g_1|^2 / |g_last|^2 along a residual net's skip, whatever its branches do

Squared norms throughout, over units and batch. A ratio of one step has the expectation that mean-field theory is about, up to its own
corrections of order 1 / width; the logarithm's mean would lie lower by half the ratio's variance, and the ratio of distant layers is
log-normal. So steps are averaged as ratios, and each seed gives one number.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradyn.report.claims import Claim
from gradyn.report.frames import Frames
from gradyn.report.overlay import Curve
from gradyn.report.wide import wide_limit


def growth(frames: Frames, runs: pd.DataFrame, skip: int = 3, last_skip: int | None = None) -> pd.Series:
    """Mean of |delta_l|^2 / |delta_{l+1}|^2 over the steps between hidden layers of a window, by seed.

    Args:
        frames: the folder.
        runs: of one depth; one run a seed.
        skip: hidden layers left out at the input's end; at most so many that two stay.
        last_skip: the same at the output's end; `skip` where left out.

    Returns:
        index seed; dimensionless, per layer towards the input. Empty where there are no runs.
    """
    if runs.empty:
        return pd.Series(dtype=float)
    layers, delta = frames.stacked(runs, "log10_delta_rms")
    hidden = len(layers) - 1
    low = min(skip, (hidden - 2) // 2)
    high = hidden - min(skip if last_skip is None else last_skip, (hidden - 2) // 2)
    ratios = 10.0 ** (-2 * np.diff(delta[:, low:high], axis=1))
    return pd.Series(ratios.mean(axis=1), index=_seeds(runs))


def stream_growth(frames: Frames, runs: pd.DataFrame) -> pd.Series:
    """|delta_1|^2 / |W^T delta|^2 of the readout, by seed: what a residual net's blocks add between its first layer and its last.

    W^T delta of the readout is what enters the last block; delta_1 is what leaves the first, times phi' of layer 1, which has no skip:
    divided by E phi'^2 there it is |g_1|^2 / |g_last|^2.

    Args:
        frames: the folder.
        runs: of one depth, width = features = classes; one run a seed.
    """
    if runs.empty:
        return pd.Series(dtype=float)
    _, delta = frames.stacked(runs, "log10_delta_rms")
    _, gain = frames.stacked(runs, "log10_gain_weight")
    return pd.Series(10.0 ** (2 * (delta[:, 0] - delta[:, -1] - gain[:, -1])), index=_seeds(runs))


def _seeds(runs: pd.DataFrame) -> pd.Index:
    return pd.Index(runs.sort_values("seed")["seed"], name="seed")


def claims_curve(label: str, x: Sequence[float], claims: Sequence[Claim], **more: Any) -> Curve:
    """A curve through what claims measured, with their errors and, unless `theory` is given, what they predict; `more` as `Curve` takes it."""
    return Curve(label, x, [c.measured for c in claims], [c.standard_error for c in claims], **{"theory": [c.predicted for c in claims], **more})


def wide_profile(frames: Frames, runs: pd.DataFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """log10 of |delta_l|^2 over that of the readout, carried from up to three widths to infinite width: layers, means over seeds, standard errors."""
    parts = {int(width): frames.stacked(some, "log10_delta_rms") for width, some in runs.groupby("width")}
    layers = next(iter(parts.values()))[0]
    found = [wide_limit({width: pd.Series(2 * (delta[:, place] - delta[:, -1])) for width, (_, delta) in parts.items()}) for place in range(len(layers))]
    return layers, np.array([value for value, _, _ in found]), np.array([error for _, error, _ in found])
