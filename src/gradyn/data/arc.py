"""A short arc of a great circle: neighbours so close that a net is linear between them, without thousands of points."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gradyn.data.abstract import AbstractData
from gradyn.data.circle import on_great_circle
from gradyn.data.dataset import Dataset, all_rows


@dataclass(frozen=True, slots=True)
class Arc(AbstractData):
    """Points x_i = sqrt(M length) (u cos t_i + v sin t_i), t_i = radians i / (samples - 1), both ends included; no labels.

    The great circle is that of `Circle` with the same seed. Rows stand in the order of the angle. float32 can't tell apart what a small angle
    separates: take dtype=float64.

    Args:
        seed: draws the circle's plane.
        samples: points, equally spaced, at least 2.
        features: M, at least 2.
        classes: C, the width of the readout.
        length: mean square of an input.
        radians: the arc's angle, at most 2 pi.

    Source: Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli 2016, arXiv:1606.05340, section 3, for the circle.
    """

    is_curve: ClassVar[bool] = True

    seed: int = 0
    samples: int = 256
    features: int = 64
    classes: int = 10
    length: float = 1.0
    radians: float = 0.02

    def __post_init__(self) -> None:
        self.require_seed()
        self.require_count("samples", low=2)
        self.require_count("features", low=2)
        self.require_count("classes")
        self.require_finite("length", low=0.0, open_low=True)
        self.require_finite("radians", low=0.0, high=2 * math.pi, open_low=True)

    @property
    def has_labels(self) -> bool:
        """No."""
        return False

    def load(self) -> Dataset:
        """Draw the plane and place the points."""
        angle = np.linspace(0.0, self.radians, self.samples)
        return self.parted(on_great_circle(self.seed, angle, self.features, self.length), None, None, all_rows(self.samples))
