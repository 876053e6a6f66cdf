"""At the edge of chaos two inputs become one as a power of depth, 1 - c ~ 9 pi^2 / (2 l^2) for ReLU and beta / l for tanh, not exponentially.

Source: Hayou, Doucet & Rousseau 2019 (arXiv:1902.06853). Nets of a few layers are far from the asymptote, and held to the map; other kinks derived here.
Cost: 2,000 nets at initialization, a minute of one core.
Command: python experiments/edge_of_chaos_rates.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, edge_gaps, main, map_lines, overlay, wide_claim, wide_curve

SOURCE = Source("Hayou, Doucet & Rousseau", 2019, "On the impact of the activation function on deep neural networks training", arxiv="1902.06853")
NETS = {"relu": 0.0, "tanh": 0.05**0.5}


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Increments of (1 - c_l)^(-1/power) over the asymptote's, less 1, of each activation's map."""
    return {"maps": map_lines(settings["activations"], settings["gap"], settings["layers"], 0.05**0.5)}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """1 - c_l of both kinds of nets, and the power of it that the asymptote has a straight line."""
    gaps, lines = [], []
    for name, sigma_b in NETS.items():
        rows, said, rate = edge_gaps(frames, name, sigma_b)
        if len(rows):
            layer, mean, error = wide_curve(rows, "layer", "gap")
            gaps.append(Curve(name, layer, mean, error, theory=said))
            layer, mean, error = wide_curve(rows, "layer", "line")
            theory, slope = said ** (-1 / rate.power), rate.coefficient ** (-1 / rate.power)
            lines.append(Curve(name, layer, mean, error, theory=theory, rival=theory[0] + (layer - 1) * slope))
    names = ("two inputs become one", "layer $l$", "$1 - c_l$"), ("in a line", "layer $l$", "$(1 - c_l)^{-1/2}$: relu, $^{-1}$: tanh")
    panels = [Panel(*names[0], gaps, "log", "log", limits=(0.1, 1.3)), Panel(*names[1], lines, rival="the asymptote's slope")]
    title = "At the edge of chaos inputs become one as a power of depth: ReLU as 1/l², tanh as 1/l."
    text = f"Orthogonal inputs, carried to infinite width. Theory: the correlation map from the same start. Source: {SOURCE}."
    return [overlay(page, "edge_of_chaos_rates", title, "critical nets at initialization", text, panels)]


def claims(frames: Frames) -> list[Claim]:
    """What (1 - c)^(-1/power) grows by per layer in nets, against the map and the asymptote; maps against the asymptote."""
    found = []
    for name, sigma_b in NETS.items():
        rows, said, rate = edge_gaps(frames, name, sigma_b)
        if len(rows):
            last, line = len(said), rows.pivot(index=["width", "seed"], columns="layer", values="line")
            power, step = -1 / rate.power, (line[last] - line[1]) / (last - 1)
            predicted, asymptote = float(said[-1] ** power - said[0] ** power) / (last - 1), Rival("the asymptote", rate.coefficient**power)
            found.append(wide_claim(f"{name}: (1 - c)^({power:g}) grows by, per layer, from layer 1 to {last}", step, predicted, rival=asymptote))
    for _, row in frames.tables["maps"].iterrows():
        text = f"{row['activation']}: near c = 1 the map's 1 - c is {row['coefficient']:.4g} / l^{row['power']}: relative error of the slope"
        found.append(Claim(text, abs(row["off"]), 3e-3, 0.0, "three times the root of 1 - c, the next order at a kink", "below"))
    return found


EXPERIMENT = Experiment("edge_of_chaos_rates", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
