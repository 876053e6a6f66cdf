"""Where floats stop: the tables of `experiments/float_limits.py` and their figure."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd

from gradyn.probes import FloatCounts
from gradyn.report.figure import Drawn, label
from gradyn.report.frames import Frames
from gradyn.report.style import GREY, Page, look
from gradyn.sweep import Log, RunSpec, Schedule, execute, pack

_AXES = ("depth", "activation", "init", "norm", "residual", "dtype", "backward", "loss_scale", "seed")
_KEPT = ("layer", "log10_grad_w_l2", "log10_delta_rms", "log10_grad_w_l2_read", "zero_derivative_fraction")
_COLOURS = {"float16": "#D55E00", "bfloat16": "#E69F00", "float32": "#0072B2", "float64": "#009E73"}
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
    claim = "Every float stops seeing a gradient that goes on; with an exponent of its own the line does not end."
    foot = (
        "Left: sigmoid net, small init; solid: what plain float arithmetic leaves of the gradient, ended where it is 0 (x); dashed: the same net with tracked "
        "exponents; dotted: the format's smallest number. Middle: the default sweep's deepest sigmoid nets without norm and skip: norms that are numbers "
        "but that norm() in float32 reads as 0. Right: layers below the readout whose gradient is not 0, mean over seeds, He init."
    )
    setting = f"depth {depth} on the left; default data and loss, at initialization."
    figure, axes = page.sheet(rows, columns, height=2.0, title=claim, setting=setting, foot=foot, gap=(0.82, 0.62), share=(False, False), bottom=0.42)
    left, middle, right = axes.flat
    for name in [name for name in _COLOURS if name in set(lines["dtype"])]:
        own = lines[(lines["dtype"] == name) & (lines["backward"] == "plain")].sort_values("layer", ascending=False)
        alive = own[own["log10_delta_rms"] > -math.inf]
        left.plot(depth - alive["layer"], alive["log10_delta_rms"], color=_COLOURS[name], linewidth=2.2, label=name, zorder=3)
        left.plot((depth - alive["layer"]).iloc[-1:], alive["log10_delta_rms"].iloc[-1:], "x", color=_COLOURS[name], markersize=6, zorder=4)
        left.axhline(_FLOOR[name] * math.log10(2), color=_COLOURS[name], linestyle=":", linewidth=0.7)
    true = lines[(lines["backward"] == "tracked") & (lines["dtype"] == lines["dtype"].iloc[-1])].sort_values("layer", ascending=False)
    left.plot(depth - true["layer"], true["log10_delta_rms"], color="black", linestyle="--", linewidth=0.9, label="tracked", zorder=5)
    left.set_xlabel("layers below the readout")
    left.set_ylabel(label("log10_delta_rms"))
    left.legend(loc="lower left", fontsize=6)
    places = np.arange(len(shares))
    order = shares.sort_values(ascending=False)
    middle.barh(places, order, color=[look("init", name, list(order.index))[0] for name in order.index], height=0.7)
    middle.set_yticks(places, labels=list(order.index))
    middle.invert_yaxis()
    middle.set_xlim(0, 1)
    middle.set_xlabel("share read as 0 by a float32 norm()")
    for place, share in zip(places, order, strict=True):
        middle.text(min(share + 0.02, 0.8), place, f"{share:.0%}", va="center", fontsize=6, color=GREY if share < 0.8 else "white")
    for name in [name for name in _COLOURS if name in bought.index]:
        # Formats of one range coincide: the one drawn first is the wider.
        size = 7 if name == "bfloat16" else 4
        right.plot(bought.columns, bought.loc[name], "o-", color=_COLOURS[name], markersize=size, linewidth=size / 3, label=name)
    right.set_xscale("log", base=2)
    right.set_xlabel("loss scale")
    right.set_ylabel("layers that see a gradient")
    right.set_ylim(bottom=0)
    right.legend(fontsize=6, loc="best")
    tables = {"float_limits_read": shares.reset_index(), "float_limits_scaling": bought.reset_index()}
    points = lines[["dtype", "backward", "layer", "log10_delta_rms", "log10_grad_w_l2"]]
    return [Drawn("float_limits", figure, claim, "", foot, points, ("log10_delta_rms", "log10_grad_w_l2_read"), tables)]
