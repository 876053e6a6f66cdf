"""Several symbols are shown, and one of them is asked for later by its place: copy memory for a net with one output."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradyn.core import stream
from gradyn.data.dataset import Dataset, split_rows
from gradyn.data.symbols import AbstractSymbols


@dataclass(frozen=True, slots=True)
class CopyMemory(AbstractSymbols):
    """The first `shown` steps show a symbol each, noise follows, and the last step says which place is asked for.

    A step's inputs are the symbols' channels and one channel a place: [one-hot symbol | 0] while shown, noise on all channels between, and
    [0 | one-hot place] in the last step. As any place may be asked for, all symbols have to be kept: the copy memory task with the outputs of its
    last steps drawn one at a time. Guessing is right in 1 of `symbols`, a net that kept k of the places in (k + (shown - k) / symbols) / shown. For a
    recurrent cell with depth = length + 1.

    Args:
        seed: draws symbols, places, noise and split.
        length: steps, at least shown + 1.
        shown: symbols to be kept.
        symbols: C, classes.
        noise: standard deviation of every input between; 0: zeros.
        samples: sequences of both parts.
        holdout: share of them that is held out as test part.

    Source: Hochreiter and Schmidhuber 1997, Long short-term memory; Arjovsky et al. 2016 (arXiv:1511.06464), section 4.1, whose nets reproduce all in order.
    """

    noise: float = 0.0
    samples: int = 4096
    shown: int = 3

    def __post_init__(self) -> None:
        AbstractSymbols.__post_init__(self)
        self.require_count("shown", low=1)
        self.require(self.length > self.shown, "length", f"be above data.shown={self.shown}: the last step asks", "Show fewer symbols, or take more steps.")

    @property
    def features(self) -> int:
        """`symbols` + `shown` a step."""
        return self.length * (self.symbols + self.shown)

    def load(self) -> Dataset:
        """Draw noise, then the symbols for the first steps, then the place for the last."""
        channels = self.symbols + self.shown
        x = self.noise * stream(self.seed, "copy noise").standard_normal((self.samples, self.length, channels))
        kept = stream(self.seed, "copy symbols").integers(0, self.symbols, (self.samples, self.shown))
        asked = stream(self.seed, "copy places").integers(0, self.shown, self.samples)
        x[:, : self.shown] = np.eye(channels)[kept]
        x[:, -1] = np.eye(channels)[self.symbols + asked]
        labels = kept[np.arange(self.samples), asked]
        return self.parted(x.reshape(self.samples, -1), labels, None, split_rows(self.samples, self.holdout, self.seed))
