"""A function along a few random directions: what backward says of them, what is measured, and what is measured with a path changed.

Can't: look along directions in which f is not finite; where every step fails there is no view.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from gradyn.autodiff.gradcheck.kinks import moved_off
from gradyn.autodiff.gradcheck.paths import Changes
from gradyn.autodiff.gradcheck.problem import Floats, Problem
from gradyn.autodiff.gradcheck.replay import Operation, Place, Run

_DIRECTIONS = 4


@dataclass(frozen=True)
class View:
    """A function along directions at one place.

    Args:
        problem: the function there.
        i: the input that moves.
        rows: of the output, among all outputs.
        run: its operations.
        shifts: directions times the step, each in the input's shape.
        analytic: A v, [directions, rows].
        numeric: measured along them, same shape.
        rtol: allowed relative error.
    """

    problem: Problem
    i: int
    rows: slice
    run: tuple[Operation, ...]
    shifts: tuple[torch.Tensor, ...]
    analytic: Floats
    numeric: Floats
    rtol: float

    def along(self, changes: Changes, which: slice = slice(None)) -> Floats:
        """The derivative of the changed run along the directions, [directions, rows], per step."""
        found = []
        for shift in self.shifts[which]:
            ends = [self.problem.values({self.i: sign * shift}, Run(self.run, changes, is_apart=True))[self.rows] for sign in (1, -1)]
            found.append((ends[0] - ends[1]) / 2)
        return np.stack(found)

    def explained(self, found: Floats, which: slice = slice(None)) -> bool:
        """Whether a derivative is the analytic one."""
        size = np.maximum(np.abs(self.analytic), np.abs(self.numeric)).max()
        return bool((np.abs(found - self.analytic[which]) <= 2 * self.rtol * size).all())


def view(problem: Problem, i: int, rows: slice, analytic: Floats, rtol: float, rng: np.random.Generator) -> View | None:
    """Look along random directions, with the step at which measured and analytic derivative of a right backward would agree best; None where f fails."""
    run = Run(is_apart=True)
    problem.outputs(watched=run)
    x = problem.inputs[i].double()
    size = torch.where(x != 0, x.abs(), x.abs().max() if x.abs().max() > 0 else torch.ones(()).double())
    directions = [torch.from_numpy(rng.standard_normal(x.numel())).reshape(x.shape) * size for _ in range(_DIRECTIONS)]
    best: tuple[float, float] = (np.inf, 0.0)
    before: Floats | None = None
    for h in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7):
        shift = {i: (h * directions[0]).to(problem.inputs[i].dtype)}
        now = (problem.values(shift) - problem.values({i: -shift[i]}))[rows] / h
        if before is not None and np.isfinite(now).all() and np.isfinite(before).all():
            best = min(best, (float(np.abs(now - before).max()), h))
        before = now
    if not best[1]:
        return None
    shifts = tuple((best[1] * v).to(problem.inputs[i].dtype) for v in directions)
    said = np.stack([analytic @ shift.double().reshape(-1).numpy() for shift in shifts])
    bare = View(problem, i, rows, tuple(run.operations), shifts, said, said, rtol)
    return View(problem, i, rows, bare.run, shifts, said, bare.along({}), rtol)


def moving(here: View) -> tuple[dict[int, set[Place]], set[int]]:
    """Which operands move with the input, by number of the operation; and the operations whose result does not."""
    run = Run(is_apart=True)
    here.problem.values({here.i: here.shifts[0]}, run)
    moving, flat = {}, set()
    for k, (base, now) in enumerate(zip(here.run, run.operations, strict=False)):
        there = {p for p, value in base.operands.items() if p in now.operands and not torch.equal(value, now.operands[p])}
        if there:
            moving[k] = there
            if base.is_plain and torch.equal(base.result, now.result):
                flat.add(k)
    return moving, flat


def elsewhere(here: View, rng: np.random.Generator) -> View | None:
    """The same view a tenth of the input away; None where f or its backward refuses that place."""
    moved = moved_off(here.problem, 0.1, rng)
    try:
        analytic = moved.analytic()[moved.which.index(here.i)][here.rows]
        return view(moved, here.i, here.rows, analytic, here.rtol, rng) if np.isfinite(moved.values()).all() else None
    except (RuntimeError, ValueError):
        return None
