"""Inputs from a normal distribution, answers from a random net."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, get_args

import numpy as np
from scipy.special import erf

from gradyn.core import stream
from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import Dataset, Floats, held_out, split_rows

TeacherActivation = Literal["linear", "tanh", "relu", "erf"]

_ACTIVATIONS: dict[str, Callable[[Floats], Floats]] = {
    "linear": lambda h: h,
    "tanh": np.tanh,
    "relu": lambda h: np.maximum(h, 0.0),
    "erf": erf,
}


@dataclass(frozen=True, slots=True)
class Teacher(AbstractData):
    """Inputs x ~ N(0, 1); targets are the outputs of a random net, labels the largest of them.

    The teacher: `depth` weight matrices W_l ~ N(0, sigma_w^2 / fan_in), no biases, `activation` between them, none after the last.
    Targets are its `classes` outputs as they are (for `loss=mse`), labels their argmax (for `loss=cross_entropy`).

    Args:
        seed: draws inputs, teacher and split; inputs depend on none of the other settings but their shape.
        samples: rows of both parts.
        features: M, inputs per sample.
        classes: C, outputs of the teacher.
        holdout: share of the rows that is held out as test part.
        depth: weight matrices of the teacher, readout included.
        width: units of its hidden layers.
        activation: linear, tanh, relu or erf.
        sigma_w: standard deviation of its weights times sqrt(fan_in).
    """

    seed: int = 0
    samples: int = 2048
    features: int = 64
    classes: int = 10
    holdout: float = 0.2
    depth: int = 3
    width: int = 64
    activation: TeacherActivation = "tanh"
    sigma_w: float = 1.5

    def __post_init__(self) -> None:
        self.require_seed()
        for field in ("samples", "features", "classes", "depth", "width"):
            self.require_count(field)
        self.require_holdout(self.samples)
        names = get_args(TeacherActivation)
        self.require(self.activation in names, "activation", f"be one of {', '.join(names)}")
        self.require_finite("sigma_w", low=0.0, open_low=True)

    @property
    def train_samples(self) -> int:
        """S: what `holdout` leaves."""
        return self.samples - held_out(self.samples, self.holdout)

    @property
    def has_targets(self) -> bool:
        """Yes: the teacher's outputs."""
        return True

    def load(self) -> Dataset:
        """Draw inputs and teacher, run it, split by `seed`."""
        x = stream(self.seed, "teacher inputs").standard_normal((self.samples, self.features))
        targets = self.outputs(x)
        return self.parted(x, targets.argmax(axis=1), targets, split_rows(self.samples, self.holdout, self.seed))

    def outputs(self, x: Floats) -> Floats:
        """The teacher's outputs, [S, C], for inputs [S, M]."""
        phi = _ACTIVATIONS[self.activation]
        sizes = [self.features, *[self.width] * (self.depth - 1), self.classes]
        for layer, (fan_in, fan_out) in enumerate(pairwise(sizes), start=1):
            weight = stream(self.seed, "teacher weight", layer).standard_normal((fan_out, fan_in)) * (self.sigma_w / np.sqrt(fan_in))
            # Not `@`: a threaded BLAS may sum in another order, and every worker must see the same targets.
            x = np.einsum("sm,nm->sn", x if layer == 1 else phi(x), weight)
        return x
