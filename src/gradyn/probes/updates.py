"""How the weights move: how far they are from where they began, whether they go on or turn back, and what each layer takes off the loss.

Axes: R runs, L layers, P numbers of a layer.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from gradyn.core import Column
from gradyn.nn import Parameters
from gradyn.probes.probe import AbstractPathProbe, Cells, WeightPath

_NAMES = ("distance_from_start", "step_cosine", "loss_decrease")
_ALL = "theta_l all parameters of the layer"


@dataclass(frozen=True, slots=True)
class Updates(AbstractPathProbe):
    """Distance from initialization, cosine of successive steps and first-order decrease of the loss, layer by layer, in float64.

    With theta_t the weights at the step and d_t = theta_{t+1} - theta_t the update that it makes, clipping, momentum and weight decay included:
    ||theta_t - theta_0|| / ||theta_0|| says whether a net leaves the neighbourhood in which it is linear in its weights (lazy training);
    cos(d_t, d_{t-1}) is near 1 where descent glides, near -1 where it bounces between walls; -g_t . d_t is how fast the layer learns, its
    share of the loss' decrease to first order in the step: over layers and steps they add up to the decrease of the loss on its batch (of loss plus
    penalty), up to what curvature takes, d . H d / 2. Cost: two copies of the weights a step and one of the first.

    Sources: Chizat, Oyallon and Bach 2019, arXiv:1812.07956, for lazy training; Xing, Arpit, Tsirigotis and Bengio 2018, arXiv:1802.08770, for the
    cosine; Lan, Liu, Zhou and Yosinski 2019, arXiv:1909.01440, for the decrease.
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column(
            _NAMES[0],
            "ratio",
            f"||theta_l - theta_l at step 0|| / ||theta_l at step 0||, {_ALL}; nan where that norm is 0",
            "layer",
            r"$\|\theta_l-\theta_l(0)\|\,/\,\|\theta_l(0)\|$",
            "arXiv:1812.07956",
        ),
        Column(
            _NAMES[1],
            "cosine",
            f"between the update of this step and that of the step before, {_ALL}; nan at the first step and where one is 0",
            "layer",
            "cosine of successive steps",
            "arXiv:1802.08770",
        ),
        Column(
            _NAMES[2],
            "loss",
            f"-g_l . d_l, g_l the gradient of loss plus penalty before clipping, d_l the update, {_ALL}: the layer's share of the decrease, to first order",
            "layer",
            r"$-\nabla_l L\cdot\Delta\theta_l$",
            "arXiv:1909.01440",
        ),
    )

    def measure_path(self, path: WeightPath) -> dict[str, Cells]:
        layers, runs = len(path.moment.net.layers), len(next(iter(path.here.values())))
        found = {name: np.full((runs, layers), math.nan) for name in _NAMES}
        for layer in range(1, layers + 1):
            names = [slot.name for slot in path.moment.net.slots if slot.layer == layer]
            # A run at a time: a product over runs would round as their number has it.
            for run in range(runs):
                start, here, after = (_flat(weights, names, run) for weights in (path.start, path.here, path.after))
                step, length = after - here, float(start.norm())
                found[_NAMES[0]][run, layer - 1] = float((here - start).norm()) / length if length else math.nan
                if path.before is not None:
                    found[_NAMES[1]][run, layer - 1] = _cosine(step, here - _flat(path.before, names, run))
                found[_NAMES[2]][run, layer - 1] = -sum(_slope(path, name, run) for name in names)
        return {name: Cells(values_RL, (True,) * layers) for name, values_RL in found.items()}


def _flat(weights: Parameters, names: list[str], run: int) -> Tensor:
    return torch.cat([weights[name][run].reshape(-1) for name in names]).double()


def _cosine(one_P: Tensor, two_P: Tensor) -> float:
    lengths = [float(vector.norm()) for vector in (one_P, two_P)]
    # Unit vectors first: the product of two updates of 1e-200 would be 0.
    return float((one_P / lengths[0]) @ (two_P / lengths[1])) if all(lengths) else math.nan


def _slope(path: WeightPath, name: str, run: int) -> float:
    """g . d of one parameter."""
    gradient, step = path.moment.gradients[name], path.after[name][run].double() - path.here[name][run].double()
    # Beyond 2^3000 either way no update brings the product back into float64.
    exponent = int(np.clip(gradient.exponent[run], -3000, 3000))
    return float(np.ldexp(float(gradient.mantissa[run].double().reshape(-1) @ step.reshape(-1)), exponent))
