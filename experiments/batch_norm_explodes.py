"""Batch norm makes gradients explode in every plain net, faster the smaller the batch: 1.47 times a ReLU layer at best.

Source: Yang et al. 2019 (arXiv:1902.08129), theorems 8 and 9. Their statistic and nets, at other widths: consistent with, not a reproduction.
Cost: 4,024 runs at initialization, two minutes of one core.
Command: python experiments/batch_norm_explodes.py --run
"""

from __future__ import annotations

import math
import sys

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, claims_curve, delta_panel, growth, main, overlay, wide_claim
from gradyn.theory import batch_norm_moments, batch_norm_rate

SOURCE = Source("Yang et al.", 2019, "A Mean Field Theory of Batch Normalization", arxiv="1902.08129", where="theorems 8 and 9")
BATCHES = {"relu": (8, 16, 32), "gelu": (8,), "linear": (16, 32)}
LIMIT = math.pi / (math.pi - 1)


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Rates over the size of the batch, and the gradients that they come from."""
    places, over_batch, judged = [4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 39, 48, 64, 96, 128], [], claims(frames)
    for activation, batches in BATCHES.items():
        # Beyond, nets do not stay in the state that the rate is of.
        stable = [batch for batch in places if batch_norm_moments(activation, batch).sample_memory < 1]
        theory = [batch_norm_rate(activation, batch) for batch in stable]
        found = [claim for claim in judged if claim.text.startswith(f"{activation}, ")]
        over_batch.append(claims_curve(activation, batches, found, theory=theory, theory_x=stable, value=("activation", activation)))
    over_batch.append(Curve("", places, rival=[LIMIT] * len(places)))
    claim = "Batch norm makes gradients explode in every plain net, faster the smaller the batch."
    setting = "Plain nets φ(BN(W x)) at initialization, weights N(0, 1 / N), gain 1, shift 0, eps 0; cotangent N(0, 1)."
    text = (
        "First: factor of |δ|² a layer; all widths carried to infinite width; GELU's line ends where its samples no longer stay exchangeable. "
        "Second: mean over the widest nets; theory from the inputs to the readout."
    )
    panels = [
        Panel("Rate", "batch size B [samples]", r"$|\delta_l|^2 / |\delta_{l+1}|^2$", over_batch, xscale="log", rival="ReLU's limit, π / (π − 1)"),
        delta_panel(frames, {f"B = {batch}": frames.where(activation="relu", batch_size=batch) for batch in BATCHES["relu"]}, "ReLU, layer by layer"),
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
