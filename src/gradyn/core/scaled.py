"""Numbers beyond the float's range: a mantissa and one integer exponent a run.

Axes: R runs, and whatever follows.

Everything a backward pass does to a cotangent is linear, so a power of two taken out of it may be put back at the end, and
multiplying by a power of two is exact. Hence: with every intermediate in the normal range, the tracked pass has the bits of
the plain one; beyond it, only the tracked one is right.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradyn.core.lanes import elementwise

# Exponent of an exact zero: loses to every other where two paths meet, and stays far from int32's ends when shifts add up.
ZERO_EXPONENT = -(2**28)
_BITS = {torch.float32: (torch.int32, 23, 127), torch.float64: (torch.int64, 52, 1023)}


@dataclass(frozen=True, slots=True)
class Scaled:
    """mantissa * 2**exponent.

    Args:
        mantissa: [R, ...], the run's dtype.
        exponent: [R], int32.
    """

    mantissa: Tensor
    exponent: Tensor

    @staticmethod
    def plain(tensor: Tensor) -> Scaled:
        """The tensor itself, with exponent 0."""
        return Scaled(tensor, torch.zeros(tensor.shape[0], dtype=torch.int32, device=tensor.device))

    def rescaled(self) -> Scaled:
        """The same numbers with the largest mantissa of each run brought into [1, 2), in place; zeros get ZERO_EXPONENT."""
        integer, digits, bias = _BITS[self.mantissa.dtype]
        largest_R = self.mantissa.flatten(1).abs().amax(1)
        # The biased exponent is read off the bits: frexp and ldexp go through pow, which is not exact everywhere.
        biased_R = (largest_R.view(integer) >> digits).clamp_(1, 2 * bias - 1)
        factor_R = ((2 * bias - biased_R) << digits).view(self.mantissa.dtype)
        shifted_R = self.exponent + (biased_R - bias).to(torch.int32)
        exponent_R = torch.where(largest_R == 0, ZERO_EXPONENT, shifted_R)
        return Scaled(self.mantissa.mul_(expand(factor_R, self.mantissa)), exponent_R)

    def plus(self, other: Scaled) -> Scaled:
        """The sum, at the larger of the two exponents: what the smaller loses there lies below the sum's last bit."""
        exponent_R = torch.maximum(self.exponent, other.exponent)
        dtype = self.mantissa.dtype
        mine = self.mantissa * expand(power_of_two(self.exponent - exponent_R, dtype), self.mantissa)
        return Scaled(mine.addcmul_(other.mantissa, expand(power_of_two(other.exponent - exponent_R, dtype), mine)), exponent_R)

    def with_mantissa(self, mantissa: Tensor) -> Scaled:
        """Another mantissa at the same exponent: the image under a linear map."""
        return Scaled(mantissa, self.exponent)


def l2(t: Tensor) -> Tensor:
    """Euclidean norm of each run, [R], summed in float64."""
    return torch.linalg.vector_norm(t.reshape(len(t), -1), dim=1, dtype=torch.float64)


def log2_l2(tensors: Sequence[Scaled]) -> Tensor:
    """log2 of the Euclidean norm of each of P tensors and run, [R, P], float64; -inf for an exact zero."""
    # Squares of float32 mantissas neither under- nor overflow in float64; float64's are near 1 by construction.
    norm_RP = torch.stack([l2(tensor.mantissa) for tensor in tensors], 1)
    return elementwise(torch.log2, norm_RP) + torch.stack([tensor.exponent for tensor in tensors], 1)


def log2_total(log2_l2_RP: Tensor) -> Tensor:
    """log2 of the norm of several tensors together, [R], from log2 of each one's."""
    largest_R = log2_l2_RP.amax(1)
    # Where all are zeros the shift would be inf - inf.
    shift_R = torch.where(torch.isfinite(largest_R), largest_R, 0.0)
    squares_RP = elementwise(torch.exp2, 2 * (log2_l2_RP - shift_R.unsqueeze(1)))
    return elementwise(torch.log2, squares_RP.sum(1)) / 2 + shift_R


def expand(factor_R: Tensor, like: Tensor) -> Tensor:
    """factor [R] shaped to multiply a tensor [R, ...]."""
    return factor_R.view(-1, *(1,) * (like.dim() - 1))


def power_of_two(exponent: Tensor, dtype: torch.dtype) -> Tensor:
    """2**exponent exactly, for int32 exponents; 0 below the smallest normal number, clamped to the largest power above."""
    integer, digits, bias = _BITS[dtype]
    return (exponent.clamp(-bias, bias).to(integer).add_(bias) << digits).view(dtype)


# A factor of 2**100 and a mantissa near 1 are far from both ends of float32; beyond it two multiplications share the power.
SAFE_EXPONENT = 100


def rounded(gradient: Scaled, log2_factor: Tensor | None, out: Tensor, *, is_far: bool = True) -> Tensor:
    """gradient * 2**log2_factor as plain numbers of its dtype, rounded once (out of range: 0 or inf, as the float has it).

    Args:
        gradient: mantissa [R, ...], exponent [R].
        log2_factor: [R, 1 or more, ...] with as many axes as the mantissa, float64, <= 0; None for a factor of 1.
        out: where to write; returned.
        is_far: whether any exponent may lie beyond SAFE_EXPONENT; False saves a pass.
    """
    mantissa = gradient.mantissa
    exponent = expand(gradient.exponent, mantissa)
    if log2_factor is not None:
        whole = log2_factor.floor().clamp_(-(2**20), 2**20)
        exponent = exponent + whole.to(torch.int32)
    near = exponent.clamp(-SAFE_EXPONENT, SAFE_EXPONENT)
    factor = power_of_two(near, mantissa.dtype)
    if log2_factor is not None:
        factor = factor * elementwise(torch.exp2, log2_factor - whole).to(mantissa.dtype)
    torch.mul(mantissa, factor, out=out)
    return out.mul_(power_of_two(exponent - near, mantissa.dtype)) if is_far or log2_factor is not None else out
