"""A straight grid of inputs: on it a net is a function of one variable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from gradyn.core import stream
from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import Dataset, all_rows


@dataclass(frozen=True, slots=True)
class Line(AbstractData):
    """Points x_i = t_i sqrt(M) u, t_i equally spaced from `low` to `high`, both included, |u| = 1 a random direction; no labels.

    |x_i|^2 / M = t_i^2 for every M; with one feature x_i = t_i. Rows stand in the order of t. A net without biases is linear on each side of 0.

    Args:
        seed: draws the direction, whose first component is positive.
        samples: points, at least 2.
        features: M.
        classes: C, the width of the readout.
        low: first t.
        high: last t.

    Source: Balduzzi, Frean, Leary, Lewis, Ma and McWilliams 2017, arXiv:1702.08591, for the grid from -2 to 2.
    """

    is_curve: ClassVar[bool] = True

    seed: int = 0
    samples: int = 256
    features: int = 1
    classes: int = 10
    low: float = -2.0
    high: float = 2.0

    def __post_init__(self) -> None:
        self.require_seed()
        self.require_count("samples", low=2)
        self.require_count("features")
        self.require_count("classes")
        self.require_finite("low")
        self.require_finite("high")
        self.require(self.low < self.high, "high", f"be above data.low={self.low:g}")

    @property
    def has_labels(self) -> bool:
        """No."""
        return False

    def load(self) -> Dataset:
        """Draw the direction and place the points."""
        normal = stream(self.seed, "line").standard_normal(self.features)
        direction = np.copysign(normal / np.linalg.norm(normal), normal * normal[0])
        x = np.linspace(self.low, self.high, self.samples)[:, None] * (np.sqrt(self.features) * direction)
        return self.parted(x, None, None, all_rows(self.samples))
