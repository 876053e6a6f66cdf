"""Weights that decay while gradients are too small to matter, and the factor per layer of their cotangents."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from gradyn.report.frames import Frames


def decayed(frames: Frames) -> pd.DataFrame:
    """One row a run and measured step of bias-free ReLU nets under decoupled weight decay.

    `ln_kept`: ln(1 - rate lambda), a step; `share`: |W|(t) / |W|(0) of all hidden layers together; `share_said`: (1 - rate lambda)^t; `pull`:
    largest over layers of rate |dL/dW_l| / |W_l|, by which gradients move the weights; `log_factor`: ln of the factor per layer of |delta|^2, from the
    last hidden layer to the first; `log_factor_said`: ln(sigma_w^2 / 2) + 2 t ln(1 - rate lambda), at infinite width.
    """
    found = []
    for _, run in frames.runs.iterrows():
        rows = frames.layers[(frames.layers["run_id"] == run["run_id"]) & (frames.layers["layer"] < run["depth"])]
        ln_kept = math.log1p(-run["learning_rate"] * run["optimizer.weight_decay"])
        pulls = run["learning_rate"] * 10.0 ** rows["log10_grad_w_l2"] / rows["weight_l2"]
        own = pd.DataFrame({"pull": pulls.groupby(rows["step"]).max()})
        size = np.sqrt(rows["weight_l2"].pow(2).groupby(rows["step"]).sum())
        delta = rows.pivot(index="step", columns="layer", values="log10_delta_rms")
        own["share"] = size / size.iloc[0]
        own["log_factor"] = (delta[1] - delta[run["depth"] - 1]) * 2 * math.log(10) / (run["depth"] - 2)
        own = own.reset_index().assign(ln_kept=ln_kept, run_id=run["run_id"], width=run["width"], seed=run["seed"])
        own["share_said"] = np.exp(ln_kept * own["step"])
        own["log_factor_said"] = math.log(run["init.sigma_w"] ** 2 / 2) + 2 * ln_kept * own["step"]
        found.append(own)
    return pd.concat(found, ignore_index=True)


def decay_lines(rows: pd.DataFrame) -> pd.DataFrame:
    """Of every net (levels width and seed) the straight line through `log_factor` over steps: `slope` a step, and the step `crossing` at which it is 0."""
    lines = {key: np.polyfit(own["step"], own["log_factor"], 1) for key, own in rows.groupby(["width", "seed"])}
    table = pd.DataFrame({"slope": {key: line[0] for key, line in lines.items()}, "crossing": {key: -line[1] / line[0] for key, line in lines.items()}})
    return table.rename_axis(["width", "seed"])
