"""Where curvature grows with the gradient, clipped descent needs as many steps as the way is long, plain descent exponentially many.

Source: Zhang et al. 2020 (arXiv:1905.11881), sections 3 and 4; one function of their class, not their language models: consistent with.
Cost: 150,000 steps in one dimension, ten seconds.
Command: python experiments/clipped_descent.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, descents, largest_curvature, main, overlay

SOURCE = Source("Zhang et al.", 2020, "Why gradient clipping accelerates training", arxiv="1905.11881", where="sections 3 and 4")


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Steps of both ways from every start; the curvature over its bound, for L1 = a and for less."""
    a, starts = float(settings["a"]), [float(start) for start in settings["starts"]]
    bound = [{"slope": slope, "curvature": largest_curvature(a, slope, max(starts))} for slope in (1.0, 0.9)]
    return {"descents": descents(a, starts, float(settings["tolerance"]), int(settings["most"])), "bound": pd.DataFrame(bound)}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Steps over the start, of both ways."""
    ways = frames.tables["descents"].groupby("way", sort=False)
    curves = [Curve(str(way), rows["start"], rows["steps"], theory=rows["predicted"]) for way, rows in ways]
    panel = Panel("steps to the minimum", "start $x_0$", "steps", curves, yscale="log")
    title = "Plain descent needs exponentially many steps, clipped descent as many as the way is long."
    text = "Plain: rate 1 / f''(x_0), which smoothness guarantees. Clipped: rate 1 / L_0, no step longer than 1 / L_1; dashed: the steps of that length, "
    text += f"after which fewer than three follow. Source: {SOURCE}."
    return [overlay(page, "clipped_descent", title, "f = exp(ax) + exp(-ax), a = {a}, to |x| <= {tolerance}.".format(**frames.settings), text, [panel])]


def claims(frames: Frames) -> list[Claim]:
    """The bound is tight; plain and clipped counts follow their laws; clipping wins by orders of magnitude."""
    bound, table = frames.tables["bound"].set_index("slope")["curvature"], frames.tables["descents"]
    plain, clipped = (table[table["way"] == way].set_index("start") for way in ("plain", "clipped"))
    off, beyond = (plain["steps"] - plain["predicted"]).abs().max(), clipped["steps"] - clipped["predicted"]
    law = "whole steps: up to 1; third order of Euler: less than 1"
    return [
        Claim("largest |f''| / (L0 + L1 |f'|), L0 = 2a², L1 = a", bound[1.0], 1.0, 1e-15, "rounding: 4 eps"),
        Claim("the same with a tenth less of L1: the bound breaks", bound[0.9], 1.0, 0.0, "exact", "above"),
        Claim("plain: largest distance of the steps from Euler's law", off, 2.0, 0.0, law, "below"),
        Claim("clipped: fewest steps beyond (x0 - asinh(1)/a) L1", beyond.min(), 0.0, 0.0, "exact: no step is longer than 1 / L1", "above"),
        Claim("clipped: most steps beyond it", beyond.max(), 3.0, 0.0, "exact: less than 1 by whole steps, two more for the rest", "below"),
        Claim("plain over clipped steps from the farthest start", (plain["steps"] / clipped["steps"]).iloc[-1], 100.0, 0.0, "counts", "above"),
    ]


EXPERIMENT = Experiment("clipped_descent", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
