"""Numbers over seeds and widths: the bias of order 1 / width is gone, and nothing else is."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from gradyn.report import Frames, by_layer_and_run, wide_claim, wide_curve

RUNS = pd.DataFrame({"run_id": list("abcdef"), "width": [50, 50, 50, 200, 200, 200], "seed": [0, 1, 2, 10, 11, 12], "init.sigma_w": [1.0] * 5 + [2.0]})
SCATTER = np.array([-0.1, 0.0, 0.1])


def frames() -> Frames:
    rows = [
        {"run_id": run["run_id"], "step": step, "layer": layer, "column": 10 * layer + 3 / run["width"] + SCATTER[place % 3] + step}
        for place, run in RUNS.iterrows()
        for step in (0, 5)
        for layer in (1, 2)
    ]
    return Frames("made", RUNS, pd.DataFrame(), pd.DataFrame(rows))


def test_rows_are_those_of_initialization_and_of_the_runs_asked_for() -> None:
    rows = by_layer_and_run(frames(), init__sigma_w=1.0, layer=2)
    assert rows["run_id"].tolist() == list("abcde")
    assert (rows["step"] == 0).all()
    assert rows["width"].tolist() == [50, 50, 50, 200, 200]


def test_a_bias_that_falls_as_one_over_width_cancels() -> None:
    layer, mean, error = wide_curve(by_layer_and_run(frames()), "layer", "column")
    assert layer.tolist() == [1, 2]
    # Rounding of numbers near 20.
    assert mean == pytest.approx([10, 20], abs=1e-13)
    # limit = (4 mean_200 - mean_50) / 3, each mean with 0.1 / sqrt(3).
    assert error == pytest.approx([0.1 / math.sqrt(3) * math.sqrt(17) / 3] * 2, rel=1e-12)
    values = by_layer_and_run(frames(), layer=2).set_index(["width", "seed"])["column"]
    claim = wide_claim("made", values, 20.0)
    assert (claim.measured, claim.standard_error) == pytest.approx((20, error[1]), rel=1e-12)
    assert claim.verdict == "holds"
    assert "widths 50 and 200" in claim.derivation
    alone = wide_claim("made", values.loc[[200]], 20.0)
    assert alone.measured == pytest.approx(20 + 3 / 200, rel=1e-13)
    assert "at width 200" in alone.derivation


def test_a_claim_without_runs_is_not_tested() -> None:
    values = by_layer_and_run(frames(), layer=9).set_index(["width", "seed"])["column"]
    assert wide_claim("made", values, 1.0).verdict == "not tested"


def test_three_widths_cancel_the_square_too_and_pay_for_it_with_variance() -> None:
    def at(width: int) -> pd.Series:
        return pd.Series(2.0 + 3 / width - 70 / width**2 + SCATTER)

    claim = wide_claim("made", {width: at(width) for width in (64, 128, 256)}, 2.0)
    assert claim.measured == pytest.approx(2.0, abs=1e-13)
    # Weights 1/3, -2 and 8/3 of means with 0.1 / sqrt(3) each.
    assert claim.standard_error == pytest.approx(0.1 / math.sqrt(3) * math.sqrt(1 / 9 + 4 + 64 / 9), rel=1e-12)
    assert "widths 64, 128 and 256" in claim.derivation
    # Two of them leave the square: 70 / (128 256).
    assert wide_claim("made", {width: at(width) for width in (128, 256)}, 2.0).measured == pytest.approx(2.0 + 70 / (128 * 256), abs=1e-13)
    with pytest.raises(ValueError, match="one to three"):
        wide_claim("made", {width: at(width) for width in (32, 64, 128, 256)}, 2.0)
