"""Which path does a backward forget, or weigh wrongly?  Replay the function with one path changed, until the derivative is the one that backward says.

A path is an operand of an operation. Held still, its contribution is missing (`drops`); with one slice of a result moving, a sum over the rest is
missing (`keeps`); handed on as it is, a flat operation is straight-through. `turned.py` has the missing transposes.

Can't: explain two mistakes at once, other than two forgotten paths; `weights.py` takes a path and a factor.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

from torch import Tensor

from gradyn.autodiff.gradcheck.replay import Change, Operation, Place, operands, replaced

Changes = dict[int, Change]
# All pairs are tried where there are at most so many.
PAIRED = 16


@dataclass(frozen=True)
class Path:
    """A change of a run, and what a backward that computes the changed run's derivative has done.

    Args:
        cause: one of `diagnosis.CAUSES`.
        words: which operation, which operand.
        changes: number of an operation -> what it returns.
        edges: operands that are held still, so that what goes missing is their share; none where something else is changed.
    """

    cause: str
    words: str
    changes: Changes
    edges: tuple[tuple[int, Place], ...] = ()


def drops(run: Sequence[Operation], moving: dict[int, set[Place]]) -> Iterator[Path]:
    """One operand held still, or two."""
    edges = [(k, place) for k, places in moving.items() for place in sorted(places, key=str) if run[k].is_plain]
    # What the user cut comes first: x.norm().detach() is detached, and not a norm that somebody forgot.
    edges.sort(key=lambda edge: not _is_cut(run[edge[0]]))
    for chosen in [(edge,) for edge in edges] + (list(combinations(edges, 2)) if len(edges) <= PAIRED else []):
        held: dict[int, list[Place]] = {}
        for k, place in chosen:
            held.setdefault(k, []).append(place)
        cause = "detached" if all(_is_cut(run[k]) for k, _ in chosen) else "missing accumulation"
        yield Path(cause, f"{spoken_edges(run, chosen)} is not added", {k: partial(_held, ps) for k, ps in held.items()}, tuple(chosen))


def keeps(run: Sequence[Operation], moving: dict[int, set[Place]]) -> Iterator[Path]:
    """Of a result, one slice moves: its backward takes one term where it should sum."""
    for k in moving:
        for axis, size in enumerate(run[k].result.shape if run[k].is_plain else ()):
            for index in (0, size - 1) if 1 < size <= 64 else ():
                words = f"only index {index} of axis {axis} of the result of {run[k].name} ({operation_number(k)}) is summed"
                yield Path("missing accumulation", words, {k: partial(_sliced, axis, index)})


def straight(run: Sequence[Operation], moving: dict[int, set[Place]], flat: set[int]) -> Iterator[Path]:
    """A flat operation's gradient is that of the identity."""
    for k in flat:
        for place in moving.get(k, set()):
            if run[k].is_plain and run[k].operands[place].shape == run[k].result.shape:
                yield Path("surrogate", f"{run[k].name} ({operation_number(k)}) is flat, and its backward is the identity's", {k: partial(_handed_on, place)})


def spoken_edges(run: Sequence[Operation], edges: Sequence[tuple[int, Place]]) -> str:
    """`the path through operand 1 of mul (operation 3)`."""
    return "the path through " + " and ".join(f"operand {place[0] + 1} of {run[k].name} ({operation_number(k)})" for k, place in edges)


def _is_cut(operation: Operation) -> bool:
    return operation.name == "detach" and not operation.is_custom


def operation_number(k: int) -> str:
    """As a reader counts them."""
    return f"operation {k + 1}"


def _held(places: Sequence[Place], base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    return function(*replaced(args, {place: base.operands[place] for place in places}), **kwargs)


def _sliced(axis: int, index: int, base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    result = base.result.clone()
    result.select(axis, index).copy_(function(*args, **kwargs).select(axis, index))
    return result


def _handed_on(place: Place, base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    return base.result + (operands(args)[place] - base.operands[place])
