"""Log norms through ReLU layers as random walks: one walk a net, judged against the exact law of its steps.

    walk = log_walk(frames, frames.where(activation="relu", width=20))     seeds x layers passed
    walk_claims("ReLU, width 20", walk, gaussian_relu_law([20], sigma_w=2**0.5), ("5 / n", -2.5 / 20, 5 / 20))

Forwards the steps of a net are independent. Backwards |J' v|^2 of a random v has the law of |J u|^2 of a random u for the product J of any of the last
layers: sums of steps down from the output have a variance in proportion to their number, so that no step is correlated with the sum of those above it. All
pairs together then have no covariance, and a net's own variance over its steps has the step's variance for its mean, exactly, in both directions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import stats

from gradyn.report.claims import Claim, Rival, seed_claim
from gradyn.report.frames import Frames
from gradyn.report.overlay import Curve
from gradyn.report.quantities.factors import LN_SQUARE
from gradyn.theory import LogNormLaw


def log_walk(frames: Frames, runs: pd.DataFrame, column: str = "log10_delta_rms") -> pd.DataFrame:
    """ln of the factor of a squared norm by the number of ReLU layers passed, from the output backwards or from layer 1 forwards.

    Args:
        frames: the folder.
        runs: of one width and depth, all layers of one size, one sample a run.
        column: log10_delta_rms, over the readout's; or log10_act_rms, over layer 1's.

    Returns:
        One row a seed, columns 1, 2, ... layers; nets that are exactly zero anywhere are left out, as the laws leave them out. Empty without runs.
    """
    if runs.empty:
        return pd.DataFrame()
    _, values = frames.stacked(runs, column)
    # Forwards the readout has no ReLU.
    walk = (values[:, -2::-1] - values[:, -1:] if column == "log10_delta_rms" else values[:, 1:-1] - values[:, :1]) * LN_SQUARE
    table = pd.DataFrame(walk, columns=np.arange(1, walk.shape[1] + 1))
    return table[np.isfinite(table).all(axis=1)]


def walk_claims(net: str, walk: pd.DataFrame, law: LogNormLaw, rival: tuple[str, float, float]) -> list[Claim]:
    """Mean and variance of a step, and the variance between nets after all steps, against the law.

    Args:
        net: said first in each claim.
        walk: as `log_walk` gives it.
        law: of one layer.
        rival: another law's name, and mean and variance of its step.
    """
    name, mean, variance = rival
    layers = len(walk.columns)
    if walk.empty:
        return [Claim(f"{net}: {what}", math.nan, math.nan, math.nan, "no run") for what in ("Var ln of a layer", "E ln of a layer", "Var ln of all layers")]
    steps = walk.diff(axis=1).fillna({1: walk[1]})
    return [
        seed_claim(f"{net}: Var ln of a layer, exact law", steps.var(axis=1, ddof=1), law.variance, rival=Rival(name, variance)),
        seed_claim(f"{net}: E ln per layer, exact law", walk[layers] / layers, law.mean, rival=Rival(name, mean)),
        seed_claim(f"{net}: Var ln after {layers} layers, between nets", _squares(walk[layers]), layers * law.variance, rival=Rival(name, layers * variance)),
    ]


def spread_curve(label: str, walk: pd.DataFrame, law: LogNormLaw, leading: float, *, per: float = 1.0, what: str = "variance") -> Curve:
    """Variance (or `mean`) between nets after eight numbers of layers, beside the law.

    Args:
        label: of the curve.
        walk: as `log_walk` gives it.
        law: of one layer.
        leading: another formula's number a layer, dotted.
        per: what the number of layers is divided by on x.
        what: variance or mean.
    """
    at = np.unique(np.linspace(1, len(walk.columns), 8).round().astype(int))
    each = [_squares(walk[layer]) if what == "variance" else walk[layer] for layer in at]
    theory = at * (law.variance if what == "variance" else law.mean)
    return Curve(label, at / per, [y.mean() for y in each], [y.sem() for y in each], theory=theory, rival=at * leading)


def density_curve(walk: pd.DataFrame, laws: Sequence[tuple[float, float]]) -> Curve:
    """Bars of the log norms after all layers, beside normal laws of mean and variance of a layer: the first dashed, a second one dotted."""
    layers = len(walk.columns)
    density, edges = np.histogram(walk[layers], bins=24, density=True)
    middle = (edges[1:] + edges[:-1]) / 2
    normal = [stats.norm.pdf(middle, layers * mean, math.sqrt(layers * variance)) for mean, variance in laws]
    return Curve("", middle, density, theory=normal[0], rival=normal[1], is_bars=True)


def _squares(values: pd.Series) -> pd.Series:
    """One number a seed whose mean is the unbiased variance."""
    return (values - values.mean()) ** 2 * len(values) / (len(values) - 1)
