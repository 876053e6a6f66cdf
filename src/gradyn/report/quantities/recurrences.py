"""A vanilla recurrent net's gradient through time: rates a step, and Pascanu's bound by the matrix' largest singular value; and clipped gradients."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch

from gradyn.core import Scaled, stream
from gradyn.optim import GlobalL2, Value
from gradyn.report.claims import Claim, Rival, seed_claim
from gradyn.report.frames import Frames
from gradyn.report.overlay import Curve, Panel
from gradyn.report.quantities.factors import log_factors
from gradyn.report.quantities.gates import through_time
from gradyn.report.wide import rate_claim, wide_claim
from gradyn.theory import chi_1, fixed_point_q, value_clip_cosine

# The readout's cotangent is random and the state starts at 0: so many steps of the sequence until its length has settled.
_SETTLED = 8


def noise(runs: pd.DataFrame) -> tuple[float, float]:
    """g and sigma_u: scales of the recurrent weights and of the noise that the inputs bring to a preactivation (inputs of variance 1)."""
    g, scale = float(runs["init.sigma_w"].iloc[0]), float(runs["cell.input_scale"].iloc[0])
    return g, g * scale


def noisy_chi(runs: pd.DataFrame) -> float:
    """chi_1 of a tanh net that is driven by noise."""
    g, sigma_u = noise(runs)
    return float(chi_1("tanh", fixed_point_q("tanh", sigma_w=g, sigma_b=sigma_u), sigma_w=g, sigma_b=sigma_u))


def noisy_claim(frames: Frames, runs: pd.DataFrame) -> Claim:
    """Factor of |dL/dh|^2 a step, once the state's length has settled."""
    g, _ = noise(runs)
    text = f"tanh, Gaussian, g = {g:g}, noise of g / 2: factor of |∂L/∂h|² a step, χ₁"
    return rate_claim(text, log_factors(frames, runs, first=_SETTLED), noisy_chi(runs), rival=Rival("g², tanh as if linear", g**2))


def gaussian_claim(frames: Frames, runs: pd.DataFrame) -> Claim:
    """Mean over matrices of |dL/dh_1|^2 / |dL/dh_T|^2 in linear nets over theory's g^2k: matrices that are shared, and yet."""
    found = {}
    for width, part in runs.groupby("width"):
        ratio = through_time(frames, part, "log10_delta_rms").iloc[:, -1]
        steps, g = int(part["depth"].iloc[0]) - 2, float(part["init.sigma_w"].iloc[0])
        found[int(width)] = 10.0 ** (2 * (ratio - steps * math.log10(g)))
    return wide_claim(
        f"linear, Gaussian, g = {g:g}: mean of |∂L/∂h|² after {steps} steps over g^2k", found, 1.0, rival=Rival("the bound, σ_max = 2 g", 4.0**steps)
    )


def exact_claim(frames: Frames, runs: pd.DataFrame) -> Claim:
    """Orthogonal linear nets: g^k, exactly."""
    g = float(runs["init.gain"].iloc[0])
    found = through_time(frames, runs, "log10_delta_rms")
    off = float(np.abs(found.to_numpy() - np.asarray(found.columns) * math.log10(g)).max())
    # Weights orthogonal to a few eps, in each of 100 products: 100 * 20 eps / ln 10.
    text = f"linear, orthogonal, g = {g:g}: gradient over g^k, largest distance in decades"
    return Claim(text, off, 2e-13, 0.0, "rounding: 100 products of matrices that are orthogonal to 20 eps", "below")


def bound_claim(frames: Frames) -> Claim:
    """Of all runs and steps: the largest |dL/dh_{t-1}| over sigma_max |dL/dh_t|."""
    table = frames.initial.merge(frames.runs[["run_id", "depth"]], on="run_id")
    steps = table[table["layer"] < table["depth"]].sort_values(["run_id", "layer"])
    gain = -steps.groupby("run_id")["log10_delta_rms"].diff() - np.log10(steps["weight_spectral"])
    return Claim(
        "all nets and steps: |∂L/∂h_{t-1}| over σ_max |∂L/∂h_t|, the largest", float(10.0 ** gain.max()), 1 + 1e-12, 0.0, "a bound, and rounding", "below"
    )


def clipped_cosines(settings: Mapping[str, Any]) -> pd.DataFrame:
    """Cosine of normal gradients with themselves clipped, by value at several thresholds, and by norm."""
    found = []
    shape = (1, settings["numbers"])
    for draw in range(settings["draws"]):
        g = torch.from_numpy(stream(settings["seed"], "clipped gradient", draw).standard_normal(shape))
        log2_l2 = np.array([[math.log2(float(g.norm()))]])
        for clip, threshold in [*((Value(max_value=c), c) for c in settings["thresholds"]), (GlobalL2(max_norm=1.0, eps=0.0), math.nan)]:
            factors = clip.log2_factors(log2_l2, [1])
            cut = clip.limited(Scaled.plain(g.clone()), g, None if factors is None else factors[:, 0], torch.empty_like(g))
            cosine = float((g * cut).sum() / (g.norm() * cut.norm()))
            found.append({"clip": clip.name, "threshold": threshold, "draw": draw, "cosine": cosine, "norm": float(cut.norm())})
    return pd.DataFrame(found)


def clip_claims(clipped: pd.DataFrame) -> list[Claim]:
    """The cosine at every threshold; clipping by norm keeps the direction and gives the norm."""
    found = []
    for threshold, part in clipped[clipped["clip"] == "value"].groupby("threshold"):
        text = f"clipped by value at {threshold:g} standard deviations: cosine with the gradient"
        found.append(seed_claim(text, part["cosine"], value_clip_cosine(float(threshold)), rival=Rival("as by norm: 1", 1.0)))
    of_norm = clipped[clipped["clip"] == "global_l2"]
    off = float(np.maximum((1 - of_norm["cosine"]).abs(), (of_norm["norm"] - 1).abs()).max())
    return [*found, Claim("clipped by norm: cosine and norm off 1, the larger", off, 1e-12, 0.0, "rounding: sums of 1e5 squares", "below")]


def recurrent_panels(frames: Frames) -> tuple[list[Panel], int]:
    """Linear and tanh nets over the distance in time with their lines, the cosine over the threshold; and the width of the tanh nets."""
    linear, tanh = frames.where(activation="linear", init="orthogonal"), frames.where(activation="tanh")
    widest = tanh[tanh["width"] == tanh["width"].max()]
    panels = []
    for title, runs, key, rate in (
        ("linear, orthogonal", linear, "init.gain", lambda part: math.log10(part["init.gain"].iloc[0])),
        ("tanh, Gaussian, noise", widest, "init.sigma_w", lambda part: math.log10(noisy_chi(part)) / 2),
    ):
        curves = []
        for g, part in runs.groupby(key):
            means = through_time(frames, part, "log10_delta_rms").mean()
            some = means.index[:: max(1, len(means) // 12)]
            curves.append(Curve(f"g = {g:g}", some, means[some].to_numpy(), theory=np.asarray(means.index) * rate(part), theory_x=means.index))
        panels.append(Panel(title, "steps back from the last", r"$\log_{10}$ rms $\partial L/\partial h_t$", curves))
    clipped = frames.tables["clipped"]
    by_value = clipped[clipped["clip"] == "value"].groupby("threshold")["cosine"].mean()
    line = np.geomspace(by_value.index.min() / 2, by_value.index.max(), 60)
    cosine = Curve("by value", by_value.index, by_value.to_numpy(), theory=[value_clip_cosine(c) for c in line], theory_x=line)
    of_norm = Curve("by norm", by_value.index, np.full(len(by_value), clipped[clipped["clip"] == "global_l2"]["cosine"].mean()))
    panels.append(Panel("clipping", "threshold [standard deviations]", "cosine with the gradient", [cosine, of_norm], xscale="log", limits=(0.75, 1.02)))
    return panels, int(widest["width"].iloc[0])
