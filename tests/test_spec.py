"""A run's spec and its columns: one from the other and back, also through Parquet and pandas."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pandas as pd
import pytest

import catalogue
from gradyn.core import ConfigError
from gradyn.data import Gaussian
from gradyn.nn import ScaledBranch
from gradyn.optim import Cotangent
from gradyn.sweep import RunSpec
from runs import make_spec

COMPONENTS = [(group, one) for group, made in (("activation", catalogue.activations), ("init", catalogue.initializers)) for one in made()]
COMPONENTS += [("residual", one) for one in (*catalogue.residuals(), ScaledBranch(scale=0.3))]


@pytest.mark.parametrize(("group", "component"), COMPONENTS, ids=repr)
def test_a_spec_comes_back_from_its_columns(group: str, component: Any) -> None:
    spec = make_spec(**{group: component})
    # Beside another run, a column of whole numbers may hold nan, and then floats.
    other = make_spec(data=Gaussian(labels=False), loss=Cotangent())
    rows = pd.DataFrame([spec.columns, other.columns])
    back = [RunSpec.from_columns(row) for row in rows.to_dict("records")]
    assert back == [spec, other]
    assert back[0].run_id == spec.run_id


def test_a_row_of_an_unknown_option_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"activation must be one of .*relu.*; got 'rellu'. The row is of another version"):
        RunSpec.from_columns(make_spec().columns | {"activation": "rellu"})
    with pytest.raises(KeyError):
        RunSpec.from_columns({"depth": 3})


def test_a_changed_column_makes_another_spec() -> None:
    spec = make_spec()
    assert RunSpec.from_columns(spec.columns | {"seed": 5}) == replace(spec, seed=5)
