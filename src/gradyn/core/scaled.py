"""Numbers beyond the float's range: a mantissa and one integer exponent a run.

Axes: R runs, and whatever follows; P tensors.

Everything a backward pass does to a cotangent is linear, so a power of two taken out of it may be put back at the end, and
multiplying by a power of two is exact. Hence: with every intermediate in the normal range, the tracked pass has the bits of
the plain one; beyond it, only the tracked one is right.

Exponents live on the host. Reading R maxima back costs less than the dozen tiny kernels that would keep them on the device,
and where nothing has to be rescaled, nothing is multiplied (docs/decisions/0004-exponents-on-the-host.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Exponents = NDArray[np.int64]
Floats = NDArray[np.float64]

# Exponent of an exact zero: loses to every other where two paths meet.
ZERO_EXPONENT = -(2**40)
# A run is rescaled when its largest mantissa leaves [2**-WINDOW, 2**WINDOW]: from there, one layer would have to gain or lose
# a factor of 2**110 to meet float32's ends, and 2**47 to leave half its range.
WINDOW = 16
# Largest power of two by which a number near 1 is multiplied at once.
_SAFE = {torch.float32: 100, torch.float64: 900}


@dataclass(frozen=True, slots=True)
class Scaled:
    """mantissa * 2**exponent.

    Args:
        mantissa: [R, ...], the run's dtype.
        exponent: [R], on the host.
    """

    mantissa: Tensor
    exponent: Exponents

    @staticmethod
    def plain(tensor: Tensor) -> Scaled:
        """The tensor itself, with exponent 0."""
        return Scaled(tensor, np.zeros(len(tensor), dtype=np.int64))

    def rescaled(self) -> Scaled:
        """The same numbers with every run's largest mantissa inside the window, in place; zeros get ZERO_EXPONENT."""
        flat = self.mantissa.reshape(len(self.mantissa), -1)
        largest_R = torch.maximum(flat.amax(1), -flat.amin(1)).cpu().numpy()
        _, digits_R = np.frexp(largest_R)
        is_off_R = (np.abs(digits_R) > WINDOW) & np.isfinite(largest_R)
        exponent_R = self.exponent
        if is_off_R.any():
            shift_R = np.where(is_off_R, digits_R, 0).astype(np.int64)
            _multiply(self.mantissa, -shift_R)
            exponent_R = exponent_R + shift_R
        if not largest_R.all():
            exponent_R = np.where(largest_R == 0, ZERO_EXPONENT, exponent_R)
        return Scaled(self.mantissa, exponent_R)

    def plus(self, other: Scaled) -> Scaled:
        """The sum, at the larger of the two exponents: what the smaller loses there lies below the sum's last bit.

        Both must be rescaled, so that a zero does not bring an exponent of its own.
        """
        if np.array_equal(self.exponent, other.exponent):
            return Scaled(self.mantissa + other.mantissa, self.exponent)
        exponent_R = np.maximum(self.exponent, other.exponent)
        mine, others = self.mantissa.clone(), other.mantissa.clone()
        _multiply(mine, self.exponent - exponent_R)
        _multiply(others, other.exponent - exponent_R)
        return Scaled(mine.add_(others), exponent_R)

    def with_mantissa(self, mantissa: Tensor) -> Scaled:
        """Another mantissa at the same exponent: the image under a linear map."""
        return Scaled(mantissa, self.exponent)


def l2(t: Tensor) -> Tensor:
    """Euclidean norm of each run, [R], summed in float64."""
    return torch.linalg.vector_norm(t.reshape(len(t), -1), dim=1, dtype=torch.float64)


def log2_l2(tensors: Sequence[Scaled]) -> Floats:
    """log2 of the Euclidean norm of each of P tensors and run, [R, P]; -inf for an exact zero. Reads from the device."""
    # Squares of float32 mantissas neither under- nor overflow in float64; float64's are near 1 by construction.
    norm_RP = torch.stack([l2(tensor.mantissa) for tensor in tensors], 1).cpu().numpy()
    return log2(norm_RP) + np.stack([tensor.exponent for tensor in tensors], 1)


def log2(values: Floats) -> Floats:
    """Base-2 logarithm, -inf for 0 without a warning."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.log2(values)


def log2_total(log2_l2_RP: Floats) -> Floats:
    """log2 of the norm of several tensors together, [R], from log2 of each one's."""
    largest_R = log2_l2_RP.max(1)
    # Where all are zeros, or one is not finite, the shift would be inf - inf.
    shift_R = np.where(np.isfinite(largest_R), largest_R, 0.0)
    with np.errstate(over="ignore", invalid="ignore"):
        return log2(np.exp2(2 * (log2_l2_RP - shift_R[:, None])).sum(1)) / 2 + shift_R


def expand(factor_R: Tensor, like: Tensor) -> Tensor:
    """factor [R] shaped to multiply a tensor [R, ...]."""
    return factor_R.view(-1, *(1,) * (like.dim() - 1))


def rounded(gradient: Scaled, log2_factor_R: Floats | None, out: Tensor) -> Tensor:
    """gradient * 2**log2_factor as plain numbers of its dtype, rounded once (out of range: 0 or inf, as the float has it).

    Args:
        gradient: mantissa [R, ...], exponent [R].
        log2_factor_R: <= 0, host; None for a factor of 1.
        out: where to write; returned.
    """
    if log2_factor_R is None or not log2_factor_R.any():
        if not gradient.exponent.any():
            return out.copy_(gradient.mantissa)
        fraction_R, whole_R = np.ones(len(gradient.exponent)), np.zeros(1, dtype=np.int64)
    else:
        bounded_R = np.clip(np.nan_to_num(log2_factor_R, nan=0.0), -(2.0**20), 0.0)
        whole_R = np.floor(bounded_R).astype(np.int64)
        fraction_R = np.exp2(bounded_R - whole_R)
    exponent_R = np.where(gradient.exponent == ZERO_EXPONENT, 0, gradient.exponent + whole_R)
    safe = _SAFE[out.dtype]
    near_R = np.clip(exponent_R, -safe, safe)
    torch.mul(gradient.mantissa, _factor(np.ldexp(fraction_R, near_R), gradient.mantissa), out=out)
    if not np.array_equal(near_R, exponent_R):
        _multiply(out, exponent_R - near_R)
    return out


def powers_of_two(exponent_R: Exponents, like: Tensor) -> Tensor:
    """2**exponent in float64, [R, 1, ...] on the tensor's device; 0 or inf beyond float64's range."""
    with np.errstate(over="ignore"):
        return expand(torch.from_numpy(np.ldexp(1.0, np.clip(exponent_R, -3000, 3000))).to(like.device), like)


def _factor(factor_R: Floats, like: Tensor) -> Tensor:
    return expand(torch.from_numpy(factor_R).to(like.device, like.dtype), like)


def _multiply(t: Tensor, exponent_R: Exponents) -> None:
    """t * 2**exponent in place, in as many exact steps as the dtype needs."""
    # Three steps pass both ends of the dtype from anywhere within it.
    safe = _SAFE[t.dtype]
    left_R = np.clip(exponent_R, -3 * safe, 3 * safe)
    while left_R.any():
        step_R = np.clip(left_R, -safe, safe)
        t.mul_(_factor(np.ldexp(1.0, step_R), t))
        left_R = left_R - step_R
