"""Specs for the tests: one small run, any field replaced; and plans of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import catalogue
from gradyn.data import Digits
from gradyn.nn import Feedforward, HeNormal, NoDropout, NoNorm, Plain, Relu
from gradyn.optim import CrossEntropy, NoClip, NoPenalty, Sgd, UniformRates
from gradyn.sweep import Execution, Log, Plan, RunSpec, Schedule

ACTIVATIONS = [cls() for cls in catalogue.shipped("activation").values()]


def make_spec(**changes: Any) -> RunSpec:
    """A ReLU net of depth 4 and width 8 on digits, with `changes`."""
    fields: dict[str, Any] = dict(
        depth=4,
        width=8,
        batch_size=32,
        steps=3,
        learning_rate=0.1,
        seed=0,
        dtype="float32",
        loss_scale=1.0,
        backward="tracked",
        cell=Feedforward(),
        activation=Relu(),
        init=HeNormal(),
        norm=NoNorm(),
        residual=Plain(),
        dropout=NoDropout(),
        clip=NoClip(),
        penalty=NoPenalty(),
        optimizer=Sgd(),
        rates=UniformRates(),
        loss=CrossEntropy(),
        data=Digits(),
    )
    return RunSpec(**{**fields, **changes})


def make_plan(folder: Path, specs: Sequence[RunSpec], **execution: Any) -> Plan:
    """Steps 0 and 2 of every layer, all steps of the rest; one worker, unless `execution` says otherwise."""
    return Plan(tuple(specs), "test", folder, Log(Schedule((0, 2)), Schedule(None)), Execution(**({"workers": 1} | execution)))
