"""Gradients vanish by the derivative, explode by the weights, and each cure of the textbook cures less than it says.

Source: Glorot & Bengio 2010; He et al. 2015 (arXiv:1502.01852); Yang et al. 2019 (arXiv:1902.08129), theorem 8, for batch norm.
Ours are nets of width 64 under a loss's own gradient, theirs are infinitely wide: consistent with, not a reproduction.
Cost: 4,320 runs, under six minutes on two cores.
Command: python experiments/vanishing_exploding.py --run
"""

from __future__ import annotations

import math
import sys

import pandas as pd

from gradyn.core import Source
from gradyn.report import STANDARD, Claim, Drawn, Experiment, Frames, Page, Rival, drawn, families, main, rates, seed_claim

SOURCE = Source("Yang et al.", 2019, "A mean field theory of batch normalization", arxiv="1902.08129", where="theorem 8")


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """All figures of the default sweep."""
    return drawn(frames, page, *STANDARD)


def claims(frames: Frames) -> list[Claim]:
    """Vanishing, exploding, arriving; the bound of orthogonal sigmoid nets; batch norm in deep plain ReLU nets."""
    runs = families(frames)[0].runs
    deep = rates(frames, runs[(runs["depth"] == runs["depth"].max()) & (runs["residual"] == "plain") & (runs["clip"] == "none")])
    plain = deep[(deep["norm"] == "none") & (deep["backward_span"].abs() < math.inf)]
    span = plain.groupby(["activation", "init"])["backward_span"].mean()

    def spans(net: tuple[str, str]) -> pd.Series:
        return plain.set_index(["activation", "init"])["backward_span"].loc[[net]]

    sigmoid = plain[(plain["activation"] == "sigmoid") & (plain["init"] == "orthogonal")]["backward_rate"]
    batch = deep[(deep["activation"] == "relu") & (deep["init"] == "he_normal") & (deep["norm"] == "batch")]["backward_rate"]
    return [
        seed_claim("the most ill net loses more than 30 decades", spans(span.idxmin()), -30, "below"),
        seed_claim("another gains more than 15", spans(span.idxmax()), 15, "above"),
        seed_claim("one stays within a decade", spans(span.abs().idxmin()).abs(), 1, "below"),
        seed_claim("orthogonal sigmoid nets lose at least log10 4 decades a layer", sigmoid, math.log10(0.25), "below"),
        seed_claim("batch norm makes deep plain ReLU nets explode (wide limit: +0.085 decades a layer)", batch, 0.0, "above", Rival("0: healthy", 0.0)),
    ]


EXPERIMENT = Experiment("vanishing_exploding", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
