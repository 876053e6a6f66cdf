"""A numeric Jacobian that knows its own error: central differences over many steps, and for each element the step at which they are most certain.

A step is too large while the function bends within it and too small once rounding drowns the change. Two neighbouring steps that agree have neither
trouble, except where rounding makes both say 0; so the rounding of the largest intermediate result is added to their difference.

Can't: see a function wilder than the smallest step, or a rounding that happens outside torch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from gradyn.autodiff.gradcheck.problem import Floats, Problem
from gradyn.autodiff.gradcheck.replay import Operation, Run

# Two neighbouring steps are resolved when they agree to this part of the derivative; then no larger step is asked.
_RESOLVED = 1e-4


@dataclass(frozen=True)
class Rounding:
    """unit * largest bounds what one operation's rounding adds to a result.

    Args:
        largest: of all intermediate results, in size.
        unit: eps of the coarsest dtype on the way.
        operations: of the run.
    """

    largest: float
    unit: float
    operations: tuple[Operation, ...]


def rounding(problem: Problem, *, is_apart: bool = False) -> Rounding:
    """What the numbers on the way to the outputs allow."""
    run = Run(is_apart=is_apart)
    outputs, leaves = problem.outputs(watched=run)
    tensors = [*outputs, *leaves, *(operation.result for operation in run.operations)]
    floats = [t.detach() for t in tensors if t.is_floating_point() and t.numel()]
    finite = [float(t.double().nan_to_num(0, 0, 0).abs().max()) for t in floats]
    return Rounding(max(finite, default=1.0), max((torch.finfo(t.dtype).eps for t in floats), default=2.0**-52), tuple(run.operations))


def slopes(problem: Problem, i: int, h: float, columns: list[int] | None = None, *, is_nominal: bool = False) -> Floats:
    """(f(x + h e_j) - f(x - h e_j)) / 2h for every element j of input i (or those in `columns`), [outputs, elements].

    Where x + h is rounded, the quotient is by the step that was really made, unless `is_nominal` (torch's gradcheck divides by 2h all the same).
    """
    x = problem.inputs[i]
    found = []
    for j in range(x.numel()) if columns is None else columns:
        shift = torch.zeros(x.numel(), dtype=x.dtype)
        shift[j] = h
        shift = shift.reshape(x.shape)
        made = 2 * h if is_nominal else float(((x + shift) - (x - shift)).reshape(-1)[j])
        with np.errstate(all="ignore"):
            found.append((problem.values({i: shift}) - problem.values({i: -shift})) / (made or np.nan))
    return np.stack(found, 1) if found else np.zeros((problem.height, 0))


def ladder(x: torch.Tensor) -> list[float]:
    """Steps from large to small, a decade apart, for every size of number that x has."""
    sizes = x.detach().double().abs().reshape(-1)
    sizes = sizes[(sizes > 0) & torch.isfinite(sizes)]
    largest, smallest = (float(sizes.max()), float(sizes.min())) if len(sizes) else (1.0, 1.0)
    top = 1e-2 * max(largest, 1.0)
    bottom = max(1e-8 * smallest, 1e-15 * top)
    return [top * 10.0**-k for k in range(int(np.ceil(np.log10(top / bottom))) + 1)]


def resolved_jacobian(problem: Problem, i: int, bound: Rounding) -> tuple[Floats, Floats]:
    """The numeric Jacobian of input i and its error, [outputs, elements] each; nan and inf where no step gives a number."""
    x = problem.inputs[i].detach().double().reshape(-1).numpy()
    if not x.size:
        return np.zeros((problem.height, 0)), np.zeros((problem.height, 0))
    size = np.where(x != 0, np.abs(x), np.abs(x).max(initial=0.0) or 1.0)
    best: dict[bool, tuple[Floats, Floats]] = {}
    before: Floats | None = None
    last = 0.0
    for h in ladder(problem.inputs[i]):
        now = slopes(problem, i, h)
        if before is not None:
            with np.errstate(all="ignore"):
                error = np.abs(before - now) + 4 * bound.unit * bound.largest / last
            error = np.where(np.isfinite(error), error, np.inf)
            # A step of more than a hundredth of the number itself is asked only where the smaller ones drown: 1 - cos(1e-6).
            for is_small in (True, False):
                allowed = np.where(last <= 0.011 * size, error, np.inf) if is_small else error
                value, bar = best.get(is_small, (np.full(now.shape, np.nan), np.full(now.shape, np.inf)))
                best[is_small] = np.where(allowed < bar, before, value), np.minimum(allowed, bar)
        before, last = now, h
    (near, near_bar), (far, far_bar) = best[True], best[False]
    scale = np.abs(near[np.isfinite(near)]).max(initial=0.0)
    with np.errstate(all="ignore"):
        is_resolved = near_bar <= _RESOLVED * np.maximum(np.abs(near), 1e-3 * scale)
    return np.where(is_resolved, near, far), np.where(is_resolved, near_bar, far_bar)
