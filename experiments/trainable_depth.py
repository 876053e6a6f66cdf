"""How deep a net trains is a matter of the cure, not of the learning rate: no rate saves the sigmoid net of the textbook at depth 16.

Source: the question of Schoenholz et al. 2017 (arXiv:1611.01232); theirs are tanh nets on MNIST along a line of variances, ours the textbook's cures on digits.
Cost: 240 runs of 400 steps, a few minutes on two cores.
Command: python experiments/trainable_depth.py --run
"""

from __future__ import annotations

import sys

import pandas as pd

from gradyn.core import Source
from gradyn.report import TRAINED, Claim, Drawn, Experiment, Frames, Page, best_rates, drawn, main, seed_claim

SOURCE = Source("Schoenholz et al.", 2017, "Deep information propagation", arxiv="1611.01232")


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Accuracy over depth and cure, with the chosen rate in the cell."""
    return drawn(frames, page, "trainable_depth")


def claims(frames: Frames) -> list[Claim]:
    """The sick net trains when shallow and not when deep; some cure trains deeper."""
    best = best_rates(frames)
    sick = best[best["cure"] == "sigmoid small"].set_index("depth")["test_accuracy"].fillna(0.0)
    deepest: pd.Series = best[best["test_accuracy"] >= TRAINED].groupby("cure")["depth"].max()
    return [
        seed_claim(f"the sick net reaches {TRAINED:g} at its shallowest depth", sick.loc[sick.index == sick.index.min()], TRAINED, "above"),
        seed_claim(f"at depth 16 and more it stays below {TRAINED:g} at every rate", sick[sick.index >= 16].nlargest(1), TRAINED, "below"),
        seed_claim("a cure trains to depth 32 or more", deepest.nlargest(1).astype(float), 31.0, "above"),
    ]


EXPERIMENT = Experiment("trainable_depth", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
