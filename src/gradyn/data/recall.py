"""A symbol is shown once and asked for later: the copy task with one symbol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradyn.core import stream
from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import Dataset, held_out, split_rows


@dataclass(frozen=True, slots=True)
class Recall(AbstractData):
    """Step 1 shows one of `symbols` as a one-hot vector, the steps after it noise; after the last step the symbol is asked for.

    The distance that a gradient must reach back is `length - 1` steps. Guessing is right in 1 of `symbols`. It is the copy memory task
    with one symbol to remember and noise in place of blanks, so that a net that does not look away is punished. For a recurrent
    cell with depth = length + 1.

    Args:
        seed: draws symbols, noise and split.
        length: steps, at least 2.
        symbols: C, and the inputs of a step.
        noise: standard deviation of every input after the first step; 0: zeros.
        samples: sequences of both parts.
        holdout: share of them that is held out as test part.

    Source: after Hochreiter and Schmidhuber 1997, Long short-term memory, section 5.2, and the copy task of Arjovsky et al. 2016 (arXiv:1511.06464).
    """

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

    def load(self) -> Dataset:
        """Draw noise, then the symbols, which take the first step."""
        x = self.noise * stream(self.seed, "recall noise").standard_normal((self.samples, self.length, self.symbols))
        labels = stream(self.seed, "recall symbols").integers(0, self.symbols, self.samples)
        x[:, 0] = np.eye(self.symbols)[labels]
        return self.parted(x.reshape(self.samples, -1), labels, None, split_rows(self.samples, self.holdout, self.seed))
