"""Packing changes nothing: a run gives the same bits alone, stacked, permuted and repacked."""

from __future__ import annotations

import importlib
import itertools
from dataclasses import replace

import numpy as np
import pytest

import catalogue
from gradyn.data import Gaussian
from gradyn.nn import BatchNorm, Identity, Inverted, Large, LayerNorm, Lsuv, Orthogonal, Small, Tanh
from gradyn.optim import Adam, Adaptive, Cotangent, GlobalL2, Mse
from gradyn.sweep import Log, RunSpec, Schedule, execute, pack
from runs import ACTIVATIONS, make_spec

EVERY_STEP = Log(Schedule(None), Schedule(None))
# Batch and width whose product is no multiple of a vector register, and the default.
SIZES = [(1, 3), (5, 7), (100, 50), (127, 3), (127, 64), (128, 64)]


def bits(specs: list[RunSpec]) -> dict[str, dict[str, bytes]]:
    """run id -> column -> its bytes over steps and layers."""
    records = execute(specs, EVERY_STEP)
    found: dict[str, dict[str, bytes]] = {spec.run_id: {} for spec in specs}
    for table in (records.layers, records.steps):
        for name, column in table.items():
            if name in ("run_id", "step", "layer"):
                continue
            for spec in specs:
                found[spec.run_id][name] = np.ma.filled(column, -1.0)[table["run_id"] == spec.run_id].tobytes()
    for name in ("status", "final_loss", "final_accuracy"):
        for spec, value in zip(specs, records.runs.get(name, [None] * len(specs)), strict=True):
            found[spec.run_id][name] = str(value).encode()
    return found


def assert_packing_changes_nothing(specs: list[RunSpec]) -> None:
    together = bits(specs)
    ways = [[spec] for spec in specs] + [specs[::-1], specs[1:]]
    for way in ways:
        for run_id, columns in bits(way).items():
            for name, value in columns.items():
                assert value == together[run_id][name], f"{name} of run {run_id} differs when {len(way)} of {len(specs)} runs are stacked"


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: a.name)
def test_every_activation_gives_the_same_bits_in_any_stack(activation, dtype):
    for batch_size, width in ((5, 7), (100, 50)):
        common = dict(activation=activation, dtype=dtype, batch_size=batch_size, width=width, depth=4, steps=2)
        assert_packing_changes_nothing([make_spec(seed=seed, **common) for seed in range(3)])


@pytest.mark.parametrize(("batch_size", "width"), SIZES)
@pytest.mark.parametrize("norm", catalogue.shipped("norm").values(), ids=lambda c: c.__name__)
def test_every_norm_gives_the_same_bits_at_awkward_sizes(norm, batch_size, width):
    if norm is BatchNorm and batch_size == 1:
        pytest.skip("batch norm of one sample is refused")
    common = dict(norm=norm(), activation=Tanh(), batch_size=batch_size, width=width, depth=4, steps=2, optimizer=Adam())
    assert_packing_changes_nothing([make_spec(seed=seed, learning_rate=rate, **common) for seed, rate in ((0, 0.1), (1, 0.01), (2, 0.1))])


@pytest.mark.parametrize(
    "setting",
    [
        dict(residual=Identity(branch="full"), norm=LayerNorm(placement="branch"), clip=GlobalL2(max_norm=0.1)),
        dict(clip=Adaptive(), dropout=Inverted(keep=0.7)),
        dict(loss=Mse(), optimizer=Adam()),
        dict(loss=Cotangent(), data=Gaussian(samples=300, features=9)),
        dict(init=Lsuv()),
    ],
    ids=["residual-norm-clip", "adaptive-dropout", "mse-adam", "cotangent", "lsuv"],
)
def test_clips_losses_dropout_and_residuals_give_the_same_bits_in_any_stack(setting):
    assert_packing_changes_nothing([make_spec(seed=seed, batch_size=37, width=10, depth=6, steps=3, **setting) for seed in range(4)])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(
    ("batch_size", "width", "features", "classes"), [(37, 10, 64, 10), (130, 101, 9, 1), (107, 45, 1, 3), (33, 29, 17, 1), (40, 1, 300, 2)]
)
def test_products_of_awkward_sizes_give_the_same_bits_in_any_stack(batch_size, width, features, classes, dtype):
    data = Gaussian(samples=200, features=features, classes=classes)
    common = dict(data=data, loss=Cotangent(), batch_size=batch_size, width=width, depth=4, steps=2, dtype=dtype)
    assert_packing_changes_nothing([make_spec(seed=seed, **common) for seed in range(5)])


def test_runs_of_other_initializers_and_data_seeds_stack_without_a_trace():
    base = make_spec(batch_size=50, width=9, depth=5, steps=2)
    specs = [replace(base, init=init, data=replace(base.data, seed=seed)) for init, seed in itertools.product((Small(), Orthogonal()), (0, 1))]
    assert len(pack(specs)) == 1
    assert_packing_changes_nothing(specs)


def test_runs_that_need_float64_cotangents_are_set_apart_without_a_trace(monkeypatch):
    """One that is saturated from the start, one that a huge step saturates, two that are not: each has the bits and the place that it had."""
    common = dict(activation=Tanh(), depth=5, width=48, batch_size=20, steps=4)
    specs = [make_spec(seed=seed, learning_rate=rate, init=init, **common) for seed, rate, init in ((0, 0.1, Orthogonal()), (1, 0.1, Large(std=30.0)))]
    specs += [make_spec(seed=2, learning_rate=3e4, init=Orthogonal(), **common), make_spec(seed=3, learning_rate=0.1, init=Small(), **common)]
    split = []
    # The package's name `execute` is the function.
    module = importlib.import_module("gradyn.sweep.execute")
    original = module._in_two
    monkeypatch.setattr(module, "_in_two", lambda specs, which, *rest: split.append([which.tolist()]) or original(specs, which, *rest))
    assert execute(specs, EVERY_STEP).runs["run_id"].tolist() == [spec.run_id for spec in specs]
    # First the saturated one leaves, then, of the three that begin again, the one that the first step saturates.
    assert split == [[[False, True, False, False]], [[False, True, False]]]
    assert_packing_changes_nothing(specs)


def test_a_run_that_diverges_leaves_its_neighbours_as_they_were():
    specs = [make_spec(seed=seed, learning_rate=rate, depth=4, steps=6) for seed, rate in ((0, 0.1), (1, 1e30), (2, 0.1))]
    together, alone = bits(specs), [bits([spec])[spec.run_id] for spec in specs]
    assert together[specs[1].run_id]["status"] == b"diverged"
    assert [together[spec.run_id] for spec in specs] == alone


def test_packs_hold_every_run_once_and_one_structure_each():
    specs = [make_spec(depth=depth, seed=seed, width=32) for depth, seed in itertools.product((3, 9, 40), range(11))]
    packs = pack(specs)
    assert sorted(spec.run_id for runs in packs for spec in runs) == sorted(spec.run_id for spec in specs)
    assert all(len({spec.depth for spec in runs}) == 1 for runs in packs)
