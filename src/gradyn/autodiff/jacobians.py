"""The Jacobian J[i, j] = d y_i / d x_j, by rows or by columns.

A backward pass with the unit cotangent e_i is row i, a forward pass with the unit tangent e_j is column j. Hence the cost: m backward
passes over one recorded forward pass, or n forward passes; a loss has one row (m = 1), which is why it is trained backwards.

Can't: see that J is sparse. An elementwise f has a diagonal J, and one vjp with ones would have been enough.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from gradyn.autodiff.products import Function, jvp, pulled, recorded, require_floating
from gradyn.core import require


def jacobian(f: Function, x: Tensor, *, by: Literal["rows", "columns"] = "rows") -> Tensor:
    """J[i, j] = d f_i / d x_j: rows are outputs, columns are inputs (numerator layout).

    Args:
        f: differentiable, from a tensor of x's shape to one of any shape.
        x: where, any shape, real floating.
        by: `rows`: one backward pass an output, all over one recorded forward pass; `columns`: one forward pass over dual tensors an input.

    Returns:
        Of shape f(x).shape + x.shape.

    Raises:
        ConfigError: x or f(x) is no real floating tensor, f(x) has no history that leads to x, or `by` is neither.
    """
    require(by in ("rows", "columns"), "by", "be 'rows' or 'columns'", by)
    require_floating("x", x)
    if by == "rows":
        leaf, y = recorded(f, x)
        rows = [pulled(y, leaf, unit) for unit in _units(y)]
        return torch.stack(rows).reshape(y.shape + x.shape)
    columns = [jvp(f, x, unit) for unit in _units(x)]
    return torch.stack(columns, -1).reshape(columns[0].shape + x.shape)


def _units(like: Tensor) -> Tensor:
    require(like.numel() > 0, "x and f(x)", "have at least one element", tuple(like.shape))
    return torch.eye(like.numel(), dtype=like.dtype, device=like.device).reshape(like.numel(), *like.shape)
