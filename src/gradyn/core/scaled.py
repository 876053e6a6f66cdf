"""Numbers beyond the float's range: a mantissa and one integer exponent a run.

Axes: R runs, and whatever follows; P tensors.

Everything a backward pass does to a cotangent is linear, so a power of two taken out of it may be put back at the end, and
multiplying by a power of two is exact. Hence: with every intermediate in the normal range, the tracked pass has the bits of
the plain one; beyond it, only the tracked one is right.

Exponents live on the host. Reading R maxima back costs less than the dozen tiny kernels that would keep them on the device,
and where nothing has to be rescaled, nothing is multiplied (docs/decisions/0004-exponents-on-the-host.md).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core.lanes import products

Exponents = NDArray[np.int64]
Floats = NDArray[np.float64]

# Exponent of an exact zero: loses to every other where two paths meet.
ZERO_EXPONENT = -(2**40)
# A run is rescaled when its mantissas' norm leaves [2**-WINDOW, 2**WINDOW]: from there, one layer would have to gain or lose
# a factor of 2**90 to meet float32's ends.
WINDOW = 32
# Of a norm of 2**-64, what lies below float32's smallest normal number, 2**-126, is less than its last digit.
_CUT_WINDOW = 64
# A product whose norm lies in [2**-48, 2**48] has lost nothing that counts: float32's smallest normal number, 2**-126, is 2**-78
# of it, and the squares that make the norm are normal numbers too.
_PRODUCT_WINDOW = 48
# Factors in [2**-16, 2**16] leave a rescaled mantissa far within the range.
_FACTOR_WINDOW = 16
# The squares of norms in [2**-450, 2**450] are normal numbers of float64, and so are those of every element that counts.
_SQUARED = 450
# Parameters of at most this many numbers are measured together, one call for all of a size.
_FEW = 1024
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
        """The same numbers with every run's mantissas near 1 in size; zeros get ZERO_EXPONENT. The memory is shared where nothing is done."""
        flat = self.mantissa.reshape(len(self.mantissa), -1)
        # One pass in the run's own dtype: squares that under- or overflow in it land outside the window.
        norm_R = torch.linalg.vector_norm(flat, dim=1).cpu().numpy()
        has_left_R = ~((norm_R >= 2.0**-WINDOW) & (norm_R <= 2.0**WINDOW))
        if not has_left_R.any():
            return self
        largest_R = torch.maximum(flat.amax(1), -flat.amin(1)).cpu().numpy()
        _, digits_R = np.frexp(largest_R)
        is_off_R = has_left_R & np.isfinite(largest_R)
        exponent_R, mantissa = self.exponent, self.mantissa
        if is_off_R.any():
            shift_R = np.where(is_off_R, digits_R, 0).astype(np.int64)
            # Not in place: along a skip the same memory is another path's cotangent.
            mantissa = mantissa.clone()
            _multiply(mantissa, -shift_R)
            exponent_R = exponent_R + shift_R
        if not largest_R.all():
            exponent_R = np.where(largest_R == 0, ZERO_EXPONENT, exponent_R)
        return Scaled(mantissa, exponent_R)

    @property
    def may_be_cut(self) -> NDArray[np.bool_]:
        """Runs of so small a norm that elements which count may have been lost below the smallest normal number."""
        norm_R = torch.linalg.vector_norm(self.mantissa.reshape(len(self.mantissa), -1), dim=1).cpu().numpy()
        return np.asarray(norm_R < 2.0**-_CUT_WINDOW)

    def near_one(self, where_R: NDArray[np.bool_] | bool = True) -> Scaled:
        """The same numbers with the largest mantissa of every run (or of those chosen) in [1/2, 1), in new memory."""
        largest_R = self.mantissa.reshape(len(self.mantissa), -1).abs().amax(1).cpu().numpy()
        _, digits_R = np.frexp(np.where(np.isfinite(largest_R) & where_R, largest_R, 0.0))
        mantissa = self.mantissa.clone()
        _multiply(mantissa, -digits_R.astype(np.int64))
        return Scaled(mantissa, np.where((largest_R == 0) & where_R, ZERO_EXPONENT, self.exponent + digits_R))

    def times(self, factor: float) -> Scaled:
        """The numbers times one factor, in new memory; a power of two of it joins the exponent where the mantissa might leave its range."""
        if factor == 0 or 2.0**-_FACTOR_WINDOW <= abs(factor) <= 2.0**_FACTOR_WINDOW:
            return Scaled(self.mantissa * factor, self.exponent)
        near_one, digits = math.frexp(factor)
        return Scaled(self.mantissa * near_one, self.exponent + digits)

    def plus(self, other: Scaled) -> Scaled:
        """The sum, in this one's memory, at the larger exponent: what the smaller loses there lies below the sum's last bit.

        Both must be rescaled, so that a zero does not bring an exponent of its own.
        """
        if np.array_equal(self.exponent, other.exponent):
            return Scaled(self.mantissa.add_(other.mantissa), self.exponent)
        exponent_R = np.maximum(self.exponent, other.exponent)
        others = other.mantissa.clone()
        _multiply(self.mantissa, self.exponent - exponent_R)
        _multiply(others, other.exponent - exponent_R)
        return Scaled(self.mantissa.add_(others), exponent_R)

    def with_mantissa(self, mantissa: Tensor) -> Scaled:
        """Another mantissa at the same exponent: the image under a linear map."""
        return Scaled(mantissa, self.exponent)


def outer(delta: Scaled, u_RBM: Tensor, *, tracked: bool) -> Scaled:
    """delta^T u summed over the batch, [R, N, M]: a weight's gradient.

    Where a run's product comes out tiny, huge or 0, both factors are brought near 1 first and it is taken again: an input of
    1e-32 is a normal number, and so is a cotangent of 1e-8, but float32 loses their product.

    Args:
        delta: cotangent [R, B, N].
        u_RBM: the layer's input.
        tracked: False takes the plain product as it comes.
    """
    u_RBM = u_RBM.to(delta.mantissa.dtype)
    plain = products(delta.mantissa.transpose(1, 2), u_RBM)
    if not tracked:
        return delta.with_mantissa(plain)
    is_lost_R = _is_lost(plain)
    if not is_lost_R.any():
        return delta.with_mantissa(plain)
    first, second = delta.near_one(is_lost_R), Scaled.plain(u_RBM).near_one(is_lost_R)
    return Scaled(products(first.mantissa.transpose(1, 2), second.mantissa), first.exponent + second.exponent)


def contracted(delta: Scaled, t: Tensor, axes: tuple[int, ...], *, plain: Scaled) -> Scaled:
    """sum over `axes` of delta * t, a scale's or a gain's gradient: `plain`, or where that is tiny, huge or 0, taken again as in `outer`.

    Args:
        delta: cotangent [R, ...].
        t: what the parameter was multiplied with, of the same shape.
        axes: those of the sum.
        plain: the sum as it came.
    """
    is_lost_R = _is_lost(plain.mantissa)
    if not is_lost_R.any():
        return plain
    first, second = delta.near_one(is_lost_R), Scaled.plain(t).near_one(is_lost_R)
    return Scaled((first.mantissa * second.mantissa).sum(axes), first.exponent + second.exponent)


def _is_lost(product: Tensor) -> NDArray[np.bool_]:
    """Runs whose product lies where something that counts may have been lost, [R]."""
    norm_R = torch.linalg.vector_norm(product.reshape(len(product), -1), dim=1).cpu().numpy()
    return np.asarray(~((norm_R >= 2.0**-_PRODUCT_WINDOW) & (norm_R <= 2.0**_PRODUCT_WINDOW)))


def l2(t: Tensor) -> Tensor:
    """Euclidean norm of each run, [R], summed in float64."""
    return _rows_l2(t.reshape(len(t), -1))


def _rows_l2(t: Tensor) -> Tensor:
    """Euclidean norm along the last axis, in float64; where float64's own squares under- or overflow, of what is near 1."""
    norm = torch.linalg.vector_norm(t, dim=-1, dtype=torch.float64)
    if t.dtype != torch.float64:
        return norm
    is_off = (norm < 2.0**-_SQUARED) | (norm > 2.0**_SQUARED)
    if not bool(is_off.any()):
        return norm
    largest = t.abs().amax(-1, keepdim=True)
    unit = torch.where((largest > 0) & torch.isfinite(largest), largest, 1.0)
    return torch.where(is_off, torch.linalg.vector_norm(t / unit, dim=-1) * unit.squeeze(-1), norm)


def log2_l2(tensors: Sequence[Scaled]) -> Floats:
    """log2 of the Euclidean norm of each of P tensors and run, [R, P]; -inf for an exact zero. Reads from the device."""
    norm_RP = torch.empty(len(tensors[0].mantissa), len(tensors), dtype=torch.float64, device=tensors[0].mantissa.device)
    together: dict[int, list[int]] = {}
    for place, tensor in enumerate(tensors):
        size = tensor.mantissa.shape[1:].numel()
        if size <= _FEW:
            together.setdefault(size, []).append(place)
        else:
            norm_RP[:, place] = l2(tensor.mantissa)
    for size, places in together.items():
        stacked = torch.stack([tensors[place].mantissa.reshape(-1, size) for place in places], 1)
        norm_RP[:, places] = _rows_l2(stacked)
    return log2(norm_RP.cpu().numpy()) + np.stack([tensor.exponent for tensor in tensors], 1)


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


def cosine(pairs: Sequence[tuple[Scaled, Tensor]], log2_first_R: Floats, log2_second_R: Floats) -> Floats:
    """Cosine between several tensors together and as many of plain numbers, [R], summed in float64; nan where a norm is 0 or not finite.

    Args:
        pairs: a tensor and its plain one.
        log2_first_R: log2 of the norm of all first ones together.
        log2_second_R: of all second ones.
    """
    total_R = np.zeros(len(log2_first_R))
    with np.errstate(over="ignore", invalid="ignore"):
        for scaled, plain in pairs:
            dot_R = (scaled.mantissa.double() * plain.double()).reshape(len(plain), -1).sum(1).cpu().numpy()
            total_R += dot_R * np.exp2(scaled.exponent - log2_first_R - log2_second_R)
    return np.where(np.isfinite(log2_first_R) & np.isfinite(log2_second_R), total_R, np.nan)


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
    if log2_factor_R is None and not gradient.exponent.any():
        return out.copy_(gradient.mantissa)
    factor_R, rest_R = _split_factor(gradient.exponent.tobytes(), None if log2_factor_R is None else log2_factor_R.tobytes(), _SAFE[out.dtype])
    torch.mul(gradient.mantissa, _factor(factor_R, gradient.mantissa), out=out)
    if rest_R.any():
        _multiply(out, rest_R)
    return out


# The parameters of a step mostly share both arguments: clip factors often, exponents within a layer.
@lru_cache(maxsize=64)
def _split_factor(exponents: bytes, log2_factors: bytes | None, safe: int) -> tuple[Floats, Exponents]:
    """2**(exponent + log2_factor) as a factor within 2**safe and an exponent that is left, [R] each."""
    exponent_R = np.frombuffer(exponents, dtype=np.int64)
    log2_factor_R = np.zeros(len(exponent_R)) if log2_factors is None else np.frombuffer(log2_factors)
    bounded_R = np.clip(np.nan_to_num(log2_factor_R, nan=0.0), -(2.0**20), 0.0)
    whole_R = np.floor(bounded_R).astype(np.int64)
    exponent_R = np.where(exponent_R == ZERO_EXPONENT, 0, exponent_R + whole_R)
    near_R = np.clip(exponent_R, -safe, safe)
    return np.ldexp(np.exp2(bounded_R - whole_R), near_R), exponent_R - near_R


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
