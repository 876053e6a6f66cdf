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

    def look(a: float, b: float) -> tuple[float, float]:
        """Change of slope across [a, b], and how far apart the values are."""
        left, middle, right = g(a), g((a + b) / 2), g(b)
        return abs(right - 2 * middle + left) / ((b - a) / 2), max(abs(right - middle), abs(middle - left))

    a, b = -h, h
    bend, height = look(a, b)
    bends, first_height = [bend], height
    if not np.isfinite(bend):
        return ""
    while len(bends) <= _HALVINGS and bend > 40 * noise / (b - a):
        quarter = (b - a) / 4
        # Thirds that overlap: a kink near the middle of one is never at the end of all.
        parts = [(a, a + 2 * quarter), (a + quarter, b - quarter), (a + 2 * quarter, b)]
        (bend, height), (a, b) = max(((look(*part), part) for part in parts), key=lambda found: found[0][0])
        bends.append(bend)
        if not np.isfinite(bend) or height > 2 * first_height:
            # A pole: values grow without bound. f is smooth where it is defined.
            return ""
    # Where f is steep at one end (1/x next to its pole) the change grows at first; the last five halvings still tell a kink from a bend.
    if len(bends) <= _ENOUGH or bend < bends[0] / 4 or bend < bends[-1 - _ENOUGH] / 4:
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
