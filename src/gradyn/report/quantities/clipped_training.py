"""Nets trained at several rates with each kind of clipping and without: how often it binds, what it leaves of the direction, what they learn."""

from __future__ import annotations

import pandas as pd

from gradyn.report.frames import Frames
from gradyn.report.overlay import Curve

# Steps between two marks of a curve over training.
_EVERY = 20


def clipped_steps(frames: Frames, rate: float) -> pd.DataFrame:
    """One row a run and step at one learning rate: `clip`, `seed`, `step`, `loss`, `cosine`, `binds` (0 or 1), `length` of the clipped gradient."""
    runs = frames.runs.loc[frames.runs["learning_rate"] == rate, ["run_id", "clip", "seed"]]
    steps = frames.steps.merge(runs, on="run_id").rename(columns={"clip_cosine": "cosine"})
    # A norm clip multiplies by max_norm / (norm + eps), which at a norm of max_norm is 1 to rounding of the logarithms.
    return steps.assign(binds=(steps["clip_scale"] < 1 - 1e-9).astype(float), length=10 ** steps["log10_grad_l2"] * steps["clip_scale"])


def clip_curves(frames: Frames) -> dict[str, list[Curve]]:
    """`recalled` over the learning rate, mean of seeds with its error; at the second largest `loss` (median of seeds), `cosine` and `binds` over steps."""
    rate = sorted(frames.runs["learning_rate"].unique())[-2]
    steps = clipped_steps(frames, rate)
    found: dict[str, list[Curve]] = {name: [] for name in ("recalled", "loss", "cosine", "binds")}
    for clip in frames.values("clip"):
        name, value = clip_words(frames, clip), ("clip", clip)
        over_rates = frames.where(clip=clip).groupby("learning_rate")["test_accuracy"].agg(["mean", "sem"])
        found["recalled"].append(Curve(name, over_rates.index.to_numpy(), over_rates["mean"], over_rates["sem"], value=value, is_joined=True))
        own = steps[steps["clip"] == clip]
        windows = own.assign(step=own["step"] // _EVERY * _EVERY).groupby(["step", "seed"])[["loss", "cosine", "binds"]].mean().groupby("step")
        for column, table in (("loss", windows.median()), ("cosine", windows.mean()), ("binds", windows.mean())):
            if column == "loss" or clip != "none":
                found[column].append(Curve(name, table.index.to_numpy(), table[column], value=value, is_joined=True))
    return found


def clip_words(frames: Frames, clip: str) -> str:
    """`norm to 1` and the like: a kind of clipping with its limit."""
    if clip == "none":
        return "not clipped"
    field, said = {
        "global_l2": ("max_norm", "norm to {:g}"),
        "layer_l2": ("max_norm", "layers' norms to {:g}"),
        "value": ("max_value", "values to ±{:g}"),
        "adaptive": ("max_ratio", "rows to {:g} ‖w‖"),
    }[clip]
    return said.format(frames.where(clip=clip)[f"clip.{field}"].iloc[0])


def largest_safe_rate(frames: Frames, clip: str, share: float) -> float:
    """The largest rate up to which every seed recalls more than `share`, at it and at every lower rate; 0 where there is none."""
    # A net that diverged has no accuracy: it recalls nothing.
    least = frames.where(clip=clip).fillna({"test_accuracy": 0.0}).groupby("learning_rate")["test_accuracy"].min().sort_index()
    fails = least.index[least <= share]
    safe = least.index[least.index < fails[0]] if len(fails) else least.index
    return float(safe[-1]) if len(safe) else 0.0
