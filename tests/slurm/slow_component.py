"""Components of a user's own, which a job has to import: one that takes its time without a processor, and one that raises."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gradyn.nn import AbstractActivation, AbstractInitializer


@dataclass(frozen=True, slots=True)
class Slow(AbstractInitializer):
    """N(0, 1/fan_in), GRADYN_SLOW seconds a run later (0 where it is not set): no setting, so that nobody's run ids know of it."""

    def weight(self, rng: np.random.Generator, fan_out: int, fan_in: int, *, layer: int, is_readout: bool) -> np.ndarray:
        """Weights, late in the first layer."""
        if layer == 1:
            time.sleep(float(os.environ.get("GRADYN_SLOW", "0")))
        return rng.standard_normal((fan_out, fan_in)) / np.sqrt(fan_in)

    def variance(self, fan_out: int, fan_in: int) -> float:
        """1 / fan_in."""
        return 1 / fan_in


@dataclass(frozen=True, slots=True)
class Raises(AbstractActivation):
    """Never gives anything."""

    def forward(self, h: Tensor) -> Tensor:
        """Raise."""
        raise RuntimeError("a defect on purpose")
