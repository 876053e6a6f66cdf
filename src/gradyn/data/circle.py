"""A great circle of inputs: a one-dimensional manifold whose image tells how a net bends space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import Dataset, all_rows
from gradyn.data.pair import orthonormal_pair


@dataclass(frozen=True, slots=True)
class Circle(AbstractData):
    """Points x_i = sqrt(M length) (u cos t_i + v sin t_i), t_i = 2 pi i / samples, on a random great circle; no labels.

    u and v are orthonormal, so that |x_i|^2 / M = length (up to rounding) and two points have the correlation cos(t_i - t_j). Rows
    stand in the order of the angle.

    Args:
        seed: draws the circle's plane.
        samples: points, equally spaced.
        features: M, at least 2.
        classes: C, the width of the readout.
        length: mean square of an input.

    Source: Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli 2016, arXiv:1606.05340, section 3.
    """

    is_curve: ClassVar[bool] = True
    is_closed: ClassVar[bool] = True

    seed: int = 0
    samples: int = 256
    features: int = 64
    classes: int = 10
    length: float = 1.0

    def __post_init__(self) -> None:
        self.require_seed()
        self.require_count("samples")
        self.require_count("features", low=2)
        self.require_count("classes")
        self.require_finite("length", low=0.0, open_low=True)

    @property
    def has_labels(self) -> bool:
        """No."""
        return False

    def load(self) -> Dataset:
        """Draw the plane and place the points."""
        angle = 2.0 * np.pi * np.arange(self.samples) / self.samples
        return self.parted(on_great_circle(self.seed, angle, self.features, self.length), None, None, all_rows(self.samples))


def on_great_circle(seed: int, angle_S: np.ndarray, features: int, length: float) -> np.ndarray:
    """The points of a random great circle at given angles, [S, features], each of mean square `length`."""
    u, v = orthonormal_pair(seed, "circle", 0, features)
    return np.sqrt(length * features) * (np.cos(angle_S)[:, None] * u + np.sin(angle_S)[:, None] * v)
