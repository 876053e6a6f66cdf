"""Orthogonal weights keep all singular values of a deep tanh net's Jacobian together; Gaussian ones spread them, and with ReLU nothing helps.

Source: Pennington, Schoenholz & Ganguli 2017 (arXiv:1711.04735). Widths 40 and 160, Gaussian 80 and 320, carried to infinite width: consistent with.
Cost: 525 runs, a minute of one core.
Command: python experiments/dynamical_isometry.py --run
"""

from __future__ import annotations

import sys

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, main, overlay, seed_claim, wide_claim, wide_curve
from gradyn.report import by_layer_and_run as rows_of
from gradyn.report import jacobian_products as products
from gradyn.theory import largest_linear_s2, linear_fourth_moment

SOURCE = Source("Pennington, Schoenholz & Ganguli", 2017, "Resurrecting the sigmoid in deep learning through dynamical isometry", arxiv="1711.04735")
MEAN, VARIANCE = "log10_jacobian_s2_mean", "jacobian_s2_relative_variance"
NETS = [("linear", "gaussian"), ("tanh", "gaussian"), ("tanh", "orthogonal"), ("relu", "orthogonal")]


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Spread of the squared singular values, and the largest of linear nets, against the number of layers."""
    spread, edges = [], []
    for activation, init in NETS:
        rows, said = products(frames, activation, init)
        spread.append(Curve(f"{activation}, {init}", *wide_curve(rows, "layers", VARIANCE), theory=[each.relative_variance for each in said]))
    for width, rows in products(frames, *NETS[0])[0].groupby("width"):
        mean = rows.groupby("layers")["largest"].agg(["mean", "sem"])
        edges.append(Curve(f"width {width}", mean.index, mean["mean"], mean["sem"], theory=[largest_linear_s2(n) for n in mean.index]))
    title = "Orthogonal tanh nets stay near isometry; Gaussian weights spread the singular values in proportion to depth, ReLU with any weights."
    text = "s: singular values of the Jacobian of the last L hidden layers. Left: carried to infinite width, as far as (L / N)² is small; judged up to "
    text += f"a quarter of the layers. Right: its limit e (L + ½). {SOURCE}"
    panels = [Panel("spread", "layers $L$", "Var $s^2$ / (E $s^2$)$^2$", spread), Panel("linear, Gaussian", "layers $L$", "largest $s^2$ / E $s^2$", edges)]
    setting = "initialization, Gaussian tanh nets critical at q* = 0.2, orthogonal ones with gain 1"
    return [overlay(page, "dynamical_isometry", title, setting, text, panels, measured_columns=(MEAN, VARIANCE))]


def claims(frames: Frames) -> list[Claim]:
    """Spread of s^2 where (L / N)^2 is small: up to a quarter of the layers; linear nets exactly; what is an isometry to the last digit."""
    found = []
    for (layers, width), rows in products(frames, *NETS[0])[0].query("layers in (2, 8)").groupby(["layers", "width"]):
        text, fourth = f"Gaussian linear, L = {layers}, width {width}: E s^4", (rows[VARIANCE] + 1) * rows["s2"] ** 2
        found.append(seed_claim(f"{text}, exactly at this width", fourth, linear_fourth_moment(layers, width), rival=Rival("L + 1", layers + 1.0)))
    for activation, init in NETS:
        rows, said = products(frames, activation, init)
        for count, mine in rows[rows["layers"].isin((len(said) // 8, len(said) // 4))].set_index(["width", "seed"]).groupby("layers"):
            net = f"{activation}, {init}, L = {count}"
            found.append(wide_claim(f"{net}: E s^2 over theory's", mine["s2"], 1.0))
            spread = said[count - 1].relative_variance
            rival = Rival("the other weights' s_1", spread + (count if init == "orthogonal" else -count))
            found.append(wide_claim(f"{net}: Var s^2 / (E s^2)^2", mine[VARIANCE], spread, rival=rival))
    rows = rows_of(frames, activation="linear", init="orthogonal")
    off = (rows["log10_jacobian_s_max"] - rows["log10_jacobian_s_min"]).abs().nlargest(1)
    return [*found, seed_claim("orthogonal linear: decades between the largest and the smallest s (no more than rounding)", off, 1e-12, "below")]


EXPERIMENT = Experiment("dynamical_isometry", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
