"""A penalty on steps that shrink the gradient brings it back through forty steps of a vanilla net at once; what the net recalls in the end is no better.

Source: Pascanu, Mikolov and Bengio 2013 (arXiv:1211.5063), section 3.3, equations 9 and 10. Their nets are trained
for far longer on longer tasks, and gain by it: that the gradient comes back is consistent with theirs, that recall gains nothing in 600 steps is ours.
Cost: 20 runs of 600 steps, a minute on two cores.
Command: python experiments/steady_gradients.py --run
"""

from __future__ import annotations

import sys

import numpy as np

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, main, overlay, seed_claim, span_curves, time_spans

SOURCE = Source("Pascanu, Mikolov and Bengio", 2013, "On the difficulty of training recurrent neural networks", arxiv="1211.5063", where="section 3.3")
# Decades within which a rate of the usual grid fits both ends of a sequence, as for cures.
WELL = 2.0


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """What the gradient loses over the sequence while training, and how often the symbol is recalled."""
    table = time_spans(frames)
    right = [
        Curve("no penalty" if coefficient == 0 else f"penalty, coefficient {coefficient:g}", place + np.linspace(-0.2, 0.2, len(runs)), runs["test_accuracy"])
        for place, (coefficient, runs) in enumerate(frames.runs.groupby("penalty.coefficient"))
    ]
    panels = [
        Panel("gradient from the last step back to the first", "step of training", "growth of dL/dh [decades]", span_curves(table)),
        Panel("recalled, held-out sequences", "", "accuracy", right, limits=(0, 1.02), ticks=[(0, "without"), (1, "with")]),
    ]
    steps, scale, symbols = (frames.runs[name].max() for name in ("steps", "cell.recurrent_scale", "data.symbols"))
    title = f"A penalty on steps that shrink the gradient brings it back to the first step at once; after {steps} steps the net recalls no better for it."
    setting = frames.setting(frames.runs, ("penalty",), f"recurrent weights N(0, {scale:g}²/n)")
    return [
        overlay(page, "steady_gradients", title, setting, f"First: mean of seeds; second: a mark a seed, guessing has 1/{symbols:g}. Source: {SOURCE}.", panels)
    ]


def claims(frames: Frames) -> list[Claim]:
    """Lost at the start; at the next look still without the penalty, with it no more; and the share recalled."""
    table, runs = time_spans(frames), frames.runs
    soon = sorted(table["step"].unique())[1]
    start, at = table[table["step"] == 0]["span"], table[table["step"] == soon]
    plain, steady = (at[(at["coefficient"] > 0) == is_penalized]["span"] for is_penalized in (False, True))
    recalled = runs.pivot(index="seed", columns="penalty.coefficient", values="test_accuracy")
    gain = recalled[recalled.columns.max()] - recalled[0.0]
    return [
        seed_claim("decades at initialization, least loss of seeds", start.nlargest(1), -5.0, "below"),
        seed_claim(f"without the penalty, step {soon}: least loss of seeds", plain.nlargest(1), -5.0, "below"),
        seed_claim(f"with it, step {soon}: largest size of growth or loss", steady.abs().nlargest(1), WELL, "below"),
        seed_claim("share recalled with it minus without, mean of seeds", gain, 0.1, "below"),
    ]


EXPERIMENT = Experiment("steady_gradients", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
