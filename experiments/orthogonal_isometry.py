"""Orthogonal weights alone don't make a ReLU net an isometry: ln |g|^2 spreads as 3 L / n, Gaussian's as 5 L / n, mirrored blocks' not at all.

Source: Burkholz & Dubatovka 2019 (arXiv:1806.06362), Mishkin & Matas 2016 (arXiv:1511.06422). Beta(K/2, (n - K)/2) a layer is derived here.
Cost: 5,400 runs, about 20 seconds of one core.
Command: python experiments/orthogonal_isometry.py --run
"""

from __future__ import annotations

import sys

import numpy as np

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, by_layer_and_run, log_walk, main, overlay, seed_claim, walk_claims
from gradyn.report import spread_curve as spread_of
from gradyn.theory import gaussian_relu_law, orthogonal_relu_law

SOURCE = Source("Burkholz & Dubatovka", 2019, "Initialization of ReLUs for dynamical isometry", arxiv="1806.06362")
LN2 = float(np.log(2))
EXACT = {"orthogonal linear": ("linear", "orthogonal"), "mirrored ReLU": ("relu", "looks_linear")}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Spread between nets over depth / width, and single nets."""
    spread, single = [], []
    for n in frames.values("width"):
        laws = {"he_normal": (gaussian_relu_law([n], sigma_w=2**0.5), 5, 0.0), "orthogonal": (orthogonal_relu_law(n, 1, gain=1.0), 3, -LN2)}
        for init, (law, slope, mean) in laws.items():
            if len(walk := log_walk(frames, frames.where(activation="relu", init=init, width=n))):
                spread.append(spread_of(f"{init}, n = {n}", walk, law, slope / n, per=n))
                single.append(Curve(f"{init}, n = {n}", walk.columns, walk.iloc[0] - walk.columns * mean, is_joined=True))
    for name, kind in EXACT.items():
        if len(walk := log_walk(frames, frames.where(activation=kind[0], init=kind[1]))):
            single.append(Curve(f"{name}, n = 64", walk.columns[:48:4], (walk.iloc[0] - walk.iloc[0, 0])[:48:4], is_joined=True))
    panels = [Panel("spread between nets", "depth over width, L / n", r"Var $\ln\,|\delta_1|^2$", spread, rival="leading order, 5 L / n and 3 L / n")]
    panels.append(Panel("one net each", "layers passed", r"$\ln\,|\delta_l|^2 / |\delta_{L+1}|^2$", single))
    title = "Orthogonal ReLU nets still spread, as 3 L / n against Gaussian 5 L / n; mirrored orthogonal blocks keep every gradient exactly."
    text = f"Theory: the exact laws. Right: of orthogonal ReLU nets without the half that ReLU takes a layer. Source: {SOURCE}."
    return [overlay(page, "orthogonal_isometry", title, "one sample, at initialization", text, panels, measured_columns=("log10_delta_rms",))]


def claims(frames: Frames) -> list[Claim]:
    """The exact laws; isometries to the last digit; LSUV's own promise."""
    found, rows = [], by_layer_and_run(frames, init="lsuv").query("layer < depth")
    for n in frames.values("width")[:2]:
        gaussian, law = gaussian_relu_law([n], sigma_w=1.0), orthogonal_relu_law(n, 1, gain=1.0)
        rival = ("3 / n, leading order", -LN2 - 1.5 / n, 3 / n) if n == 16 else ("Gaussian's law", gaussian.mean, gaussian.variance)
        runs, name = frames.where(activation="relu", init="orthogonal", width=n), f"orthogonal ReLU, n = {n}"
        found += walk_claims(f"{name}, |δ|²", log_walk(frames, runs), law, rival)
        found += walk_claims(f"{name}, |x|²", log_walk(frames, runs, "log10_act_rms"), law, rival)[:1]
    for name, kind in EXACT.items():
        walk = log_walk(frames, frames.where(activation=kind[0], init=kind[1])).astype(float)
        off, rounding = walk.max(axis=1) - walk.min(axis=1), len(walk.columns) * 64 * float(np.finfo(float).eps)
        found.append(seed_claim(f"{name}: spread of ln |δ|² over its hidden layers, below L n eps", off.nlargest(1), rounding, "below"))
    for name in ("relu", "tanh"):
        off = (rows[rows["activation"] == name]["preact_std"] ** 2 - 1).abs()
        found.append(seed_claim(f"LSUV, {name}: largest |Var h - 1| of a hidden layer", off.nlargest(1), 0.01, "below"))
    return found


EXPERIMENT = Experiment("orthogonal_isometry", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
