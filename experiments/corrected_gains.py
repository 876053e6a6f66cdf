"""Gains undo what an activation or dropout takes from gradients; standardised weights keep the signal alone, and gradients explode by pi / (pi - 1).

Source: Hendrycks & Gimpel 2016 (arXiv:1607.02488) for dropout, Brock et al. 2021 (arXiv:2101.08692) for standardised weights, whose 1.7139 is an estimate
of (2 / (1 - 1/pi))^(1/2) = 1.7129; nets and widths are ours: consistent with.
Cost: 1,600 nets at initialization, a minute of one core.
Command: python experiments/corrected_gains.py --run
"""

from __future__ import annotations

import math
import sys

import pandas as pd

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, Rival, delta_panel, factor_claim, layer_curve, layer_values, main, overlay, wide_claim
from gradyn.theory import correlation_map

SOURCE = Source("Hendrycks & Gimpel", 2016, "Adjusting for dropout variance in batch normalization and weight initialization", arxiv="1607.02488")
STANDARD = "standardised weights, gain² = 2/(1 − 1/π)"


def _nets(frames: Frames) -> tuple[dict[str, pd.DataFrame], pd.DataFrame, list[float]]:
    """Runs by what is done to gradients; those of one input twice, and c_l of its passes: c -> keep c'(c), as other units fall out each time."""
    apart, twice = (frames.runs[frames.runs["data.correlation"] == c] for c in (0.0, 1.0))
    dropped = {square: frames.where(dropout__keep=0.8, data__correlation=0.0, init__sigma_w=square**0.5) for square in (2.0, 1.6)}
    nets = {
        "leaky ReLU, slope 0.2, σ_w² = 2/(1 + 0.2²)": apart[apart["activation"] == "leaky_relu"],
        "dropout keeps 0.8, He's σ_w² = 2": dropped[2.0],
        "dropout keeps 0.8, σ_w² = 2 · 0.8": dropped[1.6],
        STANDARD: apart[apart["norm"] == "weight_standardized"],
    }
    said = [1.0]
    for _ in range(int(twice["depth"].max()) - 2):
        said.append(0.8 * correlation_map("relu", said[-1], 1.0, sigma_w=2**0.5, sigma_b=0.0))
    return nets, twice, said


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Gradients through the layers, and how far dropout takes two passes of one input apart."""
    nets, twice, said = _nets(frames)
    panels = [delta_panel(frames, nets, "gradients")]
    panels.append(Panel("one input, two passes with dropout", "layer l", "$c_l$ of both", [layer_curve(frames, twice, "", "pair_correlation", said)]))
    title = "The right gain keeps gradients under leaky ReLU and dropout; standardised weights keep signals, and gradients explode."
    return [overlay(page, "corrected_gains", title, "plain nets of square layers at initialization.", f"Source: {SOURCE}.", panels)]


def claims(frames: Frames) -> list[Claim]:
    """Factors of |delta|^2 per layer with each gain; the signal behind standardised weights; the correlation of two passes."""
    nets, twice, said = _nets(frames)
    one, rival = Rival("kept: 1", 1.0), Rival("as gradients, π/(π − 1)", math.pi / (math.pi - 1))
    rivals = (Rival("with ReLU's gain: 1.04", 1.04), one, Rival("with He's gain: 1.25", 1.25), one)
    found = [factor_claim(frames, runs, f"{name}: factor of |δ|² per layer", rival=each) for (name, runs), each in zip(nets.items(), rivals, strict=True)]
    found.append(factor_claim(frames, nets[STANDARD], f"{STANDARD}: E x² per layer, forwards", column="log10_act_rms", rival=rival))
    text = f"dropout keeps 0.8: correlation of two passes of one input in layer {len(said)}"
    values = layer_values(frames, twice, "pair_correlation", len(said))
    return [*found, wide_claim(text, values, said[-1], rival=Rival("one input: 1", 1.0))]


EXPERIMENT = Experiment("corrected_gains", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
