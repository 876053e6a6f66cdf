"""A gradient comes through as many of a residual net's L branches as heads come in L throws of a coin with odds B, the gain of a branch.

Source: Veit, Wilber & Belongie 2016 (arXiv:1605.06431) for the idea. They sample paths of a trained net; the exact sum and the binomial law are ours.
Cost: 3,840 runs, a minute of one core.
Command: python experiments/path_lengths.py --run
"""

from __future__ import annotations

import sys

import pandas as pd

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, main, overlay, path_shares, seed_claim, wide_claim, wide_curve

SOURCE = Source("Veit, Wilber & Belongie", 2016, "Residual networks behave like ensembles of relatively shallow networks", arxiv="1605.06431")


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Share of the squared gradient by number of branches, beside the binomial law."""
    panels = []
    for scale in frames.values("residual.scale"):
        rows, law = path_shares(frames, scale)
        k, mean, _ = wide_curve(rows, "k", "path_length_share")
        curve = Curve("", k, mean, theory=law.pmf(k), is_bars=True)
        panels.append(Panel(f"branch gain B = {2 * scale**2:.3g}", "branches on the way", "share of the squared gradient", [curve]))
    title = "A gradient comes through a binomial number of a residual net's branches: each is taken with odds B, its gain."
    text = f"Share of E‖g‖² at the first block that comes through exactly k branches, carried to infinite width. {SOURCE}"
    return [overlay(page, "path_lengths", title, "ReLU, He weights, initialization", text, panels, measured_columns=("path_length_share",))]


def claims(frames: Frames) -> list[Claim]:
    """Mean and variance of the number of branches, and the distance of the whole distribution from the law."""
    found = []
    for scale in frames.values("residual.scale"):
        rows, law = path_shares(frames, scale)
        runs = rows.assign(mean=rows["k"] * rows["path_length_share"], square=rows["k"] ** 2 * rows["path_length_share"])
        sums = runs.groupby(["width", "seed"])[["mean", "square"]].sum()
        blocks, name = rows["k"].max(), f"B = {2 * scale**2:.3g}"
        found.append(wide_claim(f"mean number of branches, {name}: L B / (1 + B)", sums["mean"], law.mean(), rival=Rival("all L", float(blocks))))
        variance = sums["square"] - sums["mean"] ** 2
        found.append(wide_claim(f"its variance, {name}: L B / (1 + B)^2", variance, law.var(), rival=Rival("Poisson's: the mean", law.mean())))
        k, mean, _ = wide_curve(rows, "k", "path_length_share")
        distance = abs(mean - law.pmf(k)).sum() / 2
        found.append(seed_claim(f"total variation distance from the binomial law, {name}", pd.Series([distance]), 0.05, "below"))
    return found


EXPERIMENT = Experiment("path_lengths", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
