"""Gradients of two inputs lose each other as 2^-L if their gates are independent; in a real ReLU net only as L^-3, unless it has batch norm.

Source: Balduzzi et al. 2017 (arXiv:1702.08591), section 3. Independent gates reproduce theirs; that those of real plain nets align they say; the law is ours.
Cost: 1,440 runs and 120 draws of the gate model, one or two minutes of one core.
Command: python experiments/shattered_pairs.py --run
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from gradyn import report, theory
from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, seed_claim, wide_claim

SOURCE = Source("Balduzzi et al.", 2017, "The shattered gradients problem: if resnets are the answer, then what is the question?", arxiv="1702.08591")
REAL, COLUMN = {"none": ("plain", "prod J'(c_l)"), "batch": ("batch norm", "B samples' pullback")}, "delta_pair_correlation"


def measure(settings: dict[str, int]) -> dict[str, pd.DataFrame]:
    """The gate model, sampled."""
    return {"gates": report.sample_gates(settings)}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Correlation over the number of layers: the gate model where it is above its scatter, and real nets."""
    gates, real = [], []
    for net in theory.GATE_NETS:
        table = frames.tables["gates"].query("net == @net").groupby("layers")["covariance"].agg(["mean", "sem"])
        said, variance = np.array([(theory.gate_covariance(net, layers), theory.gate_variance(net, layers)) for layers in table.index]).T
        table = table.div(variance, axis=0).assign(said=said / variance).query("said > 0.02")
        gates.append(Curve(net, table.index, table["mean"], table["sem"], theory=table["said"]))
    for norm, (name, _) in REAL.items():
        rows = report.by_layer_and_run(frames, norm=norm, layer=1)
        depth, mean, error = report.wide_curve(rows, "depth", COLUMN)
        said = [theory.orthogonal_gradient_correlation(int(count) - 1, rows["batch_size"].iloc[0] if norm == "batch" else None) for count in depth]
        real.append(Curve(name, depth - 1, mean, error, theory=said, rival=0.5 ** (depth - 1)))
    kinds = (("independent gates", gates, ""), ("real nets", real, "$2^{-L}$"))
    panels = [Panel(name, "ReLU layers $L$", "correlation of gradients", curves, yscale="log", rival=rival) for name, curves, rival in kinds]
    title = "Gradients of two inputs lose each other as 2⁻ᴸ if gates are independent; in real ReLU nets as L⁻³, unless they have batch norm."
    text = f"Left: the source's assumption. Right: carried to infinite width. Theory: ∏ J′(c_l), orthogonal inputs; the pullback over a batch. {SOURCE}"
    return [report.overlay(page, "shattered_pairs", title, "ReLU, He weights, initialization", text, panels)]


def claims(frames: Frames) -> list[Claim]:
    """Second moments of the gate model, exactly; real nets' correlation by their own law, where it is larger than its scatter."""
    found = []
    for net, layers in zip(theory.GATE_NETS, (4, 8, frames.tables["gates"]["layers"].max()), strict=True):
        table = frames.tables["gates"].query("net == @net and layers == @layers")
        for column, said in (("variance", theory.gate_variance(net, layers)), ("covariance", theory.gate_covariance(net, layers))):
            found.append(seed_claim(f"independent gates, {net}, L = {layers}: {column} of gradients", table[column], said))
    for (norm, depth), rows in report.by_layer_and_run(frames, layer=1).groupby(["norm", "depth"]):
        said = theory.orthogonal_gradient_correlation(depth - 1, rows["batch_size"].iloc[0] if norm == "batch" else None)
        text, rival = f"real nets, {REAL[norm][0]}, L = {depth - 1}: correlation of gradients, {REAL[norm][1]}", Rival("2^-L", 0.5 ** (depth - 1))
        found += [wide_claim(text, rows.set_index(["width", "seed"])[COLUMN], said, rival=rival)] if said > 0.05 else []
    return found


EXPERIMENT = Experiment("shattered_pairs", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(report.main(EXPERIMENT))
