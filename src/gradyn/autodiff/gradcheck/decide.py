"""The order in which mistakes are considered: those that need least to explain every number come first.

Can't: look at all blocks. The one with the worst element is explained; others may have a mistake of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from gradyn.autodiff.gradcheck import causes
from gradyn.autodiff.gradcheck.block import Block
from gradyn.autodiff.gradcheck.causes import spoken
from gradyn.autodiff.gradcheck.comparison import Comparison, compare
from gradyn.autodiff.gradcheck.diagnosis import Diagnosis
from gradyn.autodiff.gradcheck.kinks import moved_off
from gradyn.autodiff.gradcheck.problem import Problem
from gradyn.autodiff.gradcheck.search import has_function, search
from gradyn.autodiff.plain_words import in_plain_words

_SHAPES = re.compile(r"got \[([\d, ]*)\] but expected shape compatible with \[([\d, ]*)\]")


def decide(found: Comparison, notes: Sequence[str], rng: np.random.Generator) -> Diagnosis:
    """Name the mistake in the block with the worst element."""
    key = found.worst
    block, i = found.blocks[key], found.problem.which[key[1]]

    def say(cause: str, detail: str, evidence: str = "", factor: float | None = None) -> Diagnosis:
        return found.diagnosis(cause, detail, [*notes, *([evidence] if evidence else [])], key=key, factor=factor)

    if not np.isfinite(block.analytic).all():
        edge = ", and next to it f is not finite either: the edge of its domain" if not np.isfinite(block.numeric).all() else ""
        return say("unknown", f"backward returns a number that is not finite{edge}")
    if not block.numeric.any() and (detail := causes.invented(block)):
        return say("surrogate", detail)
    if not block.analytic.any() and (detail := causes.lost(block)):
        others = [other for (o, place), other in found.blocks.items() if place == key[1] and o != key[0]]
        if found.problem.outputs()[0][key[0]].requires_grad and any(other.analytic.any() for other in others):
            return say("missing accumulation", f"the gradient of output {key[0]} is not added to that of the others")
        return say("detached", detail)
    path = None
    if (scaled := causes.factor(block)) is not None:
        c = scaled[0]
        if _is_identity(found, key) or _only_identities(found):
            return say("surrogate", f"the forward is the identity, the backward multiplies by {spoken(c)}", factor=c)
        path = search(found.problem, i, found.rows[key[0]], block.analytic, block.rtol, rng)
        if path is not None and path[0] in ("missing accumulation", "detached"):
            return say(path[0], f"{path[1]} (here, a factor of {spoken(c)} throughout)", "a replay without this path has backward's derivative", c)
        if _holds_elsewhere(found, key, scaled, rng):
            return say("wrong factor", f"backward is {spoken(c)} times the derivative", "the same factor at every element, and at other places", c)
    detail, times = causes.transposed(block)
    if detail:
        return say("missing transpose", detail, factor=times)
    if detail := causes.incomplete(block):
        return say("missing accumulation", detail)
    if detail := causes.lost(block):
        return say("detached", detail)
    if _is_identity(found, key):
        return say("surrogate", "the forward is the identity, the backward is not")
    if detail := causes.invented(block):
        return say("surrogate", detail)
    path = path or search(found.problem, i, found.rows[key[0]], block.analytic, block.rtol, rng)
    if path is not None:
        return say(path[0], path[1], "a replay of the forward with this change has backward's derivative, here and elsewhere", path[2])
    return say("unknown", "no single factor, transpose, missing term or flat operation explains every element")


def refusal(given: Problem, error: RuntimeError) -> Diagnosis:
    """Backward raised: the shapes that torch names tell a transpose from a sum, and a contiguous copy whether memory is to blame."""
    dense = given.with_inputs(lambda x: x.detach().clone().contiguous())
    try:
        dense.analytic()
    except RuntimeError:
        pass
    else:
        return Diagnosis("non-contiguous input", f"backward fails on it, and passes on a contiguous copy ({in_plain_words(error)})")
    if named := _SHAPES.search(str(error)):
        got, expected = (tuple(int(size) for size in sizes.split(",") if size.strip()) for sizes in named.groups())
        shapes = f"backward returned {list(got)} for an input of {list(expected)}"
        if sorted(got) == sorted(expected):
            return Diagnosis("missing transpose", shapes)
        if np.prod(got) > np.prod(expected):
            return Diagnosis("missing accumulation", f"{shapes}: axes that were broadcast or batched are not summed")
    return Diagnosis("unknown", f"backward raised: {in_plain_words(error)}")


def _is_identity(found: Comparison, key: tuple[int, int]) -> bool:
    x, y = found.problem.inputs[found.problem.which[key[1]]], found.problem.outputs()[0][key[0]]
    return x.numel() > 0 and x.shape == y.shape and bool((x == y).all()) and np.allclose(found.blocks[key].numeric, np.eye(x.numel()), atol=1e-6)


def _only_identities(found: Comparison) -> bool:
    """Custom Functions are there, and each forward hands on what it got: then only their backward can be at fault."""
    inside = [operation for operation in found.bound.operations if operation.is_custom]
    hands_on = [any(x.shape == op.result.shape and bool((x == op.result).all()) for x in op.operands.values()) and op.name != "detach" for op in inside]
    return has_function(found.problem) and bool(inside) and all(hands_on)


def _holds_elsewhere(found: Comparison, key: tuple[int, int], scaled: tuple[float, float], rng: np.random.Generator) -> bool:
    """The same factor at two places a tenth away: a missing cos(x) is a factor too, but another one everywhere."""
    for _ in range(2):
        try:
            there: Block = compare(moved_off(found.problem, 0.1, rng), found.blocks[key].rtol).blocks[key]
        except (RuntimeError, ValueError):
            continue
        other = causes.factor(there)
        if other is None or abs(other[0] - scaled[0]) > (there.rtol + 2 * (other[1] + scaled[1])) * abs(scaled[0]):
            return False
    return True
