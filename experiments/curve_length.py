"""A curve of inputs grows by sqrt(chi_1) in every layer of a tanh net: chaotic nets stretch it, ordered ones shrink it.

Source: Poole et al. 2016 (arXiv:1606.05340), section 3; Raghu et al. 2017 (arXiv:1606.05336). Theirs is a whole circle through nets of width 1,000, ours a
short arc carried to infinite width from two widths: consistent with, not a reproduction.
Cost: 4,500 runs, a minute of one core.
Command: python experiments/curve_length.py --run
"""

from __future__ import annotations

import math
import sys

import numpy as np

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, by_layer_and_run, by_width, main, overlay, rate_claim, wide_curve
from gradyn.theory import curve_growth

SOURCE = Source("Poole et al.", 2016, "Exponential expressivity in deep neural networks through transient chaos", arxiv="1606.05340", where="section 3")
GROWTH, SIGMA_B = "log10_curve_growth", 0.3


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Length over layers, and growth per layer."""
    curves: dict[str, list[Curve]] = {"length": [], "growth": []}
    for sigma_w in frames.values("init.sigma_w"):
        rows = by_layer_and_run(frames, init__sigma_w=sigma_w)
        growth = curve_growth("tanh", rows["data.length"].iloc[0], rows["depth"].iloc[0], sigma_w=sigma_w, sigma_b=SIGMA_B)
        rows["log10_length"] = rows["log10_curve_length"] - rows.groupby("run_id")["log10_curve_length"].transform("first")
        for kind, column, theory in (("length", "log10_length", np.cumprod([1.0, *growth])), ("growth", GROWTH, growth)):
            layer, mean, error = wide_curve(rows, "layer", column)
            curves[kind].append(Curve(f"$\\sigma_w$ = {sigma_w:g}", layer, 10**mean, 10**mean * math.log(10) * error, theory=theory))
    title = "A curve of inputs grows by √χ₁ in every layer of a tanh net: chaotic nets stretch it, ordered ones shrink it."
    text = f"Arc of {frames.runs['data.radians'].iloc[0]:g} rad; both widths carried to infinite width. Theory: the root of χ₁ at each layer's length. {SOURCE}"
    panels = [
        Panel("curve length", "layer $l$", "length / length in layer 1", curves["length"], yscale="log"),
        Panel("growth", "layer $l$", "length in $l$ / length in $l - 1$", curves["growth"], limits=(0.78, 1.95)),
    ]
    return [overlay(page, "curve_length", title, "tanh, $\\sigma_b$ = 0.3", text, panels, measured_columns=("log10_curve_length", GROWTH))]


def claims(frames: Frames) -> list[Claim]:
    """Growth over all layers, per layer."""
    found = []
    for sigma_w in frames.values("init.sigma_w"):
        rows = by_layer_and_run(frames, init__sigma_w=sigma_w)
        log_growth = np.log(curve_growth("tanh", rows["data.length"].iloc[0], rows["depth"].iloc[0], sigma_w=sigma_w, sigma_b=SIGMA_B)).mean()
        rates = by_width(rows.groupby(["width", "seed"])[GROWTH].mean() * math.log(10))
        text = f"growth of a curve's length per layer, tanh, sigma_w = {sigma_w:g}: sqrt(chi_1)"
        found.append(rate_claim(text, rates, math.exp(log_growth), rival=Rival("chi_1, of squared norms", math.exp(2 * log_growth))))
    return found


EXPERIMENT = Experiment("curve_length", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
