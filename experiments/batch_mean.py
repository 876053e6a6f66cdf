"""A batch's mean gradient has a rate of its own: where samples pull one way it vanishes towards the input although each sample's explodes.

Source: Schoenholz et al. 2017, section 3, for the two susceptibilities; their mixture in a mean over B samples is derived here.
Cost: 2,000 nets at initialization, one or two minutes of one core.
Command: python experiments/batch_mean.py --run
"""

from __future__ import annotations

import sys

import numpy as np

from gradyn import report
from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, Rival

SOURCE = Source("Schoenholz et al.", 2017, "Deep information propagation", arxiv="1611.01232", where="section 3")
COLUMN = "log10_grad_w_l2"
CHAOS = {"activation": "tanh", "init__sigma_w": 2.5**0.5}
NETS = {"tanh, σ_w² = 2.5": CHAOS, "tanh, σ_w² = 0.81": {"activation": "tanh", "init__sigma_w": 0.9}, "ReLU, He": {"activation": "relu"}}
TEXT = (
    "Theory: (E |δ|² E |x|² + (B − 1) E δ·δ′ E x·x′) / B, layer by layer with E φ(h) φ(h′) and E φ′(h) φ′(h′) of two samples. "
    f"Inputs have one length and random directions; left 384 units, right carried to infinite width, layers 2 to 15. Source: {SOURCE}."
)


def _judged(frames: Frames) -> dict[str, dict[int, Claim]]:
    """Net -> number of samples with one cotangent -> its claim."""
    found: dict[str, dict[int, Claim]] = {}
    for net, fixed in NETS.items():
        for batch, runs in frames.where(loss__vectors="shared", **fixed).groupby("batch_size"):
            rival = Rival("each sample's own", report.predicted_factor(report.mean_field(runs), COLUMN, first=2))
            text = f"{net}, one cotangent for {batch} samples: factor of |∂L/∂W|² per layer"
            found.setdefault(net, {})[int(batch)] = report.factor_claim(frames, runs, text, column=COLUMN, first=2, rival=rival)
    return found


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """The chaotic net through its layers; every net's factor over the batch, beside that of one sample."""
    settings = {"each sample its own": frames.where(loss__vectors="normal")}
    settings |= {f"one for {batch}": runs for batch, runs in frames.where(loss__vectors="shared", **CHAOS).groupby("batch_size")}
    curves = []
    for net, at in _judged(frames).items():
        alone = [claim.rival.predicted for claim in at.values() if claim.rival]
        curves.append(report.claims_curve(net.replace("σ_w²", "$\\sigma_w^2$"), np.log2(list(at)), list(at.values()), rival=np.array(alone)))
    ticks = [(np.log2(batch), str(batch)) for batch in frames.values("batch_size")]
    panels = [
        report.delta_panel(frames, settings, "tanh, $\\sigma_w^2$ = 2.5; cotangents:", column=COLUMN),
        Panel("mean gradient", "samples B with one cotangent", "factor per layer", curves, rival="one sample's own", ticks=ticks, limits=(0.4, 1.45)),
    ]
    title = "Where samples pull one way the mean gradient of a chaotic net shrinks towards the input, though every sample's own grows."
    return [report.overlay(page, "batch_mean", title, "Cotangents N(0, 1), at initialization", TEXT, panels)]


def claims(frames: Frames) -> list[Claim]:
    """Every net and batch, against what each sample's own gradient does; the latter where cotangents are independent."""
    text, runs = "tanh, σ_w² = 2.5, independent cotangents: factor of |∂L/∂W|² per layer", frames.where(loss__vectors="normal")
    return [*(claim for at in _judged(frames).values() for claim in at.values()), report.factor_claim(frames, runs, text, column=COLUMN, first=2)]


EXPERIMENT = Experiment("batch_mean", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(report.main(EXPERIMENT))
