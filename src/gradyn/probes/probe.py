"""Probes: further columns of `layers` that a sweep may ask for, `gradyn sweep probe=float_counts` or `probe=[a,b]`.

A probe is one class that declares its columns and fills them from a measured step. What it measures never changes a run, so it
belongs to the folder's log and not to the run's identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import AbstractComponent, Column, Scaled, options, require, stream
from gradyn.data import AbstractData
from gradyn.nn import LayerCotangent, LayerPass, Net, Parameters
from gradyn.optim import AbstractLoss

# One layer column of one run: a number a layer, None where the column does not exist.
Row = list[float | None]


@dataclass(frozen=True, slots=True)
class Cells:
    """One column of one step.

    Args:
        values_RL: a number a run and layer; anything where there is none.
        exist_L: whether the column exists in that layer, by the net's structure; elsewhere the store writes null.
    """

    values_RL: NDArray[np.float64]
    exist_L: tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """What a measured step offers to probes, which read it and change nothing.

    Args:
        net: the net.
        parameters: its weights before the step, name -> [R, *shape].
        x_RBM: the step's inputs.
        passes: of the forward pass, one a layer.
        cotangents: norms of the backward pass, one a layer.
        loss_scale: by which the loss was multiplied; `gradients` and `cotangents` are those of the loss itself.
        gradients: of loss plus penalty, before clipping, by name of the parameter.
        data: the runs' data; another seed of it for each, perhaps.
        seeds: of the runs.
        step: updates made before.
        rows_RB: which row of the training part each sample of the batch is, on the host.
        loss: of the runs.
        y: what it compares the outputs with: labels [R, B], or values or vectors [R, B, C].
    """

    net: Net
    parameters: Parameters
    x_RBM: Tensor
    passes: list[LayerPass]
    cotangents: list[LayerCotangent]
    loss_scale: float
    gradients: dict[str, Scaled]
    data: AbstractData
    seeds: tuple[int, ...]
    step: int
    rows_RB: NDArray[np.int64]
    loss: AbstractLoss
    y: Tensor

    def draws(self, run: int, purpose: str) -> np.random.Generator:
        """A generator of this run and step for what a probe draws; the run's own numbers come from other streams."""
        return stream(self.seeds[run], f"probe {purpose}", self.step)

    def weights(self, run: int) -> Parameters:
        """One run's parameters as multiplied, name -> [1, *shape] float64, in memory of their own and for torch's autograd."""
        rounded = self.net.format.rounded
        return {slot.name: rounded(self.parameters[slot.name][run : run + 1]).double().clone().requires_grad_() for slot in self.net.slots}

    def mean_loss(self, net: Net, weights: Parameters, run: int, rows: slice = slice(None)) -> Tensor:
        """One run's mean loss over some rows of the batch, without the penalty, with the step's dropout.

        Args:
            net: this one `for_autograd`.
            weights: as `weights` gives them.
            run: which.
            rows: of the batch.
        """
        one = slice(run, run + 1)
        factors = {layer.index: done.factor[one, rows].double() for layer, done in zip(net.layers, self.passes, strict=True) if done.factor is not None}
        output = net.forward(weights, self.net.format.rounded(self.x_RBM[one, rows]).double(), factors)[-1].x
        assert output is not None
        y = self.y[one, rows]
        return self.loss.mean(output, y.double() if y.is_floating_point() else y).sum()


@dataclass(frozen=True, slots=True)
class AbstractProbe(AbstractComponent):
    """Further columns of `layers`."""

    group: ClassVar[str] = "probe"
    belongs_to_runs: ClassVar[bool] = False
    columns: ClassVar[tuple[Column, ...]]

    def measure(self, moment: Moment) -> dict[str, Cells]:
        """Column name -> its cells; called at every measured step, before the update."""
        raise TypeError(f"{type(self).__name__} must define measure")

    def require(self, holds: bool, field: str, rule: str, fix: str = "") -> None:
        """Raise a `ConfigError` that names the setting as the command line does, `log.probes.<name>.<field>`, unless `holds`."""
        require(holds, f"log.probes.{self.name}.{field}", rule, getattr(self, field), fix)

    def require_count(self, field: str, low: int = 1) -> None:
        """Raise unless the field is a whole number >= `low` (True is none)."""
        self.require(type(getattr(self, field)) is int and getattr(self, field) >= low, field, f"be a whole number >= {low}")

    def require_whole_set(self, spec: Any) -> None:
        """Raise unless every batch of the run is its whole training part: then the probe finds each row's neighbours in it."""
        rows = spec.data.train_samples
        rule = f"be {rows}, all rows of data={spec.data.name}, with probe={self.name}"
        require(spec.batch_size == rows, "batch_size", rule, spec.batch_size, f"Set batch_size={rows}.")


@dataclass(frozen=True, slots=True)
class AbstractRunProbe(AbstractProbe):
    """A probe that looks at one run at a time: then its bits can't depend on which runs are stacked."""

    def measure(self, moment: Moment) -> dict[str, Cells]:
        found = [self.measure_run(moment, run) for run in range(len(moment.seeds))]
        return {name: _cells([rows[name] for rows in found]) for name in found[0]}

    def measure_run(self, moment: Moment, run: int) -> dict[str, Row]:
        """Column name -> its number in every layer, None where it does not exist by the net's structure."""
        raise TypeError(f"{type(self).__name__} must define measure_run")


@dataclass(frozen=True, slots=True)
class WeightPath:
    """Where the weights of a stack were and are, around the update of a measured step t: name -> [R, *shape].

    Args:
        moment: the step; of its parameters, which the update has moved, read `here`.
        start: theta_0.
        before: theta_{t-1}, None at the first step.
        here: theta_t, at which everything else of the step is measured.
        after: theta_{t+1}.
    """

    moment: Moment
    start: Parameters
    before: Parameters | None
    here: Parameters
    after: Parameters


@dataclass(frozen=True, slots=True)
class AbstractPathProbe(AbstractProbe):
    """A probe of how the weights move, called after the update; a run without steps has no such thing and is refused."""

    def measure(self, moment: Moment) -> dict[str, Cells]:
        return {}

    def measure_path(self, path: WeightPath) -> dict[str, Cells]:
        """Column name -> its cells; called at every measured step, after the update."""
        raise TypeError(f"{type(self).__name__} must define measure_path")

    def check(self, spec: Any) -> None:
        require(spec.steps >= 1, "steps", f"be >= 1 with probe={self.name}, which looks at updates", spec.steps, f"Leave probe={self.name} out.")


def _cells(rows: list[Row]) -> Cells:
    values_RL = np.array([[0.0 if value is None else value for value in row] for row in rows])
    return Cells(values_RL, tuple(value is not None for value in rows[0]))


def probe_columns() -> tuple[Column, ...]:
    """The columns of all probes, in the order of the catalogue."""
    return tuple(column for cls in options(AbstractProbe).values() if issubclass(cls, AbstractProbe) for column in cls.columns)
