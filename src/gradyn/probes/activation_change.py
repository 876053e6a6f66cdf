"""How far each layer's preactivations have moved since initialization, on the same inputs: the coordinate check.

Axes: R runs, L layers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gradyn.core import Column
from gradyn.nn import Parameters
from gradyn.probes.probe import AbstractPathProbe, Cells, WeightPath

_NAME = "preact_change"


@dataclass(frozen=True, slots=True)
class ActivationChange(AbstractPathProbe):
    """mean |h_l(theta_t) - h_l(theta_0)| over batch and units of the step's inputs.

    The coordinate check of a parametrization: over width the change should neither grow, which would diverge, nor vanish, which would not learn.
    Dropout is the step's own in both. Cost: two forward passes.

    Source: Yang, Hu and others 2022, arXiv:2203.03466, appendix D.1.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            _NAME,
            "preactivation",
            "mean over batch and units of |h_l - h_l at step 0's weights|, on this step's inputs; 0 at step 0",
            "layer",
            r"mean $|h_l-h_l(0)|$",
            "arXiv:2203.03466, appendix D.1",
        ),
    )

    def measure_path(self, path: WeightPath) -> dict[str, Cells]:
        here, start = (_preactivations(path, weights) for weights in (path.here, path.start))
        values_RL = np.empty((len(path.moment.seeds), len(here)))
        for place, (now, then) in enumerate(zip(here, start, strict=True)):
            # A run at a time: a mean over runs' numbers side by side would round as their number has it.
            for run in range(len(now)):
                values_RL[run, place] = np.abs(now[run] - then[run]).mean()
        return {_NAME: Cells(values_RL, (True,) * len(here))}


def _preactivations(path: WeightPath, weights: Parameters) -> list[np.ndarray]:
    """h_l of every layer at these weights, [R, B, N], float64 on the host."""
    moment = path.moment
    net, rounded = moment.net, moment.net.format.rounded
    factors = {layer.index: done.factor for layer, done in zip(net.layers, moment.passes, strict=True) if done.factor is not None}
    held = {name: rounded(value) for name, value in weights.items()}
    return [done.h.double().cpu().numpy() for done in net.forward(held, moment.x_RBM, factors)]
