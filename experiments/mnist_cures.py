"""Thirty-two layers on images of digits: the sick net learns at no rate, nor does clipping or a penalty help it; skips and orthogonal tanh learn quickly.

Source: He et al. 2016 (arXiv:1512.03385) for skips; the cures are the textbook's, the task and the comparison ours.
Cost: 80 runs of 600 steps, five minutes on two cores.
Command: python experiments/mnist_cures.py --run
"""

from __future__ import annotations

import math
import sys

from gradyn.core import Source
from gradyn.report import TRAINED, Claim, Curve, Drawn, Experiment, Frames, Page, Panel, main, overlay, seed_claim, speed_curves, training_speed

SOURCE = Source("He et al.", 2016, "Deep residual learning for image recognition", arxiv="1512.03385")
# Cures that change no gradient on its way down.
ACT_LATER = ("sigmoid small, clip global_l2", "sigmoid small, l2 penalty")
SICK, SKIP, ORTHOGONAL = "sigmoid small", "sigmoid small, identity residual", "tanh orthogonal"


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Loss over steps at each cure's best rate, and what it gets right of what it has not seen."""
    table = training_speed(frames)
    seen = table.groupby("cure", sort=False)["test_accuracy"].mean().fillna(0.0)
    curves = speed_curves(frames)
    accuracy = [Curve(str(cure), [place], [right]) for place, (cure, right) in enumerate(seen.items())]
    panels = [
        Panel("loss", "step", "loss, mean of 20 steps", curves, yscale="log"),
        Panel("held-out images", "cure, in the order of the legend", "accuracy", accuracy, limits=(0, 1.02), ticks=[(k, str(k + 1)) for k in range(len(seen))]),
    ]
    learn = [cure for cure, right in seen.items() if right >= TRAINED]
    title = f"Of {len(seen)} nets of 32 layers {len(learn)} learn to read digits; where the gradient does not arrive, no rate helps."
    text = f"Each at the rate with the lowest late loss of those tried. Equal odds: ln 10 = 2.3. Source: {SOURCE}."
    held = "MNIST, 4,000 images, width 64, batch 128, sgd, 600 steps; 2 seeds."
    return [overlay(page, "mnist_cures", title, held, text, panels, tables={"mnist_cures_speed": table})]


def claims(frames: Frames) -> list[Claim]:
    """Which learn, which don't, and in how many steps."""
    table = training_speed(frames)
    right, steps = table.set_index("cure")["test_accuracy"].fillna(0.0), table.groupby("cure")["steps_to_half"].median()
    slow = steps.get(SICK, math.nan)
    found = [seed_claim(f"{cure}: accuracy on held-out images, least of seeds", right.loc[[cure]].nsmallest(1), 0.85, "above") for cure in (SKIP, ORTHOGONAL)]
    found += [seed_claim(f"{cure}: accuracy, largest of seeds", right.loc[[cure]].nlargest(1), 0.3, "below") for cure in (SICK, *ACT_LATER)]
    return [
        *found,
        Claim("steps to half of ln 10: skips, median of seeds", float(steps[SKIP]), 150.0, 0.0, "a count", "below"),
        Claim("steps to half of ln 10: orthogonal tanh, median of seeds", float(steps[ORTHOGONAL]), 150.0, 0.0, "a count", "below"),
        Claim("the sick net comes to half of ln 10 in 600 steps (1: it does)", float(math.isfinite(slow)), 0.0, 0.0, "a count"),
    ]


EXPERIMENT = Experiment("mnist_cures", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
