"""Figure 5: clipping. Total gradient norm before and after over the steps, how often it binds, loss with and without where gradients explode."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gradyn.report.figure import Drawn, label
from gradyn.report.frames import Frames, MissingError, seed_words
from gradyn.report.style import CURED, GREY, SICK, Page, seed_lines
from gradyn.report.sweeps.cures import FINITE
from gradyn.report.sweeps.maps import heat_map


def draw(frames: Frames, page: Page) -> list[Drawn]:
    """`clipping`: three nets with the largest gradients, a column each; below, the share of steps on which clipping binds."""
    frames.need("depth", "activation", "init", "clip")
    kinds = [value for value in frames.values("clip") if value != "none"]
    if not kinds:
        raise MissingError(f"{frames.name} has no run with clipping; sweep clip=none,global_l2.")
    kind = kinds[0]
    clipped = frames.baseline(("activation", "init", "depth"), clip=kind)
    steps = frames.steps[frames.steps["run_id"].isin(clipped["run_id"])].merge(
        clipped[["run_id", "activation", "init", "depth", "seed", "status"]], on="run_id"
    )
    if steps.empty:
        raise MissingError(f"{frames.name} logs no steps of runs with clip={kind}; sweep with log.steps=all and steps > 0.")
    free = frames.baseline(("activation", "init", "depth"), clip="none") if "none" in frames.values("clip") else clipped[:0]
    depth = int(clipped["depth"].max())
    deepest = steps[steps["depth"] == depth]
    # A step without a finite gradient is none: it neither binds nor doesn't.
    scale = deepest["clip_scale"]
    binds = deepest.assign(binds=(scale < 1).astype(float).where(scale.notna())).groupby(["activation", "init"], observed=True)["binds"].mean()
    nets = _largest(deepest)[: 2 if page.is_narrow else 3]
    held = frames.setting(clipped[clipped["depth"] == depth], ("activation", "init", "clip"), f"clip {kind}{_limit(clipped)}")
    foot = (
        f"{seed_words(clipped['seed'].nunique())} Before: norm of all parameters' gradients together; after: that times the clip scale, which the "
        f"optimizer gets. Both lines end where a run stops being finite (cross). Map: share of steps on which the scale is below 1, "
        f"before the first step with numbers out of range. {frames.progress}"
    )
    size: dict[str, Any] = {"gap": (0.34, 0.3), "height": 0.95, "legend": 0.32} if page.is_narrow else {"gap": (0.36, 0.34), "height": 1.15, "legend": 0.17}
    figure, axes = page.sheet(
        3, len(nets), title=_claim(clipped, free, deepest, binds, depth), setting=held, foot=foot, left=0.62, bottom=0.56, share=(False, False), **size
    )
    points = [binds.rename("value").reset_index().assign(quantity="share of steps that bind", clip=kind)]
    for column, net in enumerate(nets):
        pick = (deepest["activation"] == net[0]) & (deepest["init"] == net[1])
        part = deepest[pick].assign(after=lambda rows: rows["log10_grad_l2"] + np.log10(rows["clip_scale"]))
        _over_steps(axes[0, column], part, "log10_grad_l2", SICK)
        _over_steps(axes[0, column], part, "after", CURED)
        plain = free[(free["activation"] == net[0]) & (free["init"] == net[1]) & (free["depth"] == depth)]
        without = frames.steps[frames.steps["run_id"].isin(plain["run_id"])].merge(plain[["run_id", "seed", "status"]], on="run_id")
        logs = {}
        for name, rows, colour in (("none", without, SICK), (kind, part, CURED)):
            rows = rows.assign(log10_loss=np.log10(rows["loss"].clip(lower=1e-12)))
            logs[name] = rows
            _over_steps(axes[1, column], rows, "log10_loss", colour)
            points.append(rows.melt(["seed", "step"], ["log10_loss"], "quantity", "value").assign(activation=net[0], init=net[1], clip=name))
        points.append(part.melt(["seed", "step"], ["log10_grad_l2", "after"], "quantity", "value").assign(activation=net[0], init=net[1], clip=kind))
        axes[0, column].set_title(f"{net[0]} {net[1]}")
        for row in (0, 1):
            axes[row, column].set_xlabel("step" if row == 1 else "")
            axes[row, column].locator_params(axis="y", nbins=4)
            axes[row, column].xaxis.set_major_locator(MaxNLocator(4, integer=True))
        for name, rows in logs.items():
            lost = rows.loc[~rows["status"].isin(FINITE), "run_id"].nunique()
            if lost:
                words = f"{'without' if name == 'none' else 'with'}{'' if page.is_narrow else ' clipping'}: {lost} of {rows['run_id'].nunique()} runs overflow"
                axes[1, column].set_title(words, size=5.8 if page.is_narrow else 6.5, color=GREY)
    axes[0, 0].set_ylabel(label("log10_grad_l2"))
    axes[1, 0].set_ylabel(r"$\log_{10}$ loss")
    _binding_map(figure, axes, binds.unstack(), frames)
    page.legend(
        figure,
        [Line2D([], [], color=SICK, label="before clipping; loss without"), Line2D([], [], color=CURED, label="after clipping; loss with")],
        columns=1 if page.is_narrow else 2,
    )
    return [
        Drawn(
            "clipping",
            figure,
            _claim(clipped, free, deepest, binds, depth),
            held,
            foot,
            pd.concat(points, ignore_index=True),
            ("log10_grad_l2", "clip_scale", "loss"),
        )
    ]


def _largest(steps: pd.DataFrame) -> list[tuple[str, str]]:
    """Nets by the largest total norm that is finite, one of each activation while there are enough."""
    finite = steps[np.isfinite(steps["log10_grad_l2"])]
    order = finite.groupby(["activation", "init"], observed=True)["log10_grad_l2"].max().sort_values(ascending=False)
    first = [key for place, key in enumerate(order.index) if key[0] not in [other[0] for other in order.index[:place]]]
    return [*first, *(key for key in order.index if key not in first)]


def _over_steps(ax: Axes, rows: pd.DataFrame, column: str, colour: str) -> None:
    table = rows.pivot(index="seed", columns="step", values=column)
    if table.empty:
        return
    x, y = table.columns.to_numpy(), table.to_numpy(dtype=float)
    if np.isfinite(y).any():
        seed_lines(ax, x, y, colour)
    for row in y:
        last = np.flatnonzero(np.isfinite(row))
        if len(last) and last[-1] < len(x) - 1:
            ax.plot(x[last[-1]], row[last[-1]], marker="x", color=colour, markersize=4, markeredgewidth=1.2, zorder=4)


def _binding_map(figure: object, axes: np.ndarray, grid: pd.DataFrame, frames: Frames) -> None:
    # One map over the whole bottom row: the row's axes give their place to the first.
    left, right = axes[2, 0].get_position(), axes[2, -1].get_position()
    for ax in axes[2, 1:]:
        ax.remove()
    ax = axes[2, 0]
    ax.set_position((left.x0, left.y0, right.x1 - left.x0, 0.78 * left.height))
    grid = grid.reindex(index=[v for v in frames.values("activation") if v in grid.index], columns=[v for v in frames.values("init") if v in grid.columns])
    words = grid.map(lambda share: "no step" if np.isnan(share) else f"{100 * share:.0f} %")
    heat_map(ax, grid, Normalize(0, 1), words=words, colours="Greys")
    ax.set_title("share of steps on which clipping binds")


def _limit(runs: pd.DataFrame) -> str:
    for name in ("clip.max_norm", "clip.max_value", "clip.max_ratio"):
        if name in runs and runs[name].notna().any():
            return f" at {runs[name].dropna().iloc[0]:g}"
    return ""


def _claim(clipped: pd.DataFrame, free: pd.DataFrame, steps: pd.DataFrame, binds: pd.Series, depth: int) -> str:
    shares = [float((runs[runs["depth"] == depth]["status"].isin(FINITE)).mean()) for runs in (free, clipped) if len(runs)]
    after = (steps["log10_grad_l2"] + np.log10(steps["clip_scale"])).replace([np.inf, -np.inf], np.nan).max()
    before = steps["log10_grad_l2"].replace([np.inf, -np.inf], np.nan).max()
    text = f"Clipping brings the largest gradient from {_power(before)} to {_power(after)} and binds on {100 * binds.mean():.0f} % of the steps"
    if len(shares) == 2:
        text += f"; {100 * shares[0]:.0f} % of the nets stay finite without it, {100 * shares[1]:.0f} % with it"
    return text + "."


def _power(log10: float) -> str:
    """A power of ten for a sentence: `10²¹`, `1`; what is no number is said so."""
    if not np.isfinite(log10):
        return "nothing finite"
    return "10" + f"{log10:.0f}".translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")) if round(log10) else "1"
