"""J^T u, J v and H v, the products that never build a Jacobian, from torch's own two modes.

Reverse mode (torch.autograd.grad) answers J^T u, forward mode (torch.autograd.forward_ad, dual tensors x + v eps) J v, forward over
reverse H v. Functions of several tensors: close over the others, or differentiate by one concatenation.

Can't: notice that a part of f was detached (x * x.detach()): what is left has a derivative, though not that of f.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from gradyn.core import ConfigError, require

Function = Callable[[Tensor], Tensor]


def vjp(f: Function, x: Tensor, u: Tensor) -> Tensor:
    """J^T u, one backward pass: what a step of backpropagation does to the upstream gradient u.

    Args:
        f: differentiable, from a tensor of x's shape to one of any shape.
        x: where, any shape, real floating.
        u: cotangent, of f(x)'s shape; what is returned has that of x.

    Raises:
        ConfigError: x, u or f(x) is no real floating tensor, u has not f(x)'s shape, or f(x) has no history that leads to x.
    """
    leaf, y = recorded(f, x)
    require_shape("u", u, y, "f(x)")
    return pulled(y, leaf, u)


def jvp(f: Function, x: Tensor, v: Tensor) -> Tensor:
    """J v, the derivative in the direction v, one forward pass over dual tensors.

    Args:
        f: as in `vjp`.
        x: where.
        v: tangent, of x's shape; what is returned has that of f(x).

    Raises:
        ConfigError: as `vjp`, of v instead of u.
    """
    require_floating("x", x)
    require_shape("v", v, x, "x")
    with forward_ad.dual_level():
        y = f(_dual(x.detach(), v))
        require_floating("f(x)", y)
        return require_history(forward_ad.unpack_dual(y).tangent).detach().clone()  # the level takes its tangents with it when it ends


def hvp(f: Function, x: Tensor, v: Tensor) -> Tensor:
    """H v with H = d^2 f / dx dx^T: the jvp of the gradient (forward over reverse).

    Args:
        f: as in `vjp`, with one output.
        x: where.
        v: tangent, of x's shape, as is what is returned (zeros where the gradient does not depend on x).

    Raises:
        ConfigError: as `jvp`, or f(x) has more than one element.
    """
    require_floating("x", x)
    require_shape("v", v, x, "x")
    leaf = x.detach().requires_grad_()
    with torch.enable_grad(), forward_ad.dual_level():
        y = f(_dual(leaf, v))
        require_floating("f(x)", y)
        require(y.numel() == 1, "f(x)", "be a single number", tuple(y.shape), "Sum it, or take the jvp of lambda x: vjp(f, x, u).")
        tangent = forward_ad.unpack_dual(pulled(y, leaf, torch.ones_like(y), create_graph=True)).tangent
        return torch.zeros_like(x) if tangent is None else tangent.detach().clone()


def recorded(f: Function, x: Tensor) -> tuple[Tensor, Tensor]:
    """A leaf with x's numbers, and f of it with its history, also inside no_grad."""
    require_floating("x", x)
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        y = f(leaf)
    require_floating("f(x)", y)
    return leaf, y


def pulled(y: Tensor, leaf: Tensor, u: Tensor, *, create_graph: bool = False) -> Tensor:
    """J^T u over a recorded graph, which stays for the next u."""
    return require_history(torch.autograd.grad(y, leaf, u, retain_graph=True, create_graph=create_graph, allow_unused=True)[0] if y.requires_grad else None)


def require_floating(key: str, x: object) -> None:
    """Raise unless x is a tensor of real floating numbers."""
    if not (isinstance(x, Tensor) and x.is_floating_point()):
        got, fix = getattr(x, "dtype", type(x).__name__), "Integers and booleans have no derivative; convert them with .to(torch.float64)."
        raise ConfigError(key, "be a real floating tensor", got, fix)


def require_shape(key: str, given: Any, like: Tensor, name: str) -> None:
    """Raise unless `given` is a tensor of floating numbers with the shape of `like`."""
    require_floating(key, given)
    require(given.shape == like.shape, key, f"have the shape of {name}, {tuple(like.shape)}", tuple(given.shape))


def require_history(derivative: Tensor | None) -> Tensor:
    """The derivative; raises where torch found no way from f(x) to x."""
    if derivative is None:
        fix = "Look for detach(), item(), numpy(), inference_mode() or a new tensor in f; a constant is written 0 * x.sum() + c."
        raise ConfigError("f(x)", "depend on x through differentiable operations", "no history that leads to x", fix)
    return derivative


def _dual(x: Tensor, v: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch 2.13's, of its own scripted rules, at the first dual tensor
        return forward_ad.make_dual(x.clone(), v.detach())  # an expanded x has no place of its own for every number
