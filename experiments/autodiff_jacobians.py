"""The gradient of a million weights costs two forwards more, not two million: reverse mode grows with outputs, forward mode with inputs.

Source: Baydin et al. 2018 (arXiv:1502.05767), sections 3.1 and 3.2; Griewank and Walther 2008. Operation counts of MLPs are derived here.
Cost: a few thousand passes through small nets, six through one of a million weights; ten seconds.
Command: python experiments/autodiff_jacobians.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradyn.autodiff import chain_orders, jacobian_costs, million_costs, pass_costs
from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Rival, crossover, draw_jacobians, main

SOURCE = Source("Baydin et al.", 2018, "Automatic differentiation in machine learning: a survey", arxiv="1502.05767")


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Operations and seconds of Jacobians, of passes, of one gradient of a million weights, and of chains in three orders."""
    s, rng = settings, np.random.default_rng(settings["seed"])
    return {
        "jacobians": pd.DataFrame([jacobian_costs(power, s["product"], s["hidden"], s["repeats"], rng) for power in s["log2_ratios"]]),
        "passes": pd.DataFrame(pass_costs(s["depth"], s["width"], s["batch"], rng)),
        "million": pd.DataFrame(million_costs(s["million"], s["batch"], s["repeats"], rng)),
        "chains": pd.DataFrame([row for name, sizes in s["chains"].items() for row in chain_orders(name, sizes)]),
    }


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Cost by rows and columns over inputs per output, counted and timed; the million; and the orders of a chain."""
    return draw_jacobians(frames, page)


def claims(frames: Frames) -> list[Claim]:
    """Counted operations are the derived ones to the last; seconds are shown, and nothing is claimed of them."""
    passes, million, exact = frames.tables["passes"], frames.tables["million"].set_index("pass"), "exact: whole numbers"
    table = frames.tables["jacobians"]
    apart = sum(float((table[f"{way}_counted"] - table[f"{way}_derived"]).abs().max()) for way in ("rows", "columns_by_hand"))
    backward = million.loc["gradient", "operations"] / million.loc["forward", "operations"] - 1
    # At the crossover n = (m + 1) / 2, so log2(n / m) = -1 + 1 / (m ln 2) and less: m is near the root of the product of both.
    meeting, near = crossover(table, "columns_derived"), 1 / (np.log(2) * frames.settings["product"] ** 0.5)
    rows = zip(passes.iterrows(), [Rival(text, float(text[0])) if text else None for text in passes["rival"]], strict=True)
    return [
        *(Claim(f"{row['pass']}, in forwards", row["counted"], row["derived"], 0.0, exact, rival=other) for (_, row), other in rows),
        Claim("operations by which a Jacobian differs from (1 + m) F by rows, (1 + n) F by columns", apart, 0.0, 0.0, exact),
        Claim("|1 + log2 n/m| where columns that each run forward cost as much as rows", abs(1 + meeting), near, 0.0, "1 / (m ln 2)", "below"),
        Claim("the same where columns share one forward pass", crossover(table, "columns_by_hand_counted"), 0.0, 0.0, exact),
        Claim("one backward pass of the largest net, in forwards, all operations", backward, 5.0, 0.0, exact, "below"),
        Claim("gradients that one jvp of it costs", million.loc["one jvp", "derived"] / million.loc["gradient", "derived"], 1.0, 0.0, exact),
    ]


EXPERIMENT = Experiment("autodiff_jacobians", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
