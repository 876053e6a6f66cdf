"""The vanishing gradient of the textbook is one curve, whoever computes it: an engine of scalars, a pencil, or the harness.

Source: the question, and the bound that is drawn, of Hochreiter 1991; the nets are ours.
Cost: 18 nets of width 6 and depth 2 to 64, a few seconds.
Command: python experiments/autodiff_one_curve.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

import gradyn
from gradyn.autodiff import curve
from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, draw_one_curve, main, seed_claim
from gradyn.sweep import Log, Schedule, execute

SOURCE = Source("Hochreiter", 1991, "Untersuchungen zu dynamischen neuronalen Netzen")


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Rms of delta_l in three ways from the same weights and batch, the bound from the weights, and what roundings allow."""
    tables = []
    for spec in gradyn.plan([*settings["net"], *[f"{key}={','.join(map(str, settings[key + 's']))}" for key in ("depth", "seed")]]):
        module, batches, _ = gradyn.materialize(spec)
        named = {name: parameter.detach().numpy() for name, parameter in module.named_parameters()}
        weights, biases = ([named[f"layers.{layer}.{kind}"] for layer in range(1, spec.depth + 1)] for kind in ("weight", "bias"))
        found = curve(weights, biases, *(tensor.numpy() for tensor in next(batches)))
        stored = execute([spec], Log(Schedule((0,)), Schedule((0,)))).layers
        table = pd.DataFrame({"depth": spec.depth, "seed": spec.seed, "layer": stored["layer"], **found, "harness": 10.0 ** stored["log10_delta_rms"]})
        # The harness keeps a logarithm: five operations that each round a number of its size, decades in all.
        tables.append(table.assign(allowed=table["rounding"] + 5 * np.log(10) * np.abs(stored["log10_delta_rms"]) * 2.0**-53))
    return {"layers": pd.concat(tables, ignore_index=True)}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """The curve over depth and over layers, three ways, and their differences in units of rounding."""
    return draw_one_curve(frames, page)


def claims(frames: Frames) -> list[Claim]:
    """One curve up to rounding; below the bound, and far below; at least a factor of four a layer."""
    table = frames.tables["layers"]
    apart = {way: float(((table[way] / table["hand"] - 1).abs() / table["allowed"]).max()) for way in ("value", "harness")}
    hidden, deepest = table[table["layer"] < table["depth"]], table[table["depth"] == table["depth"].max()].set_index("seed")
    first, last = deepest[deepest["layer"] == 1], deepest[deepest["layer"] == deepest["depth"]]
    given_away, rate = np.log10(first["bound"] / first["hand"]) / first["depth"], np.log10(first["hand"] / last["hand"]) / (last["depth"] - 1)
    exact = "exact but for rounding: running error bound, first order in 2^-53"
    return [
        *[Claim(f"{way} and pencil differ by less than roundings allow", apart[way], 1.0, 0.0, exact, "below") for way in apart],
        Claim("delta of every hidden layer is below the bound of its weights", float((hidden["hand"] / hidden["bound"]).max()), 1.0, 0.0, exact, "below"),
        seed_claim("the bound gives away more than a tenth of a decade a layer", given_away, 0.1, "above"),
        seed_claim("a layer costs the gradient more than a factor of 4, in decades", rate, float(np.log10(0.25)), "below"),
    ]


EXPERIMENT = Experiment("autodiff_one_curve", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
