"""Runs of plain gradient descent and heavy ball beside the sharpness at which a quadratic would be unstable."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradyn.report.frames import Frames
from gradyn.report.overlay import Curve


def stability_runs(frames: Frames) -> pd.DataFrame:
    """One row a run, in the order of rate and seed: its settings and five numbers.

    `threshold`: 2 (1 + momentum) / learning_rate [loss / parameter^2], above which a quadratic diverges; `initial`: sharpness at the
    first step; `late`: median over the measured steps of the last third; `ratio`: late / threshold; `rises`: share of the steps of the last
    third after which the loss is larger.
    """
    runs = frames.runs.sort_values(["learning_rate", "seed"], kind="stable").copy()
    runs["momentum"] = runs["optimizer.momentum"].astype(float).fillna(0.0) if "optimizer.momentum" in runs else 0.0
    runs["threshold"] = 2 * (1 + runs["momentum"]) / runs["learning_rate"]
    sharpness = frames.layers[frames.layers["layer"] == 1].sort_values("step").merge(runs[["run_id", "steps"]], on="run_id")
    late = sharpness[3 * sharpness["step"] >= 2 * sharpness["steps"]]
    losses = frames.steps.sort_values("step").merge(runs[["run_id", "steps"]], on="run_id")
    losses = losses[3 * losses["step"] >= 2 * losses["steps"]]
    runs["initial"] = runs["run_id"].map(sharpness.groupby("run_id")["hessian_eigenvalue"].first())
    runs["late"] = runs["run_id"].map(late.groupby("run_id")["hessian_eigenvalue"].median())
    runs["rises"] = runs["run_id"].map(losses.groupby("run_id")["loss"].apply(lambda loss: float((np.diff(loss) > 0).mean()) if len(loss) > 1 else np.nan))
    return runs.assign(ratio=runs["late"] / runs["threshold"])


def stability_curves(frames: Frames, runs: pd.DataFrame) -> tuple[list[Curve], list[Curve]]:
    """Of the first seed of each setting: sharpness with its threshold, and loss, over the steps."""
    sharpness, loss = [], []
    for (threshold, rate, momentum), same in runs.groupby(["threshold", "learning_rate", "momentum"]):
        label = f"rate {rate:.3g}" + (f", momentum {momentum:g}" if momentum else "")
        first = same["run_id"].iloc[0]
        own = frames.layers[(frames.layers["run_id"] == first) & (frames.layers["layer"] == 1)].sort_values("step")
        sharpness.append(Curve(label, own["step"], own["hessian_eigenvalue"], theory=np.full(len(own), threshold), is_joined=True))
        at = frames.steps[(frames.steps["run_id"] == first) & frames.steps["step"].isin(own["step"])].sort_values("step")
        loss.append(Curve(label, at["step"], at["loss"], is_joined=True))
    return sharpness, loss
