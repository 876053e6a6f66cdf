"""By how much does backward weigh a path?  Numbers that make a derivative, taken apart into paths, the one that backward says.

A path's share of the derivative is what goes missing when the path is held still. Backward may weigh one path by c, two paths of one operation by two
numbers (2 and 0 where 2 a x stands for (a + a^T) x), or be c times the derivative of a changed run (a transpose missing, and a factor).

Can't: weigh paths whose shares are proportional. Of x * x both operands have the same, and any two numbers with one sum would do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from gradyn.autodiff.gradcheck.problem import Floats
from gradyn.autodiff.gradcheck.view import View

# A share below this part of the derivative could have any weight.
_SEEN = 0.01
Weigh = Callable[..., tuple[float, ...] | None]


def of_one(view: View, without: Floats) -> tuple[float, ...] | None:
    """c with analytic = without + c (numeric - without); None where no c fits, or the path is all there is."""
    if np.abs(without).max() <= _SEEN * np.abs(view.numeric).max():
        return None
    return _fitted(view, without, [view.numeric - without])


def of_two(view: View, without_a: Floats, without_b: Floats) -> tuple[float, ...] | None:
    """The weights of two paths of which each is missing once; None where none fit."""
    a, b = view.numeric - without_a, view.numeric - without_b
    return _fitted(view, view.numeric - a - b, [a, b])


def of_all(view: View, changed: Floats) -> tuple[float, ...] | None:
    """c with analytic = c times the derivative of a changed run; None where no c fits, or the change changes nothing."""
    if np.abs(changed - view.numeric).max() <= _SEEN * np.abs(view.numeric).max():
        return None
    return _fitted(view, np.zeros_like(changed), [changed])


def steady(weigh: Weigh, found: Sequence[tuple[View, Sequence[Floats]]]) -> tuple[float, ...] | None:
    """The weights at the first place where they are the same at the others: what is no constant is no weight."""
    first = weigh(found[0][0], *found[0][1])
    if first is None:
        return None
    for view, parts in found[1:]:
        other = weigh(view, *parts)
        if other is None or any(abs(c - d) > _SEEN * max(abs(c), 0.1) for c, d in zip(first, other, strict=True)):
            return None
    return first


def _fitted(view: View, rest: Floats, parts: Sequence[Floats]) -> tuple[float, ...] | None:
    size = np.abs(view.numeric).max()
    if not all(np.isfinite(part).all() and np.abs(part).max() > _SEEN * size for part in parts) or not np.isfinite(rest).all():
        return None
    columns = np.stack([part.reshape(-1) for part in parts], 1)
    weights, _, rank, _ = np.linalg.lstsq(columns, (view.analytic - rest).reshape(-1), rcond=_SEEN)
    # As many numbers again as weights, or anything would fit.
    if rank < len(parts) or len(columns) < 2 * len(parts):
        return None
    return tuple(float(c) for c in weights) if view.explained(rest + (columns @ weights).reshape(rest.shape)) else None
