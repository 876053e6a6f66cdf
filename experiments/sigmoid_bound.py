"""A sigmoid's slope is at most 1/4, but 0.25 is no net's rate: weights of scale 1 keep 0.236 of the gradient a layer, large weights explode.

Source: Bengio, Simard & Frasconi 1994 (the bound), after Hochreiter 1991; the rate is Schoenholz et al. 2017's, the nets are ours: consistent with.
Cost: 720 nets at initialization, forty seconds of one core.
Command: python experiments/sigmoid_bound.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradyn.autodiff import Value
from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, Rival, delta_panel, factor_claim, factor_curve, main, overlay

SOURCE = Source("Bengio, Simard & Frasconi", 1994, "Learning long-term dependencies with gradient descent is difficult", venue="IEEE Trans. Neural Networks 5")


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The slope of sigmoid(x) - 1/2, applied again and again, at its fixed point x = 0."""
    x = y = Value(0.0)
    for _ in range(settings["chain"]):
        y = y.sigmoid() - 0.5
    y.backward()
    return {"chain": pd.DataFrame({"slope": [x.grad], "bound": [0.25 ** settings["chain"]]})}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """delta through the layers, and the factor per layer over the scale of the weights."""
    by_scale = {scale: frames.where(init__sigma_w=scale) for scale in frames.values("init.sigma_w")}
    over = factor_curve(frames, by_scale, vary="sigma_w", rival=np.geomspace(min(by_scale), max(by_scale), 60) ** 2 / 16)
    axes = ("per layer", "scale of the weights $\\sigma_w$", "factor of $|\\delta|^2$ per layer")
    panels = [
        delta_panel(frames, {f"$\\sigma_w$ = {scale:g}": runs for scale, runs in by_scale.items()}),
        Panel(*axes, [over], "log", "log", rival="every slope at its maximum, $\\sigma_w^2/16$"),
    ]
    title = "Sigmoid nets lose more than a factor of 4 a layer at weights of scale 1, less at larger ones, and explode at very large ones."
    return [overlay(page, "sigmoid_bound", title, frames.setting(frames.runs, ()), f"Source: {SOURCE}.", panels, measured_columns=("log10_delta_rms",))]


def claims(frames: Frames) -> list[Claim]:
    """The chain of scalars, the bound of every layer, and the factor per layer at each scale."""
    chain, scales = frames.tables["chain"].iloc[0], frames.values("init.sigma_w")
    rows = frames.at_start(frames.runs, ("log10_gain_weight", "log10_gain_derivative", "weight_spectral"))
    share = 10 ** (rows["log10_gain_weight"] + rows["log10_gain_derivative"]) / (0.25 * rows["weight_spectral"])
    factors = [(scale, frames.where(init__sigma_w=scale), Rival("σ_w²/16, every slope at 1/4", scale**2 / 16)) for scale in scales]
    return [
        Claim("the slope of a chain of centred scalar sigmoids is 0.25^length", chain["slope"], chain["bound"], 0.0, "exact: powers of two"),
        Claim("no step exceeds ¼‖W_l‖₂; the largest share of it", float(share.max()), 1.0, 0.0, "a bound, no estimate", "below"),
        *[factor_claim(frames, runs, f"sigmoid, σ_w = {scale:g}: factor of |δ|² per layer", rival=rival) for scale, runs, rival in factors],
    ]


EXPERIMENT = Experiment("sigmoid_bound", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
