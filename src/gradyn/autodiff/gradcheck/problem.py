"""What gradcheck asks: a function, the inputs that it is differentiated by, both Jacobians as rows of numbers, and copies to try again with.

Every call of the function gets fresh tensors, laid out in memory as the caller's are, because where a number lies may be what is wrong.

Can't: keep numbers that share memory apart (an expanded input, stride 0). Moving one would move all, so these are copied densely.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import require

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Problem:
    """A function at a place.

    Args:
        f: of the inputs -> tensor or several.
        inputs: tensors (leaves, detached) and whatever else f takes.
        which: places of the inputs that it is differentiated by.
    """

    f: Callable[..., Any]
    inputs: tuple[Any, ...]
    which: tuple[int, ...]

    def outputs(self, shifts: dict[int, Tensor] | None = None, watched: AbstractContextManager[Any] | None = None) -> tuple[list[Tensor], list[Tensor]]:
        """The floating-point outputs, and the leaves that they were computed from; an input i is moved by shifts[i], f alone runs `watched`."""
        given = [copied(x) if isinstance(x, Tensor) else x for x in self.inputs]
        for i, shift in (shifts or {}).items():
            given[i] += shift
        leaves = [given[i].requires_grad_(True) for i in self.which]
        with watched or nullcontext():
            found = self.f(*given)
        several = [found] if isinstance(found, Tensor) else list(found)
        return [y for y in several if isinstance(y, Tensor) and y.is_floating_point()], leaves

    def values(self, shifts: dict[int, Tensor] | None = None, watched: AbstractContextManager[Any] | None = None) -> Floats:
        """All outputs in one row, float64; NaN where f refuses the place (a logarithm's own check, a matrix that is not positive definite)."""
        try:
            row = _row(self.outputs(shifts, watched)[0])
        except (RuntimeError, ValueError):
            row = np.zeros(0)
        return row if len(row) == self.height else np.full(self.height, np.nan)

    @cached_property
    def height(self) -> int:
        """How many numbers f returns."""
        return sum(y.numel() for y in self.outputs()[0])

    def analytic(self) -> list[Floats]:
        """What backward says: one Jacobian [outputs, numbers of the input] for each input of `which`; zeros where it says nothing."""
        outputs, leaves = self.outputs()
        rows: list[list[Floats]] = [[np.zeros((0, leaf.numel()))] for leaf in leaves]
        for y in outputs:
            for place in range(y.numel()):
                one = torch.zeros(y.numel(), dtype=y.dtype)
                one[place] = 1
                for own, leaf, u in zip(rows, leaves, pulled_back(y, leaves, one.reshape(y.shape)), strict=True):
                    own.append(np.zeros((1, leaf.numel())) if u is None else u.detach().double().reshape(1, -1).numpy())
        return [np.concatenate(own) for own in rows]

    def with_inputs(self, change: Callable[[Tensor], Tensor]) -> Problem:
        """The same function at other floating-point inputs."""
        return Problem(self.f, tuple(change(x) if isinstance(x, Tensor) and x.is_floating_point() else x for x in self.inputs), self.which)


def problem(f: Callable[..., Any], inputs: Tensor | Sequence[Any]) -> Problem:
    """Check what gradcheck is asked.

    Raises:
        ConfigError: no input asks for a gradient, one is complex, or f returns no floating-point tensor.
    """
    given = (inputs,) if isinstance(inputs, Tensor) else tuple(inputs)
    which = tuple(i for i, x in enumerate(given) if isinstance(x, Tensor) and x.requires_grad)
    types = ", ".join(str(x.dtype) if isinstance(x, Tensor) else type(x).__name__ for x in given)
    require(bool(which), "inputs", "hold a tensor that requires a gradient", types, "Call x.requires_grad_() on those that f is differentiated by.")
    require(not any(given[i].is_complex() for i in which), "inputs", "be real", types, "Write f of the real and the imaginary part.")
    found = Problem(f, tuple(copied(x) if isinstance(x, Tensor) else x for x in given), which)
    require(bool(found.outputs()[0]), "f", "return a floating-point tensor, or several", "none", "Return what is to be differentiated.")
    return found


def copied(x: Tensor, dtype: torch.dtype | None = None) -> Tensor:
    """A leaf with the same numbers at the same strides and offset; dense where numbers share memory."""
    x = x.detach()
    if x.is_contiguous() and x.untyped_storage().nbytes() == x.nbytes:
        return x.to(dtype or x.dtype, copy=True)
    if any(stride == 0 and size > 1 for stride, size in zip(x.stride(), x.shape, strict=True)):
        return x.to(dtype or x.dtype).contiguous().clone()
    # The whole storage comes along: a backward that reads past strides must find here what it found there.
    whole = torch.empty(0, dtype=x.dtype).set_(x.untyped_storage()).to(dtype or x.dtype, copy=True)
    return whole.as_strided(x.shape, x.stride(), x.storage_offset())


def pulled_back(y: Tensor, leaves: Sequence[Tensor], u: Tensor) -> Sequence[Tensor | None]:
    """u^T J of one output; None where no graph leads to a leaf."""
    return torch.autograd.grad(y, leaves, u, retain_graph=True, allow_unused=True) if y.requires_grad else [None] * len(leaves)


def _row(outputs: list[Tensor]) -> Floats:
    return np.concatenate([y.detach().double().reshape(-1).numpy() for y in outputs])
