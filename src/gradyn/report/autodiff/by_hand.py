"""Backpropagation by hand: the worked numbers as a table, its distance from autograd, and the gradient below its bound."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator

from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames
from gradyn.report.style import GREY, INK, PALE, Page, layer_ticks, look

_FORMS = {"matrices": "matrices", "indices": "sums over indices"}
_EDGE = {"markeredgecolor": "white", "markeredgewidth": 0.35}
# Half a unit in the last place of 1: what is exactly equal is drawn here.
_FLOOR = 2.0**-54


def draw_by_hand(frames: Frames, page: Page) -> list[Drawn]:
    """`autodiff_by_hand`: three panels from the tables of the measurement."""
    nets, product, settings = frames.tables["activations"], frames.tables["product"], frames.settings
    worst = float(nets[list(_FORMS)].max().max())
    claim = f"By hand and by autograd the gradients are the same: apart by at most {worst:.0e} of their size, over {len(nets)} activations."
    setting = (
        f"Second: nets of {'-'.join(map(str, settings['sizes']))}, {settings['draws']} draws each, {settings['batch']} samples. "
        f"Third: one sample, {settings['product_depth']} matrices of width {settings['product_width']}. Weights N(0, 1/fan_in), float64."
    )
    foot = (
        "First: L = ½ (z2 − y)² of a two-layer ReLU net, one sample; the unit that is off (z1 < 0) gets no gradient. Second: largest difference over "
        "largest number of a gradient, the worst of all draws and layers; what is equal to the last bit stands at the left edge; dashed: the tolerance. "
        "Third: norm of dL/dz_l as the product written out, dL/dz_L W_L D_{L−1} … W_{l+1} D_l; dashed: product of the factors' norms."
    )
    rows, columns = (3, 1) if page.is_narrow else (1, 3)
    left, gap = (0.72, (0.6, 0.62)) if page.is_narrow else (0.12, (0.78, 0.3))
    figure, axes = page.sheet(rows, columns, height=2.15, title=claim, setting=setting, foot=foot, legend=0.14, gap=gap, share=(False, False), left=left)
    panels = axes.ravel()
    _table(panels[0], frames, shift=-0.18 if page.is_narrow else 0.0)
    _differences(panels[1], frames)
    _bound(panels[2], frames)
    tables = {f"autodiff_by_hand_{name}": frames.tables[name] for name in ("two_layer", "activations")}
    return [Drawn("autodiff_by_hand", figure, claim, setting, foot, product, (), tables)]


def _table(ax: Axes, frames: Frames, shift: float) -> None:
    rows = frames.tables["two_layer"]
    ax.set_axis_off()
    given = frames.settings["two_layer"]
    heads = [(shift, "quantity"), (shift + 0.24, "formula"), (1.0, "by hand = autograd")]
    for x, text in heads:
        ax.text(x, 1.02, text, transform=ax.transAxes, size=6.2, color=GREY, ha="right" if x == 1.0 else "left", va="bottom")
    step = 1 / len(rows)
    for place, (_, row) in enumerate(rows.iterrows()):
        y = 1 - step * (place + 0.5)
        is_same = row["by_hand"] == row["autograd"]
        for x, text in (
            (heads[0][0], row["name"]),
            (heads[1][0], row["formula"]),
            (1.0, row["by_hand"] if is_same else f"{row['by_hand']} ≠ {row['autograd']}"),
        ):
            ax.text(x, y, text, transform=ax.transAxes, size=6.5, color=INK, ha="right" if x == 1.0 else "left", va="center")
        if row["name"] == "dL/dz2":
            ax.plot([shift, 1.0], [1 - step * place] * 2, transform=ax.transAxes, color=PALE, linewidth=0.6, clip_on=False)
    words = ", ".join(f"{name} = {str(value).replace('.0', '').replace('-', '−')}" for name, value in given.items() if name in ("x", "y"))
    ax.set_title(f"Two layers at {words}", fontsize=7.0, pad=13.0, x=shift, loc="left")


def _differences(ax: Axes, frames: Frames) -> None:
    nets = frames.tables["activations"]
    places = np.arange(len(nets))
    for number, (form, text) in enumerate(_FORMS.items()):
        colour, mark = look("form", form, list(_FORMS))
        ax.plot(
            np.maximum(nets[form], _FLOOR),
            places + 0.18 * (2 * number - 1),
            linestyle="",
            marker=mark,
            color=colour,
            label=text,
            markersize=3.6,
            **_EDGE,
        )
    ax.axvline(1e-12, color=INK, linestyle="--", linewidth=0.8, dashes=(4, 3))
    ax.set_xscale("log")
    ax.set_xlim(_FLOOR / 2, 1e-11)
    ax.set_ylim(len(nets) - 0.5, -0.5)
    ax.set_yticks(places, labels=nets["activation"].tolist())
    ax.grid(visible=True, axis="y")
    ax.xaxis.set_major_locator(LogLocator(numticks=4))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("relative difference from autograd")
    ax.legend(loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=2, borderaxespad=0.0, fontsize=6.2, handletextpad=0.1)


def _bound(ax: Axes, frames: Frames) -> None:
    product = frames.tables["product"]
    keys = []
    for name in product["activation"].drop_duplicates():
        rows = product[product["activation"] == name]
        colour, mark = look("activation", name, product["activation"].unique().tolist())
        ax.plot(rows["layer"], rows["norm"], color=colour, marker=mark, **_EDGE)
        ax.plot(rows["layer"], rows["bound"], color=colour, linestyle="--", linewidth=0.9, dashes=(4, 3))
        keys.append(Line2D([], [], color=colour, marker=mark, label=name))
    layer_ticks(ax, int(product["layer"].max()))
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(numticks=7))
    ax.yaxis.set_minor_locator(NullLocator())
    ax.set_xlabel("layer l, from the input")
    ax.set_ylabel(r"$\|\partial L/\partial z_l\|_2$")
    ax.legend(handles=keys, loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, borderaxespad=0.0, fontsize=6.2)
