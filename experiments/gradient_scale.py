"""A ReLU net whose gradients explode as 4.5^l has a gradient scale of 1, a normalized tanh net whose gradients look tame one of 1.18 per layer.

Source: Philipp, Song & Carbonell 2017 (arXiv:1712.05577). The coefficient is theirs; that it is q E phi'^2 / E phi^2 in wide layers is derived here.
Cost: 1,080 runs, under a minute of one core.
Command: python experiments/gradient_scale.py --run
"""

from __future__ import annotations

import math
import sys

import numpy as np

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, by_width, main, overlay, rate_claim, wide_curve
from gradyn.report import gradient_scales as steps_of

SOURCE = Source("Philipp, Song & Carbonell", 2017, "The exploding gradient problem demystified", arxiv="1712.05577")
NETS = [("relu", "none", 1.0), ("relu", "none", math.sqrt(2)), ("relu", "none", 3.0), ("tanh", "none", 3.0), ("tanh", "rms", 1.0), ("tanh", "rms", 3.0)]


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Gradients over layers, and the coefficient per layer."""
    raw, scale = [], []
    for net in NETS:
        rows, gsc, _ = steps_of(frames, *net)
        label = f"{net[0]}{', rms norm' * (net[1] == 'rms')}, $\\sigma_w$ = {net[2]:.3g}"
        raw.append(Curve(label, (found := wide_curve(rows, "layer", "log10_delta_rms"))[0], found[1] - found[1][-1], is_joined=True))
        scale.append(Curve(label, (found := wide_curve(rows, "layer", "step"))[0], np.exp(found[1]), np.exp(found[1]) * found[2], theory=gsc))
    title = "ReLU nets vanish or explode with a gradient scale of 1; a normalized tanh net has 1.18 in every layer, at any scale of weights."
    text = f"GSC: how much larger a relative change becomes, in square. Carried to infinite width. Theory: q E φ′² / E φ². {SOURCE}"
    panels = [Panel("gradients", "layer $l$", r"$\log_{10}$ rms $\delta_l$ / rms $\delta_{D-1}$", raw, limits=(-1.2, 4.5))]
    panels.append(Panel("gradient scale", "layer $l$", "GSC$(l-1, l)$", scale, limits=(0.8, 3.8)))
    return [overlay(page, "gradient_scale", title, "hidden layers, initialization", text, panels)]


def claims(frames: Frames) -> list[Claim]:
    """GSC per layer of each net, and that it multiplies: from layer 1 to the output against from the last hidden layers to the output."""
    found = []
    for net in NETS:
        rows, gsc, chi = steps_of(frames, *net)
        name, per_layer, last = f"{net[0]}, norm={net[1]}, sigma_w = {net[2]:.4g}", np.exp(np.log(gsc).mean()), rows["layer"].max()
        rival = Rival("chi_1: the gradient's own factor", chi) if abs(chi - per_layer) > 1e-9 else None
        found.append(rate_claim(f"GSC per layer, {name}", by_width(rows.groupby(["width", "seed"])["step"].mean()), per_layer, rival=rival))
        first, rest = (rows[rows["layer"] == layer].set_index(["width", "seed"])["through"] for layer in (2, last))
        off = by_width(first - rest - rows[rows["layer"] < last].groupby(["width", "seed"])["step"].sum())
        found.append(rate_claim(f"GSC through all hidden layers over the product of theirs, {name}", off, 1.0))
    return found


EXPERIMENT = Experiment("gradient_scale", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
