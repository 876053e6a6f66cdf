"""Float formats: what a run's numbers are computed in, and what they are rounded to.

float16 and bfloat16 are emulated: arithmetic is float32's, and weights, activations and cotangents are rounded to the format
(to nearest, ties to even, with its subnormals and its infinity) where a framework would store them. Products therefore
accumulate in float32, as tensor cores do, and every processor gives the same numbers.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Format:
    """A float format.

    Args:
        name: as in `dtype=`.
        carrier: torch dtype of the tensors, in which is computed.
        held: torch dtype whose numbers they hold.
    """

    name: str
    carrier: torch.dtype
    held: torch.dtype

    @property
    def is_emulated(self) -> bool:
        """Whether numbers are rounded to another dtype than they are computed in."""
        return self.carrier != self.held

    @property
    def smallest_normal(self) -> float:
        """2**-14, 2**-126 or 2**-1022: below it digits are lost."""
        return torch.finfo(self.held).tiny

    def rounded(self, t: Tensor) -> Tensor:
        """t [...] with every element rounded to the format, in the carrier's dtype; t itself where that is the same."""
        return t.to(self.held).to(self.carrier) if self.is_emulated else t

    def rounded_both_ways(self, t: Tensor) -> Tensor:
        """As `rounded`, and for torch's autograd: the cotangent is rounded on its way back."""
        return _BothWays.apply(t, self) if self.is_emulated else t


FORMATS = {
    format_.name: format_
    for format_ in (
        Format("float16", torch.float32, torch.float16),
        Format("bfloat16", torch.float32, torch.bfloat16),
        Format("float32", torch.float32, torch.float32),
        Format("float64", torch.float64, torch.float64),
    )
}


@contextmanager
def flushing(wanted: bool) -> Iterator[None]:
    """Subnormals of this thread are flushed to zero meanwhile, or kept; afterwards it is as it was.

    On CPUs they cost up to twenty times a normal number's time, and the tracked exponent keeps every norm out of their reach.
    Plain runs show what a framework without flushing sees.
    """
    # torch tells nobody whether it flushes: halve its smallest normal number.
    was_flushing = float(torch.full((1,), torch.finfo(torch.float32).tiny, dtype=torch.float32) / 2) == 0
    torch.set_flush_denormal(wanted)
    try:
        yield
    finally:
        torch.set_flush_denormal(was_flushing)


class _BothWays(torch.autograd.Function):
    """The cast of a framework's mixed precision: its backward pass casts the cotangent to the same format."""

    @staticmethod
    def forward(ctx: Any, t: Tensor, format_: Format) -> Tensor:
        ctx.format = format_
        return format_.rounded(t)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None]:
        return ctx.format.rounded(upstream[0]), None
