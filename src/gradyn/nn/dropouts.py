"""Dropout of hidden activations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from gradyn.core import AbstractComponent, stream


@dataclass(frozen=True, slots=True)
class AbstractDropout(AbstractComponent):
    """A random factor on each hidden activation, drawn anew at every step."""

    group: ClassVar[str] = "dropout"

    @property
    def is_random(self) -> bool:
        """Whether there is anything to draw."""
        return False

    def factor(self, seed: int, step: int, layer: int, shape: tuple[int, int]) -> NDArray[np.float64]:
        """Factors [B, N] for one run, step and layer, from the stream (seed, "dropout <step>", layer)."""
        raise TypeError(f"{type(self).__name__} must define factor")


@dataclass(frozen=True, slots=True)
class NoDropout(AbstractDropout):
    """Every activation is kept."""

    option: ClassVar[str] = "none"


@dataclass(frozen=True, slots=True)
class Inverted(AbstractDropout):
    """Kept with probability `keep` and divided by it, else 0. Srivastava et al. 2014, in its inverted form."""

    keep: float = 0.9

    def __post_init__(self) -> None:
        self.require_finite("keep", low=0.0, high=1.0, open_low=True)

    @property
    def is_random(self) -> bool:
        """Unless everything is kept."""
        return self.keep < 1

    def factor(self, seed: int, step: int, layer: int, shape: tuple[int, int]) -> NDArray[np.float64]:
        """1/keep where a uniform number is below keep, else 0."""
        return np.where(stream(seed, f"dropout {step}", layer).random(shape) < self.keep, 1 / self.keep, 0.0)
