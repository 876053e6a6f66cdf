"""One line through the plane of weights and biases, chi_1 = 1, parts the tanh nets whose gradients vanish from those whose gradients explode.

Source: Poole et al. 2016 (arXiv:1606.05340), Schoenholz et al. 2017 (arXiv:1611.01232); the line is theirs, nets and widths are ours: consistent with.
Cost: 6,450 nets at initialization, a minute and a half of one core.
Command: python experiments/phase_diagram.py --run
"""

from __future__ import annotations

import math
import sys

import numpy as np
import pandas as pd

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Rival, boundary_crossings, draw_phases, log_factors, main, phase_points, rate_claim
from gradyn.report import wide_claim as claim_of
from gradyn.report import wide_limit as limit
from gradyn.theory import critical_sigma_w

SOURCE = Source("Poole et al.", 2016, "Exponential expressivity in deep neural networks through transient chaos", arxiv="1606.05340", where="section 2")
LINE = (0.15, 0.35, 0.7)


def _parts(frames: Frames) -> tuple[int, pd.DataFrame, dict[float, pd.DataFrame]]:
    """The layer from which lengths are at q*, the runs all over the plane, and those about the line by sigma_b."""
    runs = frames.runs
    about = {sigma_b: part for sigma_b, part in runs.groupby("init.sigma_b") if sigma_b in LINE}
    plane = runs[~runs["init.sigma_b"].isin(LINE)]
    return max(int(runs["depth"].iloc[0]) // 2, 1), plane if len(plane) else runs, about


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """chi_1 over the plane, its line, and the nets."""
    first, plane, about = _parts(frames)
    crossings = {sigma_b: limit(boundary_crossings(frames, runs, first))[:2] for sigma_b, runs in about.items()}
    title = "Below one line gradients of tanh nets vanish, above it they explode, and the line is where theory has it: $\\chi_1 = 1$."
    setting = "tanh, carried to infinite width from 48 and 144 units, at initialization."
    return [draw_phases(page, "phase_diagram", title, setting, f"Source: {SOURCE}.", "tanh", phase_points(frames, plane, first), crossings)]


def claims(frames: Frames) -> list[Claim]:
    """No sign against theory's away from the line; rates over the plane; where the line is, at three scales of the biases."""
    first, plane, about = _parts(frames)
    points = phase_points(frames, plane, first)
    clear = points[points["theory"].abs() > 8 * points["standard_error"]]
    against = float((np.sign(clear["measured"]) != np.sign(clear["theory"])).sum())
    found = [Claim(f"sign of the slope against theory's, of {len(clear)} points 8 errors off the line", against, 0.0, 0.0, "exact: a count")]
    settings = [part for _, part in plane.groupby(["init.sigma_w", "init.sigma_b"])]
    rates = pd.concat([pd.DataFrame(log_factors(frames, part, first=first)) for part in settings]).groupby(level=0).mean()
    by_width = {int(width): rates[width].dropna() for width in rates}
    linear = Rival("σ_w², tanh as if linear", math.exp(np.log(points["sigma_w"] ** 2).mean()))
    text = f"factor of |δ|² per layer, geometric mean over {len(points)} points of the plane"
    found.append(rate_claim(text, by_width, math.exp(points["theory"].mean()), rival=linear))
    for sigma_b, runs in about.items():
        text, rival = f"σ_w at which gradients neither vanish nor explode, σ_b = {sigma_b:g}", Rival("1, tanh as if linear", 1.0)
        found.append(claim_of(text, boundary_crossings(frames, runs, first), critical_sigma_w("tanh", sigma_b), rival=rival))
    return found


EXPERIMENT = Experiment("phase_diagram", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
