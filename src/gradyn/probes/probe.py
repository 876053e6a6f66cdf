"""Probes: further columns of `layers` that a sweep may ask for, `gradyn sweep probe=float_counts` or `probe=[a,b]`.

A probe is one class that declares its columns and fills them from a measured step. What it measures never changes a run, so it
belongs to the folder's log and not to the run's identity.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import AbstractComponent, Column, Scaled, options
from gradyn.nn import LayerCotangent, LayerPass, Net, Parameters


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
    """

    net: Net
    parameters: Parameters
    x_RBM: Tensor
    passes: list[LayerPass]
    cotangents: list[LayerCotangent]
    loss_scale: float
    gradients: dict[str, Scaled]


@dataclass(frozen=True, slots=True)
class AbstractProbe(AbstractComponent):
    """Further columns of `layers`."""

    group: ClassVar[str] = "probe"
    belongs_to_runs: ClassVar[bool] = False
    columns: ClassVar[tuple[Column, ...]]

    def measure(self, moment: Moment) -> dict[str, Cells]:
        """Column name -> its cells; called at every measured step, before the update."""
        raise TypeError(f"{type(self).__name__} must define measure")


def probe_columns() -> tuple[Column, ...]:
    """The columns of all probes, in the order of the catalogue."""
    return tuple(column for cls in options(AbstractProbe).values() if issubclass(cls, AbstractProbe) for column in cls.columns)
