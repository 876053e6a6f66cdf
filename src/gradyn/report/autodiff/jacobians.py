"""What Jacobians cost: by rows and by columns, counted and timed; a gradient beside the jvps it replaces; the orders of a chain."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames
from gradyn.report.style import GREY, INK, Page, look

_WAYS = {"rows": "by rows: m vjps", "columns": "by columns: n jvps", "columns_by_hand": "by columns, forward shared"}
_ORDERS = {"from the output": "from output", "from the input": "from input", "cheapest": "cheapest"}
_EDGE = {"markeredgecolor": "white", "markeredgewidth": 0.35}


def crossover(table: pd.DataFrame, way: str) -> float:
    """log2 of n/m at which that way costs as much as rows do, on the straight line between the nearest two points; nan where they never meet."""
    x, gap = table["log2_ratio"].to_numpy(dtype=float), np.log2(table[way].to_numpy() / table["rows_counted"].to_numpy())
    above = np.flatnonzero((gap[:-1] <= 0) & (gap[1:] > 0))
    if not len(above):
        return float("nan")
    i = above[0]
    return float(x[i] - gap[i] * (x[i + 1] - x[i]) / (gap[i + 1] - gap[i]))


def draw_jacobians(frames: Frames, page: Page) -> list[Drawn]:
    """`autodiff_jacobians`: four panels from the tables of the measurement."""
    table, million, settings = frames.tables["jacobians"], frames.tables["million"].set_index("pass"), frames.settings
    weights = sum(m * n for m, n in zip(settings["million"], settings["million"][1:], strict=False))
    backward = million.loc["gradient", "operations"] / million.loc["forward", "operations"] - 1
    claim = f"One backward pass costs {backward:.2f} forward passes, however many weights there are: reverse mode pays for outputs, forward mode for inputs."
    setting = (
        f"First two: Jacobian [m, n] of a tanh net with two hidden layers of {settings['hidden']}, one sample, n m near {settings['product']:,}. "
        f"Third: {weights:,} weights, {settings['batch']} samples. float64."
    )
    foot = (
        "First, dashed: derived, (1 + m), 2n and (1 + n) forward passes; crosses: where columns overtake rows. torch's dual tensors make 3n: they also "
        "multiply by the zero tangent of constant weights. Seconds: median, one thread, this machine and load, shown and not judged. "
        "Third: the last bar is one jvp times the number of weights. Fourth: scalar multiplications of four Jacobians J4 J3 J2 J1."
    )
    rows, columns = (4, 1) if page.is_narrow else (2, 2)
    figure, axes = page.sheet(
        rows,
        columns,
        height=1.5,
        title=claim,
        setting=setting,
        foot=foot,
        legend=0.2 if page.is_narrow else 0.06,
        gap=(0.7, 0.5),
        share=(False, False),
        left=0.58,
    )
    panels = axes.ravel()
    _costs(panels[0], table, "counted")
    _costs(panels[1], table, "s")
    _million(panels[2], million)
    _chains(panels[3], frames.tables["chains"])
    keys = [Line2D([], [], color=_look(way)[0], marker=_look(way)[1], label=text) for way, text in _WAYS.items()]
    page.legend(figure, keys, columns=1 if page.is_narrow else 3, left=0.58)
    tables = {f"autodiff_jacobians_{name}": frames.tables[name] for name in ("passes", "million", "chains")}
    return [Drawn("autodiff_jacobians", figure, claim, setting, foot, table, (), tables)]


def _look(way: str) -> tuple[str, str]:
    return look("way", way, list(_WAYS))


def _costs(ax: Axes, table: pd.DataFrame, kind: str) -> None:
    x = 2.0 ** table["log2_ratio"]
    for way in _WAYS:
        colour, mark = _look(way)
        ax.plot(x, table[f"{way}_{kind}"], color=colour, marker=mark, **_EDGE)
        if kind == "counted":
            ax.plot(x, table[f"{way}_derived"], color=INK, linestyle="--", linewidth=0.7, dashes=(4, 3), zorder=4)
            at = crossover(table, f"{way}_counted") if way != "rows" else float("nan")
            if np.isfinite(at):
                ax.plot(2**at, 2 ** np.interp(at, table["log2_ratio"], np.log2(table["rows_counted"])), "x", color=INK, markersize=5, zorder=5)
    ax.set_xscale("log", base=2)
    ax.set_yscale("log")
    ends = (table["log2_ratio"].min(), table["log2_ratio"].max())
    ends = (round(ends[0]), round(ends[1]))
    ticks = [power for power in (-6, -4, -2, 0, 2, 4, 6) if ends[0] <= power <= ends[1]]
    ax.xaxis.set_major_locator(FixedLocator([2.0**power for power in ticks]))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([f"1/{2**-power}" if power < 0 else f"{2**power}" for power in ticks])
    ax.yaxis.set_major_locator(LogLocator(numticks=6))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("n / m, inputs per output")
    ax.set_ylabel("operations [forward passes]" if kind == "counted" else "time [s]")


def _million(ax: Axes, million: pd.DataFrame) -> None:
    names = {"forward": "forward", "gradient": "gradient", "one jvp": "one jvp", "all jvps": "all jvps"}
    colours = {"forward": GREY, "gradient": _look("rows")[0], "one jvp": _look("columns")[0], "all jvps": _look("columns")[0]}
    forward = million.loc["forward", "operations"]
    for place, name in enumerate(names):
        seconds = million.loc[name, "seconds"]
        ax.barh(place, seconds, left=0, color=colours[name], height=0.62, alpha=0.55 if name == "all jvps" else 1.0)
        share = million.loc[name, "operations"] / forward
        text = f"{_words(seconds)}, {share:,.2f} forwards" if share < 1e3 else f"{_words(seconds)}, projected"
        inside = name == "all jvps"
        ax.annotate(text, (seconds, place), (-3 if inside else 3, 0), textcoords="offset points", ha="right" if inside else "left", va="center", size=6.2)
    ax.set_xscale("log")
    ax.set_xlim(million["seconds"].min() / 4, million["seconds"].max() * 3)
    ax.set_yticks(range(len(names)), labels=list(names.values()))
    ax.invert_yaxis()
    ax.grid(visible=False, axis="y")
    ax.grid(visible=True, axis="x")
    ax.xaxis.set_major_locator(LogLocator(numticks=6))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("time [s]")


def _words(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes"), (1, "s")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{1e3 * seconds:.1f} ms"


def _chains(ax: Axes, chains: pd.DataFrame) -> None:
    names = chains["chain"].drop_duplicates().tolist()
    for place, order in enumerate(_ORDERS):
        rows = chains[chains["order"] == order]
        colour, mark = {"from the output": _look("rows"), "from the input": _look("columns"), "cheapest": (INK, "x")}[order]
        shift = 0.0 if order == "cheapest" else 0.16 * (2 * place - 1)
        ax.plot([names.index(name) + shift for name in rows["chain"]], rows["multiplications"], mark, color=colour, label=_ORDERS[order], markersize=4.5)
    ax.set_yscale("log")
    ax.set_ylim(chains["multiplications"].min() / 2.5, chains["multiplications"].max() * 12)
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_xticks(range(len(names)), labels=[name.replace(" ", "\n", 1) for name in names])
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_ylabel("multiplications")
    ax.legend(loc="upper left", ncols=3, fontsize=6.0, handletextpad=0.1, columnspacing=0.5, borderaxespad=0.1)
