"""Backpropagation is a product of matrices that anybody can write down, and it gives what autograd gives, to the last digits.

Source: Rumelhart, Hinton and Williams 1986, for the method; the worked numbers, the bound and the two misprints are worked out here.
Cost: 280 nets of five layers three times over, sums over indices included; a few seconds.
Command: python experiments/autodiff_by_hand.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradyn.autodiff import mlp_differences, product_differences, two_layer_table
from gradyn.core import Source, options
from gradyn.nn import AbstractActivation
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, draw_by_hand, main

SOURCE = Source("Rumelhart et al.", 1986, "Learning representations by back-propagating errors")


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Every intermediate of the two-layer net, the differences from autograd for each activation, and the product's norms and bounds."""
    s, rng, phis = settings, np.random.default_rng(settings["seed"]), options(AbstractActivation)
    shape = [s["product_width"]] * (s["product_depth"] + 1)
    return {
        "two_layer": pd.DataFrame(two_layer_table(s["two_layer"])),
        "activations": pd.DataFrame([{"activation": a, **mlp_differences(phis[a](), s["sizes"], s["batch"], s["draws"], rng)} for a in s["activations"]]),
        "product": pd.DataFrame([{"activation": a, **row} for a in s["product_activations"] for row in product_differences(phis[a](), shape, rng)]),
    }


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """The worked numbers, the differences from autograd, and the gradient's norm below its bound."""
    return draw_by_hand(frames, page)


def claims(frames: Frames) -> list[Claim]:
    """All ways are autograd's to 1e-12; the bound bounds; the order often printed gives something else."""
    worked, nets, product = (frames.tables[name] for name in ("two_layer", "activations", "product"))
    first, hidden = product[product["layer"] == 1], product[product["layer"] < product["layer"].max()]
    rounding = "rounding: 2 (depth) (fan_in + 8) eps = 3e-14, a factor 30 for sums that cancel"
    return [
        Claim("largest difference of the worked numbers from autograd's", worked["difference"].max(), 0.0, 0.0, "exact: halves and small whole numbers"),
        Claim("gradients in matrix form: largest relative difference", nets["matrices"].max(), 1e-12, 0.0, rounding, "below"),
        Claim("gradients by sums over indices: largest relative difference", nets["indices"].max(), 1e-12, 0.0, rounding, "below"),
        Claim("product of matrices, dL/dz_1: largest relative difference", product["dz1_difference"].max(), 1e-12, 0.0, rounding, "below"),
        Claim("product of matrices, dL/dW_1: largest relative difference", product["dw1_difference"].max(), 1e-12, 0.0, rounding, "below"),
        Claim("largest norm of a hidden layer's gradient over its bound", (hidden["norm"] / hidden["bound"]).max(), 1.0, 0.0, "an inequality", "below"),
        Claim("the order often printed is off by more than a tenth, relatively", first["misprint_difference"].min(), 0.1, 0.0, "exact to 1e-12", "above"),
    ]


EXPERIMENT = Experiment("autodiff_by_hand", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
