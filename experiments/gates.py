"""Gates carry gradients through time: an LSTM keeps s(b_f) of its memory's gradient a step, and its forget bias sets how far that reaches.

Source: Gers, Schmidhuber and Cummins 2000, the forget gate; Jozefowicz et al. 2015, its bias of 1; Tallec and Ollivier 2018
(arXiv:1804.11188), section 3, chrono biases. Nets and task of ours: consistent with.
Cost: 109 nets of 100 steps at initialization and 80 trained ones, five minutes of one core.
Command: python experiments/gates.py --run
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

import gradyn
from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, chrono_claim, gate_claims, gate_panels, main, overlay, seed_claim
from gradyn.sweep import Log, Schedule, execute

SOURCE = Source("Gers, Schmidhuber and Cummins", 2000, "Learning to forget: continual prediction with LSTM", where="section 3")


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Accuracy on held-out sequences after training, by net and distance between symbol and question."""
    found, seeds = [], f"seed=range({settings['seed']},{settings['seed'] + settings['seeds']})"
    for length, (name, cell) in itertools.product(settings["lengths"], settings["cells"].items()):
        sizes = [f"data.length={length}", f"depth={length + 1}", f"steps={settings['steps']}", seeds]
        specs = gradyn.plan([*settings["train"], *sizes, *(word.format(length=length) for word in cell)])
        runs = execute(specs, Log(Schedule((0,)), Schedule((0,)))).runs
        found += [{"net": name, "distance": length - 1, "seed": s.seed, "accuracy": a} for s, a in zip(specs, runs["test_accuracy"], strict=True)]
    return {"trained": pd.DataFrame(found)}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Cotangents through time by cell, constant gates with their lines, and accuracy over the distance."""
    drawn = frames.where(cell__recurrent_scale=1.0)
    title = "Gates carry gradients through time: an LSTM's memory keeps the share $s(b_f)$ a step."
    text = (
        f"Left: width {int(drawn['width'].iloc[0])}, weights of variance 1/n, noise as input; the vanilla net's matrix is the only way back. Middle: lines "
        f"$s(b_f)^k$ and chrono's rms over units. Right: width 32, {frames.settings['steps']} steps of Adam at rate 0.01, clipped at norm 1; chance is 1/8. "
        f"Source: {SOURCE}."
    )
    setting = frames.setting(drawn, [axis for axis in frames.axes if axis.startswith("cell")])
    return [overlay(page, "gates", title, setting, text, gate_panels(frames, drawn), measured_columns=("log10_delta_rms", "log10_delta_cell_rms"))]


def claims(frames: Frames) -> list[Claim]:
    """Constant gates exactly; gates that the input drives; recurrent weights; chrono's moment; what trains over the longest distance."""
    trained = frames.tables["trained"]
    longest = trained[trained["distance"] == trained["distance"].max()].set_index("net")["accuracy"]
    return [
        *gate_claims(frames),
        chrono_claim(frames),
        seed_claim("over the longest distance LSTMs with chrono biases recall: mean accuracy", longest.loc[["LSTM, chrono"]], 0.9, "above"),
        seed_claim("over the longest distance vanilla nets do not: mean accuracy", longest.loc[["RNN, tanh"]], 0.9, "below"),
    ]


EXPERIMENT = Experiment("gates", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
