"""SELU holds mean 0 and variance 1 at any depth, yet its gradients explode: 1.0716 times a layer in the square.

Source: Klambauer et al. 2017 (arXiv:1706.02515), section 2 and theorem 1 for the fixed point; the gradient's rate is derived here.
Cost: 324 runs at initialization, about 15 seconds of one core.
Command: python experiments/selu_fixed_point.py --run
"""

from __future__ import annotations

import math
import sys

import numpy as np
import pandas as pd

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, growth, main, overlay, wide_claim, wide_profile
from gradyn.theory import as_function, chi_1, lengths, moment, selu_constants, selu_slopes

SOURCE = Source("Klambauer et al.", 2017, "Self-Normalizing Neural Networks", arxiv="1706.02515")
CHI = float(chi_1("selu", 1.0, sigma_w=1.0, sigma_b=0.0))
TEXT = f"First: over units, at the larger width; second: carried to infinite width. Source: {SOURCE}."
EXACT = 12 * float(np.finfo(np.float64).eps)  # a dozen roundings


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Lengths from three starts, and gradients from the fixed point."""
    forward = []
    for start, runs in frames.runs[frames.runs["width"] == frames.runs["width"].max()].groupby("data.length"):
        layers, log10_act = frames.stacked(runs, "log10_act_rms")
        q, theory = 10.0 ** (2 * log10_act[:, :-1]), moment("selu", lengths("selu", start, len(layers) - 1, sigma_w=1.0, sigma_b=0.0), value=2).value
        forward.append(Curve(f"from {start:g}", layers[:-1:2], q.mean(0)[::2], q.std(0)[::2] / len(q) ** 0.5, theory=theory, theory_x=layers[:-1]))
    at, log10_square, error = wide_profile(frames, frames.where(data__length=1.0, depth=frames.runs["depth"].max()))
    backward = Curve("SELU", at[::2], log10_square[::2], error[::2], theory=math.log10(CHI) * (at[-1] - at), theory_x=at, rival=0.0 * at)
    panels = [
        Panel("The fixed point attracts", "layer l, from the input", "mean square of $x_l$", forward),
        Panel("Gradients explode", "layer l, from the input", r"$\log_{10} |\delta_l|^2 / |\delta_L|^2$", [backward], rival="kept"),
    ]
    return [overlay(page, "selu_fixed_point", "SELU holds its signal, yet its gradients explode.", "LeCun normal weights, at initialization.", TEXT, panels)]


def claims(frames: Frames) -> list[Claim]:
    """Constants, fixed point and its two slopes; then the nets."""
    (alpha, scale), (by_mean, by_square) = selu_constants(), selu_slopes()
    torchs = as_function("selu").value(np.array([1.0, -100.0]))
    exact = {
        "torch's scale less the closed form of lambda": (float(torchs[0]) - scale, 8 * EXACT),
        "torch's -scale alpha less the closed forms": (float(torchs[1]) + scale * alpha, 8 * EXACT),
        "fixed point: mean": (float(moment("selu", 1.0, value=1).value), EXACT),
        "fixed point: variance less 1": (float(moment("selu", 1.0, value=2).value) - 1, EXACT),
        "d mean' / d variance less 0.088834, as printed": (by_mean - 0.088834, 1e-6),
        "d variance' / d variance less 0.782648, as printed": (by_square - 0.782648, 1e-6),
    }
    found = [Claim(f"|{text}|", abs(off), limit, math.nan, "roundings", "below") for text, (off, limit) in exact.items()]
    at = frames.where(data__length=1.0, depth=42).groupby("width")
    rates = {int(width): growth(frames, runs, skip=0) for width, runs in at}
    found.append(wide_claim("factor of |delta|^2 a layer, E selu'^2", rates, CHI, rival=Rival("kept: 1", 1.0)))
    squares = {int(width): pd.Series(10.0 ** (2 * frames.stacked(runs, "log10_act_rms")[1][:, 39])) for width, runs in at}
    return [*found, wide_claim("mean square of x_40", squares, 1.0)]


EXPERIMENT = Experiment("selu_fixed_point", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
