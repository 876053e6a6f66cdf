"""Learning rates by layer: the tables of the literature, that width 64 is the base, and what is refused."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from gradyn.core import ConfigError
from gradyn.nn import HeNormal, MaximalUpdate
from gradyn.optim import Adam, Discriminative, MaximalUpdateRates, Momentum, Sgd, UniformRates
from gradyn.report import read
from gradyn.store import open_folder, shard_id, write_shard
from gradyn.sweep import Log, RunSpec, Schedule, execute
from hydra_plugins.gradyn.compose import plan
from runs import make_spec


@dataclass(frozen=True)
class Place:
    layer: int
    shape: tuple[int, ...]


# Input, hidden and readout matrix, a hidden bias, the readout's bias, a single number: of a net of depth 4 and width 256.
PLACES = [Place(1, (256, 9)), Place(2, (256, 256)), Place(4, (10, 256)), Place(2, (256,)), Place(4, (10,)), Place(2, ())]


@pytest.mark.parametrize(("is_adaptive", "expected"), [(True, [1, 0.25, 0.25, 1, 1, 1]), (False, [4, 1, 0.25, 4, 1, 1])])
def test_the_rates_of_mup_are_the_table_of_the_paper(is_adaptive, expected):
    assert [MaximalUpdateRates().factor(place, depth=4, width=256, is_adaptive=is_adaptive) for place in PLACES] == expected
    assert [MaximalUpdateRates(base_width=256).factor(place, depth=4, width=256, is_adaptive=is_adaptive) for place in PLACES] == [1] * 6


def test_discriminative_rates_are_powers_of_the_distance_from_the_readout():
    factors = [Discriminative(decay=0.5).factor(place, depth=4, width=7, is_adaptive=False) for place in PLACES]
    assert factors == [0.125, 0.25, 1, 0.25, 1, 0.25]


def weights(spec: RunSpec) -> np.ndarray:
    """The weights' norms, layer by layer, at the run's last step."""
    records = execute([spec], Log(Schedule(None), Schedule(None)))
    return np.asarray(records.layers["weight_l2"]).reshape(spec.steps, spec.depth)[-1]


@pytest.mark.parametrize("optimizer", [Sgd(), Momentum(), Adam()], ids=lambda one: one.name)
def test_at_the_base_width_mup_is_the_uniform_net_with_a_readout_of_variance_1_over_n(optimizer):
    spec = make_spec(width=64, depth=4, steps=4, dtype="float64", optimizer=optimizer, learning_rate=0.01)
    same = replace(spec, init=MaximalUpdate(), rates=MaximalUpdateRates())
    assert weights(replace(same, rates=UniformRates())).tolist() == weights(same).tolist()
    wide = replace(same, width=128)
    assert weights(replace(wide, rates=UniformRates())).tolist() != weights(wide).tolist()


def test_the_readout_of_mup_is_drawn_smaller_and_the_rest_is_hes():
    rng = np.random.default_rng
    hidden, he = MaximalUpdate().weight(rng(0), 256, 256, layer=2, is_readout=False), HeNormal().weight(rng(0), 256, 256, layer=2, is_readout=False)
    np.testing.assert_allclose(hidden, he, rtol=1e-15)
    readout = MaximalUpdate().weight(rng(0), 10, 256, layer=4, is_readout=True)
    # N(0, 64 / 256^2); 2,560 draws scatter by sqrt(2 / 2560) = 2.8 %.
    assert readout.var() == pytest.approx(64 / 256**2, rel=0.12)


def test_a_run_at_one_rate_has_the_id_that_it_had_before_there_were_others():
    # The id of the default run of version 0.1.0 before `rates`.
    assert plan([]).specs[0].run_id == "06c7aeffbddf0fc3"
    assert len({plan([f"rates={name}"]).specs[0].run_id for name in ("uniform", "mup", "discriminative")}) == 3


def test_a_row_without_the_column_has_one_rate():
    spec = make_spec()
    row = {name: value for name, value in spec.columns.items() if not name.startswith("rates")}
    assert RunSpec.from_columns(row) == spec
    assert RunSpec.from_columns(row | {"rates": float("nan")}) == spec
    other = replace(spec, rates=Discriminative(decay=0.5))
    assert RunSpec.from_columns(other.columns) == other


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["rates=mup", "rates.base_width=0"], "rates.base_width must be a whole number >= 1; got 0"),
        (["rates=discriminative", "rates.decay=0.0"], "rates.decay must be a finite number > 0; got 0"),
        (["rates=mup", "cell=rnn", "depth=9"], "cell must be feedforward with rates=mup, whose rates are those of matrices between layers; got 'rnn'."),
        (["rates=discriminative", "cell=rnn", "depth=9"], "cell must be feedforward with rates=discriminative"),
        (["init=mup", "init.base_width=1.5"], "init.base_width must be a whole number >= 1; got 1.5"),
    ],
)
def test_rates_that_mean_nothing_are_refused(overrides, message):
    with pytest.raises(ConfigError, match=message.replace(".", r"\.")):
        plan(overrides)


def test_figures_take_runs_from_before_there_were_rates_for_runs_at_one_rate(tmp_path):
    specs = [make_spec(depth=depth, steps=1) for depth in (3, 4, 5)]
    folder = tmp_path / "x"
    open_folder(folder, {"layers": [0], "steps": "all"})
    for spec in specs:
        records = execute([spec], Log(Schedule((0,)), Schedule(None)))
        runs = records.runs if spec.depth == 5 else {name: values for name, values in records.runs.items() if name != "rates"}
        write_shard(folder, shard_id([spec.run_id]), records.layers, records.steps, runs)
    frames = read(folder)
    assert set(frames.runs["rates"]) == {"uniform"}
    assert sorted(frames.baseline(("depth",))["depth"]) == [3, 4, 5]
