"""Try one changed path after another, along a few random directions and at two places, until a derivative is the one that backward says.

With m outputs and four directions that is 8 m numbers to be met within rtol by a change that has no free number, or one (a factor).

Can't: tell two changes with the same derivative apart; the first in the order of `search` is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain

import numpy as np

from gradyn.autodiff.gradcheck.causes import spoken
from gradyn.autodiff.gradcheck.paths import Path, drops, keeps, straight, transposes
from gradyn.autodiff.gradcheck.problem import Floats, Problem
from gradyn.autodiff.gradcheck.view import elsewhere, moving, view


def search(problem: Problem, i: int, rows: slice, analytic: Floats, rtol: float, rng: np.random.Generator) -> tuple[str, str, float | None] | None:
    """Cause, words and factor of the first changed path that explains backward here and at another place; None where none does."""
    here = view(problem, i, rows, analytic, rtol, rng)
    if here is None:
        return None
    there, flat = moving(here)
    # One number is matched by accident: then two other places are asked.
    others = [other for _ in range(1 if analytic.size > 1 else 3) if (other := elsewhere(here, rng)) is not None]
    first, shares = slice(0, 1), []
    paths: Iterator[Path] = chain(drops(here.run, there), keeps(here.run, there), transposes(here.run, there), straight(here.run, there, flat))
    for path in paths:
        found = here.along(path.changes, first)
        if not np.isfinite(found).all():
            continue
        if here.explained(found, first) and all(v.explained(v.along(path.changes)) for v in (here, *others)):
            return path.cause, path.words, None
        if path.cause in ("missing accumulation", "detached") and len(path.changes) == 1:
            shares.append(path)
    for path in shares:
        cs = [v.share(v.along(path.changes)) for v in (here, *others)]
        if cs and (c := cs[0]) is not None and all(other is not None and abs(other - c) <= 0.01 * max(abs(c), 0.1) for other in cs):
            return "wrong factor", f"{spoken(c)} on one path: {path.words.replace(' is not added', '')}", c
    return None
