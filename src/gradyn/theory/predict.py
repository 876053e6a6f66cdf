"""What theory says of a run, in the store's own columns, beside the reason where it says nothing.

    (spec,) = gradyn.plan(["depth=64", "activation=tanh", "init=gaussian", "loss=cotangent", "data=gaussian", "data.labels=false"])
    predict(spec, ["log10_delta_rms", "log10_act_rms"])       one row a layer, as `layers` has them at step 0

A prediction is log10 of the root of an expected mean square (not the expectation of a logarithm, which lies lower by the variance
of ln |delta|^2 / 4.6 decades), in the limit of large width. What no theory covers is nan, and `reason` says why: nothing is guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.special import ndtr
from torch import Tensor

from gradyn.core import FORMATS, flushing, require
from gradyn.data import AbstractData, Gaussian, Pair
from gradyn.nn import AbstractActivation, Linear, NetSpec, layers
from gradyn.optim import Cotangent
from gradyn.probes import LAYER_COLUMNS, SATURATED
from gradyn.theory.nets import LayerMoments, NoTheoryError, net_moments

Array: TypeAlias = NDArray[np.float64]

# Inputs are summarised by so many equally likely mean squares.
_SQUARES = 32
# So many numbers are no limit yet: squares of normal ones scatter by half of their sum. Pairs of samples are taken at the mean length of so many features.
_FEW = 8
# Batch norm over inputs of M features: departures from exchangeable samples, relative squares 1 / M, change squares by some two times as much in
# every layer on the way back, single samples' half as much (measured with linear, tanh, SELU, ReLU and GELU, 8 to 32 samples; forwards less).
_DEPARTURE = 0.05
_NEEDS_COTANGENT = "the loss's cotangent depends on the weights; theory is about loss=cotangent"


class Spec(NetSpec, Protocol):
    """What of a run decides its layers at initialization."""

    @property
    def batch_size(self) -> int: ...
    @property
    def backward(self) -> str: ...
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
        width -> infinity at fixed depth, at initialization, for the mean over batch and weights of squares. See `net_moments`. Features count as a
        width where products of two inputs matter, and where layer 1 standardizes its rows; classes do where a standard deviation is over them.

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
        found = _found(spec)
    except NoTheoryError as error:
        found, reasons = [], [dict.fromkeys(asked, str(error)) for _ in range(depth)]
    departures = _departures(spec, found)
    for moments in found:
        below = found[moments.layer - 2] if moments.layer > 1 else None
        for name in asked:
            reason = _reason(spec, name, moments, departures)
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


def _found(spec: Spec) -> list[LayerMoments]:
    """Every layer's moments, over what two inputs may have in common where their cotangents are shared."""
    shared, batch, squares = _is_shared(spec) and not _unknown_pairs(spec), _batch(spec), _squares(spec.data)

    def at(cosine: float) -> list[LayerMoments]:
        products = cosine * float(np.mean(squares))
        return net_moments(spec, squares, spec.data.features, spec.data.classes, products=products, batch=batch, shared=shared)

    if not shared or spec.norm.name == "batch":
        return at(0.0)
    # Two inputs' cosine is 0 in the mean and 1 / M in its square, and B - 1 others count. Of a direction uniform in M dimensions these three nodes
    # have the moments up to the fifth (Gauss and Gegenbauer); a pair's own two inputs have exactly 0.
    features, samples = spec.data.features, spec.data.samples
    node, weight = np.sqrt(3 / (features + 2)), (features + 2) / (6 * features)
    if isinstance(spec.data, Pair):
        weight *= (samples - 2) / (samples - 1)
    parts = [(1 - 2 * weight, at(0.0)), (weight, at(node)), (weight, at(-node))]
    return [_averaged([(share, part[index]) for share, part in parts]) for index in range(spec.depth)]


def _averaged(parts: Sequence[tuple[float, LayerMoments]]) -> LayerMoments:
    """One layer's moments of which delta_product is the mean, and so is its product with input_product."""
    delta = np.sum([share * here.delta_product for share, here in parts], axis=0)
    both = np.sum([share * here.delta_product * here.input_product for share, here in parts], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        inputs = np.where(delta == 0, 0.0, both / delta)
    return replace(parts[0][1], delta_product=delta, input_product=inputs)


@lru_cache(maxsize=64)
def _squares(data: AbstractData) -> tuple[float, ...]:
    """Mean squares of the training inputs, as equally likely quantiles."""
    squares = np.square(data.load().x_train).mean(1)
    return tuple(np.quantile(squares, (np.arange(_SQUARES) + 0.5) / _SQUARES)) if np.ptp(squares) > 1e-12 * squares.max() else (float(squares[0]),)


def _batch(spec: Spec) -> int | None:
    if spec.norm.name == "batch" and not is_exchangeable(spec.data):
        raise NoTheoryError(f"norm=batch with data={spec.data.name}: theory is about exchangeable samples, data=gaussian")
    if spec.norm.name == "batch" and isinstance(spec.activation, Linear) and spec.data.features < spec.batch_size - 1:
        fact = f"{spec.batch_size} inputs of {spec.data.features} features do not span the batch, and linear layers keep their rank"
        raise NoTheoryError(f"norm=batch: {fact}")
    return spec.batch_size


def _departures(spec: Spec, found: Sequence[LayerMoments]) -> Array:
    """By how much squares may be off in a layer, forwards and backwards, [2, layers], where batch norm's samples are not exchangeable yet."""
    if spec.norm.name != "batch" or not found:
        return np.zeros((2, len(found)))
    own = np.array([2 * here.departure**2 / spec.data.features for here in found])
    backwards = own @ (1.0, 0.5)
    normed = np.array([_layer(spec, here.layer).norm == "pre" for here in found], dtype=bool)
    # Gradients have come through the norms of all layers above, and their own.
    return np.array([own.max(1), np.cumsum((backwards * normed)[::-1])[::-1]])


def is_exchangeable(data: AbstractData) -> bool:
    """Whether two inputs have no product, whichever they are."""
    return isinstance(data, Gaussian) or (isinstance(data, Pair) and data.correlation == 0)


def _is_shared(spec: Spec) -> bool:
    return isinstance(spec.loss, Cotangent) and spec.loss.vectors == "shared"


def _unknown_pairs(spec: Spec) -> str:
    """Why cross terms between two samples' gradients are not known; empty where they are."""
    if not is_exchangeable(spec.data):
        return "cross terms are known of inputs that have no product, data=gaussian"
    if spec.data.features < _FEW and spec.norm.name != "batch":
        return f"lengths of inputs with fewer than {_FEW} features scatter too much for cross terms"
    return ""


def _reason(spec: Spec, name: str, moments: LayerMoments, departures: Array) -> str:
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
    if name.startswith("log10_grad") and _is_shared(spec) and (reason := _unknown_pairs(spec)):
        return f"loss.vectors=shared with data={spec.data.name}: {reason}"
    if name == "log10_grad_b_l2" and not _has_bias(spec, moments.layer):
        return "there is no bias"
    if name.startswith("log10_gain") and moments.layer == 1:
        return "layer 1 has no layer below"
    if name in ("act_std", "preact_std") and (units := _layer(spec, moments.layer).fan_out) < _FEW:
        return f"{units} units, fewer than {_FEW}, don't average out what samples have in common"
    if spec.norm.name == "batch":
        if name == "log10_grad_b_l2" and _layer(spec, moments.layer).norm == "pre":
            return "norm=batch: a batch's cotangents sum to 0"
        # What the gradient meets on its way from here to the layer below is that layer's norm.
        met = moments.layer - 2 if name == "log10_gain_derivative" else moments.layer - 1
        if (off := departures[int(is_backward), met]) > _DEPARTURE and name not in _OF_WEIGHTS:
            return f"norm=batch: samples are not exchangeable yet: {spec.data.features} features a sample change squares by about {off:.2g} here"
    if name in _FRACTIONS:
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
        free = (layer.fan_in - 1) / layer.fan_in
        seen = (seen - moments.input_mean**2 * layer.fan_in) * free * (moments.weight_ms * free / moments.drawn_ms)
    return _grad(spec, moments, *seen)


def _fraction(kind: str) -> Callable[[Spec, LayerMoments, LayerMoments | None], float]:
    def share(spec: Spec, moments: LayerMoments, below: LayerMoments | None) -> float:
        cuts, holds = _parts(kind, spec.activation, spec.dtype, spec.backward != "plain")
        reached = ndtr(np.array([-np.inf, *cuts, np.inf]) / np.sqrt(np.atleast_1d(moments.argument_ms))[:, None])
        return float(np.mean(np.diff(reached, axis=1) @ holds))

    return share


@lru_cache(maxsize=256)
def _parts(kind: str, activation: AbstractActivation, dtype: str, is_flushed: bool) -> tuple[Array, NDArray[np.bool_]]:
    """Where the answer to a question about phi or phi' changes within 1e4 of 0, as the run's arithmetic has it, and the answers between.

    Zeros are a matter of the format: GELU is 0 below -5.5 in float32, below -8.4 in float64.
    """
    format_ = FORMATS[dtype].carrier

    def test(h: Array) -> NDArray[np.bool_]:
        with torch.no_grad(), flushing(is_flushed):
            h_tensor = torch.from_numpy(h).to(format_)
            x = activation.forward(h_tensor)
            slope = activation.derivative(h_tensor, x).abs()
            found: NDArray[np.bool_] = _FRACTIONS[kind](activation, x, slope).numpy()
            return found

    # Neither 0 nor the kinks, at whole numbers, are asked about: an odd phi is 0 there, and only there.
    half = np.concatenate([np.linspace(0.013, 60.017, 6001), np.geomspace(60.03, 1e4, 2001)])
    grid = np.concatenate([-half[::-1], half])
    answers = test(grid)
    changes = np.flatnonzero(answers[1:] != answers[:-1])
    low, high, at_low = grid[changes], grid[changes + 1], answers[changes]
    for _ in range(60):
        middle = (low + high) / 2
        is_low = test(middle) == at_low
        low, high = np.where(is_low, middle, low), np.where(is_low, high, middle)
    return high, answers[np.append(changes, len(grid) - 1)]


def _spectral(spec: Spec, moments: LayerMoments, below: LayerMoments | None) -> float:
    layer = _layer(spec, moments.layer)
    root = np.sqrt(moments.weight_ms / layer.fan_in)
    # The edge of Marchenko and Pastur; an orthogonal matrix has one singular value.
    is_rotation = spec.init.name == "orthogonal"
    return float(root * np.sqrt(max(layer.fan_in, layer.fan_out))) if is_rotation else float(root * (np.sqrt(layer.fan_in) + np.sqrt(layer.fan_out)))


def _weight_l2(spec: Spec, moments: LayerMoments, below: LayerMoments | None) -> float:
    return float(np.sqrt(moments.drawn_ms * _layer(spec, moments.layer).fan_out))


_FRACTIONS: Mapping[str, Callable[[AbstractActivation, Tensor, Tensor], Tensor]] = {
    "zero_fraction": lambda phi, x, slope: x == 0,
    "zero_derivative_fraction": lambda phi, x, slope: slope == 0,
    "saturated_fraction": lambda phi, x, slope: slope < SATURATED * phi.max_derivative,
}
_COLUMNS: Mapping[str, Callable[[Spec, LayerMoments, LayerMoments | None], float]] = {
    "log10_grad_w_l2": _grad_w,
    "log10_grad_b_l2": lambda spec, here, below: _grad(spec, here, 1.0, 1.0),
    "log10_delta_rms": lambda spec, here, below: _log10(here.delta_ms),
    "log10_act_rms": lambda spec, here, below: _log10(here.act_ms),
    "act_mean": lambda spec, here, below: float(np.mean(here.act_mean)),
    "act_std": lambda spec, here, below: float(np.sqrt(np.mean(here.act_ms) - np.mean(here.act_mean) ** 2)),
    "preact_std": lambda spec, here, below: float(np.sqrt(np.mean(here.preact_ms))),
    **{kind: _fraction(kind) for kind in _FRACTIONS},
    "log10_gain_weight": lambda spec, here, below: (
        _log10(here.pulled_ms * _layer(spec, here.layer).fan_in) - _log10(here.delta_ms * _layer(spec, here.layer).fan_out)
    ),
    "log10_gain_derivative": lambda spec, here, below: _log10(below.delta_ms) - _log10(here.pulled_ms) if below else np.nan,
    "weight_l2": _weight_l2,
    "weight_spectral": _spectral,
}
_BACKWARD = ("log10_grad_w_l2", "log10_grad_b_l2", "log10_delta_rms", "log10_gain_weight", "log10_gain_derivative")
_OF_WEIGHTS = ("weight_l2", "weight_spectral", "log10_gain_weight")
_UNPREDICTED = {
    "log10_update_ratio": "it belongs to the first step of training",
    **dict.fromkeys(("log10_delta_cell_rms", "log10_gate_path_rms"), "only gated cells have it"),
}
