"""A forgotten zero_grad makes a swing of gradient descent; with the right weights the same accumulation makes one batch of many small ones.

Source: the question of every first course; the closed form of the swing and the rounding bounds are ours.
Cost: 80 steps, 10 gradients of a small net, eighteen explanations; a second.
Command: python experiments/autodiff_inside.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradyn.autodiff import EXPLANATIONS, micro_batch_errors, swing, textbook_numbers
from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, draw_inside, main

SOURCE = Source("Paszke et al.", 2019, "PyTorch: an imperative style, high-performance deep learning library", arxiv="1912.01703")


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Descent with and without zero_grad, micro-batches against the batch, the textbook's numbers, and every explanation run."""
    s, rng = settings, np.random.default_rng(settings["seed"])
    pages = [{"name": one.name, "title": one.title, "output": one.run(), "is_as_written": one.run() == one.output} for one in EXPLANATIONS]
    return {
        "swing": pd.DataFrame(swing(s["rate"], s["steps"])),
        "micro": pd.DataFrame([micro_batch_errors(s["samples"], s["features"], s["width"], k, rng) for k in s["micro_batches"]]),
        "numbers": pd.DataFrame(textbook_numbers().items(), columns=["name", "value"]),
        "explanations": pd.DataFrame(pages),
    }


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Two panels: the swing beside its formula, and the distance of micro-batches from one batch."""
    return draw_inside(frames, page)


def claims(frames: Frames) -> list[Claim]:
    """The textbook's numbers, both faces of accumulation, and that every page prints what it says."""
    swing, micro, pages = (frames.tables[name] for name in ("swing", "micro", "explanations"))
    said = {"loss": 4.0, "dL/dx": 12.0, "dL/dw": 8.0, "dL/db": 4.0, "after x^2": 2.0, "after x^3": 5.0}
    found = frames.tables["numbers"].set_index("name")["value"]
    apart = ((swing["forgotten"] - swing["forgotten_predicted"]).abs() / swing["bound"]).max()
    right, exact = (micro[["equal", "unequal"]].max(axis=1) / micro["bound"]).max(), "exact: 0 roundings, small whole numbers"
    return [
        *(Claim(f"{name} of the textbook", float(found[name]), value, 0.0, exact) for name, value in said.items()),
        Claim("without zero_grad w follows cos(omega (t + 1/2)) / cos(omega / 2)", float(apart), 1.0, 0.0, "in units of its rounding bound", "below"),
        Claim("weighted by n_k / n, micro-batches are one batch", float(right), 1.0, 0.0, "in units of the rounding bound of a sum over samples", "below"),
        Claim("weighted by 1 / K, unequal ones are off by more than a hundredth", float(micro["unequal_by_count"].max()), 0.01, 0.0, "exact", "above"),
        Claim("explanations that print what their page says", float(pages["is_as_written"].mean()), 1.0, 0.0, "a count"),
    ]


EXPERIMENT = Experiment("autodiff_inside", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
