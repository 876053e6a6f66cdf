"""A symbol is shown once and asked for later: the copy task with one symbol."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradyn.core import stream
from gradyn.data.dataset import Dataset, split_rows
from gradyn.data.symbols import AbstractSymbols


@dataclass(frozen=True, slots=True)
class Recall(AbstractSymbols):
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

    def load(self) -> Dataset:
        """Draw noise, then the symbols, which take the first step."""
        x = self.noise * stream(self.seed, "recall noise").standard_normal((self.samples, self.length, self.symbols))
        labels = stream(self.seed, "recall symbols").integers(0, self.symbols, self.samples)
        x[:, 0] = np.eye(self.symbols)[labels]
        return self.parted(x.reshape(self.samples, -1), labels, None, split_rows(self.samples, self.holdout, self.seed))
