"""Is a transpose missing?  Replay the function with a square operand turned in its derivative, and its value as it was.

`w` instead of `w^T` in a backward, or the gradient of w itself laid down on its side; in one place of the function or in two.

Can't: turn what is not square. There a missing transpose is an error of shapes, which torch reports by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import combinations
from typing import Any

from torch import Tensor

from gradyn.autodiff.gradcheck.paths import PAIRED, Path, operation_number
from gradyn.autodiff.gradcheck.replay import Operation, Place, operands, replaced


def transposes(run: Sequence[Operation], moving: dict[int, set[Place]]) -> Iterator[Path]:
    """A square operand transposed in the derivative, or what moves in it; or two of them."""
    single = []
    for k in moving:
        for place, operand in run[k].operands.items() if run[k].is_plain else ():
            if operand.ndim >= 2 and operand.shape[-1] == operand.shape[-2] > 1:
                for kind, change in (("", _transposed), ("the gradient of ", _turned)):
                    words = f"{kind}operand {place[0] + 1} of {run[k].name} ({operation_number(k)})"
                    single.append(Path("missing transpose", f"{words} lacks a transpose", {k: partial(change, place)}))
    yield from single
    for one, other in combinations(single, 2) if len(single) <= PAIRED else ():
        if one.changes.keys() != other.changes.keys():
            words = f"{one.words.removesuffix(' lacks a transpose')} and {other.words.removesuffix(' a transpose')} a transpose each"
            yield Path("missing transpose", words.replace("lacks", "lack"), {**one.changes, **other.changes})


def _transposed(place: Place, base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    now, before = operands(args)[place].mT, base.operands[place].mT
    return _difference(base, function, args, kwargs, {place: now}, {place: before})


def _turned(place: Place, base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Tensor:
    before = base.operands[place]
    return function(*replaced(args, {place: before + (operands(args)[place] - before).mT}), **kwargs)


def _difference(base: Operation, function: Any, args: Sequence[Any], kwargs: dict[str, Any], now: dict[Place, Tensor], before: dict[Place, Tensor]) -> Tensor:
    moved = function(*replaced(args, now), **kwargs)
    rest = function(*replaced(args, {**base.operands, **before}), **kwargs)
    if moved.shape != base.result.shape:
        raise RuntimeError("another shape")
    return base.result + moved - rest
