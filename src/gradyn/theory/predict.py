"""What theory says of a run, in the store's own columns, beside the reason where it says nothing.

    (spec,) = gradyn.plan(["depth=64", "activation=tanh", "init=gaussian", "loss=cotangent", "data=gaussian", "data.labels=false"])
    predict(spec, ["log10_delta_rms", "log10_act_rms"])       one row a layer, as `layers` has them at step 0

A prediction is log10 of the root of an expected mean square (not the expectation of a logarithm, which lies lower by the variance
of ln |delta|^2 / 4.6 decades), in the limit of large width. What no theory covers is nan, and `reason` says why: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import ndtr

from gradyn.core import require
from gradyn.data import AbstractData, Gaussian, Pair
from gradyn.nn import AbstractActivation, Linear, NetSpec, layers
from gradyn.optim import Cotangent
from gradyn.probes import LAYER_COLUMNS, SATURATED
from gradyn.theory.nets import LayerMoments, NoTheoryError, net_moments
from gradyn.theory.scalar_function import ScalarFunction, as_function

Array: TypeAlias = NDArray[np.float64]

# Inputs are summarised by so many equally likely mean squares.
_SQUARES = 32
# Layers at the input in which batch norm's samples are not exchangeable yet, if the inputs are not.
_TRANSIENT = 6
_NEEDS_COTANGENT = "the loss's cotangent depends on the weights; theory is about loss=cotangent"


class Spec(NetSpec, Protocol):
    """What of a run decides its layers at initialization."""

    @property
    def batch_size(self) -> int: ...
    @property
    def loss(self) -> Any: ...
    @property
    def data(self) -> AbstractData: ...
    @property
    def penalty(self) -> Any: ...
    @property
    def run_id(self) -> str: ...


def predict(spec: Spec, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The layer columns of a run at initialization, as theory has them.

    Args:
        spec: the run.
        columns: of `layers`; all default columns where left out.

    Returns:
        One row a layer: run_id, step (0), layer, the columns (nan where nothing is predicted), `valid` (whether every column asked
        for has a prediction in that layer), `reason` (why not, by column; empty where valid).

    Valid:
        width -> infinity at fixed depth, at initialization, for the mean over batch and weights of squares. See `net_moments`.

    Raises:
        ConfigError: a column that `layers` does not have.
    """
    known = [column.name for column in LAYER_COLUMNS]
    asked = known if columns is None else list(columns)
    for name in asked:
        require(name in known, "columns", f"be columns of layers: {', '.join(known)}", name)
    depth = spec.depth
    values = {name: np.full(depth, np.nan) for name in asked}
    reasons: list[dict[str, str]] = [{} for _ in range(depth)]
    try:
        shared = _is_shared(spec) and is_exchangeable(spec.data)
        found = net_moments(spec, _squares(spec.data), spec.data.features, spec.data.classes, batch=_batch(spec), shared=shared)
    except NoTheoryError as error:
        found, reasons = [], [dict.fromkeys(asked, str(error)) for _ in range(depth)]
    for moments in found:
        below = found[moments.layer - 2] if moments.layer > 1 else None
        for name in asked:
            reason = _reason(spec, name, moments)
            if reason:
                reasons[moments.layer - 1][name] = reason
            else:
                values[name][moments.layer - 1] = _COLUMNS[name](spec, moments, below)
    return pd.DataFrame(
        {
            "run_id": spec.run_id,
            "step": 0,
            "layer": np.arange(1, depth + 1),
            **values,
            "valid": [not reason for reason in reasons],
            "reason": ["; ".join(f"{name}: {text}" for name, text in reason.items()) for reason in reasons],
        }
    )


@lru_cache(maxsize=64)
def _squares(data: AbstractData) -> tuple[float, ...]:
    """Mean squares of the training inputs, as equally likely quantiles."""
    squares = np.square(data.load().x_train).mean(1)
    return tuple(np.quantile(squares, (np.arange(_SQUARES) + 0.5) / _SQUARES)) if np.ptp(squares) > 1e-12 * squares.max() else (float(squares[0]),)


def _batch(spec: Spec) -> int | None:
    if spec.norm.name == "batch" and not is_exchangeable(spec.data):
        raise NoTheoryError(f"norm=batch with data={spec.data.name}: theory is about exchangeable samples, data=gaussian")
    return spec.batch_size


def is_exchangeable(data: AbstractData) -> bool:
    """Whether two inputs have no product, whichever they are."""
    return isinstance(data, Gaussian) or (isinstance(data, Pair) and data.correlation == 0)


def _is_shared(spec: Spec) -> bool:
    return isinstance(spec.loss, Cotangent) and spec.loss.vectors == "shared"


def _reason(spec: Spec, name: str, moments: LayerMoments) -> str:
    """Why nothing is predicted for a column in a layer; empty where something is."""
    is_backward = name in _BACKWARD
    if name in _UNPREDICTED:
        return _UNPREDICTED[name]
    if spec.dtype not in ("float32", "float64"):
        return f"dtype={spec.dtype} rounds what theory does not"
    if is_backward and spec.loss.target != "cotangent":
        return _NEEDS_COTANGENT
    if is_backward and name.startswith("log10_grad") and spec.penalty.is_active:
        return "the penalty's gradient is added"
    if name.startswith("log10_grad") and _is_shared(spec) and not is_exchangeable(spec.data):
        return f"loss.vectors=shared with data={spec.data.name}: cross terms are known of inputs that have no product, data=gaussian"
    if name == "log10_grad_b_l2" and not _has_bias(spec, moments.layer):
        return "there is no bias"
    if name.startswith("log10_gain") and moments.layer == 1:
        return "layer 1 has no layer below"
    if spec.norm.name == "batch":
        if name == "log10_grad_b_l2" and _layer(spec, moments.layer).norm == "pre":
            return "norm=batch: a batch's cotangents sum to 0"
        if moments.layer <= _TRANSIENT:
            return f"norm=batch: within {_TRANSIENT} layers of the input, where samples are not exchangeable yet"
    if name in ("zero_fraction", "zero_derivative_fraction", "saturated_fraction"):
        if isinstance(_layer(spec, moments.layer).activation, Linear):
            return "phi is linear"
        if spec.norm.name == "batch":
            return "norm=batch: phi's argument is not Gaussian over the batch"
    return ""


def _layer(spec: Spec, index: int) -> Any:
    return layers(spec, spec.data.features, spec.data.classes)[index - 1]


def _has_bias(spec: Spec, index: int) -> bool:
    return bool(_layer(spec, index).has_vector_bias)


def _log10(square: float | Array) -> float:
    with np.errstate(divide="ignore"):
        return float(0.5 * np.log10(np.mean(square)))


def _grad(spec: Spec, moments: LayerMoments, input_ms: Array | float, input_product: Array | float) -> float:
    """log10 of |dL/dW|, or of |dL/db|, whose input is 1: mean squares of the inputs, times how many there are."""
    return _log10(moments.gradient_ms(spec.batch_size, input_ms, input_product) * _layer(spec, moments.layer).fan_out)


def _grad_w(spec: Spec, moments: LayerMoments, below: LayerMoments | None) -> float:
    layer = _layer(spec, moments.layer)
    seen = np.array([moments.input_ms, moments.input_product]) * layer.fan_in
    if layer.norm == "weight":
        # By the matrix as drawn: standardizing it divides by its deviation, and does not see the input's mean.
        seen = (seen - moments.input_mean**2 * layer.fan_in) * (moments.weight_ms / moments.drawn_ms) * (layer.fan_in - 1) / layer.fan_in
    return _grad(spec, moments, *seen)


def _fraction(test: Callable[[ScalarFunction, Array], NDArray[Any]]) -> Callable[[Spec, LayerMoments, LayerMoments | None], float]:
    def share(spec: Spec, moments: LayerMoments, below: LayerMoments | None) -> float:
        phi = as_function(spec.activation)
        cuts = np.unique([*phi.kinks, *_saturation(spec.activation)])
        # Between two cuts the answer is one. Not asked in the middle: an odd phi is 0 there, and only there.
        edges = np.concatenate([[-np.inf], cuts, [np.inf]])
        asked = np.concatenate([cuts[:1] - 1, cuts[:-1] + 0.4 * np.diff(cuts), cuts[-1:] + 1]) if len(cuts) else np.ones(1)
        reached = ndtr(edges / np.sqrt(np.atleast_1d(moments.argument_ms))[:, None])
        return float(np.mean(np.diff(reached, axis=1) @ test(phi, asked)))

    return share


@lru_cache(maxsize=64)
def _saturation(activation: AbstractActivation) -> tuple[float, ...]:
    """Where |phi'| crosses SATURATED times its maximum, within 60 of 0."""
    phi, limit = as_function(activation), SATURATED * activation.max_derivative

    def over(h: float) -> float:
        return float(np.abs(phi.derivative(np.array([h])))[0] - limit)

    # Not at whole numbers, where kinks are.
    grid = np.linspace(-60.013, 60.017, 6001)
    sign = np.sign(np.abs(phi.derivative(grid)) - limit)
    return tuple(float(brentq(over, grid[at], grid[at + 1], xtol=1e-14)) for at in np.flatnonzero(sign[1:] * sign[:-1] < 0))


def _spectral(spec: Spec, moments: LayerMoments, below: LayerMoments | None) -> float:
    layer = _layer(spec, moments.layer)
    root = np.sqrt(moments.weight_ms / layer.fan_in)
    # The edge of Marchenko and Pastur; an orthogonal matrix has one singular value.
    is_rotation = spec.init.name == "orthogonal"
    return float(root * np.sqrt(max(layer.fan_in, layer.fan_out))) if is_rotation else float(root * (np.sqrt(layer.fan_in) + np.sqrt(layer.fan_out)))


def _weight_l2(spec: Spec, moments: LayerMoments, below: LayerMoments | None) -> float:
    return float(np.sqrt(moments.drawn_ms * _layer(spec, moments.layer).fan_out))


_COLUMNS: Mapping[str, Callable[[Spec, LayerMoments, LayerMoments | None], float]] = {
    "log10_grad_w_l2": _grad_w,
    "log10_grad_b_l2": lambda spec, here, below: _grad(spec, here, 1.0, 1.0),
    "log10_delta_rms": lambda spec, here, below: _log10(here.delta_ms),
    "log10_act_rms": lambda spec, here, below: _log10(here.act_ms),
    "act_mean": lambda spec, here, below: float(np.mean(here.act_mean)),
    "act_std": lambda spec, here, below: float(np.sqrt(np.mean(here.act_ms) - np.mean(here.act_mean) ** 2)),
    "preact_std": lambda spec, here, below: float(np.sqrt(np.mean(here.preact_ms))),
    "zero_fraction": _fraction(lambda phi, h: phi.value(h) == 0),
    "zero_derivative_fraction": _fraction(lambda phi, h: phi.derivative(h) == 0),
    "saturated_fraction": _fraction(lambda phi, h: np.abs(phi.derivative(h)) < SATURATED * phi.component.max_derivative),  # type: ignore[union-attr]
    "log10_gain_weight": lambda spec, here, below: (
        _log10(here.pulled_ms * _layer(spec, here.layer).fan_in) - _log10(here.delta_ms * _layer(spec, here.layer).fan_out)
    ),
    "log10_gain_derivative": lambda spec, here, below: _log10(below.delta_ms) - _log10(here.pulled_ms) if below else np.nan,
    "weight_l2": _weight_l2,
    "weight_spectral": _spectral,
}
_BACKWARD = ("log10_grad_w_l2", "log10_grad_b_l2", "log10_delta_rms", "log10_gain_weight", "log10_gain_derivative")
_UNPREDICTED = {
    "log10_update_ratio": "it belongs to the first step of training",
    **dict.fromkeys(("log10_delta_cell_rms", "log10_gate_path_rms"), "only gated cells have it"),
}
