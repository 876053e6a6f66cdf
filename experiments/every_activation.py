"""From any start the recursion predicts lengths and gradients of every activation, layer by layer, not only at its fixed point.

Source: Poole et al. 2016 (arXiv:1606.05340) and Schoenholz et al. 2017 for the maps; all activations from one start: our own nets, consistent with.
Cost: 6,380 nets at initialization, two minutes of one core.
Command: python experiments/every_activation.py --run
"""

from __future__ import annotations

import sys

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, delta_panel, factor_claim, hidden_maps, layer_curve, main, overlay

SOURCE = Source("Schoenholz et al.", 2017, "Deep information propagation", arxiv="1611.01232")
BOUNDED = ("sigmoid", "tanh", "hard_tanh", "softsign", "erf", "sin")


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Lengths and gradients of all activations: bounded ones above, the others below."""
    names = frames.values("activation")
    halves = {"bounded": [n for n in names if n in BOUNDED], "unbounded": [n for n in names if n not in BOUNDED]}
    panels = []
    for words, half in halves.items():
        q = [
            layer_curve(
                frames, frames.where(activation=n), n, "preact_std", hidden_maps(frames.where(activation=n))[0], is_squared=True, value=("activation", n)
            )
            for n in half
        ]
        panels += [Panel(f"length, {words}", "layer l", "$q_l$", q, yscale="log", limits=(0.003, 100))]
        panels += [delta_panel(frames, {n: frames.where(activation=n) for n in half}, f"gradient, {words}", axis="activation")]
    title = "One recursion has lengths and gradients of every activation from any start."
    text = f"Lengths are carried to infinite width. Source: {SOURCE}."
    setting = frames.setting(frames.runs, ("activation",))
    return [overlay(page, "every_activation", title, setting, text, panels, columns=2, measured_columns=("preact_std", "log10_delta_rms"))]


def claims(frames: Frames) -> list[Claim]:
    """The factors of gradient and signal of every activation."""
    found = []
    for name in frames.values("activation"):
        for text, column in (("of |δ|² backwards", "log10_delta_rms"), ("of |x|² forwards", "log10_act_rms")):
            found.append(factor_claim(frames, frames.where(activation=name), f"{name}: factor per layer {text}", column=column))
    return found


EXPERIMENT = Experiment("every_activation", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
