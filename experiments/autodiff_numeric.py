"""A difference loses half or a third of the digits at its best step, a formula swells as n^2 2^n, automatic differentiation does neither.

Source: Baydin et al. 2018 (arXiv:1502.05767), sections 2.1 to 2.3; Squire and Trapp 1998 for the complex step. Fit windows are derived here.
Cost: 600 evaluations of a polynomial, nine symbolic derivatives; two seconds.
Command: python experiments/autodiff_numeric.py --run
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

from gradyn.autodiff import AUTOMATIC_BOUND, difference_errors, fit_windows, fitted_slope, method_table, optimal_steps, swell
from gradyn.core import Source
from gradyn.report import Z_LIMIT, Claim, Drawn, Experiment, Frames, Page, Rival, draw_numeric, main

SOURCE = Source("Baydin et al.", 2018, "Automatic differentiation in machine learning: a survey", arxiv="1502.05767")
# sympy's count of the derivative as the rules leave it, for l_2, ..., l_6: what the claim is held against.
COUNTS = {2: 2, 3: 21, 4: 82, 5: 264, 6: 768}


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Errors over steps, slopes fitted to them, optimal steps, sizes of expressions, and one row a method."""
    s, errors = settings, difference_errors(settings["x"], settings["mantissas"])
    fits = [{**window, **fitted_slope(errors, window)} for window in fit_windows(s["x"])]
    sizes = swell("logistic", s["logistic_levels"]) + swell("product", s["product_levels"])
    tables = {"errors": errors, "fits": fits, "optima": optimal_steps(fits, s["x"]), "sizes": sizes, "methods": method_table(errors, s["x"])}
    return {name: pd.DataFrame(rows) for name, rows in tables.items()}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """The V of each difference with its asymptotes and optimum, the swell, and the table of methods."""
    return draw_numeric(frames, page)


def claims(frames: Frames) -> list[Claim]:
    """Slopes, coefficients and optima of the V; counts of the swell; automatic exact."""
    fits, optima, sizes, methods = (frames.tables[name] for name in ("fits", "optima", "sizes", "methods"))
    map_, product = (sizes[sizes["family"] == family] for family in ("logistic", "product"))
    found, error = map_.set_index("level")["derivative"], methods.set_index("method")["error"]
    off = sum(abs(found[level] - count) for level, count in COUNTS.items())
    squares = (product["derivative"] - 2 * product["level"] ** 2 + 2 * product["level"] + 1)[product["level"] > 2].abs().max()
    mixed, noise = "scatter; other terms in the window reach the limit of z", "evaluations off by eps |f| within a factor 16"
    arms = [Claim(f"{r.method}, {r.side}: slope", r.slope, r.power, r.mixing / Z_LIMIT + r.scatter, mixed) for r in fits.itertuples()]
    coefficients = [(r.method, r.found, r.coefficient) for r in fits.itertuples() if r.power > 0]
    best = [(r.method, r.log10_h, r.predicted, math.log10(16) / Z_LIMIT / power, Rival("eps alone", r.rival)) for power, r in enumerate(optima.itertuples(), 2)]
    return [
        *arms,
        *(Claim(f"{name}: coefficient of truncation", is_, said, 0.03 * said / Z_LIMIT, "next order and rounding, 3 %") for name, is_, said in coefficients),
        *(Claim(f"{name}: log10 of the best step", is_, said, near, noise, rival=rival) for name, is_, said, near, rival in best),
        *(Claim(f"{way}: relative error in eps", error[way] / 2**-52, AUTOMATIC_BOUND, 0.0, "all roundings", "below") for way in ("automatic", "complex")),
        Claim("operations by which l_2', ..., l_6' differ from 2, 21, 82, 264, 768", off, 0.0, 0.0, "exact: counts"),
        Claim("least growth of the derivative of l_n per level", (found / found.shift()).min(), 2.0, 0.0, "exact: counts", "above"),
        Claim("operations by which a nested product's derivative differs from 2 n^2 - 2 n - 1", squares, 0.0, 0.0, "exact: counts"),
    ]


EXPERIMENT = Experiment("autodiff_numeric", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
