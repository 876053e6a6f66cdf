"""Layer norm cures or explodes by where it stands: chi is E phi'^2 / E phi^2 before phi, q E phi'^2 / Var phi after it.

Source: derived here from the norms of Ba et al. 2016 (arXiv:1607.06450) and Zhang & Sennrich 2019 (arXiv:1910.07467), Pre-LN nets as Xiong et al. 2020.
Cost: 2,304 runs at initialization, half a minute of one core.
Command: python experiments/layer_norm_placement.py --run
"""

from __future__ import annotations

import math
import sys
from itertools import product

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, Rival, claims_curve, growth, main, overlay, stream_growth, wide_claim
from gradyn.theory import moment

SOURCE = Source("Xiong et al.", 2020, "On Layer Normalization in the Transformer Architecture", arxiv="2002.04745")
SIGMA_W2 = 1.5**2
NORMS, BLOCKS = ("layer", "rms"), (2, 5, 10)


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Rates of both placements side by side; growth of residual nets over their blocks."""
    judged, places, rates, lines = claims(frames), list(product(("relu", "tanh"), ("before", "after"))), [], []
    for norm in NORMS:
        for x, (activation, place) in enumerate(places):
            found = [claim for claim in judged if claim.text.startswith(f"{activation}, {norm} norm {place}")]
            rates.append(claims_curve("" if x else f"{norm} norm", [x], found, value=("norm", norm)))
        found = [claim for claim in judged if claim.text.startswith(f"{norm} norm on")]
        lines.append(claims_curve(f"{norm} norm", BLOCKS, found, rival=[block + 1 for block in BLOCKS], value=("norm", norm)))
    text = f"First: factor of |δ|² a layer; second: growth of |g|² along the skip of x + V relu(W N(x)). Derived here; the question of {SOURCE}."
    setting = f"At initialization, carried to infinite width; $\\sigma_w^2$ = {SIGMA_W2:g}, residual nets He; gain 1, shift 0, eps 0; cotangent N(0, 1)."
    panels = [
        Panel("Norm before or after φ", "", r"$|\delta_l|^2 / |\delta_{l+1}|^2$", rates, ticks=[(x, " ".join(place)) for x, place in enumerate(places)]),
        Panel("Norm on the branch", "blocks L", r"$|g_0|^2 / |g_L|^2$", lines, rival="L + 1"),
    ]
    claim = "Layer norm before a ReLU keeps gradients, after it they explode."
    return [overlay(page, "layer_norm_placement", claim, setting, text, panels, measured_columns=("log10_delta_rms",))]


def claims(frames: Frames) -> list[Claim]:
    """Rates of both placements; a residual net's gradient grows by q_L / q_0, which is L + 1 only if q_0 is what a block adds."""
    found = []
    for (activation, norm), (placement, place) in product(product(("relu", "tanh"), NORMS), (("pre", "before"), ("post", "after"))):
        # A norm before phi fixes q = 1, one after it q = sigma_w^2; layer 1 of the first kind divides by the input's length.
        q = 1.0 if placement == "pre" else SIGMA_W2
        square, mean, slope = moment(activation, q, value=2).value, moment(activation, q, value=1).value, moment(activation, q, derivative=2).value
        chi = {"pre": slope / square, "post": q * slope / (square - mean**2 * (norm == "layer"))}[placement]
        runs = frames.where(activation=activation, norm=norm, norm__placement=placement, residual="plain", depth=12)
        rates = {int(width): growth(frames, some, skip=1, last_skip=0) for width, some in runs.groupby("width")}
        found.append(wide_claim(f"{activation}, {norm} norm {place} phi: factor of |delta|^2 a layer", rates, float(chi)))
    for norm, blocks in product(NORMS, BLOCKS):
        runs = frames.where(norm=norm, norm__placement="branch", depth=2 * blocks + 2)
        # 2: without E phi'^2 = 1/2 of layer 1, which is no part of the stream.
        values = {int(width): 2 * stream_growth(frames, some) for width, some in runs.groupby("width")}
        predicted, rival = 1 + 2 * blocks / (1.0 if norm == "rms" else 1 - 1 / math.pi), Rival("L + 1", blocks + 1)
        found.append(wide_claim(f"{norm} norm on the branch, {blocks} blocks: growth q_L / q_0", values, predicted, rival=rival))
    return found


EXPERIMENT = Experiment("layer_norm_placement", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
