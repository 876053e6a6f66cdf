"""Thirty-two layers on images of digits: the sick net learns at no rate, nor does clipping or a penalty help it; skips and orthogonal tanh learn quickly.

Source: He et al. 2016 (arXiv:1512.03385) for skips; the cures are the textbook's, the task and the comparison ours.
Cost: 80 runs of 600 steps, five minutes on two cores.
Command: python experiments/mnist_cures.py --run
"""

from __future__ import annotations

import sys

import numpy as np

from gradyn.core import Source
from gradyn.report import TRAINED, Claim, Drawn, Experiment, Frames, Page, draw_training_speed, main, seed_claim, training_speed

SOURCE = Source("He et al.", 2016, "Deep residual learning for image recognition", arxiv="1512.03385")
# Cures that change no gradient on its way down.
ACT_LATER = ("sigmoid small, clip global_l2", "sigmoid small, l2 penalty")
SICK, SKIP, ORTHOGONAL = "sigmoid small", "sigmoid small, identity residual", "tanh orthogonal"


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Loss over steps at each cure's best rate, and what it gets right of what it has not seen."""
    right = training_speed(frames).groupby("cure")["test_accuracy"].mean()
    count, depth = int((right >= TRAINED).sum()), int(frames.runs["depth"].max())
    title = f"Of {len(right)} nets of {depth} layers {count} learn to read digits; where the gradient does not arrive, no rate helps."
    shown = ("activation", "init", "norm", "residual", "clip", "penalty", "learning_rate")
    held = frames.setting(frames.runs, shown, f"{frames.runs['steps'].max()} steps")
    text = f"Dotted: half of the loss of equal odds, ln 10. Learned: {TRAINED:g} of the images. Source: {SOURCE}."
    return [draw_training_speed(frames, page, "mnist_cures", title, held, text)]


def claims(frames: Frames) -> list[Claim]:
    """Which learn within the steps given, and which don't at any rate."""
    table = training_speed(frames)
    right, steps = table.set_index("cure")["test_accuracy"].fillna(0.0), table.set_index("cure")["steps_to_half"]
    learn = [seed_claim(f"{cure}: accuracy on held-out images, least of seeds", right.loc[[cure]].nsmallest(1), 0.85, "above") for cure in (SKIP, ORTHOGONAL)]
    never = [seed_claim(f"{cure}: accuracy, largest of seeds", right.loc[[cure]].nlargest(1), 0.3, "below") for cure in (SICK, *ACT_LATER)]
    half, all_steps = "steps to half of the loss of equal odds", float(frames.runs["steps"].max())
    fast = [Claim(f"{cure}: {half}, most of seeds", steps.loc[[cure]].max(), all_steps, 0.0, "a count", "below") for cure in (SKIP, ORTHOGONAL)]
    reached = float(np.isfinite(steps.loc[[SICK]]).sum())
    return [*learn, *never, *fast, Claim(f"{SICK}: seeds that come to half of it", reached, 0.0, 0.0, "a count")]


EXPERIMENT = Experiment("mnist_cures", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
