"""From two Jacobians that differ to the likely cause: the numeric one, transformed as a known mistake would, is compared with the analytic one.

Each function asks one question of a block (one output by one input) and returns a sentence, or nothing where its mistake does not explain *every*
number of the block.

Can't: see into a single number. A block of one element fits any factor, so a factor must be the same at other places too.
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import permutations

import numpy as np

from gradyn.autodiff.gradcheck.block import Block

# More axes than this have too many orders to try.
_AXES = 6


def factor(block: Block) -> tuple[float, float] | None:
    """c with analytic = c numeric throughout, c != 0, and the relative error of c; None where there is none."""
    known = np.isfinite(block.numeric) & np.isfinite(block.analytic) & (np.abs(block.numeric) > 10 * block.bar)
    if not known.any():
        return None
    a, n, error = block.analytic[known], block.numeric[known], block.bar[known] / np.abs(block.numeric[known])
    # Each element says its own c; the median of the surest is taken, and the comparison below asks all.
    sure = error <= max(block.rtol / 10, 2 * float(error.min()))
    c = float(np.median(a[sure] / n[sure]))
    return (c, float(error[sure].max())) if c != 0 and block.agrees(c * block.numeric, abs(c) * block.bar).all() else None


def spoken(c: float) -> str:
    """2, -1, 1/8, or four digits where it is no fraction of small numbers."""
    near = Fraction(c).limit_denominator(64)
    return str(near) if near and abs(c - near) <= 2e-4 * abs(c) else f"{c:.4g}"


def lost(block: Block) -> str:
    """A gradient of 0 where the function moves: all of it, or that of some elements of the input."""
    moves = np.abs(block.numeric) > 10 * block.bar
    if not moves.any():
        return ""
    if not block.analytic.any():
        return "backward says 0 throughout, the function moves"
    gone = (block.analytic == 0).all(0) & moves.any(0)
    is_rest_right = block.agrees()[:, ~gone].all()
    return f"{int(gone.sum())} of {len(gone)} elements of the input get no gradient" if gone.any() and is_rest_right else ""


def incomplete(block: Block) -> str:
    """Some terms of the sum over outputs are right and the others missing."""
    is_missing = (block.analytic == 0) & ~block.agrees()
    if not is_missing.any() or not (block.agrees() | is_missing).all():
        return ""
    kept = block.agrees() & (block.analytic != 0)
    if not (kept & is_missing.any(0)).any():
        return ""
    return f"of the terms that an element of the input should sum, {int(is_missing.sum())} are missing and the others are right"


def invented(block: Block) -> str:
    """A gradient where the function is flat."""
    flat = (block.numeric == 0).all(0)
    is_wrong = ~block.agrees()
    if not is_wrong.any() or is_wrong[:, ~flat].any():
        return ""
    where = "" if flat.all() else f" along {int(is_wrong.any(0).sum())} of {len(flat)} elements"
    return f"the forward does not move at all{where}, the backward says it does"


def transposed(block: Block) -> tuple[str, float | None]:
    """The numeric Jacobian with axes exchanged, of the output or the input or between both; and a factor where it is that times one number."""
    shape = block.output_shape + block.input_shape
    long = [axis for axis, size in enumerate(shape) if size > 1]
    sizes = [shape[axis] for axis in long]
    if len(long) > _AXES or not np.isfinite(block.numeric).all():
        return "", None
    numeric, bar = (values.reshape(sizes) for values in (block.numeric, block.bar))
    scaled: tuple[str, float | None] = "", None
    for order in permutations(range(len(long))):
        if order == tuple(range(len(long))) or [sizes[k] for k in order] != sizes:
            continue
        turned, turned_bar = (values.transpose(order).reshape(block.numeric.shape) for values in (numeric, bar))
        moved = [k for k, other in enumerate(order) if k != other]
        outs = sum(long[k] < len(block.output_shape) for k in moved)
        kind = "of the output" if outs == len(moved) else "of the input" if outs == 0 else "of output and input: J in the place of J^T"
        if block.agrees(turned, turned_bar).all():
            return f"right with {len(moved)} axes exchanged, {kind}", None
        if not scaled[0] and (found := factor(replace(block, numeric=turned, bar=turned_bar))) is not None:
            scaled = f"right with {len(moved)} axes exchanged, {kind}, and a factor of {spoken(found[0])}", found[0]
    return scaled
