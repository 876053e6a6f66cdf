"""gradcheck that says what is wrong: which element, by how much at which step, and why most likely.

    print(explain_gradcheck(f, (x, w)))

A failing comparison is repeated in float64, with contiguous copies and off the kink; what makes it pass is the cause. Otherwise the mistake is looked
for in the backward: in the two Jacobians (`causes.py`), then along the paths of the forward (`search.py`).

Can't: find a mistake that changes no derivative here. A backward is checked at the inputs that it is given, and nowhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradyn.autodiff.gradcheck.comparison import compare
from gradyn.autodiff.gradcheck.decide import decide, refusal
from gradyn.autodiff.gradcheck.diagnosis import Diagnosis
from gradyn.autodiff.gradcheck.kinks import moved_off
from gradyn.autodiff.gradcheck.passing import doubts
from gradyn.autodiff.gradcheck.problem import Problem, copied, problem
from gradyn.core import require


def explain_gradcheck(
    f: Callable[..., Any], inputs: Tensor | Sequence[Any], *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, seed: int = 0
) -> Diagnosis:
    """Compare f's backward with differences and explain what is off.

    Args:
        f: of the inputs -> tensor or several.
        inputs: one tensor or several; those that require a gradient are checked.
        eps: the step of torch's gradcheck, at which a kink counts as within the step.
        atol: absolute error that gradcheck allows at that step.
        rtol: relative error that is allowed.
        seed: of the directions and places that are tried.

    Returns:
        The diagnosis; true where no fault was found, and a readable block when printed.

    Raises:
        ConfigError: no input requires a gradient, one is complex, f returns no floating-point tensor, or a tolerance is not positive.
    """
    for name, value in (("eps", eps), ("atol", atol), ("rtol", rtol)):
        require(value > 0, name, "be positive", value)
    given, rng = problem(f, inputs), np.random.default_rng(seed)
    notes: list[str] = []
    if not _repeats(given):
        return Diagnosis("unknown", "f answers differently when asked twice; seed it inside f", evidence=("two calls on the same input differ",))
    now = _in_float64(given)
    try:
        found = compare(now, rtol)
    except RuntimeError as error:
        return refusal(now, error)
    if found.is_right:
        return doubts(given, found, eps, atol, rng)
    if not _is_contiguous(now):
        now = now.with_inputs(_dense)
        again = compare(now, rtol)
        if again.is_right:
            return found.diagnosis("non-contiguous input", "the same numbers laid out contiguously pass", [*notes, "passes with contiguous copies"])
        found, notes = again, [*notes, "fails with contiguous copies too"]
    if bend := found.bend(eps):
        nearby = compare(moved_off(now, 1e-3, rng), rtol)
        if nearby.is_right:
            return found.diagnosis(
                "kink within the step", f"f has a {bend} at or next to this element; nearby backward is right", [*notes, "passes 0.1 % away"]
            )
        found, notes = nearby, [*notes, f"fails 0.1 % away from a {bend} too; what follows is from there"]
    return decide(found, notes, rng)


def _repeats(given: Problem) -> bool:
    first, second = given.values(), given.values()
    return bool(np.allclose(first, second, rtol=1e-6, atol=0, equal_nan=True))


def _in_float64(given: Problem) -> Problem:
    """The same numbers in float64; as they were where f itself insists on its dtype."""
    wide = given.with_inputs(lambda x: copied(x, torch.float64))
    try:
        wide.outputs()
    except RuntimeError:
        return given
    return wide


def _is_contiguous(given: Problem) -> bool:
    return all(x.is_contiguous() for x in given.inputs if isinstance(x, Tensor))


def _dense(x: Tensor) -> Tensor:
    return x.detach().contiguous().clone(memory_format=torch.contiguous_format)
