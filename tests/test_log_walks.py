"""Log norms as random walks: what a step is in both directions, what is left out, and claims that see another law."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from gradyn.report import Frames, log_walk, spread_curve, walk_claims
from gradyn.theory import LogNormLaw

LAW = LogNormLaw(-0.3, 0.5, 0.0)


def _frames(ln_squares_SL: np.ndarray, column: str) -> Frames:
    seeds, depth = ln_squares_SL.shape
    runs = pd.DataFrame({"run_id": [f"r{seed}" for seed in range(seeds)], "seed": range(seeds), "depth": depth, "width": 8})
    layers = pd.DataFrame({"run_id": runs["run_id"].repeat(depth), "step": 0, "layer": np.tile(np.arange(1, depth + 1), seeds)})
    return Frames("made", runs, pd.DataFrame(), layers.assign(**{column: ln_squares_SL.ravel() / 2 / np.log(10)}))


def test_a_walk_starts_at_the_output_backwards_and_at_layer_1_forwards() -> None:
    # ln of squares by layer 1 ... 4, the last the readout's; the second net is zero below its layer 3.
    frames = _frames(np.array([[7.0, 4.0, 2.0, 1.0], [-np.inf, -np.inf, 3.0, 1.0]]), "log10_delta_rms")
    walk = log_walk(frames, frames.runs)
    assert walk.columns.tolist() == [1, 2, 3]
    assert np.allclose(walk, [[1.0, 3.0, 6.0]], rtol=64 * np.finfo(float).eps, atol=0)
    frames = _frames(np.array([[7.0, 4.0, 2.0, 1e9]]), "log10_act_rms")
    assert np.allclose(log_walk(frames, frames.runs, "log10_act_rms"), [[-3.0, -5.0]], rtol=64 * np.finfo(float).eps, atol=0)
    assert log_walk(frames, frames.runs.iloc[:0]).empty


@pytest.mark.parametrize("law", [LAW, LogNormLaw(-0.25, 0.6, 0.0)], ids=["its own law", "another"])
def test_claims_hold_for_walks_of_the_law_and_fail_for_others(law: LogNormLaw) -> None:
    # 40,000 steps: the variance is known to 0.7 % and the mean to 0.0035.
    steps = np.random.default_rng(0).normal(LAW.mean, LAW.variance**0.5, (1000, 40))
    walk = pd.DataFrame(steps.cumsum(axis=1), columns=range(1, 41))
    layer, mean, nets = walk_claims("made", walk, law, ("other", LAW.mean, 2 * LAW.variance))
    assert [layer.verdict, mean.verdict] == ["holds" if law is LAW else "fails"] * 2
    assert layer.rival_z < -6
    assert nets.predicted == 40 * law.variance
    assert abs(nets.measured / float(walk[40].var(ddof=1)) - 1) < 1e-12, "the unbiased variance"
    assert [claim.verdict for claim in walk_claims("made", pd.DataFrame(), law, ("other", 0.0, 1.0))] == ["not tested"] * 3


def test_a_curve_of_the_spread_has_the_law_and_its_rival_at_the_same_places() -> None:
    walk = pd.DataFrame(np.random.default_rng(0).normal(size=(50, 16)).cumsum(axis=1), columns=range(1, 17))
    curve = spread_curve("made", walk, LAW, 0.25, per=8.0)
    layers = np.asarray(curve.x) * 8
    assert layers[[0, -1]].tolist() == [1, 16]
    assert np.allclose(curve.theory, 0.5 * layers)  # type: ignore[arg-type]
    assert np.allclose(curve.rival, 0.25 * layers)  # type: ignore[arg-type]
    assert np.allclose(curve.measured, walk[layers.astype(int)].var(ddof=1))  # type: ignore[arg-type]
