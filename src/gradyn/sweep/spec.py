"""RunSpec: everything that one run's numbers depend on, and the identity made from it."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any

from gradyn.core import FORMATS, AbstractComponent, groups, options, require
from gradyn.data import AbstractData
from gradyn.nn import (
    AbstractActivation,
    AbstractCell,
    AbstractDropout,
    AbstractInitializer,
    AbstractNorm,
    AbstractResidual,
)
from gradyn.optim import AbstractClip, AbstractLoss, AbstractOptimizer, AbstractPenalty, AbstractRates

# Bumped by hand whenever the same spec gives other numbers; part of every run_id.
ENGINE_VERSION = 2

BACKWARDS = ("tracked", "plain", "flushed")
# Largest power of two by which a loss may be scaled: beyond it, 2**127 / 2**126, float32 itself has no room.
_LARGEST_LOSS_SCALE = 2.0**126


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One run, fully resolved: plain values and one component of each group.

    Two specs are equal if and only if their `run_id` is. Nothing is normalised away: a setting that changes no number still
    makes another run.

    Raises:
        ConfigError: a value breaks its rule; the line names key, rule, value and fix.
    """

    depth: int
    width: int
    batch_size: int
    steps: int
    learning_rate: float
    seed: int
    dtype: str
    loss_scale: float
    backward: str
    cell: AbstractCell
    activation: AbstractActivation
    init: AbstractInitializer
    norm: AbstractNorm
    residual: AbstractResidual
    dropout: AbstractDropout
    clip: AbstractClip
    penalty: AbstractPenalty
    optimizer: AbstractOptimizer
    rates: AbstractRates
    loss: AbstractLoss
    data: AbstractData

    def __post_init__(self) -> None:
        for key, low in (("depth", 2), ("width", 1), ("batch_size", 1), ("steps", 0), ("seed", 0)):
            value = getattr(self, key)
            require(type(value) is int and value >= low, key, f"be a whole number >= {low}", value)
            require(value < 2**63, key, "be below 2**63", value)
        # Every layer costs the plan some microseconds and the run some milliseconds a step: this many are a slip of the keyboard.
        require(self.depth <= 100_000, "depth", "be at most 100,000", self.depth)
        rate = self.learning_rate
        require(type(rate) in (int, float) and math.isfinite(rate) and rate >= 0, "learning_rate", "be a finite number >= 0", rate)
        require(self.dtype in FORMATS, "dtype", f"be one of {', '.join(FORMATS)}", self.dtype)
        scale = self.loss_scale
        is_power = type(scale) in (int, float) and 1 <= scale <= _LARGEST_LOSS_SCALE and math.frexp(scale)[0] == 0.5
        # Any other factor would round every cotangent once more.
        require(is_power, "loss_scale", "be a power of two from 1 to 2**126", scale, "For example loss_scale=1024 or loss_scale=65536; 1 scales nothing.")
        require(self.backward in BACKWARDS, "exec.backward", f"be one of {', '.join(BACKWARDS)}", self.backward)
        for component in self.components.values():
            component.check(self)

    @property
    def components(self) -> dict[str, AbstractComponent]:
        """The run's components by group name, in the order of the fields."""
        return {field.name: value for field in fields(self) if isinstance(value := getattr(self, field.name), AbstractComponent)}

    @property
    def columns(self) -> dict[str, Any]:
        """The spec as the `runs` table holds it: every field under its dotted name, a component's name under its group."""
        row: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, AbstractComponent):
                row[field.name] = value.name
                row |= {f"{field.name}.{key}": setting for key, setting in value.settings.items()}
            else:
                row[field.name] = value
        return row

    @classmethod
    def from_columns(cls, row: Mapping[str, Any]) -> RunSpec:
        """The spec whose `columns` are in a row of the `runs` table; other columns of the row are not looked at.

        Args:
            row: column -> value, as pandas or a dict has it: numbers may have become floats, and what is null nan.

        Raises:
            ConfigError: an option that this version does not have, or a value that breaks its rule.
            KeyError: a column is missing.
        """
        components = groups()
        values: dict[str, Any] = {}
        for field in fields(cls):
            group = components.get(field.name)
            if group is None:
                values[field.name] = _as_written(row[field.name], _PLAIN[field.name])
                continue
            known = options(group)
            neutral = next((name for name, option in known.items() if option.is_neutral), None)
            # A folder from before the group existed has no such column, one that mixes both has nulls.
            option = row[field.name] if neutral is None else _as_written(row.get(field.name), str) or neutral
            require(option in known, field.name, f"be one of {', '.join(known)}", option, "The row is of another version.")
            values[field.name] = known[option](**{s.name: _as_written(row[f"{field.name}.{s.name}"], type(s.default)) for s in fields(known[option])})
        return cls(**values)

    @property
    def run_id(self) -> str:
        """First 16 hex digits of sha256 of the canonical JSON of the whole spec and ENGINE_VERSION."""
        parts = [f'"engine_version":{ENGINE_VERSION}']
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, AbstractComponent) and value.is_neutral:
                continue
            text = _component_json(value) if isinstance(value, AbstractComponent) else _canonical(value)
            parts.append(f'"{field.name}":{text}')
        return hashlib.sha256(("{" + ",".join(sorted(parts)) + "}").encode()).hexdigest()[:16]


_PLAIN: dict[str, type] = {
    **dict.fromkeys(("depth", "width", "batch_size", "steps", "seed"), int),
    **dict.fromkeys(("learning_rate", "loss_scale"), float),
    **dict.fromkeys(("dtype", "backward"), str),
}


def _as_written(value: Any, kind: type) -> Any:
    """A stored value as its field holds it; null is None, also where a column of numbers made nan of it."""
    is_null = value is None or (isinstance(value, float) and math.isnan(value))
    return None if is_null else kind(value) if kind in (bool, int, float, str) else value


# Made once: json.dumps builds a new one on every call with these settings.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), allow_nan=False)


def _canonical(value: Any) -> str:
    # repr of a float is its shortest exact decimal; 1 and 1.0 are the same rate, so floats that are whole are written as floats.
    return _ENCODER.encode(value)


@lru_cache(maxsize=65536)
def _component_json(component: AbstractComponent) -> str:
    return _canonical({"name": component.name, **component.settings, **component.fingerprint})
