"""Full-batch gradient descent sharpens until a quadratic would be unstable, at 2 / rate, and goes on there, while its loss rises at almost every other step.

Source: Cohen et al. 2021 (arXiv:2103.00065), sections 3 and 4; theirs are nets on 5,000 images of CIFAR-10, ours a tanh net on 300 digits: consistent with.
Cost: 20 runs of 3,000 steps, most of it for Hessian-vector products; about two minutes on two cores.
Command: python experiments/edge_of_stability.py --run
"""

from __future__ import annotations

import sys

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, Rival, main, overlay, seed_claim, stability_curves, stability_runs

SOURCE = Source(
    "Cohen et al.", 2021, "Gradient descent on neural networks typically occurs at the edge of stability", arxiv="2103.00065", where="sections 3, 4"
)
# 2 / 0.1: more than the sharpness that this task comes to by itself.
STABLE = 0.1


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Sharpness with the threshold of each rate, and loss, over the steps."""
    sharpness, loss = stability_curves(frames, stability_runs(frames))
    panels = [
        Panel("sharpness", "step", "largest eigenvalue of the Hessian", sharpness, limits=(0, 32)),
        Panel("loss", "step", "loss", loss, yscale="log"),
    ]
    title = "Gradient descent sharpens up to 2 / rate, with momentum to 2 (1 + momentum) / rate, and stays there."
    text = f"Dashed: the threshold of each rate. At rate 0.1 it is never reached. The first seed of each, every 50th step. Source: {SOURCE}."
    return [overlay(page, "edge_of_stability", title, frames.setting(frames.runs, ("learning_rate", "optimizer"), "full batch"), text, panels)]


def claims(frames: Frames) -> list[Claim]:
    """Sharpness begins below the threshold and ends at it or just above, by rate and momentum; a small rate is a control."""
    found, runs = [], stability_runs(frames)
    for rate, same in runs.groupby("learning_rate"):
        momentum, threshold = same["momentum"].iloc[0], same["threshold"].iloc[0]
        name = f"rate {rate:.3g}, momentum {momentum:g}"
        found.append(seed_claim(f"{name}: initial sharpness is below the threshold; largest of seeds", same["initial"].nlargest(1), threshold, "below"))
        if rate == STABLE:
            found.append(seed_claim(f"{name}: never comes to the threshold; late sharpness over it", same["ratio"].nlargest(1), 0.9, "below"))
            found.append(Claim(f"{name}: steps of the last third at which the loss rises", float(same["rises"].max()), 0.0, 0.0, "a count"))
            continue
        rival = Rival("2 / rate", 1 / (1 + momentum)) if momentum else None
        found.append(seed_claim(f"{name}: late sharpness over the threshold is above 1; least of seeds", same["ratio"].nsmallest(1), 1.0, "above"))
        found.append(seed_claim(f"{name}: and just above: below 1.05; mean of seeds", same["ratio"], 1.05, "below", rival))
        found.append(seed_claim(f"{name}: share of late steps at which the loss rises", same["rises"].nsmallest(1), 0.2, "above"))
    return found


EXPERIMENT = Experiment("edge_of_stability", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
