"""The standard initialization shrinks signals and gradients by 1/3 a layer, the normalized one keeps both; weight gradients hide it, tanh bends it.

Source: Glorot & Bengio 2010, section 4.2: five hidden layers as there, random cotangents and narrower layers: consistent with.
Cost: 1,440 nets at initialization, ten seconds.
Command: python experiments/glorot_bengio.py --run
"""

from __future__ import annotations

import sys

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, Rival, delta_panel, factor_claim, layer_curve, main, mean_field, overlay

SOURCE = Source("Glorot & Bengio", 2010, "Understanding the difficulty of training deep feedforward neural networks", venue="AISTATS", where="section 4.2")
# Gain of Xavier's uniform initialization -> name, n Var W.
INITS = {3**-0.5: ("standard", 1 / 3), 1.0: ("normalized", 1.0)}
KINDS = {"log10_act_rms": "of |x|² forwards", "log10_delta_rms": "of |δ|² backwards", "log10_grad_w_l2": "of |∂L/∂W|² backwards, layers of one shape"}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Deviation of the activations and delta through the layers, for tanh and for linear nets."""
    settings = {f"{name}, {words}": frames.where(activation=name, init__gain=gain) for name in ("linear", "tanh") for gain, (words, _) in INITS.items()}
    settings = {label: runs for label, runs in settings.items() if not runs.empty}
    deviation = []
    for label, runs in settings.items():
        theory = [float(layer.act_ms[0]) ** 0.5 for layer in mean_field(runs)[:-1]]
        deviation.append(layer_curve(frames, runs, label, "act_std", theory))
    panels = [Panel("activations", "layer l", "standard deviation of $x_l$", deviation, limits=(0, 1.6)), delta_panel(frames, settings, "gradients")]
    title = "The standard initialization shrinks signal and gradient by 1/√3 a layer; the normalized one keeps them where nets are linear."
    setting = frames.setting(frames.runs, ("activation",))
    return [overlay(page, "glorot_bengio", title, setting, f"Source: {SOURCE}.", panels, measured_columns=("act_std", "log10_delta_rms"))]


def claims(frames: Frames) -> list[Claim]:
    """Three factors for two initializations; tanh against the linear rule n Var W."""
    found = []
    for name in frames.values("activation"):
        for gain, (words, scale) in INITS.items():
            for column, text in KINDS.items():
                # W_1 and the hidden matrices have one shape: gradients are compared between all of them.
                linear = 1.0 if "grad" in column else scale
                rival = None if name == "linear" else Rival("linear: n Var W, gradients alike", linear)
                runs = frames.where(activation=name, init__gain=gain)
                found.append(factor_claim(frames, runs, f"{name}, {words} init: factor per layer {text}", column=column, rival=rival))
    return found


EXPERIMENT = Experiment("glorot_bengio", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
