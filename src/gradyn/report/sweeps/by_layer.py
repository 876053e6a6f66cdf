"""Figure 1: delta and the weight gradient against layer, one row of panels an activation, one line a depth, one page an init."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gradyn.core import options
from gradyn.nn import AbstractActivation, AbstractCell
from gradyn.report.figure import Drawn, decades, label
from gradyn.report.frames import Frames, MissingError, seed_words
from gradyn.report.predicted import predicted, rate_error
from gradyn.report.rates import rates
from gradyn.report.style import INK, Page, layer_ticks, line_key, look, remark, seed_lines

_QUANTITIES = ("log10_delta_rms", "log10_grad_w_l2")
# The wide limit: closer dashes than a bound's, in a colour that is seen on light and dark lines.
_THEORY: dict[str, Any] = {"color": "#E69F00", "linestyle": (0, (1.6, 1.2)), "linewidth": 1.1}
# The page that stands for all: the initializer that is meant for ReLU, under which sigmoid nets vanish.
_FIRST = ("he_normal", "he_uniform", "xavier_normal", "torch_default")


def draw(frames: Frames, page: Page) -> list[Drawn]:
    """`norms_by_layer` for one initializer, and `norms_by_layer_<init>` for each of the others."""
    frames.need("depth", "activation", "init")
    runs = frames.baseline(("depth", "activation", "init"))
    inits = [init for init in frames.values("init") if init in set(runs["init"])]
    first = next((init for init in _FIRST if init in inits), inits[0])
    pages = [first, *(init for init in inits if init != first)]
    return [_page(frames, page, runs[runs["init"] == init], init, "norms_by_layer" if init == first else f"norms_by_layer_{init}") for init in pages]


def _page(frames: Frames, page: Page, runs: pd.DataFrame, init: str, stem: str) -> Drawn:
    activations = [value for value in frames.values("activation") if value in set(runs["activation"])]
    depths = [value for value in frames.values("depth") if value in set(runs["depth"])]
    held = frames.setting(runs, ("depth", "activation"))
    claim = _claim(frames, runs, init)
    has_spectrum = "weight_spectral" in frames.layers and bool(frames.layers["weight_spectral"].notna().any())
    # Without spectral norms (log.spectral=false) there is a bound where they are known anyhow.
    has_bound = (has_spectrum or init == "orthogonal") and _is_bounded(runs.iloc[0])
    bound = "0.25^k in sigmoid nets" if init == "orthogonal" else "the run's own weights"
    dashed = (
        f"Dashed: the most that can arrive from the last hidden layer, product of max|φ′| ‖W‖₂ over the layers between "
        f"({bound}; median over seeds; where it leaves the picture it forbids nothing). "
    )
    foot = (
        f"{seed_words(runs['seed'].nunique())} {dashed if has_bound else ''}Cross: not finite from there on; "
        f"triangle: exactly zero. Theory: `gradyn.theory.predict`, width to infinity, where it holds. {frames.progress}"
    )
    figure, axes = page.sheet(
        len(activations),
        2,
        height=1.05 if not page.is_narrow else 0.95,
        title=claim,
        setting=held,
        foot=foot,
        legend=0.34 if page.is_narrow else 0.17,
        left=0.55,
        gap=(0.55, 0.3),
    )
    rows = frames.at_start(runs, [*_QUANTITIES, *(["weight_spectral"] if has_spectrum else [])])
    points, errors = [], []
    for row, activation in enumerate(activations):
        for depth in depths:
            group = runs[(runs["activation"] == activation) & (runs["depth"] == depth)]
            if group.empty:
                continue
            colour, _ = look("depth", depth, depths)
            for side, quantity in enumerate(_QUANTITIES):
                layers, values = frames.stacked(group, quantity, rows)
                seed_lines(axes[row, side], layers, values, colour)
                mark_end(axes[row, side], layers, values, colour, f"depth {depth}")
                points.append(_points(group, layers, values, activation, depth, quantity))
                said, _ = predicted(group, quantity)
                if np.isfinite(said).any():
                    axes[row, side].plot(layers, said, zorder=4, **_THEORY)
                    points.append(_points(group.iloc[:1], layers, said[None], activation, depth, f"theory of {quantity}").assign(seed="theory"))
                    if quantity == "log10_delta_rms":
                        errors.append(rate_error(layers, values, said))
                if quantity == "log10_delta_rms":
                    limit = upper_bound(frames, group, layers, values, rows if has_spectrum else None)
                    if np.isfinite(limit).any():
                        axes[row, side].plot(layers[:-1], limit, color=colour, linestyle=(0, (4, 2)), linewidth=0.9, zorder=2.5)
                    points.append(_points(group.iloc[:1], layers[:-1], limit[None], activation, depth, "bound").assign(seed="median"))
        for side, quantity in enumerate(_QUANTITIES):
            axes[row, side].set_title((f"{activation}: " if side == 0 or not page.is_narrow else "") + ("delta", "weight gradient")[side])
            axes[row, side].set_ylabel(label(quantity))
    _frame_view(axes, points)
    for side in (0, 1):
        axes[-1, side].set_xlabel("layer l" if page.is_narrow else "layer l (1 = next to the input)")
        layer_ticks(axes[-1, side], max(depths))
    keys = line_key("depth", depths, "depth ")
    for key in keys:
        key.set_marker("")
    if has_bound:
        keys.append(Line2D([], [], color=INK, linestyle=(0, (4, 2)), linewidth=0.9, label="bound"))
    if errors:
        keys.append(Line2D([], [], **_THEORY, label=f"theory (rate of δ off by at most {np.nanmax(np.abs(errors)):.3f} decades / layer)"))
    page.legend(figure, keys, columns=4 if page.is_narrow else len(keys))
    return Drawn(stem, figure, claim, held, foot, pd.concat(points, ignore_index=True), _QUANTITIES)


def _claim(frames: Frames, runs: pd.DataFrame, init: str) -> str:
    deepest = runs[runs["depth"] == runs["depth"].max()]
    span = rates(frames, deepest).groupby("activation")["backward_span"].median()
    cut = [name for name in span.index if np.isneginf(span[name])]
    span = span[np.isfinite(span)]
    depth = int(deepest["depth"].iloc[0])
    if span.empty:
        return f"{init}: at depth {depth} delta is {'exactly zero' if cut else 'not finite'} in every net."
    low, high = span.idxmin(), span.idxmax()
    if low == high:
        rest = f", and is exactly zero in {', '.join(cut)} nets" if cut else ""
        return f"{init}: on its way down {depth} layers delta changes by {decades(span[low])} decades in {low} nets{rest}."
    return f"{init}: on its way down {depth} layers delta changes by {decades(span[low])} decades in {low} nets, by {decades(span[high])} in {high} nets."


def upper_bound(frames: Frames, runs: pd.DataFrame, layers: np.ndarray, delta: np.ndarray, rows: pd.DataFrame | None) -> np.ndarray:
    """log10 of the largest delta that can arrive at hidden layer l, from the one at the last hidden layer, median over seeds.

    ||delta_l|| <= ||delta_{depth-1}|| prod_{k=l+1}^{depth-1} max|phi'| ||W_k||_2. All hidden layers have one width, so the same
    holds for the root mean square. Orthogonal weights have ||W_k||_2 = gain: then it is the 0.25^k line of sigmoid nets.

    Args:
        frames: the folder.
        runs: of one activation and depth, plain and without norm or gates (elsewhere the bound says nothing and is nan).
        layers: 1 ... depth.
        delta: log10 rms delta [S, depth].
        rows: layers at initialization with `weight_spectral`; None where the folder lacks it.

    Returns:
        [depth - 1], nan where weights or delta are unknown.
    """
    spec = runs.iloc[0]
    nothing = np.full(len(layers) - 1, np.nan)
    if not _is_bounded(spec) or len(layers) < 3:
        return nothing
    steepest = np.log10(max_derivative(runs))
    # A cell scales what init draws.
    if spec["init"] == "orthogonal" and not _cell(spec).is_recurrent:
        gain = spec.get("init.gain", 1.0)
        step = np.full((len(delta), len(layers)), steepest + np.log10(1.0 if gain is None or np.isnan(gain) else gain))
    elif rows is not None:
        with np.errstate(all="ignore"):
            step = steepest + np.log10(frames.stacked(runs, "weight_spectral", rows)[1])
    else:
        return nothing
    # step[:, k-1] is layer k's; what arrives at l passed l+1 ... depth-1.
    passed = np.cumsum(step[:, 1:-1][:, ::-1], axis=1)[:, ::-1]
    passed = np.concatenate([passed, np.zeros((len(delta), 1))], axis=1)
    bound = delta[:, -2:-1] + passed
    bound = bound[np.isfinite(bound).all(axis=1)]
    return np.median(bound, axis=0) if len(bound) else nothing


def _is_bounded(spec: pd.Series) -> bool:
    # Gates pass a cotangent on beside the matrix: with W = 0 an LSTM's memory still keeps its share.
    return spec.get("norm", "none") == "none" and spec.get("residual", "plain") == "plain" and _cell(spec).gates <= 1


def _cell(spec: pd.Series) -> type[AbstractCell]:
    """The class of a run's cell; folders from before cells hold deep nets."""
    cls = options(AbstractCell).get(spec.get("cell", "feedforward"))
    if cls is None or not issubclass(cls, AbstractCell):
        raise MissingError(f"cell {spec['cell']!r} is none of this version's; its bound can't be computed.")
    return cls


def max_derivative(runs: pd.DataFrame) -> float:
    """sup |phi'| of the runs' activation, with its settings as stored.

    Raises:
        MissingError: the catalogue has no activation of that name.
    """
    spec = runs.iloc[0]
    cls = options(AbstractActivation).get(spec["activation"])
    if cls is None or not issubclass(cls, AbstractActivation):
        raise MissingError(f"activation {spec['activation']!r} is none of this version's; its bound can't be computed.")
    stored = {name.split(".")[1]: spec[name] for name in runs.columns if name.startswith("activation.") and pd.notna(spec[name])}
    return cls(**{name: value for name, value in stored.items() if name in cls.__dataclass_fields__}).max_derivative


def mark_end(ax: Axes, layers: np.ndarray, values: np.ndarray, colour: object, name: str, size: float = 6.0) -> None:
    """A cross where numbers stop being finite, a triangle where they are exactly zero from there on; a remark where no layer has a number."""
    for bad, mark, word in ((np.isnan(values), "x", "not finite"), (np.isneginf(values), "v", "exactly zero")):
        good = np.flatnonzero(np.isfinite(values).any(axis=0))
        places = np.setdiff1d(np.flatnonzero(bad.any(axis=0)), good)
        if len(places) == 0:
            continue
        # The readout alone is left: the loss's own gradient has not travelled yet.
        if len(good) <= 1:
            remark(ax, f"{name}: {word}", size)
        else:
            at = good[np.argmin(np.abs(good - places.mean()))]
            ax.plot(
                layers[at],
                np.nanmedian(np.where(np.isfinite(values[:, at]), values[:, at], np.nan)),
                marker=mark,
                color=colour,
                markersize=4.5,
                markeredgewidth=1.2,
                linestyle="",
                zorder=4,
            )


def _points(runs: pd.DataFrame, layers: np.ndarray, values: np.ndarray, activation: str, depth: int, quantity: str) -> pd.DataFrame:
    seeds = runs.sort_values("seed")["seed"].to_numpy()
    return pd.DataFrame(
        {
            "quantity": quantity,
            "activation": activation,
            "depth": depth,
            "seed": np.repeat(seeds, len(layers)),
            "layer": np.tile(layers, len(seeds)),
            "value": values.ravel(),
        }
    )


def _frame_view(axes: np.ndarray, points: list[pd.DataFrame]) -> None:
    # The view is the measurement's: a bound may rise by a hundred decades and must not flatten it.
    table = pd.concat([table for table in points if table["quantity"].iloc[0] != "bound"])
    values = table["value"][np.isfinite(table["value"])]
    if len(values):
        low, high = values.min(), values.max()
        room = max(0.06 * (high - low), 0.5)
        axes[0, 0].set_ylim(low - room, high + room)
