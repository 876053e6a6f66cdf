"""A float stops seeing a gradient that goes on: fp16 after 12 halvings of a half, fp32 loggers at 1e-22, and loss scaling buys its own logarithm.

Source: IEEE 754; loss scaling as in Micikevicius et al. 2018. Theirs are trained convnets, ours sigmoid nets at initialization: consistent with.
Cost: some 800 nets at initialization, about half a minute.
Command: python experiments/float_limits.py --run
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

import gradyn
from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, draw_float_limits, initial_layers, last_power, main, reached, read_as_zero

SOURCE = Source("Micikevicius et al.", 2018, "Mixed precision training", arxiv="1710.03740", where="section 3.2")
# Of 0.25^L: the smallest subnormal number, 2^-24, 2^-133, 2^-149, 2^-1074; with flush-to-zero, the smallest normal one of the carrier.
LAST = {"plain": {"float16": 12, "bfloat16": 66, "float32": 74, "float64": 537}, "flushed": {"float16": 12, "bfloat16": 63, "float32": 63, "float64": 511}}


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """The layers of every net at initialization, with what a float32 logger reads."""
    return {name: initial_layers(gradyn.plan(overrides)) for name, overrides in settings.items()}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Each format's line and the true one; shares read as zero; layers bought by the loss scale."""
    return draw_float_limits(frames, page)


def claims(frames: Frames) -> list[Claim]:
    """The last powers, the true line below every floor, exact zeros alone, and the layers that a loss scale buys."""
    powers, lines, scaling, read = (frames.tables[name] for name in ("powers", "lines", "scaling", "read"))
    exact = "exact: powers of two have no rounding"
    found = [(way, name, last, last_power(powers, name, way)) for way, row in LAST.items() for name, last in row.items()]
    true = lines[(lines["backward"] == "tracked") & (lines["dtype"] == lines["dtype"].iloc[-1])]
    zeros = read[(read["log10_grad_w_l2"] == -math.inf) & ~read["is_exact_zero"]]
    deep = read_as_zero(read)
    bought = reached(scaling)
    return [
        *(Claim(f"last L with 0.25^L != 0 in {name}{', flushed' * (way == 'flushed')}", last, said, 0.0, exact) for way, name, said, last in found),
        Claim("tracked, no layer's norm is lost", float((true["log10_grad_w_l2"] == -math.inf).sum()), 0.0, 0.0, "a count"),
        Claim("norms of -inf that are no exact zeros, in the default sweep's nets", float(len(zeros)), 0.0, 0.0, "a count"),
        Claim("of small init's depth-64 sigmoid norms, a float32 norm() reads as 0", float(deep["small"]), 2 / 3, math.nan, "one seed", "above"),
        Claim("layers that a loss scale of 1024 buys, over log10(1024) / decades per layer", *bought, "scatter of seeds; whole layers: 1/sqrt(12) each"),
    ]


EXPERIMENT = Experiment("float_limits", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
