"""Signals in the order of the data's rows, whatever the order of the batch: for probes of pairs and of curves.

Axes: S rows of the training part, B the same rows as the batch has them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gradyn.core import require
from gradyn.probes.probe import AbstractProbe, Moment


def require_curve(probe: AbstractProbe, spec: Any) -> None:
    """Raise unless the run's data is a curve and every batch is all of it."""
    rule = f"be points along a curve with probe={probe.name}"
    require(spec.data.is_curve, "data", rule, spec.data.name, "Set data=circle, data=arc or data=line.")
    probe.require_whole_set(spec)


def places(moment: Moment, run: int) -> Tensor:
    """Where in the run's batch row 0, 1, ... of the data is, [S]."""
    return torch.from_numpy(moment.rows_RB[run]).argsort().to(moment.x_RBM.device)


def along_the_curve(moment: Moment, t_SN: Tensor) -> Tensor:
    """Derivative of a signal [S, N] with respect to the row number: exact for inputs on a line, and up to one factor on a circle.

    Central differences on a closed curve, where the chord from one neighbour to the other is parallel to the circle's tangent; on an open
    one second order at the ends too.
    """
    if moment.data.is_closed:
        return (t_SN.roll(-1, 0) - t_SN.roll(1, 0)) / 2
    order = 2 if len(t_SN) > 2 else 1
    return torch.gradient(t_SN, dim=0, edge_order=order)[0]
