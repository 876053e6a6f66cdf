"""An engine of scalars that remember where they came from trains a net, agrees with torch, and goes 100,000 operations deep.

Source: the two moons of scikit-learn (Pedregosa et al. 2011); the engine and its rounding bounds are ours.
Cost: a net of 105 parameters, 450 steps of 5 samples, and 200 random expressions; some ten seconds.
Command: python experiments/autodiff_engine.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from sklearn.datasets import make_moons

from gradyn.autodiff import FiftyLines, Value, chain_error, disagreement, faults, mlp, outputs, passes_through, plane, random_expression, train
from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Rival, draw_engine, main

SOURCE = Source("Pedregosa et al.", 2011, "Scikit-learn: machine learning in Python")


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """A net trained on two moons and what it makes of the plane; the engine beside torch and beside the usual fifty lines."""
    s, rng = settings, np.random.default_rng(settings["seed"])
    x, label = make_moons(s["samples"] + s["held_out"], noise=s["noise"], random_state=s["seed"])
    seen, net = slice(s["samples"]), mlp([2, *s["hidden"], 1], rng)
    losses = train(net, x[seen], 2.0 * label[seen] - 1, rng, steps=s["steps"], batch_size=s["batch_size"], rate=s["rate"])
    grid, engines = plane(x, s["grid"]), {"fifty": FiftyLines, "value": Value}
    apart = [disagreement(random_expression(rng), rng.normal(size=3).tolist()) for _ in range(s["expressions"])]
    return {
        "training": pd.DataFrame({"step": np.arange(len(losses)), "loss": losses}),
        "points": pd.DataFrame(x, columns=["x", "y"]).assign(label=label, output=outputs(net, x), is_held_out=np.arange(len(x)) >= s["samples"]),
        "plane": pd.DataFrame(grid, columns=["x", "y"]).assign(output=outputs(net, grid)),
        "apart": pd.DataFrame(apart, columns=["of_bound", "relative"]),
        "chain": pd.DataFrame({"operations": [s["chain"]], "of_bound": chain_error(Value, s["chain"])}),
        "twice": pd.DataFrame([{"length": n, **{name: passes_through(one, n, times=2) for name, one in engines.items()}} for n in s["lengths"]]),
        "faults": pd.DataFrame({name: faults(one) for name, one in engines.items()}).rename_axis("question").reset_index(),
    }


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """The boundary between the moons, the loss, and what two backward passes leave in a leaf."""
    return draw_engine(frames, page)


def claims(frames: Frames) -> list[Claim]:
    """It learns, it is right, it goes deep, and it may be asked twice."""
    points, worst = frames.tables["points"], {name: float(frames.tables[name]["of_bound"].max()) for name in ("apart", "chain")}
    right = ((points["output"] > 0) == (points["label"] == 1))[points["is_held_out"]]
    error, exact = float(right.std(ddof=0) / len(right) ** 0.5), "exact but for rounding: running error bound, first order in 2^-53"
    return [
        Claim("held-out accuracy on two moons", float(right.mean()), 0.95, error, f"binomial, {len(right)} points", "above"),
        Claim("on random expressions engine and torch differ by less than roundings allow", worst["apart"], 1.0, 0.0, exact, "below"),
        Claim("the deepest chain's gradient errs by less than a rounding an operation", worst["chain"], 1.0, 0.0, exact, "below"),
        Claim("two backward passes leave twice the gradient", float(frames.tables["twice"]["value"].max()), 2.0, 0.0, "a count", rival=Rival("length + 1")),
    ]


EXPERIMENT = Experiment("autodiff_engine", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
