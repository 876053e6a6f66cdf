"""What one of torch's operations tells of itself: what it saved, and, when a backward pass runs, what it sends where.

Can't: read what torch has freed. After `backward()` the saved tensors are gone and only the operations' names are left;
`backward(retain_graph=True)` keeps them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradyn.autodiff.graph_trace import SHOWN

LEAF = "AccumulateGrad"
_PREFIX = "_saved_"


def node_of(tensor: Tensor) -> Any:
    """The operation that a tensor came from; of a leaf, the one that adds to its `.grad`."""
    return torch.autograd.graph.get_gradient_edge(tensor).node


def saved_names(kind: type) -> list[str]:
    """The attributes of a kind of operation that hold what it saved: each has its own; a Function written in Python keeps a tuple."""
    return [name for name in dir(kind) if name.startswith(_PREFIX)] or [name for name in dir(kind) if name == "saved_tensors"]


def saved(node: Any, names: Sequence[str]) -> Mapping[str, tuple[int, ...] | None]:
    """Name -> shape of each tensor kept for the backward pass under those names; None where it was freed."""
    found: dict[str, tuple[int, ...] | None] = {}
    for name in names:
        word = name.removeprefix(_PREFIX)
        try:
            kept = getattr(node, name)
        except RuntimeError:
            found[word] = None
            continue
        several = kept if isinstance(kept, (tuple, list)) else [kept]
        tensors = [one for one in several if isinstance(one, Tensor)]
        found |= {word if len(several) == 1 else f"{word}[{place}]": tuple(one.shape) for place, one in enumerate(tensors)}
    return found


def gradients(x: Tensor, order: Sequence[Any], upstream: Any) -> dict[tuple[Any, int], Tensor]:
    """Run the backward pass of x and listen: (operation, place of the argument) -> the gradient sent there.

    Args:
        x: the output.
        order: every operation below it.
        upstream: as in `graph_of`.

    Raises:
        ValueError, TypeError: upstream does not fit x, or is no number.
        RuntimeError: the graph was freed by an earlier backward pass.
    """
    start = upstream_of(x, upstream)
    found: dict[tuple[Any, int], Tensor] = {}

    def listen(node: Any, sent: tuple[Tensor | None, ...], arrived: Any) -> None:
        found.update({(node, place): one.detach().clone() for place, one in enumerate(sent) if one is not None})

    handles = [node.register_hook(partial(listen, node)) for node in order if type(node).__name__ != LEAF]
    leaves = [node.variable for node in order if type(node).__name__ == LEAF]
    try:
        # grad, not backward: nothing is added to any `.grad`.
        torch.autograd.grad(x, leaves or [x], start, retain_graph=True, allow_unused=True)
    except RuntimeError as error:
        if "second time" not in str(error):
            raise
        fix = "Take the graph before backward(), or call backward(retain_graph=True)."
        raise RuntimeError(f"x must still have its graph; got one that an earlier backward has freed. {fix}") from error
    finally:
        for handle in handles:
            handle.remove()
    return found


def upstream_of(x: Tensor, upstream: Any) -> Tensor:
    """The gradient with which the pass begins, in x's shape."""
    if not isinstance(upstream, Tensor | Number | np.ndarray):
        raise TypeError(f"upstream must be a number or a tensor; got {type(upstream).__name__}. Give d (something later) / d x.")
    found = torch.as_tensor(upstream, dtype=x.dtype, device=x.device).detach()
    if found.shape != x.shape:
        fix = "Give d (something later) / d x; torch.ones_like(x) makes it the sum of x."
        raise ValueError(f"upstream must have x's shape {list(x.shape)}; got shape {list(found.shape)}. {fix}")
    return found


def shown(field: str, tensor: Tensor | None) -> dict[str, Any]:
    """The fields of a node or edge for a value or a gradient: the array where it is small, the gradient's norm always."""
    if tensor is None:
        return {}
    tensor = tensor.detach()
    # numpy knows neither a sparse layout nor bfloat16.
    dense = tensor if tensor.layout == torch.strided else tensor.to_dense()
    dense = dense.float() if dense.dtype == torch.bfloat16 else dense
    found: dict[str, Any] = {field: dense.to("cpu", copy=True).numpy() if dense.numel() <= SHOWN else None}
    if field == "grad":
        found["grad_l2"] = float(torch.linalg.vector_norm(dense.abs(), dtype=torch.float64))
    return found
