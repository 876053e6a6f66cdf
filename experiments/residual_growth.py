"""A skip turns exponential growth into what the branch decides: exp(sqrt L), 2^L, e, exactly 1; with batch norm more than L + 1.

Source: Yang & Schoenholz 2017 (arXiv:1712.08969), Hanin & Rolnick 2018 (arXiv:1803.01719); De & Smith 2020 (arXiv:2002.10444) for L + 1.
Cost: 770 runs at initialization, two minutes of one core.
Command: python experiments/residual_growth.py --run
"""

from __future__ import annotations

import math
import sys

import numpy as np

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, Rival, claims_curve, main, overlay, stream_growth, wide_claim
from gradyn.theory import batch_norm_moments, batch_norm_residual_growth, moment, residual_growth

SOURCE = Source("Yang & Schoenholz", 2017, "Mean Field Residual Networks: On the Edge of Chaos", arxiv="1712.08969")
SCALED, BLOCKS, NAMES = (1, 2, 4, 16), np.arange(1, 31), ("tanh 200", "relu 16", "BN 30", "1/√1", "1/√2", "1/√4", "1/√16")
TEXT = f"First, with L: x + tanh(W x), x + V relu(W x), x + V relu(BN(W x)), x + V relu(W x) / √L. Second: L + 1 is 2 L + 1 in these nets. Source: {SOURCE}."
BATCH_NORM, TANH = batch_norm_moments("relu", 16), [float(moment("tanh", 1.0, **power).value) for power in ({"value": 2}, {"derivative": 2})]

# Layer 1 passes on less of what a batch's gradients have in common, one part in 16 at the top and at the bottom.
BATCH_NORM_GROWTH = batch_norm_residual_growth("relu", 30, 16) + (BATCH_NORM.pulled_mean / BATCH_NORM.pulled - 1) / 16


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Every law beside its nets; batch norm's product over the blocks beside L + 1."""
    judged, label = [claim for claim in claims(frames) if claim.text.startswith("ln growth")], r"$\ln |g_0|^2 / |g_L|^2$"
    product, usual = np.log(BATCH_NORM_GROWTH), np.log(2 * BLOCKS + 1)
    panels = [
        Panel("Each branch its law", "branch and L", label, [claims_curve("", [x], [c]) for x, c in enumerate(judged)], ticks=list(enumerate(NAMES))),
        Panel("BN", "blocks L", label, [claims_curve("", [30], judged[2:3], theory=product, theory_x=BLOCKS, rival=usual)], rival="the usual L + 1"),
    ]
    setting = "At initialization, carried to infinite width (16 samples); cotangent N(0, 1)."
    return [overlay(page, "residual_growth", "Growth along a skip is what the branch makes it.", setting, TEXT, panels)]


def claims(frames: Frames) -> list[Claim]:
    """ln of |g_0|^2 / |g_L|^2 along the skip, less what layer 1, which has none, does to it."""
    tanh, product = residual_growth("tanh", TANH[0], 200, sigma_w=1.0)[-1], np.log(BATCH_NORM_GROWTH[-1])
    settings = {
        "tanh, 200 blocks": (frames.where(activation="tanh"), TANH[1], tanh, Rival("200 ln 2", 200 * math.log(2))),
        "relu, 16 blocks": (frames.where(activation="relu", residual="identity", norm="none"), 0.5, 16 * math.log(2), Rival("L + 1", math.log(17))),
        "BN": (frames.where(norm="batch"), BATCH_NORM.pulled * BATCH_NORM.inverse_variance / 2, product, Rival("2 L + 1", math.log(61))),
    }
    for count in SCALED:
        runs = frames.where(residual="scaled", depth=2 * count + 2, residual__branch="full")
        settings[f"branches over sqrt({count})"] = (runs, 0.5, count * math.log1p(1 / count), None)
    found = []
    for text, (runs, first, predicted, rival) in settings.items():
        values = {int(width): np.log(stream_growth(frames, some) / first) for width, some in runs.groupby("width")}
        found.append(wide_claim(f"ln growth, {text}", values, float(predicted), rival=rival))
    off = float((stream_growth(frames, frames.where(residual="rezero", depth=102)) - 1).abs().max())
    found.append(Claim("branch times 0, 100 blocks: |growth - 1|", off, 64 * float(np.finfo(float).eps), math.nan, "roundings of logarithms", "below"))
    far, coefficient = residual_growth("tanh", 1.0, 1500, sigma_w=1.0), 4 / 3 * math.sqrt(2 / math.pi)
    slope = float(far[-1] - far[299]) / (math.sqrt(1500) - math.sqrt(300)) / coefficient - 1
    return [*found, Claim("tanh, l to 1500: |slope over sqrt(l) / asymptote - 1|", abs(slope), 0.05, math.nan, "falls as 1 / sqrt(l)", "below")]


EXPERIMENT = Experiment("residual_growth", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
