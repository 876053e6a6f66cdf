"""How theory is given an activation: a component, its option's name, or any callable.

    as_function("tanh")                                         an option of the catalogue, at its defaults
    as_function(LeakyRelu(0.2))                                 a component
    as_function(lambda h: h * torch.tanh(h))                    a torch callable; phi' and phi'' by autograd
    as_function(np.abs, derivative=np.sign, kinks=(0.0,))       a numpy callable, its derivative beside it

Everything in `gradyn.theory` that takes an `activation` takes any of these, or what `as_function` made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import options, require
from gradyn.nn import AbstractActivation

Array: TypeAlias = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ScalarFunction:
    """phi, phi' and phi'' as functions of float64 arrays of any shape, elementwise.

    `kinks` are the points where phi, phi' or phi'' jumps: integrals are split there. `component` is the catalogue's, where it came from one.
    """

    name: str
    value: Callable[[Array], Array]
    derivative: Callable[[Array], Array]
    second_derivative: Callable[[Array], Array]
    kinks: tuple[float, ...] = ()
    component: AbstractActivation | None = None


ActivationLike: TypeAlias = AbstractActivation | str | ScalarFunction | Callable[[Any], Any]


def as_function(
    activation: ActivationLike,
    *,
    derivative: Callable[[Any], Any] | None = None,
    second_derivative: Callable[[Any], Any] | None = None,
    kinks: tuple[float, ...] = (),
) -> ScalarFunction:
    """phi with its derivatives, of whatever kind `activation` is.

    Args:
        activation: a component of `gradyn.nn`, an option's name, or an elementwise callable (torch tensor -> tensor, numpy array -> array).
        derivative: phi' of a callable; a torch callable has it by autograd, a numpy one needs it wherever phi' enters.
        second_derivative: phi'' of a callable; only the rates at the edge of chaos ask for it.
        kinks: where phi, phi' or phi'' of a callable jumps. A kink left out costs time, and below about 1e-9 also accuracy.

    Raises:
        ConfigError: no such option; not elementwise; derivatives or kinks given for a component, which knows its own.
    """
    own = isinstance(activation, (AbstractActivation, str, ScalarFunction))
    require(not own or (derivative, second_derivative, kinks) == (None, None, ()), "derivative", "be left out for a component", activation)
    if isinstance(activation, ScalarFunction):
        return activation
    if isinstance(activation, str):
        found = options(AbstractActivation)
        require(activation in found, "activation", f"be one of {', '.join(found)}", activation, "Or pass a component or a callable.")
        return _of_component(cast(AbstractActivation, found[activation]()))
    if isinstance(activation, AbstractActivation):
        return _of_component(activation)
    require(callable(activation), "activation", "be a component, an option's name or a callable", activation)
    return _of_callable(activation, derivative, second_derivative, tuple(float(kink) for kink in kinks))


def _of_component(activation: AbstractActivation) -> ScalarFunction:
    def derivative(h: Array) -> Array:
        with torch.no_grad():
            h_tensor = _tensor(h)
            return activation.derivative(h_tensor, activation.forward(h_tensor)).numpy()

    return ScalarFunction(repr(activation), _evaluated(activation.forward), derivative, _by_autograd(activation.forward, 2), activation.kinks, activation)


def _of_callable(
    function: Callable[[Any], Any], derivative: Callable[[Any], Any] | None, second_derivative: Callable[[Any], Any] | None, kinks: tuple[float, ...]
) -> ScalarFunction:
    name = getattr(function, "__name__", repr(function))
    if _is_torch(function):
        first, second = derivative or _by_autograd(function, 1), second_derivative or _by_autograd(function, 2)
        value = _evaluated(function)
    else:
        value = function
        first = derivative or _missing(name, "derivative")
        second = second_derivative or _missing(name, "second_derivative")
    return ScalarFunction(name, _checked(value, name), _either(first), _either(second), kinks)


def _is_torch(function: Callable[[Any], Any]) -> bool:
    """Whether it maps tensors to tensors; what is refused on a tensor that asks for gradients is taken for numpy's."""
    probe = torch.linspace(-1.0, 1.0, 5, dtype=torch.float64, requires_grad=True)
    try:
        return isinstance(function(probe), Tensor)
    except (TypeError, RuntimeError, AttributeError, ValueError):
        return False


def _tensor(h: Array) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(h, dtype=np.float64))


def _evaluated(function: Callable[[Any], Any]) -> Callable[[Array], Array]:
    def value(h: Array) -> Array:
        with torch.no_grad():
            found: Array = function(_tensor(h)).numpy()
            return found

    return value


def _either(function: Callable[[Any], Any]) -> Callable[[Array], Array]:
    """A given derivative may be torch's or numpy's, whatever phi is."""
    return _evaluated(function) if _is_torch(function) else function


def _by_autograd(function: Callable[[Any], Any], order: int) -> Callable[[Array], Array]:
    def derivative(h: Array) -> Array:
        with torch.enable_grad():
            leaf = _tensor(h).clone().requires_grad_()
            x = function(leaf)
            for _ in range(order):
                if not x.requires_grad:
                    return np.zeros(np.shape(h))
                (x,) = torch.autograd.grad(x.sum(), leaf, create_graph=True)
        found: Array = x.detach().numpy()
        return found

    return derivative


def _checked(value: Callable[[Array], Array], name: str) -> Callable[[Array], Array]:
    h = np.linspace(-1.0, 1.0, 5)
    shape = np.shape(value(h))
    require(shape == h.shape, "activation", "map an array to one of the same shape", name, "Write it elementwise.")
    return value


def _missing(name: str, which: str) -> Callable[[Array], Array]:
    def refuse(h: Array) -> Array:
        require(False, which, f"be given for the numpy callable {name}", None, f"Pass as_function(..., {which}=...), or write it with torch.")
        raise AssertionError

    return refuse
