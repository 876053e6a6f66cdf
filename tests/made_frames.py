"""Frames of nets that never ran: every curve a straight line of known slope, so that figures and verdicts have a right answer."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gradyn.report import Frames
from gradyn.store import open_folder, shard_id, write_shard

GRID: dict[str, list[Any]] = {
    "depth": [2, 16, 64],
    "activation": ["sigmoid", "relu"],
    "init": ["small", "he_normal", "large"],
    "norm": ["none", "batch"],
    "residual": ["plain"],
    "clip": ["none", "global_l2"],
    "seed": [0, 1, 2],
}
# Decades a layer that delta gains by phi' and by the weights, on its way to the input.
DERIVATIVE = {"sigmoid": -0.62, "relu": -0.15, "tanh": -0.02, "gelu": -0.15}
WEIGHT = {"small": -1.1, "xavier_normal": 0.0, "he_normal": 0.15, "orthogonal": 0.0, "large": 0.9}
SPECTRAL = {"small": 0.16, "xavier_normal": 2.0, "he_normal": 2.8, "orthogonal": 1.0, "large": 16.0}
# With batch norm delta grows at this rate, whatever the weights.
BATCH = 0.08
STEPS = [0, 5]
# A gated cell's rate, whatever the weights.
GATED = {"lstm": -0.13, "gru": 0.0}


def rate(run: dict[str, Any]) -> tuple[float, float, float]:
    """Backward rate, and its parts: weight gain and derivative gain; seeds differ by a thousandth."""
    derivative = DERIVATIVE[run["activation"]]
    weight = BATCH - derivative if run["norm"] == "batch" else 0.0 if run["residual"] == "identity" else WEIGHT[run["init"]]
    if run["residual"] == "identity" and run["norm"] != "batch":
        derivative = 0.0
    if run.get("cell") in GATED:
        weight, derivative = GATED[run["cell"]], 0.0
    weight += 0.001 * (run["seed"] - 1)
    return weight + derivative, weight, derivative


def make_tables(grid: dict[str, list[Any]] | None = None) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """runs, steps and layers of the whole grid."""
    axes = GRID | (grid or {})
    fixed = {"width": 64, "batch_size": 128, "steps": 6, "learning_rate": 0.1, "loss": "cross_entropy", "data": "digits", "optimizer": "sgd"}
    runs, steps, layers = [], [], []
    for number, values in enumerate(itertools.product(*axes.values())):
        run = fixed | dict(zip(axes, values, strict=True)) | {"run_id": f"{number:016x}"}
        backward, weight, derivative = rate(run)
        depth, layer = run["depth"], np.arange(1, run["depth"] + 1)
        forward = 0.0 if run["activation"] == "sigmoid" or run["norm"] == "batch" else backward
        delta, act = backward * (depth - layer), forward * layer
        update = -3.0 if run["clip"] != "none" else delta + act - 1.0
        columns = {
            "log10_grad_w_l2": delta + act - forward,
            "log10_delta_rms": delta,
            "log10_act_rms": act,
            "log10_gain_weight": np.where(layer > 1, weight, np.nan),
            "log10_gain_derivative": np.where(layer > 1, derivative, np.nan),
            "log10_update_ratio": update,
        }
        for step in STEPS:
            spectral = SPECTRAL[run["init"]] if step == 0 else np.nan
            layers += [pd.DataFrame({"run_id": run["run_id"], "step": step, "layer": layer, **columns, "weight_spectral": spectral})]
        total = float((delta + act - forward).max())
        for step in range(run["steps"]):
            scale = min(1.0, 10.0**-total) if run["clip"] != "none" else 1.0
            steps.append((run["run_id"], step, 2.3 - 0.1 * step, 0.1 + 0.1 * step, total, scale))
        runs.append(run | {"status": "ok", "final_loss": 1.8, "final_accuracy": 0.6, "test_accuracy": 0.5, "wall_s": 0.1})
    names = ["run_id", "step", "loss", "accuracy", "log10_grad_l2", "clip_scale"]
    return pd.DataFrame(runs), pd.DataFrame(steps, columns=names), pd.concat(layers, ignore_index=True)


def make_frames(grid: dict[str, list[Any]] | None = None, planned: int | None = None, name: str = "made_up") -> Frames:
    """The same as frames."""
    return Frames(name, *make_tables(grid), planned)


def make_folder(folder: Path, grid: dict[str, list[Any]] | None = None) -> Path:
    """The same as a folder that the store wrote."""
    runs, steps, layers = make_tables(grid)

    def arrays(table: pd.DataFrame) -> dict[str, Any]:
        # The store tells null from NaN; what does not apply is null.
        return {name: np.ma.masked_invalid(column) if (column := table[name].to_numpy()).dtype == float else column.tolist() for name in table}

    open_folder(folder, {"layers": STEPS, "steps": "all"})
    write_shard(folder, shard_id(runs["run_id"]), arrays(layers), arrays(steps), arrays(runs))
    return folder
