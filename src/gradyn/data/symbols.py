"""What tasks have in common in which symbols are shown to a recurrent net and one is asked for after the last step."""

from __future__ import annotations

from dataclasses import dataclass

from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import held_out


@dataclass(frozen=True, slots=True)
class AbstractSymbols(AbstractData):
    """Sequences of `length` steps with one of `symbols` as their label; guessing is right in 1 of `symbols`."""

    seed: int = 0
    length: int = 20
    symbols: int = 8
    noise: float = 0.1
    samples: int = 2048
    holdout: float = 0.2

    def __post_init__(self) -> None:
        self.require_seed()
        self.require_count("length", low=2)
        self.require_count("symbols", low=2)
        self.require_finite("noise", low=0.0)
        self.require_count("samples")
        self.require_holdout(self.samples)

    @property
    def features(self) -> int:
        """`symbols` a step."""
        return self.length * self.symbols

    @property
    def sequence_length(self) -> int:
        """T = `length`."""
        return self.length

    @property
    def classes(self) -> int:
        """The symbols."""
        return self.symbols

    @property
    def train_samples(self) -> int:
        """S: what `holdout` leaves."""
        return self.samples - held_out(self.samples, self.holdout)
