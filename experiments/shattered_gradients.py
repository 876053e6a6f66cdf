"""Along a line of inputs the gradient of a deep plain ReLU net comes near white noise, that of a residual net does not.

Source: Balduzzi et al. 2017 (arXiv:1702.08591), section 2. Their grid, depth and width, biases ours: consistent with. The law of real nets is ours too.
Cost: 168 runs, about a minute of one core.
Command: python experiments/shattered_gradients.py --run
"""

from __future__ import annotations

import sys

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, line_gradients, main, overlay, seed_claim, wide_claim, wide_curve

SOURCE = Source("Balduzzi et al.", 2017, "The shattered gradients problem: if resnets are the answer, then what is the question?", arxiv="1702.08591")
LAGS, NETS = (1, 2, 4, 8, 16, 32), {"plain": "plain", "identity": "residual"}
COLUMNS, AT_8 = [f"gradient_acf_{lag}" for lag in LAGS], "gradient_acf_8"


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Autocorrelation over lags at three depths, plain and residual, and at lag 8 over layers, with batch norm too."""
    panels, over_layers, deep = [], [], frames.runs["depth"].max()
    for residual, name in NETS.items():
        rows, theory = line_gradients(frames, residual, LAGS)
        wide = rows[(rows["width"] == rows["width"].max()) & (rows["layer"] > 1)].groupby("layer")[COLUMNS].agg(["mean", "sem"]).swaplevel(axis=1)
        curves = [Curve(f"depth {n}", LAGS, wide["mean"].loc[n], wide["sem"].loc[n], theory=theory[n - 1]) for n in (2, 8, deep)]
        panels.append(Panel(f"{name} nets", "lag [points]", "autocorrelation of $dh_l/dt$", curves, xscale="log", limits=(0, 1.05)))
        over_layers.append(Curve(name, wide.index, wide["mean"][AT_8], wide["sem"][AT_8], theory=theory[1:, LAGS.index(8)]))
        over_layers.append(Curve(f"{name}, batch norm", *wide_curve(line_gradients(frames, residual, LAGS, "batch")[0].query("layer > 2"), "layer", AT_8)))
    panels.append(Panel("lag 8", "layer $l$", "autocorrelation of $dh_l/dt$", over_layers, limits=(-0.75, 1.05)))
    title = "Along a line of inputs the gradient of a deep plain ReLU net shatters, that of a residual net does not."
    text = f"256 points from −2 to 2; width 200, with batch norm 50. Theory: infinite width, where gates are not independent of each other. {SOURCE}"
    return [overlay(page, "shattered_gradients", title, "ReLU, He weights, $\\sigma_b$ = 0.5, initialization", text, panels)]


def claims(frames: Frames) -> list[Claim]:
    """The law of real nets where corrections of width are small, and the order of the deep ones."""
    found, at_8 = [], []
    for residual, name in NETS.items():
        rows, theory = line_gradients(frames, residual, LAGS)
        for layer in (4, 8):
            mine = rows[rows["layer"] == layer].set_index(["width", "seed"])[AT_8]
            found.append(wide_claim(f"{name} nets, depth {layer}: autocorrelation at lag 8", mine, theory[layer - 1, LAGS.index(8)]))
        wide = rows[rows["width"] == rows["width"].max()].set_index(["layer", "seed"])[AT_8]
        at_8 += [wide.loc[2], wide.loc[len(theory)]]
    shallow, deep, _, residual = at_8
    found.append(seed_claim("lag 8: depth 2 less the deepest, plain nets", shallow - deep, 0.2, "above"))
    return [*found, seed_claim("lag 8, the deepest: residual less plain nets", residual - deep, 0.1, "above")]


EXPERIMENT = Experiment("shattered_gradients", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
