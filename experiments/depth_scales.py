"""Three depth scales of a tanh net: lengths forget in xi_q layers, correlations in xi_c, gradients vanish or explode in xi_grad.

Source: Schoenholz et al. 2017 (arXiv:1611.01232), sections 3 and 4, with their sigma_b^2 = 0.05; widths are ours: consistent with.
Cost: 2,960 runs at initialization, a minute of one core.
Command: python experiments/depth_scales.py --run
"""

from __future__ import annotations

import math
import sys

import pandas as pd

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, by_layer_and_run, decay_claim, decay_curve, differences, main
from gradyn.report import logarithms as logs_of
from gradyn.report import overlay as drawn_over
from gradyn.theory import DepthScales, depth_scales

SOURCE = Source("Schoenholz et al.", 2017, "Deep information propagation", arxiv="1611.01232", where="sections 3 and 4")
NEAR, LAST_Q, LAST, GAP, LN_SQUARE = 0.999999, 4, 12, "log10_one_minus_pair_correlation", 2 * math.log(10)


def _decays(frames: Frames) -> dict[str, tuple[DepthScales, pd.DataFrame, pd.DataFrame, pd.DataFrame]]:
    """By sigma_w: what theory says, and over the layers ln of differences of lengths, of correlations, and of |delta|^2."""
    found = {}
    for sigma_w in frames.values("init.sigma_w"):
        rows, said = by_layer_and_run(frames, init__sigma_w=sigma_w), depth_scales("tanh", sigma_w=sigma_w, sigma_b=0.05**0.5)
        near, apart = rows[rows["data.correlation"] == NEAR], rows[rows["data.correlation"] != NEAR]
        c = logs_of(near, GAP, math.log(10)) if said.chi_1 < 1 else differences(apart, "data.correlation", GAP)
        found[f"{sigma_w**2:.2g}"] = said, differences(near, "data.length", "log10_preact_ms"), c, logs_of(near, "log10_delta_rms", LN_SQUARE)
    return found


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Differences of lengths and of correlations, and gradients, over the layers."""
    curves: list[list[Curve]] = [[], [], []]
    for square, (said, *tables) in _decays(frames).items():
        logs = math.log(said.chi_parallel), math.log(said.chi_c), -math.log(said.chi_1)
        for of, table, log, last in zip(curves, tables, logs, (LAST_Q, LAST, LAST), strict=True):
            of.append(decay_curve(f"$\\sigma_w^2$ = {square}", table, log, last, abs(logs[2]) * math.copysign(1, said.chi_1 - 1) if log != logs[2] else None))
    names = ("lengths", "$|q_l - q^*|$ / its layer 1"), ("correlations", "$|c_l - c^*|$ / its layer 1"), ("gradients", "E $\\delta_l^2$ / its layer 1")
    panels = [Panel(name, "layer $l$", label, each, yscale="log", rival="$\\chi_1^l$") for (name, label), each in zip(names, curves, strict=True)]
    title = "Lengths are forgotten in $\\xi_q$ layers, correlations in $\\xi_c$, and gradients change in $\\xi_\\nabla$: three different numbers."
    text = f"Dashed: exp(-l / ξ). Two inputs, the same weights, carried to infinite width; lengths while above a net's own noise. Source: {SOURCE}."
    return [drawn_over(page, "depth_scales", title, "tanh, $\\sigma_b^2$ = 0.05, at the fixed point", text, panels, measured_columns=("log10_preact_ms", GAP))]


def claims(frames: Frames) -> list[Claim]:
    """The three factors per layer, exp(-1 / xi), at three weights."""
    found = []
    for square, (said, q, c, delta) in _decays(frames).items():
        name, one = f"tanh, σ_w² = {square}", Rival("χ₁", said.chi_1)
        rivals = (one, Rival("χ_c", said.chi_c)) if said.chi_1 > 1 else (Rival("exp(-1/ξ_q)", said.chi_parallel), Rival("σ_w²", float(square)))
        found.append(decay_claim(f"{name}: |q_l - q*| per layer, exp(-1/ξ_q)", q, LAST_Q, math.log(said.chi_parallel), one))
        found.append(decay_claim(f"{name}: |c_l - c*| per layer, exp(-1/ξ_c)", c, LAST, math.log(said.chi_c), rivals[0]))
        found.append(decay_claim(f"{name}: |δ|² per layer backwards, exp(∓1/ξ_∇)", -delta, LAST, math.log(said.chi_1), rivals[1]))
    return found


EXPERIMENT = Experiment("depth_scales", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
