"""Try one changed path after another, along a few random directions and at two places, until a derivative is the one that backward says.

With m outputs and four directions that is 8 m numbers to be met within rtol by a change that has no free number. Only where none is met may paths have
weights: one of them, two of one operation, or a changed run as a whole. Those are two mistakes at once, or 2 a x where (a + a^T) x is right.

Can't: tell two changes with the same derivative apart; the first in the order of `search` is named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain, combinations

import numpy as np
from torch.autograd.function import BackwardCFunction

from gradyn.autodiff.gradcheck import weights
from gradyn.autodiff.gradcheck.causes import spoken
from gradyn.autodiff.gradcheck.paths import Path, drops, keeps, spoken_edges, straight
from gradyn.autodiff.gradcheck.problem import Floats, Problem
from gradyn.autodiff.gradcheck.turned import transposes
from gradyn.autodiff.gradcheck.view import View, elsewhere, moving, view

_PRODUCTS = ("dot", "mv", "mm", "bmm")
# Paths beyond so many are not weighed: it takes eight runs each.
_WEIGHED = 96
Found = tuple[str, str, float | None]


def search(problem: Problem, i: int, rows: slice, analytic: Floats, rtol: float, rng: np.random.Generator) -> Found | None:
    """Cause, words and factor of the first changed path that explains backward here and at another place; None where none does."""
    here = view(problem, i, rows, analytic, rtol, rng)
    if here is None:
        return None
    there, flat = moving(here)
    # One number is matched by accident: then two other places are asked.
    others = [other for _ in range(1 if analytic.size > 1 else 3) if (other := elsewhere(here, rng)) is not None]
    first = slice(0, 1)
    tried: list[Path] = []
    paths: Iterator[Path] = chain(drops(here.run, there), keeps(here.run, there), transposes(here.run, there), straight(here.run, there, flat))
    for path in paths:
        found = here.along(path.changes, first)
        if not np.isfinite(found).all():
            continue
        if here.explained(found, first) and all(v.explained(v.along(path.changes)) for v in (here, *others)):
            return _cause(problem, path), path.words, None
        tried += [path] if path.cause != "surrogate" else []
    return _weighed([here, *others], sorted(tried, key=lambda path: len(path.edges) > 1 or len(path.changes) > 1)[:_WEIGHED]) if others else None


def _weighed(views: Sequence[View], paths: Sequence[Path]) -> Found | None:
    """The first weights that explain backward at every place."""
    found = [[(v, [v.along(path.changes)]) for v in views] for path in paths]
    dropped = [(path, runs) for path, runs in zip(paths, found, strict=True) if len(path.edges) == 1]
    for path, runs in dropped:
        if cs := weights.steady(weights.of_one, runs):
            return "wrong factor", f"{spoken(cs[0])} on one path: {spoken_edges(views[0].run, path.edges)}", cs[0]
    for (a, without_a), (b, without_b) in combinations(dropped, 2):
        pairs = [(v, [*one, *other]) for (v, one), (_, other) in zip(without_a, without_b, strict=True)]
        if a.changes.keys() == b.changes.keys() and (cs := weights.steady(weights.of_two, pairs)):
            return _of_two(views[0], a, b, cs)
    for path, runs in zip(paths, found, strict=True):
        if cs := weights.steady(weights.of_all, runs):
            return _cause(views[0].problem, path), f"{path.words}, and a factor of {spoken(cs[0])}", cs[0]
    return None


def _of_two(here: View, a: Path, b: Path, cs: Sequence[float]) -> Found:
    one, other = (spoken_edges(here.run, path.edges) for path in (a, b))
    (k,) = a.changes
    for gone, kept, c in ((one, other, cs[1]), (other, one, cs[0])):
        if abs(sum(cs) - c) > 0.01:
            continue
        if abs(c - 2) <= 0.01 and here.run[k].name in _PRODUCTS:
            return "missing transpose", f"{kept} counts twice, in the place of its transpose through the other operand: (a + a^T) x is not 2 a x", None
        return "missing accumulation", f"{gone} is not added, and {kept} has a factor of {spoken(c)}", c
    return "wrong factor", f"{spoken(cs[0])} on {one} and {spoken(cs[1])} on {other}", None


def _cause(problem: Problem, path: Path) -> str:
    # torch's own rules forget no path: without a Function somebody cut it (detach, item, numpy, no_grad).
    return "detached" if path.edges and not has_function(problem) else path.cause


def has_function(problem: Problem) -> bool:
    """Whether a custom Function is among the operations that autograd recorded."""
    stack, seen = [y.grad_fn for y in problem.outputs()[0]], set()
    while stack:
        node = stack.pop()
        if node is not None and node not in seen:
            seen.add(node)
            stack += [below for below, _ in node.next_functions]
    return any(isinstance(node, BackwardCFunction) for node in seen)
