"""ReLU nets keep the mean of |g|^2 at any depth, and yet gradients vanish or explode: ln |g|^2 spreads as 5 L / n, width against depth.

Source: Hanin & Nica 2019 (arXiv:1812.05994), at widths of ours: consistent with. Theirs is the leading order; ln of (2 / n) chi^2_K is derived here.
Cost: 6,600 runs, about a minute of one core.
Command: python experiments/width_over_depth.py --run
"""

from __future__ import annotations

import math
import sys

import numpy as np
import pandas as pd

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, Rival, density_curve, main, overlay, seed_claim, spread_curve, walk_claims
from gradyn.report import log_walk as walk_of
from gradyn.theory import gaussian_relu_law

SOURCE = Source("Hanin & Nica", 2019, "Products of many large random matrices and gradients in deep neural networks", arxiv="1812.05994")
WIDE, HE, DYING = 20, 2**0.5, 4


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """The distribution at one width, and variance and mean over depth / width."""
    walks = {n: walk_of(frames, frames.where(activation="relu", width=n)) for n in frames.values("width") if n > DYING}
    laws = {n: gaussian_relu_law([n], sigma_w=HE) for n in walks}
    spread, typical = ([spread_curve(f"n = {n}", walks[n], laws[n], by / n, per=n, what=what) for n in walks] for what, by in (("variance", 5), ("mean", -2.5)))
    n, law = next(iter(laws.items()))
    ends = density_curve(walks[n], [(law.mean, law.variance), (-2.5 / n, 5 / n)])
    panels = [
        Panel(
            f"n = {n}, L = {len(walks[n].columns)}", r"$\ln\,|\delta_1|^2 / |\delta_{L+1}|^2$", "density", [ends], rival="leading order, 5 L / n and -5 L / 2n"
        ),
        Panel("spread", "depth over width, L / n", r"Var $\ln\,|\delta_1|^2$", spread, rival="leading order, 5 L / n and -5 L / 2n"),
        Panel("typical net", "depth over width, L / n", r"E $\ln\,|\delta_1|^2$", typical),
    ]
    title = "He's ReLU nets keep E |g|² = 1, but a typical one loses it and nets spread apart as exp(± depth / width)."
    text = f"Theory: the exact law of every layer; beside the bars the normal law with its mean and variance. Source: {SOURCE}."
    return [overlay(page, "width_over_depth", title, "ReLU, He, one sample, at initialization", text, panels, measured_columns=("log10_delta_rms",))]


def claims(frames: Frames) -> list[Claim]:
    """Mean and variance of ln at each width, backwards and forwards; the mean without ln; linear nets; gradients that are exactly zero."""
    found = []
    for n in [n for n in frames.values("width") if n > DYING]:
        law, runs = gaussian_relu_law([n], sigma_w=HE), frames.where(activation="relu", width=n)
        back, forth = walk_of(frames, runs), walk_of(frames, runs, "log10_act_rms")
        rival = ("leading order, 5 / n", -2.5 / n, 5 / n) if n < 100 else ("3 / n, orthogonal", -1.5 / n, 3 / n)
        found += walk_claims(f"ReLU, n = {n}, |δ|²", back, law, rival) + walk_claims(f"ReLU, n = {n}, |x|²", forth, law, rival)[:1]
        kept = np.exp(back.diff(axis=1).fillna({1: back[1]})).mean(axis=1)
        found.append(seed_claim(f"ReLU, n = {n}: E |δ|² per layer, no ln", kept, 1.0, rival=Rival("exp of E ln", math.exp(law.mean))))
    law = gaussian_relu_law([WIDE], sigma_w=1.0, negative_slope=1.0)
    found += walk_claims(f"linear, n = {WIDE}, |δ|²", walk_of(frames, frames.where(activation="linear")), law, ("ReLU, 5 / n", -2.5 / WIDE, 5 / WIDE))
    dying = frames.where(width=DYING)
    layers, last = int(dying["depth"].iloc[0]) - 1, frames.stacked(dying, "log10_delta_rms")[1][:, 0]
    p_zero, rival = gaussian_relu_law([DYING] * layers, sigma_w=HE).p_zero, Rival("L 2^-n", layers * 2.0**-DYING)
    return [*found, seed_claim(f"n = {DYING}, L = {layers}: share of gradients exactly zero", pd.Series(np.isneginf(last) * 1.0), p_zero, rival=rival)]


EXPERIMENT = Experiment("width_over_depth", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
