"""One output by one input: what backward says, what differences say, and how far apart the two may be.

Can't: allow for the rounding of backward itself. It is far below that of a difference, except where huge terms cancel to nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gradyn.autodiff.gradcheck.problem import Floats


@dataclass(frozen=True)
class Block:
    """The Jacobians of one output by one input.

    Args:
        analytic: [output numbers, input numbers], what backward says.
        numeric: same shape, what differences say.
        bar: error of `numeric`.
        output_shape: of the output.
        input_shape: of the input.
        rtol: relative error that is nobody's fault.
    """

    analytic: Floats
    numeric: Floats
    bar: Floats
    output_shape: tuple[int, ...]
    input_shape: tuple[int, ...]
    rtol: float

    def tolerance(self, numeric: Floats, bar: Floats) -> Floats:
        """rtol of the larger of the two, twice the numeric error, and what is nothing beside the block's largest number."""
        largest = np.abs(self.numeric[np.isfinite(self.numeric)]).max(initial=0.0)
        with np.errstate(all="ignore"):
            return self.rtol * np.fmax(np.abs(self.analytic), np.abs(numeric)) + 2 * bar + 1e-9 * largest

    def agrees(self, numeric: Floats | None = None, bar: Floats | None = None) -> np.ndarray:
        """Element by element, whether backward says what it would were `numeric` right; where nothing can be measured, a finite number is believed."""
        numeric, bar = self.numeric if numeric is None else numeric, self.bar if bar is None else bar
        with np.errstate(all="ignore"):
            is_near = np.abs(self.analytic - numeric) <= self.tolerance(numeric, bar)
        return np.isfinite(self.analytic) & (is_near | ~np.isfinite(numeric) | (bar == np.inf))

    @property
    def excess(self) -> Floats:
        """How far off each element is, in units of what is allowed; inf where backward is not finite."""
        with np.errstate(all="ignore"):
            ratio = np.abs(self.analytic - self.numeric) / np.fmax(self.tolerance(self.numeric, self.bar), 1e-300)
        return np.where(np.isfinite(self.analytic), np.where(np.isfinite(ratio), ratio, 0.0), np.inf)
