"""Is there a kink within the step?  Halve the interval towards the place where the slope changes most, and see whether the change goes away.

Of a smooth function the slope changes in proportion to the width, so after ten halvings a thousandth is left. Of a kink all of it is left, of a jump
the values themselves stay apart however close one comes.

Can't: find a kink whose change of slope is below the rounding of f, nor tell one from a bend that is narrower than the smallest interval.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from gradyn.autodiff.gradcheck.error_bars import Rounding
from gradyn.autodiff.gradcheck.problem import Problem

_HALVINGS = 24
# Fewer halvings leave a smooth function more than a thirtieth of its change of slope, too near to a kink's half.
_ENOUGH = 5


def kind_of_bend(g: Callable[[float], float], h: float, noise: float) -> str:
    """`kink`, `jump`, or empty where g is smooth on [-h, h] (or rounding hides it, or it is not finite there).

    Args:
        g: of one number.
        h: half the interval.
        noise: of a value of g.
    """

    def bend_of(left: int) -> float:
        """Change of slope across [x[left], x[left + 2]]."""
        return abs(y[left + 2] - 2 * y[left + 1] + y[left]) / (x[left + 1] - x[left])

    def height_of(left: int) -> float:
        """How far apart the values there are."""
        return max(abs(y[left + 2] - y[left + 1]), abs(y[left + 1] - y[left]))

    x, y = [-h, 0.0, h], [g(-h), g(0.0), g(h)]
    bends, first_height, height = [bend_of(0)], height_of(0), height_of(0)
    if not np.isfinite(bends[0]):
        return ""
    while len(bends) <= _HALVINGS and bends[-1] > 40 * noise / (x[2] - x[0]):
        # Halves that overlap: a kink near the middle of one is never at the end of all. Three of their five places are known.
        between = [(x[0] + x[1]) / 2, (x[1] + x[2]) / 2]
        x, y = [x[0], between[0], x[1], between[1], x[2]], [y[0], g(between[0]), y[1], g(between[1]), y[2]]
        left = max((0, 1, 2), key=bend_of)
        bends.append(bend_of(left))
        height = height_of(left)
        x, y = x[left : left + 3], y[left : left + 3]
        if not np.isfinite(bends[-1]) or height > 2 * first_height:
            # A pole: values grow without bound. f is smooth where it is defined.
            return ""
    # Where f is steep at one end (1/x next to its pole) the change grows at first; the last five halvings still tell a kink from a bend.
    if len(bends) <= _ENOUGH or bends[-1] < bends[0] / 4 or bends[-1] < bends[-1 - _ENOUGH] / 4:
        return ""
    return "jump" if height > first_height / 4 else "kink"


def bend_within(problem: Problem, i: int, row: int, column: int, h: float, bound: Rounding) -> str:
    """What `kind_of_bend` says of output `row` along element `column` of input i."""
    x = problem.inputs[i]

    def g(t: float) -> float:
        shift = torch.zeros(x.numel(), dtype=x.dtype)
        shift[column] = t
        return float(problem.values({i: shift.reshape(x.shape)})[row])

    return kind_of_bend(g, h, bound.unit * bound.largest)


def moved_off(problem: Problem, size: float, rng: np.random.Generator) -> Problem:
    """The same function nearby: inputs moved by up to `size` of themselves, those next to 0 by up to `size` of the largest."""

    def move(x: torch.Tensor) -> torch.Tensor:
        u = torch.from_numpy(rng.uniform(0.3, 1.0, x.numel()) * rng.choice([-1.0, 1.0], x.numel())).to(x.dtype).reshape(x.shape)
        largest = x.detach().abs().max() if x.numel() else torch.ones(())
        largest = largest if largest > 0 else torch.ones_like(largest)
        # 0 is where kinks are, so what lies within the move of it leaves it; all others keep their sign, and logarithms stay defined.
        return x.detach() + size * u * torch.where(x.detach().abs() < size * largest, largest, x.detach().abs())

    own = set(problem.which)
    return Problem(problem.f, tuple(move(x) if i in own else x for i, x in enumerate(problem.inputs)), problem.which)
