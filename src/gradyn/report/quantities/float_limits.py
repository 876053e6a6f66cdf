"""Where floats stop: the tables of `experiments/float_limits.py` and their figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

from gradyn.probes import FloatCounts
from gradyn.report.figure import Drawn, label
from gradyn.report.frames import Frames
from gradyn.report.style import Page, look
from gradyn.sweep import Log, RunSpec, Schedule, execute, pack

_AXES = ("depth", "activation", "init", "norm", "residual", "dtype", "backward", "loss_scale", "seed")
_KEPT = ("layer", "log10_grad_w_l2", "log10_delta_rms", "log10_grad_w_l2_read", "zero_derivative_fraction")
_COLOURS = {"float16": "#D55E00", "bfloat16": "#E69F00", "float32": "#0072B2", "float64": "#009E73"}
_MARKS = {"float16": "o", "bfloat16": "s", "float32": "^", "float64": "D"}
_FLOOR = {"float16": -24, "bfloat16": -133, "float32": -149, "float64": -1074}


def initial_layers(specs: Sequence[RunSpec]) -> pd.DataFrame:
    """The layers of every net at initialization, one row a run and layer, with the run's axes.

    `is_exact_zero`: dL/dW_l is 0 because some layer at or above l lets nothing through (all its phi' are 0), or its input is 0;
    `is_read_as_zero`: a float32 norm() reads 0 though the gradient is not.
    """
    log = Log(Schedule((0,)), Schedule((0,)), (FloatCounts(),))
    parts = []
    for runs in pack(specs):
        records = execute(runs, log)
        layers = pd.DataFrame({name: np.ma.filled(records.layers[name], np.nan) for name in ("run_id", *_KEPT)})
        axes = pd.DataFrame([{"run_id": spec.run_id, **{axis: spec.columns[axis] for axis in _AXES}} for spec in runs])
        layers = layers.merge(axes, on="run_id")
        # A layer without phi' (the readout) lets everything through.
        is_shut = (layers["zero_derivative_fraction"] == 1).astype(float)
        layers["is_exact_zero"] = is_shut[::-1].groupby(layers["run_id"]).cummax()[::-1].astype(bool) | _is_fed_zeros(records, layers)
        parts.append(layers)
    table = pd.concat(parts, ignore_index=True)
    table["is_read_as_zero"] = (table["log10_grad_w_l2_read"] == -math.inf) & (table["log10_grad_w_l2"] > -math.inf)
    return table.drop(columns="run_id")


def _is_fed_zeros(records: object, layers: pd.DataFrame) -> pd.Series:
    rms = pd.Series(np.ma.filled(records.layers["log10_act_rms"], np.nan))  # type: ignore[attr-defined]
    return (rms.groupby(layers["run_id"]).shift(1) == -math.inf).astype(bool)


def last_power(powers: pd.DataFrame, dtype: str, backward: str) -> float:
    """The largest L whose 0.25^L is not 0: how many weights below the readout's cotangent delta is still a number."""
    rows = powers[(powers["dtype"] == dtype) & (powers["backward"] == backward)]
    alive = rows[rows["log10_delta_rms"] > -math.inf]
    return float(rows["layer"].max() - alive["layer"].min())


def read_as_zero(read: pd.DataFrame) -> pd.Series:
    """By init: the share of the deepest plain sigmoid nets' norms that a float32 norm() reads as 0, though they are not."""
    sick = read[(read["activation"] == "sigmoid") & (read["norm"] == "none") & (read["residual"] == "plain")]
    return sick[sick["depth"] == sick["depth"].max()].groupby("init")["is_read_as_zero"].mean()


def lost_at(scaling: pd.DataFrame) -> pd.DataFrame:
    """By dtype, loss scale and seed: how many layers below the readout still have a gradient that is not 0."""
    alive = scaling[scaling["log10_delta_rms"] > -math.inf]
    return (alive["depth"] - alive["layer"]).groupby([alive["dtype"], alive["loss_scale"], alive["seed"]]).max().rename("layers").reset_index()


def reached(scaling: pd.DataFrame) -> tuple[float, float, float]:
    """Layers that the smallest loss scale above 1 buys in float16, over what its logarithm promises; 1; and the standard error."""
    table = lost_at(scaling[scaling["dtype"] == "float16"]).pivot(index="seed", columns="loss_scale", values="layers")
    scale = float(sorted(table.columns)[1])
    rows = scaling[(scaling["dtype"] == "float16") & (scaling["log10_delta_rms"] > -6) & (scaling["loss_scale"] == scale) & (scaling["layer"] > 1)]
    rate = -np.polyfit(-rows["layer"], rows["log10_delta_rms"], 1)[0]
    ratio = (table[scale] - table[1.0]) * rate / math.log10(scale)
    # A difference of two whole numbers: each is off by a uniform fraction of a layer.
    grain = math.sqrt(2 / 12 / len(ratio)) * rate / math.log10(scale)
    scatter = float(ratio.std(ddof=1)) / math.sqrt(len(ratio)) if len(ratio) > 1 else 0.0
    return float(ratio.mean()), 1.0, math.hypot(grain, scatter)


def draw(frames: Frames, page: Page) -> list[Drawn]:
    """`float_limits`: each format's line beside the true one; shares read as zero; what loss scaling buys."""
    lines, read, scaling = (frames.tables[name] for name in ("lines", "read", "scaling"))
    shares = read_as_zero(read)
    bought = lost_at(scaling).groupby(["dtype", "loss_scale"])["layers"].mean().unstack()
    depth = int(lines["depth"].iloc[0])
    rows, columns = (3, 1) if page.is_narrow else (1, 3)
    claim = "Floats lose a gradient that goes on; an exponent of its own keeps it."
    first, last = ("Top", "Bottom") if page.is_narrow else ("Left", "Right")
    foot = (
        f"{first}: sigmoid net, small init, both axes logarithmic; solid: what plain float arithmetic leaves of the gradient, up to a mark, below which it "
        "is 0; dashed: the same with tracked exponents; dotted: the format's smallest number (of the mean loss, so 1/batch of what is drawn). Middle: the "
        "default sweep's deepest sigmoid nets without norm and skip: norms that norm() in float32 reads as 0 and that are not. "
        f"{last}: layers below the readout whose gradient is not 0, mean over seeds, He init."
    )
    setting = f"{first}: depth {depth}; default data and loss, at initialization."
    space: dict[str, Any] = dict(gap=(0.82, 0.62), share=(False, False), bottom=0.42, left=0.86 if page.is_narrow else 0.58)
    figure, axes = page.sheet(rows, columns, height=2.0, title=claim, setting=setting, foot=foot, **space)
    left, middle, right = axes.flat
    _lines(left, lines)
    _shares(middle, shares)
    _layers_bought(right, bought)
    tables = {"float_limits_read": shares.reset_index(), "float_limits_scaling": bought.reset_index()}
    points = lines[["dtype", "backward", "layer", "log10_delta_rms", "log10_grad_w_l2"]]
    return [Drawn("float_limits", figure, claim, "", foot, points, ("log10_delta_rms", "log10_grad_w_l2_read"), tables)]


def _lines(ax: Axes, lines: pd.DataFrame) -> None:
    depth = int(lines["depth"].iloc[0])

    def below(rows: pd.DataFrame) -> tuple[pd.Series, pd.Series]:
        """Layers below the readout, from 1, and what is left there; on logarithmic axes both begin above 0."""
        alive = rows[(rows["log10_delta_rms"] < 0) & (rows["log10_delta_rms"] > -math.inf) & (rows["layer"] < depth)].sort_values("layer", ascending=False)
        return depth - alive["layer"], -alive["log10_delta_rms"]

    names = [name for name in _COLOURS if name in set(lines["dtype"])]
    for name in reversed(names):
        x, y = below(lines[(lines["dtype"] == name) & (lines["backward"] == "plain")])
        # The lines coincide where they are: the longer, the wider.
        ax.plot(x, y, color=_COLOURS[name], linewidth=1.5 * (names.index(name) + 1), solid_capstyle="butt")
        ax.plot(x.iloc[-1:], y.iloc[-1:], _MARKS[name], color=_COLOURS[name], markersize=5.5, markeredgecolor="white", markeredgewidth=0.6, zorder=6)
        floor = -_FLOOR[name] * math.log10(2)
        ax.axhline(floor, color=_COLOURS[name], linestyle=":", linewidth=0.8, zorder=1)
        # On the side where the line is not; bfloat16 ends a little above float32.
        is_left, is_under = floor > 100, name == "float32"
        place = (0.02 if is_left else 0.98, floor)
        style: dict[str, Any] = dict(ha="left" if is_left else "right", va="top" if is_under else "bottom", fontsize=6)
        ax.annotate(name, place, (0, -2 if is_under else 2), xycoords=ax.get_yaxis_transform(), textcoords="offset points", **style)
    x, y = below(lines[(lines["backward"] == "tracked") & (lines["dtype"] == lines["dtype"].iloc[-1])])
    ax.plot(x, y, color="black", linestyle="--", linewidth=0.9, zorder=5)
    ax.annotate("tracked", (float(x.max()), float(y.max())), (-4, -1), textcoords="offset points", ha="right", va="top", fontsize=6)
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlim(left=1)
    ax.set_ylim(10 ** math.ceil(math.log10(float(y.max()))), 1)
    for axis, sign in ((ax.xaxis, ""), (ax.yaxis, "\u2212")):
        axis.set_major_formatter(FuncFormatter(lambda value, _, sign=sign: f"{sign}{value:g}"))
    ax.set_xlabel("layers below the readout")
    ax.set_ylabel(label("log10_delta_rms"))


def _shares(ax: Axes, shares: pd.Series) -> None:
    order = shares.sort_values(ascending=False)
    places = np.arange(len(order))
    ax.barh(places, order, color=[look("init", name, list(order.index))[0] for name in order.index], height=0.7)
    ax.set_yticks(places, labels=list(order.index))
    ax.invert_yaxis()
    ax.grid(visible=False)
    ax.set_xlim(0, 1)
    ax.set_xlabel("share read as 0 by a float32 norm()")
    for place, share in zip(places, order, strict=True):
        is_inside = share > 0.85
        ax.text(share - 0.02 if is_inside else share + 0.02, place, f"{share:.0%}", va="center", ha="right" if is_inside else "left", fontsize=6)


def _layers_bought(ax: Axes, bought: pd.DataFrame) -> None:
    for name in [name for name in _COLOURS if name in bought.index]:
        # Formats of one range coincide: the one drawn first is the wider.
        size = 8 if name == "bfloat16" else 4
        ax.plot(bought.columns, bought.loc[name], "-", marker=_MARKS[name], color=_COLOURS[name], markersize=size, linewidth=size / 3, label=name)
    ax.set_xscale("log", base=2)
    ax.set_xlabel("loss scale")
    ax.set_ylabel("layers that see a gradient")
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=6, loc="lower right", markerscale=0.7)
