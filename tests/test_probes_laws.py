"""What every probe keeps to: it changes no other number, and stacking changes none of its own."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gradyn.core import ConfigError, options
from gradyn.data import Circle
from gradyn.nn import BatchNorm, Fixup, Identity, Inverted, Large, LayerNorm, NoNorm, Plain, Relu, Tanh, WeightStandardized
from gradyn.optim import Cotangent
from gradyn.probes import AbstractProbe, AbstractRunProbe, CurveLength, Jacobian, Moment
from gradyn.report import read
from gradyn.store import load
from gradyn.sweep import Log, RunSpec, Schedule, execute, launch
from hydra_plugins.gradyn.compose import plan
from runs import make_spec

PROBES: list[Any] = [cls() for cls in options(AbstractProbe).values() if cls.__module__.startswith("gradyn.")]
# Those with a randomised half, in that half.
PROBES += [replace(probe, largest_exact=0) for probe in PROBES if "largest_exact" in probe.settings]
SETTINGS: list[dict[str, Any]] = [
    dict(norm=NoNorm(), residual=Plain(), activation=Tanh()),
    dict(norm=BatchNorm(), residual=Identity(branch="full"), dropout=Inverted(keep=0.7)),
    dict(norm=LayerNorm(placement="branch"), residual=Fixup(), dtype="float64"),
    dict(norm=WeightStandardized(), residual=Identity(), dtype="bfloat16", activation=Relu()),
]


def spec_of(**changes: Any) -> RunSpec:
    """A run that every probe takes: a closed curve of an even number of points, all in one batch."""
    return make_spec(**{**dict(data=Circle(samples=6, features=5, classes=3), loss=Cotangent(), batch_size=6, width=7, depth=4, steps=1), **changes})


def bits(specs: list[RunSpec], probes: tuple[AbstractProbe, ...]) -> list[dict[str, bytes]]:
    """Of every run: column -> its bytes over steps and layers, of all tables."""
    records = execute(specs, Log(Schedule(None), Schedule(None), probes))
    found: list[dict[str, bytes]] = [{} for _ in specs]
    for table in (records.layers, records.steps, records.runs):
        for name, column in table.items():
            for spec, row in zip(specs, found, strict=True):
                own = column[table["run_id"] == spec.run_id]
                if name not in ("wall_s", "cpu_s"):
                    row[name] = np.ma.filled(own, -1.0).tobytes() if own.dtype != object else repr(own.tolist()).encode()
    return found


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda setting: setting["norm"].name)
def test_probes_change_no_other_number_and_stacks_none_of_theirs(setting):
    specs = [spec_of(seed=seed, **setting) for seed in range(2)]
    without = bits(specs, ())
    for probes in (PROBES[:-2], PROBES[-2:]):
        together, (alone,) = bits(specs, tuple(probes)), bits(specs[1:], tuple(probes))
        for run in range(2):
            assert {name: together[run][name] for name in without[run]} == without[run], "a probe changed the run"
        assert alone == together[1], [name for name in alone if alone[name] != together[1][name]]


@pytest.mark.parametrize("probe", PROBES, ids=repr)
def test_a_probe_survives_a_run_that_diverged_and_is_nan_there(probe):
    specs = [spec_of(activation=Relu(), learning_rate=rate, steps=4, seed=3) for rate in (1e30, 0.0)]
    records = execute(specs, Log(Schedule(None), Schedule(None), (probe,)))
    assert records.runs["status"][0] == "diverged"
    # Below the readout, whose delta knows nothing of the weights.
    is_last = (records.layers["run_id"] == specs[0].run_id) & (records.layers["step"] == 3) & (records.layers["layer"] < 4)
    for column in probe.columns:
        if column.unit not in ("share", "elements"):
            assert not np.isfinite(np.ma.compressed(records.layers[column.name][is_last])).any(), column.name
    sound = execute(specs[1:], Log(Schedule(None), Schedule(None), (probe,))).layers
    for column in probe.columns:
        beside = records.layers[column.name][records.layers["run_id"] == specs[1].run_id]
        assert np.ma.filled(beside, -1.0).tobytes() == np.ma.filled(sound[column.name], -1.0).tobytes()


def test_a_probe_looks_at_a_vanishing_float32_net_as_at_its_float64_twin():
    common = dict(init=Large(std=1e-3), activation=Tanh(), depth=9, steps=0)
    probes = tuple(probe for probe in PROBES[:-2] if isinstance(probe, AbstractRunProbe))
    single, double = (execute([spec_of(dtype=dtype, **common)], Log(Schedule(None), Schedule(None), probes)).layers for dtype in ("float32", "float64"))
    for name in ("log10_delta_ms", "log10_jacobian_s_max", "log10_gsc_to_output", "log10_curve_growth"):
        # Nine products of float32 numbers, each rounded: 9 * 7 eps, and in curves neighbours that differ by half their size.
        assert np.ma.max(np.ma.abs(single[name] - double[name])) < 1e-5, name


def test_a_probe_that_does_not_fit_a_run_is_refused_when_planned():
    with pytest.raises(ConfigError, match=r"data must be points along a curve with probe=curve_length; got 'digits'"):
        plan(["probe=curve_length"])
    (probe,) = plan(["probe=jacobian", "log.probes.jacobian.samples=2"]).log.probes
    assert probe == Jacobian(samples=2)


def test_figures_read_the_columns_of_the_folders_own_probes(tmp_path):
    plan_ = plan(
        [
            "probe=curve_length",
            "data=circle",
            "data.samples=8",
            "batch_size=8",
            "loss=cotangent",
            "depth=3",
            "width=4",
            "steps=0",
            "name=p",
            f"results={tmp_path}",
        ]
    )
    launch(plan_)
    columns = set(read(tmp_path / "p").layers)
    assert {column.name for column in CurveLength.columns} <= columns
    assert "log10_delta_ms" not in columns
    assert "log10_delta_ms" in load(tmp_path / "p").layers


def test_what_a_probe_draws_is_another_for_every_run_step_and_purpose():
    def drawn(seed: int, step: int, purpose: str) -> bytes:
        return Moment.draws(SimpleNamespace(seeds=(99, seed), step=step), 1, purpose).standard_normal(4).tobytes()

    assert len({drawn(seed, step, purpose) for seed in range(3) for step in range(3) for purpose in ("jacobian", "delta_moments")}) == 18
    assert drawn(1, 2, "jacobian") == drawn(1, 2, "jacobian")
