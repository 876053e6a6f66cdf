"""Batch norm makes gradients explode in every plain net, faster the smaller the batch: 1.47 times a ReLU layer at best.

Source: Yang et al. 2019 (arXiv:1902.08129), theorems 8 and 9. Their statistic and nets, at other widths: consistent with, not a reproduction.
Cost: 4,024 runs at initialization, two minutes of one core.
Command: python experiments/batch_norm_explodes.py --run
"""

from __future__ import annotations

import math
import sys

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, claims_curve, growth, main, overlay, wide_claim
from gradyn.theory import batch_norm_rate

SOURCE = Source("Yang et al.", 2019, "A Mean Field Theory of Batch Normalization", arxiv="1902.08129", where="theorems 8 and 9")
BATCHES = {"relu": (8, 16, 32), "gelu": (8,), "linear": (16, 32)}
LIMIT = math.pi / (math.pi - 1)


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Rates over the size of the batch, and the gradients that they come from."""
    places, over_batch, by_layer, judged = [4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48, 64, 96, 128], [], [], claims(frames)
    for activation, batches in BATCHES.items():
        theory = [batch_norm_rate(activation, batch) for batch in places]
        found = [claim for claim in judged if claim.text.startswith(f"{activation}, ")]
        over_batch.append(claims_curve(activation, batches, found, theory=theory, theory_x=places, value=("activation", activation)))
    over_batch.append(Curve("", places, rival=[LIMIT] * len(places)))
    for batch in BATCHES["relu"]:
        layers, log10_delta = frames.stacked(frames.where(activation="relu", batch_size=batch), "log10_delta_rms")
        middle = len(layers) // 2
        line = -math.log10(batch_norm_rate("relu", batch)) * (layers - layers[middle])
        by_layer.append(Curve(f"B = {batch}", layers[::3], 2 * (log10_delta[:, ::3] - log10_delta[:, [middle]]).mean(0), theory=line, theory_x=layers))
    claim = "Batch norm makes gradients explode in every plain net, faster the smaller the batch."
    setting = "Plain nets φ(BN(W x)) at initialization, weights N(0, 1 / N), gain 1, shift 0, eps 0; cotangent N(0, 1)."
    text = "First: factor of |δ|² a layer; all widths carried to infinite width. Second: theory's slope through the middle layer, past the first and last six."
    panels = [
        Panel("Rate", "batch size B [samples]", r"$|\delta_l|^2 / |\delta_{l+1}|^2$", over_batch, xscale="log", rival="ReLU's limit, π / (π − 1)"),
        Panel("ReLU, layer by layer", "layer l, from the input", r"$\log_{10} |\delta_l|^2$, 0 in the middle", by_layer),
    ]
    return [overlay(page, "batch_norm_explodes", claim, setting, f"{text} Source: {SOURCE}.", panels, measured_columns=("log10_delta_rms",))]


def claims(frames: Frames) -> list[Claim]:
    """Theorem 8 at every batch size, against the limit of large batches."""
    found, rival = [], Rival("B → ∞: π / (π − 1)", LIMIT)
    for activation, batch in [(activation, batch) for activation, batches in BATCHES.items() for batch in batches]:
        runs = frames.where(activation=activation, batch_size=batch)
        rates = {int(width): growth(frames, some, skip=6) for width, some in runs.groupby("width")}
        text, predicted = f"{activation}, B = {batch}: factor of |delta|^2 a layer", batch_norm_rate(activation, batch)
        found.append(wide_claim(text, rates, predicted, rival=rival if activation == "relu" else None))
    off = abs(batch_norm_rate("relu", 10**5) - LIMIT) * 10**5
    return [*found, Claim("B times ReLU's distance from π / (π − 1) at B = 1e5", off, 2.0, math.nan, "theory against theory", "below")]


EXPERIMENT = Experiment("batch_norm_explodes", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
