"""Theory beside a sweep: the prediction of a row of the store, the error of a rate, and the line on the figure."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gradyn.data import Gaussian
from gradyn.optim import Cotangent
from gradyn.report import Frames, Page, read
from gradyn.report.predicted import coverage, predicted, rate_error
from gradyn.report.style import styled
from gradyn.report.sweeps.by_layer import draw
from gradyn.sweep import launch
from gradyn.theory import predict
from hydra_plugins.gradyn.compose import plan
from runs import make_spec

SPEC = make_spec(loss=Cotangent(), data=Gaussian(labels=False), steps=0)


def test_a_row_is_predicted_as_its_spec_is() -> None:
    said, reason = predicted(pd.DataFrame([SPEC.columns]), "log10_delta_rms")
    assert said.tolist() == predict(SPEC, ["log10_delta_rms"])["log10_delta_rms"].tolist()
    assert reason == ""


def test_where_nothing_is_predicted_the_reason_is_given() -> None:
    said, reason = predicted(pd.DataFrame([make_spec().columns]), "log10_delta_rms")
    assert np.isnan(said).all()
    assert "depends on the weights" in reason
    said, reason = predicted(pd.DataFrame([SPEC.columns | {"activation": "rellu"}]), "log10_delta_rms")
    assert np.isnan(said).all()
    assert "activation must be one of" in reason


def test_the_error_of_a_rate_is_a_slope() -> None:
    layers = np.arange(1, 6)
    said = -0.3 * layers
    assert rate_error(layers, (said + 0.02 * layers + 1.0)[None], said) == pytest.approx(0.02)
    assert rate_error(layers, np.vstack([said, said]), said) == pytest.approx(0.0, abs=1e-12)
    assert math.isnan(rate_error(layers, np.full((1, 5), np.nan), said))


@pytest.mark.parametrize("loss", ["cotangent", "mse"])
def test_a_figure_shows_theory_where_it_holds(loss: str, tmp_path: Path) -> None:
    # With mse the cotangent depends on the weights: bounds are left, theory is not.
    data = ["data=gaussian", "data.labels=false"] if loss == "cotangent" else ["data=teacher"]
    made = plan(["depth=4,6", "width=8", "batch_size=16", "steps=0", f"loss={loss}", *data, "name=x", f"results={tmp_path}", "exec.workers=1"])
    assert launch(made) == 0
    with styled():
        (drawn,) = draw(read(tmp_path / "x"), Page())
    theory = drawn.points[drawn.points["quantity"].str.startswith("theory")]
    assert theory["quantity"].nunique() == (2 if loss == "cotangent" else 0)
    legend = [text.get_text() for text in drawn.figure.legends[0].get_texts()]
    assert any(text.startswith("theory (rate of") for text in legend) == (loss == "cotangent")


def test_the_share_of_a_sweep_that_theory_predicts_is_counted_number_by_number(tmp_path: Path) -> None:
    words = ["depth=3", "width=8", "batch_size=16", "steps=0", "data=gaussian", "data.labels=false", "loss=cotangent", "seed=0,1", f"results={tmp_path}"]
    assert launch(plan([*words, "name=x", "activation=tanh,relu", "exec.workers=1"])) == 0
    found = coverage(read(tmp_path / "x"))
    # All of two settings, seeds aside; nothing is measured that isn't predicted: no step was made, so there is no update.
    assert found is not None
    assert (found.settings, found.share, found.reason) == (2, 1.0, "")
    # Emulated float16 has no prediction at all. Of float32's numbers as many are there as of float16's.
    assert launch(plan([*words, "name=x", "activation=tanh", "dtype=float16", "exec.workers=1"])) == 0
    found = coverage(read(tmp_path / "x"))
    assert found is not None
    assert found.settings == 3
    assert found.share == pytest.approx(2 / 3, abs=0.03)
    assert found.reason == "dtype=float16 rounds what theory does not"
    assert coverage(Frames("none", pd.DataFrame(), pd.DataFrame(), pd.DataFrame())) is None
