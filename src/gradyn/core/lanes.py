"""A run's lane: the same bits wherever in a stack a run stands.

Axes: R runs, then whatever follows.

torch's elementwise kernels treat the last few elements of a tensor by a scalar loop whose exp, log or erf may differ in the
last bit from the vector loop's. Where a lane's size is no multiple of 64, a run's elements would meet one loop or the other
depending on its neighbours. Elementwise products, sums and square roots are rounded exactly in both and need no care;
reductions over one run were found equal at every size that the law sweeps. Matrix products need the care of `products` and of
MKL's reproducible mode (docs/decisions/0007-reproducible-products.md).
"""

from __future__ import annotations

import os
from collections.abc import Callable

import torch
from torch import Tensor

# 4 registers of 16 float32: the longest stride of torch's unrolled vector loops (AVX-512).
LANE = 64

# Intel's MKL chooses its kernel by where in memory a matrix begins, unless told not to; on AMD's processors the kernels differ
# in the last bit. It reads this at its first product. Costs nothing measurable (AUTO keeps the processor's fastest instructions).
os.environ.setdefault("MKL_CBWR", "AUTO")


def products(left: Tensor, right: Tensor) -> Tensor:
    """Matrix product of every run, [R, I, J] times [R, J, K], with the bits that a run alone would get."""
    if right.shape[2] > 1:
        return torch.bmm(left, right)
    # A single column goes another way alone than in a stack (a vector's routine), so it gets a companion of zeros.
    return torch.bmm(left, torch.cat([right, torch.zeros_like(right)], 2))[:, :, :1].contiguous()


def elementwise(function: Callable[..., Tensor], *tensors: Tensor) -> Tensor:
    """`function(*tensors)` with every element in the vector loop; all tensors of one shape [R, ...]."""
    shape = tensors[0].shape
    surplus = -(shape[1:].numel()) % LANE
    if surplus == 0:
        return function(*tensors)
    # Padded with ones: inside the domain of every function used, and dropped again.
    padded = [torch.nn.functional.pad(tensor.reshape(len(tensor), -1), (0, surplus), value=1.0) for tensor in tensors]
    return function(*padded)[:, :-surplus].reshape(shape)
