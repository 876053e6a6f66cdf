"""Where gradients explode through time, clipping lets a net learn at three times the rate; keeping the gradient's direction makes no difference to it.

Source: Pascanu, Mikolov and Bengio 2013 (arXiv:1211.5063), section 3.2, who clip the norm because that keeps the direction. That it helps is
theirs, that clipping values to gradients of the same length helps as much is ours: one task, one size of net.
Cost: 128 runs of 600 steps, a minute and a half on two cores.
Command: python experiments/clipping_in_time.py --run
"""

from __future__ import annotations

import sys

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, clip_curves, clip_words, clipped_steps, largest_safe_rate, main, overlay, time_spans

SOURCE = Source("Pascanu, Mikolov and Bengio", 2013, "On the difficulty of training recurrent neural networks", arxiv="1211.5063", where="section 3.2")
# Recalled by a net that has learnt; steps of the beginning and of the end.
LEARNT, BEGINNING, END = 0.9, 50, 100


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Recall over the rate; loss, cosine and how often clipping binds over training at the rate at which the plain net fails."""
    curves, rate = clip_curves(frames), sorted(frames.runs["learning_rate"].unique())[-2]
    panels = [
        Panel("recalled, held-out sequences", "learning rate", "accuracy", curves["recalled"], xscale="log", limits=(0, 1.05)),
        Panel(f"rate {rate:g}: loss", "step", "loss", curves["loss"], yscale="log"),
        Panel(f"rate {rate:g}: direction", "step", "cosine of clipping", curves["cosine"]),
        Panel(f"rate {rate:g}: binds", "step", "share of steps", curves["binds"], limits=(-0.03, 1.05)),
    ]
    title = "Where gradients explode in time, clipping widens the rates at which a net learns; a clip that bends the direction does so too."
    text = f"Mean of seeds, of the loss their median, over 20 steps each; all limits allow a clipped gradient of about length 1. Source: {SOURCE}."
    distance = frames.runs["data.length"].max() - 1
    setting = frames.setting(frames.runs, ("clip", "learning_rate"), f"{distance:g} steps between symbol and question")
    return [overlay(page, "clipping_in_time", title, setting, text, panels, columns=2, measured_columns=("loss", "clip_cosine", "clip_scale"))]


def claims(frames: Frames) -> list[Claim]:
    """It explodes; the plain net fails at a rate at which all clipped ones learn; direction, length, and when clipping binds."""
    rates = sorted(frames.runs["learning_rate"].unique())
    steps = clipped_steps(frames, rates[-2])
    grown = time_spans(frames)["span"].min()
    plain = largest_safe_rate(frames, "none", LEARNT)
    safe = {clip: largest_safe_rate(frames, clip, LEARNT) for clip in ("global_l2", "value", "adaptive")}
    norm, value = (steps[steps["clip"] == clip] for clip in ("global_l2", "value"))
    text, law = "largest rate up to which every net learns, {}: over twice the plain net's", "counts"
    return [
        Claim("decades that the gradient gains back through time at the start, least of nets", grown, 1.0, 0.0, law, "above"),
        Claim("largest rate up to which every plain net learns", plain, 0.0, 0.0, law, "above"),
        *(Claim(text.format(clip_words(frames, clip)), rate, 2 * plain, 0.0, law, "above") for clip, rate in safe.items()),
        Claim("norm: largest distance of the cosine from 1", (1 - norm["cosine"]).abs().max(), 1e-12, 0.0, "rounding of logarithms", "below"),
        Claim("values: mean cosine at the first step", value.loc[value["step"] == 0, "cosine"].mean(), 0.9, 0.0, law, "below"),
        Claim("norm: longest clipped gradient", norm["length"].max(), 1 + 1e-12, 0.0, "exact, and rounding of logarithms", "below"),
        Claim("norm: share of the first steps that bind", norm.loc[norm["step"] < BEGINNING, "binds"].mean(), 0.5, 0.0, law, "above"),
        Claim("norm: share of the last steps", norm.loc[norm["step"] > norm["step"].max() - END, "binds"].mean(), 0.05, 0.0, law, "below"),
    ]


EXPERIMENT = Experiment("clipping_in_time", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
