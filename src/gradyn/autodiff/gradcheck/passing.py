"""A backward whose Jacobians agree: what could still be wrong about the check, about the inputs, or with upstream gradients of another kind.

Can't: try every upstream gradient. One random vector, contiguous and not, stands for all.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray

from gradyn.autodiff.gradcheck.comparison import Comparison
from gradyn.autodiff.gradcheck.diagnosis import NO_FAULT, Diagnosis
from gradyn.autodiff.gradcheck.error_bars import rounding, slopes
from gradyn.autodiff.gradcheck.kinks import bend_within
from gradyn.autodiff.gradcheck.problem import Floats, Problem, pulled_back


def doubts(given: Problem, found: Comparison, eps: float, atol: float, rng: np.random.Generator) -> Diagnosis:
    """Linearity, memory layout, kinks within the step, precision; in this order, as each makes the next one's question meaningless."""
    if fault := _upstream(found, rng) or _memory(given, found):
        return found.diagnosis(*fault, ["the Jacobians agree"])
    bounds = f"{eps:g}"
    for key in found.blocks:
        numeric, off = _gradcheck(found.problem, found, key, eps, atol)
        for row, column in np.argwhere(off)[:8]:
            if bend := bend_within(found.problem, found.problem.which[key[1]], found.rows[key[0]].start + int(row), int(column), eps, found.bound):
                element = replace(found.element(key, (int(row), int(column))), numeric=float(numeric[row, column]))
                detail = f"f has a {bend} less than {bounds} away from this element; with smaller steps backward is right"
                return Diagnosis("kink within the step", detail, element, found.over_steps(element), evidence=("the Jacobians agree at smaller steps",))
        if off.any():
            bounds = f"{eps:g}, by curvature or rounding"
    if rounding(given).unit > torch.finfo(torch.float64).eps:
        # Several steps, as a coarse x + h is right wherever it happens to fall on a number.
        for key in found.blocks:
            for h in (eps, 0.71 * eps, 1.9 * eps):
                numeric, off = _gradcheck(given, found, key, h, atol)
                if off.any():
                    return _coarse(given, found, key, h, numeric, off)
    notes = [f"gradcheck would fail at a step of {bounds}; at other steps the Jacobians agree"] if "," in bounds else []
    return found.diagnosis(NO_FAULT, "", notes)


def _gradcheck(problem: Problem, found: Comparison, key: tuple[int, int], h: float, atol: float) -> tuple[Floats, NDArray[np.bool_]]:
    """What torch's gradcheck sees of a block at one step: the numeric Jacobian, and where it would complain."""
    block = found.blocks[key]
    numeric = slopes(problem, problem.which[key[1]], h, is_nominal=True)[found.rows[key[0]]]
    with np.errstate(all="ignore"):
        return numeric, ~(np.abs(block.analytic - numeric) <= atol + block.rtol * np.abs(numeric))


def _coarse(given: Problem, found: Comparison, key: tuple[int, int], h: float, numeric: Floats, off: NDArray[np.bool_]) -> Diagnosis:
    names = sorted({str(given.inputs[i].dtype).removeprefix("torch.") for i in given.which})
    reason = "f computes in a coarser dtype inside" if names == ["float64"] else f"the input is {', '.join(names)}"
    error = np.where(off, np.abs(numeric - found.blocks[key].analytic), -1.0)
    row, column = (int(k) for k in np.unravel_index(int(error.argmax()), error.shape))
    element = replace(found.element(key, (row, column)), numeric=float(numeric[row, column]))
    detail = f"a step of {h:.2g} drowns in rounding, as {reason}; the backward itself is right"
    return Diagnosis("float32 input", detail, element, replace(found, problem=given).over_steps(element), evidence=("float64 copies, or larger steps, agree",))


def _memory(given: Problem, found: Comparison) -> tuple[str, str] | None:
    contiguous = given.with_inputs(lambda x: x.detach().clone(memory_format=torch.contiguous_format))
    room = 1e3 * rounding(given).unit * found.bound.largest
    if np.allclose(given.values(), contiguous.values(), rtol=1e-3, atol=room, equal_nan=True):
        return None
    return "non-contiguous input", "f itself gives other numbers for a contiguous copy"


def _upstream(found: Comparison, rng: np.random.Generator) -> tuple[str, str] | None:
    """u^T J of a random u: is backward linear in it, and does it read a u whose numbers are not side by side?"""
    outputs, leaves = found.problem.outputs()
    for o, y in enumerate(outputs):
        if not y.numel():
            continue
        u = torch.from_numpy(rng.standard_normal(y.numel()) * 3).to(y.dtype).reshape(y.shape)
        row = u.double().reshape(1, -1).numpy()
        # The same u with its axes in the other order and every second place: no view can make one row of it.
        turned = u.permute(tuple(reversed(range(u.ndim))))
        apart = torch.stack([turned, torch.full_like(turned, 7)], -1)[..., 0].permute(tuple(reversed(range(u.ndim))))
        for v, is_apart in ((u.clone(), False), (apart, True)):
            try:
                gradients = pulled_back(y, leaves, v)
            except RuntimeError as error:
                return "non-contiguous input", f"backward fails when the upstream gradient is not contiguous ({' '.join(str(error).split())[:120]})"
            for place, gradient in enumerate(gradients):
                if gradient is None or not gradient.numel():
                    continue
                block = found.blocks[o, place]
                if not np.isfinite(block.analytic).all():
                    continue
                gap = np.abs(gradient.detach().double().reshape(1, -1).numpy() - row @ block.analytic)
                if (gap <= block.rtol * (np.abs(row) @ np.abs(block.analytic)) + 1e-300).all():
                    continue
                if is_apart:
                    return "non-contiguous input", "backward reads a non-contiguous upstream gradient in the order of memory"
                return "surrogate", "backward is not linear in the upstream gradient, which every derivative is"
    return None
