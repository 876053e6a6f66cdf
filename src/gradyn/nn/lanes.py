"""A run's lane: the same bits wherever in a stack a run stands.

Axes: R runs, B batch, N units.

torch's elementwise kernels treat the last few elements of a tensor by a scalar loop whose exp, log or erf may differ in the
last bit from the vector loop's. Where a lane's size is no multiple of 64, a run's elements would meet one loop or the other
depending on its neighbours. Products, sums and square roots are rounded exactly in both and need no care; matrix products
and reductions over one run were found equal at every size that the law sweeps.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

# 4 registers of 16 float32: the longest stride of torch's unrolled vector loops (AVX-512).
LANE = 64


def elementwise(function: Callable[..., Tensor], *tensors_RBN: Tensor) -> Tensor:
    """`function(*tensors)` with every element in the vector loop; all tensors of one shape, run axis first."""
    shape = tensors_RBN[0].shape
    surplus = -(tensors_RBN[0][0].numel()) % LANE
    if surplus == 0:
        return function(*tensors_RBN)
    # Padded with zeros: inside every activation's domain, and dropped again.
    padded = [torch.nn.functional.pad(tensor.flatten(1), (0, surplus)) for tensor in tensors_RBN]
    return function(*padded)[:, :-surplus].reshape(shape)
