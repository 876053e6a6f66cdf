"""Which path does a backward forget, or weigh wrongly?  Replay the function with one path changed, until the derivative is the one that backward says.

A path is an operand of an operation. Held still, its contribution is missing (`drops`); with one slice of a result moving, a sum over the rest is
missing (`keeps`); with a transpose in its derivative, a transpose is missing (`transposes`); handed on as it is, a flat operation is straight-through.

Can't: explain two mistakes at once, other than two forgotten paths.
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


@dataclass(frozen=True)
class Path:
    """A change of a run, and what a backward that computes the changed run's derivative has done.

    Args:
        cause: one of `diagnosis.CAUSES`.
        words: which operation, which operand.
        changes: number of an operation -> what it returns.
    """

    cause: str
    words: str
    changes: Changes


def drops(run: Sequence[Operation], moving: dict[int, set[Place]]) -> Iterator[Path]:
    """One operand held still, or two."""
    edges = [(k, place) for k, places in moving.items() for place in sorted(places, key=str) if run[k].is_plain]
    for chosen in [(edge,) for edge in edges] + (list(combinations(edges, 2)) if len(edges) <= 16 else []):
        held: dict[int, list[Place]] = {}
        for k, place in chosen:
            held.setdefault(k, []).append(place)
        words = " and ".join(f"operand {place[0] + 1} of {run[k].name} ({operation_number(k)})" for k, place in chosen)
        is_cut = all(run[k].name == "detach" and not run[k].is_custom for k, _ in chosen)
        yield Path(
            "detached" if is_cut else "missing accumulation", f"the path through {words} is not added", {k: partial(_held, ps) for k, ps in held.items()}
        )


def keeps(run: Sequence[Operation], moving: dict[int, set[Place]]) -> Iterator[Path]:
    """Of a result, one slice moves: its backward takes one term where it should sum."""
    for k in moving:
        for axis, size in enumerate(run[k].result.shape if run[k].is_plain else ()):
            for index in (0, size - 1) if 1 < size <= 64 else ():
                words = f"only index {index} of axis {axis} of the result of {run[k].name} ({operation_number(k)}) is summed"
                yield Path("missing accumulation", words, {k: partial(_sliced, axis, index)})


def transposes(run: Sequence[Operation], moving: dict[int, set[Place]]) -> Iterator[Path]:
    """A square operand transposed in the derivative, or what moves in it."""
    for k in moving:
        for place, operand in run[k].operands.items() if run[k].is_plain else ():
            if operand.ndim >= 2 and operand.shape[-1] == operand.shape[-2] > 1:
                for kind, change in (("", _transposed), ("the gradient of ", _turned)):
                    words = f"{kind}operand {place[0] + 1} of {run[k].name} ({operation_number(k)}) lacks a transpose"
                    yield Path("missing transpose", words, {k: partial(change, place)})


def straight(run: Sequence[Operation], moving: dict[int, set[Place]], flat: set[int]) -> Iterator[Path]:
    """A flat operation's gradient is that of the identity."""
    for k in flat:
        for place in moving.get(k, set()):
            if run[k].is_plain and run[k].operands[place].shape == run[k].result.shape:
                yield Path("surrogate", f"{run[k].name} ({operation_number(k)}) is flat, and its backward is the identity's", {k: partial(_handed_on, place)})


def operation_number(k: int) -> str:
    """As a reader counts them."""
    return f"operation {k + 1}"


def _held(places: Sequence[Place], base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    return function(*replaced(args, {place: base.operands[place] for place in places}), **kwargs)


def _sliced(axis: int, index: int, base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    result = base.result.clone()
    result.select(axis, index).copy_(function(*args, **kwargs).select(axis, index))
    return result


def _transposed(place: Place, base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    now, before = operands(args)[place].mT, base.operands[place].mT
    return _difference(base, function, args, kwargs, {place: now}, {place: before})


def _turned(place: Place, base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    before = base.operands[place]
    return function(*replaced(args, {place: before + (operands(args)[place] - before).mT}), **kwargs)


def _handed_on(place: Place, base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    return base.result + (operands(args)[place] - base.operands[place])


def _difference(base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any], now: dict[Place, Tensor], before: dict[Place, Tensor]) -> Tensor:
    moved = function(*replaced(args, now), **kwargs)
    rest = function(*replaced(args, {**base.operands, **before}), **kwargs)
    if moved.shape != base.result.shape:
        raise RuntimeError("another shape")
    return base.result + moved - rest
