"""Ordered tanh nets make two inputs one, chaotic ones drive them apart, both along the correlation map and layer by layer.

Source: Poole et al. 2016 (arXiv:1606.05340), section 2. Theirs are nets of width 1,000, ours are carried to infinite width from 50 and 200: consistent with,
not a reproduction. Compared is the recursion at the same layer, not its fixed point: at sigma_w = 1.3 that is 16 layers' scale away.
Cost: 1,080 runs, a minute of one core.
Command: python experiments/correlation_map.py --run
"""

from __future__ import annotations

import sys

import numpy as np

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, by_layer_and_run, main, overlay, wide_claim, wide_curve
from gradyn.theory import correlations, fixed_point_c, lengths

SOURCE = Source("Poole et al.", 2016, "Exponential expressivity in deep neural networks through transient chaos", arxiv="1606.05340", where="section 2")
SIGMA_B, CORRELATION = 0.3, "pair_correlation"


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Lengths and correlations over layers."""
    curves: dict[str, list[Curve]] = {"q": [], CORRELATION: []}
    for sigma_w in frames.values("init.sigma_w"):
        rows = by_layer_and_run(frames, init__sigma_w=sigma_w)
        rows, pair = rows.assign(q=10 ** rows["log10_preact_ms"]), rows.iloc[0]
        sigmas = {"sigma_w": sigma_w, "sigma_b": SIGMA_B}
        theory = {
            "q": lengths("tanh", pair["data.length"], pair["depth"], **sigmas),
            CORRELATION: correlations("tanh", pair["data.correlation"], pair["data.length"], pair["depth"], **sigmas),
        }
        for column, of in curves.items():
            layer, mean, error = wide_curve(rows, "layer", column)
            of.append(Curve(f"$\\sigma_w$ = {sigma_w:g}", layer, mean, error, theory=theory[column]))
    title = "Ordered tanh nets make two inputs one, chaotic ones drive them apart, as the correlation map says layer by layer."
    text = f"Two inputs of length 0.64 and correlation 0.6; both widths carried to infinite width. {SOURCE}"
    panels = [
        Panel("length", "layer $l$", "$q_l$: mean square of $h_l$", curves["q"], yscale="log"),
        Panel("correlation", "layer $l$", "$c_l$ of two inputs", curves[CORRELATION], limits=(-0.1, 1.05)),
    ]
    return [overlay(page, "correlation_map", title, "tanh, $\\sigma_b$ = 0.3", text, panels, measured_columns=("log10_preact_ms", CORRELATION))]


def claims(frames: Frames) -> list[Claim]:
    """Length and correlation: mean of the last 12 layers."""
    found = []
    for sigma_w in frames.values("init.sigma_w"):
        rows, sigmas = by_layer_and_run(frames, init__sigma_w=sigma_w), {"sigma_w": sigma_w, "sigma_b": SIGMA_B}
        pair, last = rows.iloc[0], np.arange(rows["depth"].max())[-12:]
        mine = rows[rows["layer"] > last.min()].assign(q=10 ** rows["log10_preact_ms"]).groupby(["width", "seed"])
        q = lengths("tanh", pair["data.length"], pair["depth"], **sigmas)[last].mean()
        found.append(wide_claim(f"length q_l, last 12 layers, sigma_w = {sigma_w:g}", mine["q"].mean(), q))
        c = correlations("tanh", pair["data.correlation"], pair["data.length"], pair["depth"], **sigmas)[last].mean()
        rival = Rival("the map's fixed point c*", fixed_point_c("tanh", **sigmas))
        found.append(wide_claim(f"correlation c_l of two inputs, last 12 layers, sigma_w = {sigma_w:g}", mine[CORRELATION].mean(), c, rival=rival))
    return found


EXPERIMENT = Experiment("correlation_map", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
