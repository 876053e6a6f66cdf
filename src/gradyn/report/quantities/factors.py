"""Factors per layer of squared norms in plain nets at initialization: one number a seed, and what the recursion says of it.

    runs = frames.where(activation="tanh", steps=0)
    log_factors(frames, runs)                    width -> ln of each seed's factor of |delta|^2 per layer
    predicted_factor(mean_field(runs))           the same for infinite width, from the runs' own start, not from q*
    factor_claim(frames, runs, "tanh: ...")      both, judged

Inputs of `data=pair` have one exact length, so that the recursion starts where the nets do and no transient is cut off.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from gradyn.report.claims import Claim, Rival
from gradyn.report.frames import Frames
from gradyn.report.overlay import Curve, Panel
from gradyn.report.wide import rate_claim, wide_limit
from gradyn.sweep import RunSpec
from gradyn.theory import LayerMoments, correlations, lengths, net_moments

Array = NDArray[np.float64]

# From log10 of a norm to ln of its square.
LN_SQUARE = 2 * math.log(10)
# Stands for infinite width, where an initializer's variance is asked for with its fans.
_WIDE = 10**12


def log_factors(frames: Frames, runs: pd.DataFrame, column: str = "log10_delta_rms", *, first: int = 1, last: int | None = None) -> dict[int, pd.Series]:
    """ln of the factor per layer of a squared norm between two layers, each seed's own: ln(end / begin) / (last - first).

    Args:
        frames: the folder.
        runs: of one setting and depth.
        column: log10_delta_rms, log10_act_rms, or log10_grad_w_l2 between layers of one shape. Cotangents and gradients are followed
            from `last` down to `first`, all else from `first` up to `last`.
        first: layer.
        last: layer; the last hidden one where left out.

    Returns:
        Width -> one number a seed.
    """
    found = {}
    for width, part in runs.groupby("width"):
        at, values = frames.stacked(part, column)
        table = pd.DataFrame(values, columns=at)
        end = (int(part["depth"].iloc[0]) - 1) if last is None else last
        steps = (table[end] - table[first]) * (-1 if _is_backward(column) else 1)
        found[int(width)] = steps * LN_SQUARE / (end - first)
    return found


def layer_values(frames: Frames, runs: pd.DataFrame, column: str, layer: int, *, is_squared: bool = False) -> dict[int, pd.Series]:
    """A column in one layer, or its square: width -> one number a seed."""
    found = {}
    for width, part in runs.groupby("width"):
        at, values = frames.stacked(part, column)
        numbers = pd.Series(values[:, list(at).index(layer)])
        found[int(width)] = numbers**2 if is_squared else numbers
    return found


def layer_curve(frames: Frames, runs: pd.DataFrame, label: str, column: str, theory: ArrayLike, *, is_squared: bool = False, **more: Any) -> Curve:
    """A column (or its square) over the hidden layers, each carried to infinite width, with its error; `theory` has a number a hidden layer."""
    hidden = np.arange(1, int(runs["depth"].iloc[0]))
    limits = [wide_limit(layer_values(frames, runs, column, int(layer), is_squared=is_squared)) for layer in hidden]
    return Curve(label, hidden, [value for value, _, _ in limits], [error for _, error, _ in limits], theory=theory, **more)


def mean_field(runs: pd.DataFrame, *, depth: int | None = None, init: Mapping[str, float] | None = None) -> list[LayerMoments]:
    """Every layer's moments at infinite width for runs of one setting on `data=pair`, from the length of their inputs, or on `data=gaussian`, of length 1.

    Args:
        runs: of one setting; all widths have the same limit.
        depth: another number of weight matrices than the runs'.
        init: settings of the initializer to put in the place of the runs' own.

    Raises:
        NoTheoryError: as `net_moments`.
    """
    spec = RunSpec.from_columns(runs.iloc[0])
    wide = replace(spec, depth=depth or spec.depth, width=_WIDE, init=replace(spec.init, **(init or {})))
    shared = getattr(spec.loss, "vectors", "") == "shared"
    return net_moments(wide, getattr(spec.data, "length", 1.0), _WIDE, _WIDE, batch=spec.batch_size, shared=shared)


def hidden_maps(runs: pd.DataFrame) -> tuple[Array, Array]:
    """q_l and, for a pair of inputs, c_l of the hidden layers at infinite width, [depth - 1] each; for `init=gaussian` on `data=pair`."""
    spec: Any = RunSpec.from_columns(runs.iloc[0])
    sigmas = {"sigma_w": spec.init.sigma_w, "sigma_b": spec.init.sigma_b}
    start, depth = spec.data.length, spec.depth - 1
    return lengths(spec.activation, start, depth, **sigmas), correlations(spec.activation, spec.data.correlation, start, depth, **sigmas)


def predicted_factor(layers: Sequence[LayerMoments], column: str = "log10_delta_rms", *, first: int = 1, last: int | None = None, batch: int = 1) -> float:
    """What `log_factors` measures, as the recursion has it: a factor per layer of E delta^2 or E |dL/dW|^2 backwards, or of E x^2 forwards.

    `batch` counts where samples share a cotangent, and the mean of their gradients has cross terms.
    """
    end = len(layers) - 1 if last is None else last
    low, high = (float(_squares(layers, column, batch)[layer - 1]) for layer in (first, end))
    return float((low / high if _is_backward(column) else high / low) ** (1 / (end - first)))


def factor_claim(
    frames: Frames,
    runs: pd.DataFrame,
    text: str,
    *,
    column: str = "log10_delta_rms",
    first: int = 1,
    last: int | None = None,
    rival: Rival | None = None,
) -> Claim:
    """A factor per layer, measured at one or two widths, against the recursion; not tested where the folder lacks the runs."""
    if runs.empty:
        return Claim(text, math.nan, math.nan, math.nan, "no run")
    predicted = predicted_factor(mean_field(runs), column, first=first, last=last, batch=_batch(runs))
    return rate_claim(text, log_factors(frames, runs, column, first=first, last=last), predicted, rival=rival)


def delta_panel(
    frames: Frames, settings: Mapping[str, pd.DataFrame], title: str = "through the layers", axis: str = "", column: str = "log10_delta_rms", **more: Any
) -> Panel:
    """log10 of rms delta_l (or |dL/dW_l|) over that of the last hidden layer, a curve a setting: mean over seeds at the largest width, and the recursion."""
    curves = []
    for label, runs in settings.items():
        if runs.empty:
            continue
        at, values = frames.stacked(runs[runs["width"] == runs["width"].max()], column)
        decades = (values - values[:, [-2]])[:, :-1]
        theory = np.log10(_squares(mean_field(runs), column, _batch(runs))) / 2
        curves.append(
            Curve(
                label,
                at[:-1],
                decades.mean(0),
                decades.std(0) / math.sqrt(len(decades)),
                theory=(theory - theory[-2])[:-1],
                value=(axis, label) if axis else None,
            )
        )
    what = r"rms $\delta_l$ / rms $\delta$" if column == "log10_delta_rms" else r"$|\partial L/\partial W_l|$ / that"
    return Panel(title, "layer l", rf"$\log_{{10}}$ {what} of the last hidden", curves, **more)


def factor_curve(
    frames: Frames, settings: Mapping[float, pd.DataFrame], label: str = "", column: str = "log10_delta_rms", vary: str = "", **more: Any
) -> Curve:
    """Factors per layer of several settings over a number of each, carried to infinite width; those without runs are left out.

    Args:
        frames: the folder.
        settings: number -> runs.
        label: of the curve.
        column: as in `log_factors`.
        vary: the setting of the initializer that the number is: theory is then a line between the settings, instead of their own predictions.
        more: of the `Curve`.
    """
    there = {x: runs for x, runs in settings.items() if not runs.empty}
    limits = [wide_limit(log_factors(frames, runs, column)) for runs in there.values()]
    values = np.exp([value for value, _, _ in limits])
    said, places = [(mean_field(runs), _batch(runs)) for runs in there.values()], np.array(list(there), dtype=float)
    if vary:
        places, first = np.geomspace(places.min(), places.max(), 60), next(iter(there.values()))
        said = [(mean_field(first, init={vary: float(x)}), _batch(first)) for x in places]
    theory = [predicted_factor(layers, column, batch=batch) for layers, batch in said]
    return Curve(label, list(there), values, values * [error for _, error, _ in limits], theory=theory, theory_x=places, **more)


def _batch(runs: pd.DataFrame) -> int:
    return int(runs["batch_size"].iloc[0])


def _is_backward(column: str) -> bool:
    return "delta" in column or "grad" in column


def _squares(layers: Sequence[LayerMoments], column: str, batch: int = 1) -> Array:
    of = {"log10_delta_rms": lambda x: x.delta_ms, "log10_act_rms": lambda x: x.act_ms, "log10_grad_w_l2": lambda x: x.gradient_ms(batch)}[column]
    return np.array([float(np.mean(of(layer))) for layer in layers])
