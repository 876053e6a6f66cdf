"""One deliberately wrong backward for every cause that `explain_gradcheck` names, and a right one; each drawn anew from a generator.

    print(explain_gradcheck(*MISTAKES["missing transpose"](rng)))

Can't: stand for all mistakes. It is the smallest example of each kind.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradyn.autodiff.functions import relu
from gradyn.autodiff.gradcheck import NO_FAULT
from gradyn.autodiff.surrogates import StraightThroughSign

Function = Callable[..., Any]
Case = tuple[Function, tuple[Tensor, ...]]


def custom(forward: Function, backward: Function) -> Function:
    """A Function from two plain functions.

    Args:
        forward: of the inputs -> output.
        backward: of the inputs (a list), the output, and the cotangent -> one gradient an input.

    Returns:
        Of the inputs -> output, differentiated by `backward`.
    """

    class Made(torch.autograd.Function):
        @staticmethod
        def forward(ctx: Any, *inputs: Tensor) -> Tensor:
            """The given one; keeps all that went in and out."""
            y = forward(*inputs)
            ctx.save_for_backward(*inputs, y)
            return y

        @staticmethod
        def backward(ctx: Any, *grads: Tensor) -> Any:
            """The given one."""
            *inputs, y = ctx.saved_tensors
            return backward(inputs, y, grads[0])

    return Made.apply


def _draw(rng: np.random.Generator, *shape: int) -> Tensor:
    # Between 0.1 and 1.5 in size: away from kinks at 0, and where nothing saturates.
    return torch.tensor(rng.uniform(0.1, 1.5, shape) * rng.choice([-1.0, 1.0], shape), dtype=torch.float64, requires_grad=True)


def _sizes(rng: np.random.Generator) -> tuple[int, int]:
    return tuple(rng.permutation(np.arange(2, 6))[:2].tolist())


def _right(rng: np.random.Generator) -> Case:
    return torch.tanh, (_draw(rng, *_sizes(rng)),)


def _float32(rng: np.random.Generator) -> Case:
    return torch.tanh, (_draw(rng, *_sizes(rng)).detach().float().requires_grad_(),)


def _kink(rng: np.random.Generator) -> Case:
    x = _draw(rng, *_sizes(rng)).detach()
    x[0, 0] = 1e-7 * rng.random()
    return relu, (x.requires_grad_(),)


def _factor(rng: np.random.Generator) -> Case:
    return custom(torch.sin, lambda inputs, y, u: 2 * u * inputs[0].cos()), (_draw(rng, *_sizes(rng)),)


def _transpose(rng: np.random.Generator) -> Case:
    b, n = _sizes(rng)
    return custom(lambda x, w: x @ w.T, lambda inputs, y, u: (u @ inputs[1].T, u.T @ inputs[0])), (_draw(rng, b, n), _draw(rng, n, n))


def _accumulation(rng: np.random.Generator) -> Case:
    return custom(lambda x: x * x.sigmoid(), lambda inputs, y, u: u * inputs[0].sigmoid()), (_draw(rng, *_sizes(rng)),)


def _memory(rng: np.random.Generator) -> Case:
    def in_memory(x: Tensor) -> Tensor:
        # The numbers as they lie in memory, put into the shape: right for a contiguous x, and only for that.
        return torch.as_strided(x, (x.numel(),), (1,)).reshape(x.shape)

    return custom(torch.sin, lambda inputs, y, u: u * in_memory(inputs[0]).cos()), (_draw(rng, *_sizes(rng)).detach().T.requires_grad_(),)


def _surrogate(rng: np.random.Generator) -> Case:
    return StraightThroughSign.apply, (_draw(rng, *_sizes(rng)),)


def _detached(rng: np.random.Generator) -> Case:
    return lambda x, w: (x * w.detach()).sin(), (_draw(rng, 3), _draw(rng, 3))


def _unknown(rng: np.random.Generator) -> Case:
    return custom(torch.sin, lambda inputs, y, u: u * inputs[0].tanh()), (_draw(rng, *_sizes(rng)),)


MISTAKES: dict[str, Callable[[np.random.Generator], Case]] = {
    NO_FAULT: _right,
    "float32 input": _float32,
    "kink within the step": _kink,
    "wrong factor": _factor,
    "missing transpose": _transpose,
    "missing accumulation": _accumulation,
    "non-contiguous input": _memory,
    "surrogate": _surrogate,
    "detached": _detached,
    "unknown": _unknown,
}
