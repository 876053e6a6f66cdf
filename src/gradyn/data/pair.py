"""Pairs of inputs of given length and correlation: what correlation maps start from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradyn.core import stream
from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import Dataset, all_rows


@dataclass(frozen=True, slots=True)
class Pair(AbstractData):
    """Pairs x, x' with |x|^2 / M = |x'|^2 / M = length and x.x' / (|x| |x'|) = correlation, exact up to rounding; no labels.

    Rows 2 i and 2 i + 1 are one pair; pairs lie in independent random directions. With one pair and `batch_size=2` every batch is
    the pair.

    Args:
        seed: draws the directions; they don't depend on length and correlation.
        correlation: cosine of the angle within a pair, -1 .. 1.
        length: mean square of an input.
        features: M, at least 2.
        classes: C, the width of the readout.
        pairs: how many.

    Source: Poole, Lahiri, Raghu, Sohl-Dickstein and Ganguli 2016, arXiv:1606.05340, section 2.
    """

    seed: int = 0
    correlation: float = 0.5
    length: float = 1.0
    features: int = 64
    classes: int = 10
    pairs: int = 1

    def __post_init__(self) -> None:
        self.require_seed()
        self.require_finite("correlation", low=-1.0, high=1.0)
        self.require_finite("length", low=0.0, open_low=True)
        self.require_count("features", low=2)
        self.require_count("classes")
        self.require_count("pairs")

    @property
    def samples(self) -> int:
        """Two a pair."""
        return 2 * self.pairs

    @property
    def has_labels(self) -> bool:
        """No."""
        return False

    def load(self) -> Dataset:
        """Draw two orthonormal directions a pair, and turn the second input by the angle."""
        x = np.empty((self.samples, self.features))
        for pair in range(self.pairs):
            first, second = orthonormal_pair(self.seed, "pair", pair, self.features)
            # sqrt((1 - c)(1 + c)), not sqrt(1 - c^2): c^2 rounds away what is left near 1.
            sine = np.sqrt((1.0 - self.correlation) * (1.0 + self.correlation))
            x[2 * pair] = first
            x[2 * pair + 1] = self.correlation * first + sine * second
        return self.parted(x * np.sqrt(self.length * self.features), None, None, all_rows(self.samples))


def orthonormal_pair(seed: int, purpose: str, index: int, features: int) -> tuple[np.ndarray, np.ndarray]:
    """Two orthonormal vectors [features], uniform over such pairs."""
    normal = stream(seed, purpose, index).standard_normal((features, 2))
    q, r = np.linalg.qr(normal)
    # LAPACK's signs are its own affair: with a positive diagonal of R the factor is unique.
    q = q * np.sign(np.diag(r))
    return q[:, 0], q[:, 1]
