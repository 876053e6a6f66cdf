"""Both Jacobians of a function at a place, cut into blocks of one output by one input.

Can't: weigh blocks against each other. The worst element is the one furthest off in units of what is allowed, whatever block it is in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from gradyn.autodiff.gradcheck.block import Block
from gradyn.autodiff.gradcheck.diagnosis import Diagnosis, Element
from gradyn.autodiff.gradcheck.error_bars import Rounding, ladder, resolved_jacobian, rounding, slopes
from gradyn.autodiff.gradcheck.kinks import bend_within
from gradyn.autodiff.gradcheck.problem import Problem

# So many of the worst elements are searched for a kink.
_LOOKED_AT = 8


@dataclass(frozen=True)
class Comparison:
    """Blocks by (output, place in `problem.which`), and the rows of each output."""

    problem: Problem
    bound: Rounding
    blocks: dict[tuple[int, int], Block]
    rows: tuple[slice, ...]

    @property
    def is_right(self) -> bool:
        """Whether all agree."""
        return all(block.agrees().all() for block in self.blocks.values())

    @property
    def worst(self) -> tuple[int, int]:
        """The block with the element that is furthest off."""
        return max(self.blocks, key=lambda key: self.blocks[key].excess.max(initial=-1.0))

    def element(self, key: tuple[int, int] | None = None, place: tuple[int, int] | None = None) -> Element:
        """An element of a block; by default the one furthest off."""
        key = self.worst if key is None else key
        block = self.blocks[key]
        row, column = place or np.unravel_index(int(block.excess.argmax()), block.excess.shape)
        indices = [tuple(int(k) for k in np.unravel_index(n, shape)) for n, shape in ((row, block.output_shape), (column, block.input_shape))]
        return Element(key[0], indices[0], self.problem.which[key[1]], indices[1], float(block.analytic[row, column]), float(block.numeric[row, column]))

    def over_steps(self, element: Element) -> tuple[tuple[float, float], ...]:
        """Relative error of an element at every step of the ladder."""
        block = self.blocks[element.output, self.problem.which.index(element.input)]
        row = self.rows[element.output].start + (int(np.ravel_multi_index(element.row, block.output_shape)) if element.row else 0)
        column = int(np.ravel_multi_index(element.column, block.input_shape)) if element.column else 0
        found = []
        for h in ladder(self.problem.inputs[element.input]):
            slope = float(slopes(self.problem, element.input, h, [column])[row, 0])
            size = max(abs(slope), abs(element.analytic))
            found.append((h, abs(slope - element.analytic) / size if size else 0.0))
        return tuple(found)

    def bend(self, h: float) -> str:
        """A kink or jump next to one of the elements that are off: within the step, or within a thousandth of the input."""
        for key, block in self.blocks.items():
            off = np.argwhere(~block.agrees())
            order = np.argsort(-block.excess[tuple(off.T)], kind="stable")
            i = self.problem.which[key[1]]
            largest = float(self.problem.inputs[i].abs().max()) or 1.0
            for row, column in off[order][:_LOOKED_AT]:
                for width in (h, 1e-3 * largest):
                    if kind := bend_within(self.problem, i, self.rows[key[0]].start + int(row), int(column), width, self.bound):
                        return kind
        return ""

    def diagnosis(self, cause: str, detail: str, evidence: Sequence[str] = (), *, key: tuple[int, int] | None = None, factor: float | None = None) -> Diagnosis:
        """With the worst element and its errors; without, where there are no numbers at all."""
        if not self.blocks:
            return Diagnosis(cause, detail, evidence=tuple(evidence))
        element = self.element(key)
        return Diagnosis(cause, detail, element, self.over_steps(element), factor, tuple(evidence))


def compare(problem: Problem, rtol: float) -> Comparison:
    """Take both Jacobians.

    Raises:
        RuntimeError: backward fails.
    """
    analytic, bound = problem.analytic(), rounding(problem)
    numeric = [resolved_jacobian(problem, i, bound) for i in problem.which]
    blocks, rows, start = {}, [], 0
    for o, y in enumerate(problem.outputs()[0]):
        own = slice(start, start + y.numel())
        rows.append(own)
        start = own.stop
        for place, i in enumerate(problem.which):
            value, bar = numeric[place]
            if value[own].size:
                blocks[o, place] = Block(analytic[place][own], value[own], bar[own], tuple(y.shape), tuple(problem.inputs[i].shape), rtol)
    return Comparison(problem, bound, blocks, tuple(rows))
