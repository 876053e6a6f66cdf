"""What your framework gives you by default: torch's nn.Linear with ReLU loses a factor of six of the squared gradient in every layer.

Source: the frameworks' documentation of their defaults, rates by Schoenholz et al. 2017's recursion; no paper has this table: our own.
Cost: 6,500 nets at initialization, three minutes of one core.
Command: python experiments/framework_defaults.py --run
"""

from __future__ import annotations

import sys

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Rival, draw_defaults, factor_claim, main

SOURCE = Source("Schoenholz et al.", 2017, "Deep information propagation", arxiv="1611.01232")
GAIN = 5 / 3
ACTIVATIONS = ("relu", "gelu", "silu", "tanh", "sigmoid")
# What is measured, by the name under which users meet it; sigma_w^2 of square layers.
GROUPS = {
    "torch_default": "PyTorch nn.Linear, U(±1/√n): $\\sigma_w^2$ = 1/3",
    "xavier_uniform": "Keras Dense (Glorot), Flax Dense (LeCun): $\\sigma_w^2$ = 1",
    "he_uniform": "He, made for ReLU: $\\sigma_w^2$ = 2",
}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Decades per layer as bars, by initialization and activation."""
    plain = {init: {name: frames.where(init=init, activation=name) for name in ACTIVATIONS} for init in GROUPS}
    plain["xavier_uniform"]["tanh"] = frames.where(init="xavier_uniform", activation="tanh", init__gain=1.0)
    groups = {GROUPS[init]: found for init, found in plain.items()}
    groups["torch's calculate_gain('tanh') = 5/3: $\\sigma_w^2$ = 25/9"] = {"tanh": frames.where(init__gain=GAIN)}
    title = "By default gradients vanish: PyTorch's nn.Linear with ReLU loses 19 decades in 50 layers, and no default suits every activation."
    setting = "plain nets of square layers at initialization, depth 12, inputs of mean square 1, random cotangents."
    return [draw_defaults(frames, page, "framework_defaults", title, setting, f"Source: {SOURCE}.", groups)]


def claims(frames: Frames) -> list[Claim]:
    """Every bar against the recursion and against a factor of 1, which initializations are made for."""
    found, rival = [], Rival("a layer that keeps gradients: 1", 1.0)
    for init, name in [(init, name) for init in GROUPS for name in ACTIVATIONS]:
        runs = frames.where(init=init, activation=name)
        runs = runs[runs["init.gain"].fillna(1.0) == 1.0]
        is_kept = (init, name) == ("he_uniform", "relu")
        found.append(factor_claim(frames, runs, f"{name}, {init}: factor of |δ|² per layer", rival=None if is_kept else rival))
    return [*found, factor_claim(frames, frames.where(init__gain=GAIN), "tanh with torch's gain of 5/3 explodes: factor of |δ|² per layer", rival=rival)]


EXPERIMENT = Experiment("framework_defaults", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
