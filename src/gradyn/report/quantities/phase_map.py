"""The plane of sigma_w and sigma_b: chi_1 as colours, the line chi_1 = 1, and which way gradients went in nets that were measured."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.colors import TwoSlopeNorm

from gradyn.report.claims import Z_LIMIT
from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames
from gradyn.report.quantities.factors import log_factors, mean_field, predicted_factor
from gradyn.report.style import INK, RATE_MAP, Page
from gradyn.report.wide import wide_limit
from gradyn.theory import chi_1, fixed_point_q, phase_boundary


def phase_points(frames: Frames, runs: pd.DataFrame, first: int) -> pd.DataFrame:
    """One row a pair of sigma_w and sigma_b: ln of the factor of |delta|^2 per layer from layer `first` on, its error, and the recursion's.

    Measured is carried to infinite width. Seeds of a point are few, and scatter alike all over the plane: the error is from their pooled variance.
    """
    rows = []
    for (sigma_w, sigma_b), part in runs.groupby(["init.sigma_w", "init.sigma_b"]):
        value, error, _ = wide_limit(log_factors(frames, part, first=first))
        said = math.log(predicted_factor(mean_field(part), first=first))
        rows.append({"sigma_w": sigma_w, "sigma_b": sigma_b, "measured": value, "standard_error": error, "theory": said})
    table = pd.DataFrame(rows)
    return table.assign(standard_error=math.sqrt((table["standard_error"] ** 2).mean()))


def boundary_crossings(frames: Frames, runs: pd.DataFrame, first: int) -> dict[int, pd.Series]:
    """Width -> each seed's sigma_w at which gradients neither grow nor shrink from layer `first` on: a parabola through its three weights' rates, at rate 0.

    A seed has the same draws at each of its weights, so that what its nets have by chance moves the line as a whole.
    """
    by_scale = {scale: log_factors(frames, part.sort_values("seed"), first=first) for scale, part in runs.groupby("init.sigma_w")}
    scales = np.array(list(by_scale))
    found = {}
    for width in next(iter(by_scale.values())):
        rates = np.array([rates[width] for rates in by_scale.values()])
        found[width] = pd.Series([np.polyfit(rate, scales, min(2, len(scales) - 1))[-1] for rate in rates.T])
    return found


def draw_phases(
    page: Page, stem: str, title: str, setting: str, text: str, phi: str, points: pd.DataFrame, crossings: Mapping[float, tuple[float, float]]
) -> Drawn:
    """The map of ln chi_1 with its line, points up where gradients explode and down where they vanish, and the measured crossings.

    Args:
        page: the printed width.
        stem: name of the files.
        title: one sentence.
        setting: what is held fixed.
        text: for the foot, with the source.
        phi: activation by name.
        points: as `phase_points`.
        crossings: sigma_b -> sigma_w and its standard error.
    """
    foot = (
        "Colours: $\\ln \\chi_1$ at q*; dashed: $\\chi_1 = 1$. Triangles: measured, up where $|\\delta|^2$ grows towards the input and down where it shrinks, "
        f"pale where that is within {Z_LIMIT:.2f} standard errors of 0. Circles: where the measured rate is 0, with one standard error. {text}"
    )
    figure, axes = page.sheet(1, 1, height=2.9, title=title, setting=setting, foot=foot, left=0.55, right=0.75, bottom=0.45)
    ax = axes[0, 0]
    w = np.linspace(points["sigma_w"].min() - 0.15, points["sigma_w"].max() + 0.15, 17)
    b = np.linspace(max(points["sigma_b"].min() - 0.03, 0.02), points["sigma_b"].max() + 0.05, 9)
    ln_chi = np.array([[math.log(chi_1(phi, fixed_point_q(phi, sigma_w=x, sigma_b=y), sigma_w=x, sigma_b=y)) for x in w] for y in b])
    mesh = ax.pcolormesh(w, b, ln_chi, cmap=RATE_MAP, norm=TwoSlopeNorm(0.0, ln_chi.min(), ln_chi.max()), shading="gouraud", zorder=0)
    # The colours' middle is 0, whatever the ends: each half has ticks of its own.
    ticks = [ln_chi.min(), ln_chi.min() / 2, 0.0, ln_chi.max() / 2, ln_chi.max()]
    figure.colorbar(mesh, ax=ax, label=r"$\ln\,\chi_1$", pad=0.02, ticks=ticks, format="%.1f")
    ax.plot(phase_boundary(phi, b), b, color=INK, linestyle="--", linewidth=1.2, zorder=2)
    clear = points["measured"].abs() > Z_LIMIT * points["standard_error"]
    for mark, sign in (("^", 1), ("v", -1)):
        here = np.sign(points["measured"]) == sign
        for part, colour in ((here & clear, INK), (here & ~clear, "white")):
            ax.plot(points["sigma_w"][part], points["sigma_b"][part], mark, color=colour, markeredgecolor=INK, markeredgewidth=0.5, markersize=4.5, zorder=3)
    for sigma_b, (sigma_w, error) in crossings.items():
        ax.errorbar(sigma_w, sigma_b, xerr=error, fmt="o", color="white", ecolor=INK, markeredgecolor=INK, markersize=4.5, zorder=4)
    ax.text(0.03, 0.82, "ordered: vanishes", transform=ax.transAxes, size=7, color=INK)
    ax.text(0.97, 0.12, "chaotic: explodes", transform=ax.transAxes, size=7, color=INK, ha="right")
    ax.set_xlabel(r"scale of the weights $\sigma_w$")
    ax.set_ylabel(r"scale of the biases $\sigma_b$")
    ax.grid(visible=False)
    where = pd.DataFrame([{"sigma_b": y, "sigma_w": x, "standard_error": e} for y, (x, e) in crossings.items()])
    return Drawn(stem, figure, title, setting, foot, points, ("log10_delta_rms",), {"crossings": where})
