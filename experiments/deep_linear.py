"""A deep linear net learns each mode of its target along a curve known beforehand; from orthogonal weights in as many steps at any depth.

Source: Saxe, McClelland and Ganguli 2014 (arXiv:1312.6120), sections 1 to 3; whitened inputs are the unit vectors here.
Cost: 84,000 steps of 3 x 3 matrices, some 90,000 of 24 x 24; ten seconds of one core.
Command: python experiments/deep_linear.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, deep_linear_tables, main, mode_claims, mode_points, overlay, step_claims, step_points

SOURCE = Source("Saxe et al.", 2014, "Exact solutions to the nonlinear dynamics of learning in deep linear neural networks", arxiv="1312.6120")


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Strengths over time for each number of matrices, and steps to the target over depth."""
    return deep_linear_tables(settings)


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Modes of two and of six matrices over time, and steps over depth."""
    panels = [Panel(f"{matrices} matrices", "rate × steps", "strength of the mode", mode_points(frames, matrices)) for matrices in frames.settings["curves"]]
    panels.append(Panel("loss to 1 %", "matrices", "steps", step_points(frames.tables["steps"]), xscale="log", yscale="log"))
    title = "Modes of a deep linear net are learned along known curves, strong ones first; orthogonal weights make depth cost nothing."
    s = frames.settings
    rates = " or ".join(f"{rate:g}" for rate in s["gaussian"]["rates"])
    text = f"Third: rate {s['orthogonal']['rates'][0]:g} / depth, Gaussian the better of {rates}; {s['most']:,} steps: not met by then. Source: {SOURCE}."
    setting = "Gradient descent on ‖T − W_M … W_1‖²/2, float64; first two: extrapolated to steps of 0. Third: {size} × {size}, median of {seeds} seeds.".format(
        **s
    )
    return [overlay(page, "deep_linear", title, setting, text, panels)]


def claims(frames: Frames) -> list[Claim]:
    """Half-rise times and curves are theory's; steps of orthogonal nets are the recursion's, and depth does not matter; Gaussian ones pay for it."""
    curves = frames.settings["curves"]
    return [claim for matrices, given in curves.items() for claim in mode_claims(frames, int(matrices), given["start"])] + step_claims(frames.tables["steps"])


EXPERIMENT = Experiment("deep_linear", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
