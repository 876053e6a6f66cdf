"""The forward pass with 40 digits, from the run's own weights and inputs: with `exact_backward.py` a net from end to end.

Nothing of the program's arithmetic is used: activations, normalizations and residual sums are written out once more. One run.
Axes: B batch, M fan_in, N fan_out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
from mpmath import mpf
from torch import Tensor

from exact_backward import DIGITS, NOISE, Recursion, exact
from gradyn.nn import LayerPass, Net, WeightStandardized
from gradyn.nn.activations import SELU_ALPHA, SELU_SCALE

Scalar = Callable[[Any, Any], Any]


def _logistic(h: Any) -> Any:
    return 1 / (1 + mpmath.exp(-h))


# Name -> (phi, phi'), of h and of the activation itself, whose settings they take.
PHI: dict[str, tuple[Scalar, Scalar]] = {
    "linear": (lambda h, a: h, lambda h, a: mpf(1)),
    "sigmoid": (lambda h, a: _logistic(h), lambda h, a: _logistic(h) * _logistic(-h)),
    "tanh": (lambda h, a: mpmath.tanh(h), lambda h, a: mpmath.sech(h) ** 2),
    "hard_tanh": (lambda h, a: max(min(h, mpf(1)), mpf(-1)), lambda h, a: mpf(abs(h) < 1)),
    "softsign": (lambda h, a: h / (1 + abs(h)), lambda h, a: 1 / (1 + abs(h)) ** 2),
    "relu": (lambda h, a: max(h, mpf(0)), lambda h, a: mpf(h > 0)),
    "leaky_relu": (lambda h, a: h if h > 0 else h * mpf(a.negative_slope), lambda h, a: mpf(1) if h > 0 else mpf(a.negative_slope)),
    "elu": (lambda h, a: h if h > 0 else a.alpha * mpmath.expm1(h), lambda h, a: mpf(1) if h > 0 else a.alpha * mpmath.exp(h)),
    "selu": (
        lambda h, a: SELU_SCALE * (h if h > 0 else SELU_ALPHA * mpmath.expm1(h)),
        lambda h, a: SELU_SCALE * (mpf(1) if h > 0 else SELU_ALPHA * mpmath.exp(h)),
    ),
    "gelu": (lambda h, a: h * mpmath.ncdf(h), lambda h, a: mpmath.ncdf(h) + h * mpmath.npdf(h)),
    "silu": (lambda h, a: h * _logistic(h), lambda h, a: _logistic(h) * (1 + h * _logistic(-h))),
    "softplus": (lambda h, a: mpmath.log1p(mpmath.exp(h)), lambda h, a: _logistic(h)),
    "erf": (lambda h, a: mpmath.erf(h), lambda h, a: 2 / mpmath.sqrt(mpmath.pi) * mpmath.exp(-h * h)),
    "sin": (lambda h, a: mpmath.sin(h), lambda h, a: mpmath.cos(h)),
}


class Forward:
    """The forward pass of one run of a net.

    Args:
        net: its structure.
        parameters: name -> [1, *shape].
        noise: disturbs every result as a float's rounding does, 2**10 times as much, in proportion to the terms that were added.
    """

    def __init__(self, net: Net, parameters: dict[str, Tensor], noise: np.random.Generator | None = None) -> None:
        self.net, self.noise = net, noise
        with mpmath.workdps(DIGITS):
            self.parameters = {name: exact(value[0].double().numpy()) for name, value in parameters.items()}

    def run(self, x_BM: Tensor, factors: dict[int, Tensor] | None) -> list[LayerPass]:
        """Passes whose arrays are [1, ...] of 40 digits."""
        with mpmath.workdps(DIGITS):
            passes: list[LayerPass] = []
            x = skip = exact(x_BM)
            for layer in self.net.layers:
                skip = x if layer.opens else skip
                passes.append(self._layer(layer, x, skip, exact(factors[layer.index][0]) if factors and layer.index in factors else None))
                x = passes[-1].x[0]
            return passes

    def _off(self, values: Any, size: Any) -> Any:
        return values if self.noise is None else values + size * exact(NOISE * self.noise.uniform(-1, 1, np.shape(values)))

    def _layer(self, layer: Any, x: Any, skip: Any, factor: Any) -> LayerPass:
        index, p, normalized, inverse_std = layer.index, self.parameters, None, None
        u, w = x, p[f"layers.{index}.weight"]
        if layer.norm == "branch":
            u, normalized, inverse_std = self._norm(index, x)
        if layer.norm == "weight":
            w = _standardized(self.net.norm, w)
            w = self._off(w, abs(w))
        if layer.has_vector_bias:
            shift = p[f"layers.{index}.bias"]
        else:
            before, shift = p[f"fixup.{index}.before"], mpf(0) if layer.closes else p[f"fixup.{index}.after"]
            u = self._off(u + before, abs(u) + abs(before))
        h = z = self._off(u @ w.T + shift, abs(u) @ abs(w).T + abs(shift))
        if layer.norm == "pre":
            z, normalized, inverse_std = self._norm(index, h)
        a = _each(PHI[layer.activation.name][0], z, layer.activation)
        a = out = self._off(a, abs(a))
        if layer.norm == "post":
            out, normalized, inverse_std = self._norm(index, a)
        if factor is not None:
            out = out * factor
        branch = out if layer.closes else None
        if layer.closes:
            terms = [out * self.branch_scale(index), skip * mpf(self.net.skip_scale)]
            if not layer.has_vector_bias:
                terms.append(p[f"fixup.{index}.after"] + 0 * out)
            out = self._off(sum(terms), sum(abs(term) for term in terms))
        held = [None if t is None else t[None] for t in (w, u, h, z, a, branch, out, normalized)]
        return LayerPass(*held, saved=None if inverse_std is None else inverse_std[None], factor=None if factor is None else factor[None])

    def branch_scale(self, index: int) -> Any:
        """a, learned or fixed."""
        return self.parameters[f"branches.{index}.scale"] if self.net.residual.learns_scale else mpf(self.net.branch_scale)

    def _norm(self, index: int, t: Any) -> tuple[Any, Any, Any]:
        norm, axis = self.net.norm, self.net.norm.axis - 1
        mean = t.sum(axis, keepdims=True) / t.shape[axis] if norm.centres else 0 * t
        centred = self._off(t - mean, abs(t) + abs(mean))
        variance = (centred * centred).sum(axis, keepdims=True) / t.shape[axis] + mpf(norm.eps)
        inverse_std = _each(lambda v, _: 1 / mpmath.sqrt(v), variance, None)
        n = self._off(centred * inverse_std, abs(centred * inverse_std))
        if not norm.has_affine:
            return n, n, inverse_std
        gain, shift = self.parameters[f"norms.{index}.weight"], self.parameters[f"norms.{index}.bias"]
        return self._off(n * gain + shift, abs(n * gain) + abs(shift)), n, inverse_std


class EndToEnd(Recursion):
    """The recursion over passes of 40 digits, with phi' of 40 digits."""

    def _slope(self, layer: Any, done: LayerPass) -> Any:
        return _each(PHI[layer.activation.name][1], done.z[0], layer.activation)

    def _held(self, factor: float, done: LayerPass) -> float:
        return factor


def _each(function: Scalar, values: Any, activation: Any) -> Any:
    return np.vectorize(lambda h: mpf(function(h, activation)), otypes=[object])(values)


def _standardized(norm: WeightStandardized, w: Any) -> Any:
    centred = w - w.sum(1, keepdims=True) / w.shape[1]
    variance = (centred * centred).sum(1, keepdims=True) / w.shape[1] + mpf(norm.eps)
    return centred * _each(lambda v, _: mpf(norm.gain) / mpmath.sqrt(v * w.shape[1]), variance, None)
