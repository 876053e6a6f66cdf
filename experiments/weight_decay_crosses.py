"""Weight decay alone carries a chaotic net into the ordered phase: sigma_w falls as (1 - rate lambda)^t, and chi_1 crosses 1 at a step known before.

Source: decoupled decay of Loshchilov & Hutter 2019 (arXiv:1711.05101); chi_1 = sigma_w^2 / 2 of ReLU, Poole et al. 2016 (arXiv:1606.05340).
Cost: 120 nets of 41 steps at a rate of 1e-9, under a minute on two cores.
Command: python experiments/weight_decay_crosses.py --run
"""

from __future__ import annotations

import sys

from gradyn.core import Source
from gradyn.report import Claim, Curve, Drawn, Experiment, Frames, Page, Panel, Rival, decay_lines, decayed, main, overlay, wide_claim

SOURCE = Source("Loshchilov & Hutter", 2019, "Decoupled weight decay regularization", arxiv="1711.05101")


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """The weights' scale, and chi_1 as the gradients have it, over the steps."""
    rows = decayed(frames).query("width == width.max()").groupby("step")[["share", "log_factor", "share_said", "log_factor_said"]].agg(["mean", "sem"])
    scale = Curve("", rows.index, rows["share", "mean"], theory=rows["share_said", "mean"])
    factor = Curve("", rows.index, rows["log_factor", "mean"], rows["log_factor", "sem"], theory=rows["log_factor_said", "mean"])
    panels = [
        Panel("weights", "step", "$\\|W_l\\|(t)\\,/\\,\\|W_l\\|(0)$", [scale]),
        Panel("gradients through the layers", "step", "ln of the factor of $|\\delta|^2$ per layer", [factor]),
    ]
    title = "Weight decay at no gradient takes a ReLU net from chaos to order at the predicted step, where the right line crosses 0."
    text = f"Dashed: (1 - rate $\\lambda$)^t, and ln $\\chi_1$ = ln($\\sigma_w^2$(0)/2) + 2 t ln(1 - rate $\\lambda$). The wider nets. Source: {SOURCE}."
    return [
        overlay(page, "weight_decay_crosses", title, frames.setting(frames.where(width=frames.runs["width"].max()), (), "rate times lambda 0.01"), text, panels)
    ]


def claims(frames: Frames) -> list[Claim]:
    """The scale of weights at every step; the step at which chi_1 crosses 1."""
    rows = decayed(frames)
    off, bound = float((rows["share"] / rows["share_said"] - 1).abs().max()), float(rows["pull"].groupby(rows["run_id"]).sum().max()) + 41 * 2.0**-52
    lines, ln_kept = decay_lines(rows), float(rows["ln_kept"].iloc[0])
    step = -float(rows["log_factor_said"].max()) / (2 * ln_kept)
    return [
        Claim("largest relative distance of |W|(t) from (1 - rate λ)^t |W|(0)", off, bound, 0.0, "rate times the sum of |gradient| / |W|, and 41 eps", "below"),
        wide_claim("step at which the factor of |δ|² per layer crosses 1", lines["crossing"], step, rival=Rival("σ_w instead of its square", 2 * step)),
        wide_claim("ln of that factor, change a step", lines["slope"], 2 * ln_kept, rival=Rival("ln(1 - rate λ)", ln_kept)),
    ]


EXPERIMENT = Experiment("weight_decay_crosses", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
