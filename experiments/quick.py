"""Through 64 layers the gradient vanishes by a hundred decades, explodes by nearly twenty, or arrives: activation and initialization decide.

Source: Glorot & Bengio 2010; He et al. 2015 (arXiv:1502.01852). The nets are ours, on scikit-learn's digits: consistent with, not a reproduction.
Cost: 36 runs, under 15 seconds on two cores.
Command: python experiments/quick.py --run
"""

from __future__ import annotations

import sys

import pandas as pd

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, drawn, main, rates, seed_claim

SOURCE = Source("Glorot & Bengio", 2010, "Understanding the difficulty of training deep feedforward neural networks", venue="AISTATS")


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """The picture of the first look; why it is so, and the maps."""
    return drawn(frames, page, "quick", "gain_split", "maps")


def claims(frames: Frames) -> list[Claim]:
    """Some net vanishes, some explodes, some arrives."""
    plain = frames.runs[(frames.runs["norm"] == "none") & (frames.runs["depth"] == frames.runs["depth"].max())]
    span: pd.Series = rates(frames, plain).groupby(["activation", "init"])["backward_span"].mean()
    span = span[span.abs() < float("inf")]
    return [
        seed_claim("the most ill net loses more than 30 decades", span[span == span.min()], -30, "below"),
        seed_claim("another gains more than 15", span[span == span.max()], 15, "above"),
        seed_claim("one stays within a decade", span.abs()[span.abs() == span.abs().min()], 1, "below"),
    ]


EXPERIMENT = Experiment("quick", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
