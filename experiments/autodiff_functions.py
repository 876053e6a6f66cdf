"""The error over the step tells a wrong backward from a kink and from too few digits; nobody is wrong at a kink, and four ReLUs differ there.

Source: the central difference's error h^2 f'''/6 + eps f/h of every numerics course; the diagnosis is ours.
Cost: ten small functions, 5 draws each; some ten seconds.
Command: python experiments/autodiff_functions.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradyn.autodiff import MISTAKES, PLACES, errors_over_steps, explain_gradcheck, subgradients
from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, draw_functions, main

SOURCE = Source("Griewank & Walther", 2008, "Evaluating derivatives: principles and techniques of algorithmic differentiation")


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Relative error over steps of four checks, the causes named for every mistake, and the table of subgradients."""
    named = []
    for number, (cause, case) in enumerate(MISTAKES.items()):
        for draw in range(settings["draws"]):
            f, inputs = case(np.random.default_rng([settings["seed"], number, draw]))
            named.append({"cause": cause, "draw": draw, "named": explain_gradcheck(f, inputs).cause})
    at = [{"place": str(x), "way": way, "value": y, "gradient": g} for x in PLACES for way, (y, g) in subgradients(x).items()]
    return {"steps": pd.DataFrame(errors_over_steps(settings["place"], settings["distance"])), "named": pd.DataFrame(named), "subgradients": pd.DataFrame(at)}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Error over step beside its theory, and the table of subgradients."""
    return draw_functions(frames, page)


def claims(frames: Frames) -> list[Claim]:
    """The four shapes of the error, the causes, and the kink."""
    steps, named, table = (frames.tables[name] for name in ("steps", "named", "subgradients"))
    case = {name: rows.set_index("step") for name, rows in steps.groupby("case")}
    right, factor, kink, single = (case[name]["error"] for name in ("right", "wrong factor", "kink", "float32"))
    ahead, large = case["right"]["predicted"], sorted(right.index)[-2]
    at_zero = table[table["place"] == "0.0"].set_index("way")["gradient"]
    bent, rest = kink[kink.index > 1e-4], kink[kink.index < 1e-5]
    # The next term of the series is h^2 f'''''/20f''' of the first, -3.1 h^2 for tanh at 0.7; rounding is eps / h against h^2.
    allowed = 3.1 * large**2 + 4 * 2.0**-52 / large**3
    off = float((bent - case["kink"]["predicted"][bent.index]).abs().max())
    return [
        Claim("right: the error is h^2 f'''/6f' at a large step", float(right[large] / ahead[large]), 1.0, allowed, "next term of the series, and rounding"),
        Claim("wrong factor 2: the error is 1/2 at every step that resolves", float(factor[factor.index > 1e-5].median()), 0.5, 1e-4, "h^2 at h = 1e-2"),
        Claim("kink: the error is (1 - d/h) / 2 while the step reaches it", off, 1e-10, 0.0, "eps / h at h = 1e-4 is 2e-12", "below"),
        Claim("kink: and is rounding when the step does not", float(rest.max()), 1e-3, 0.0, "gradcheck's own rtol; eps / h at h = 1e-12 is 2e-4", "below"),
        Claim("float32: gradcheck's step of 1e-6 errs by more than its 1e-3", float(single.loc[single.index < 2e-6].iloc[0]), 1e-3, 0.0, "eps32 / h", "above"),
        Claim("causes named rightly", float((named["cause"] == named["named"]).mean()), 1.0, 0.0, f"a count of {len(named)} draws"),
        Claim("at 0 two ways say 0 and two say 1", float(at_zero.sum()), 2.0, 0.0, "a count"),
    ]


EXPERIMENT = Experiment("autodiff_functions", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
