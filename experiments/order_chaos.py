"""Order and chaos: lengths, correlations and gradients of tanh nets follow three maps, and chi_1 = 1 parts the phases.

Source: Poole et al. 2016 (arXiv:1606.05340), section 2; their maps and input pair at widths and depths of ours: consistent with.
Cost: 1,680 nets at initialization, a minute of one core.
Command: python experiments/order_chaos.py --run
"""

from __future__ import annotations

import sys

from gradyn.core import Source
from gradyn.report import (
    Claim,
    Drawn,
    Experiment,
    Frames,
    Page,
    Panel,
    Rival,
    delta_panel,
    factor_claim,
    hidden_maps,
    layer_curve,
    layer_values,
    main,
    overlay,
    wide_claim,
)
from gradyn.theory import critical_sigma_w

SOURCE = Source("Poole et al.", 2016, "Exponential expressivity in deep neural networks through transient chaos", arxiv="1606.05340", where="section 2")


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """q_l, c_l and delta_l over the layers, a colour for each weight scale."""
    settings = {f"$\\sigma_w$ = {scale:g}": runs for scale, runs in frames.runs.groupby("init.sigma_w")}
    q = [layer_curve(frames, runs, label, "preact_std", hidden_maps(runs)[0], is_squared=True) for label, runs in settings.items()]
    c = [layer_curve(frames, runs, label, "pair_correlation", hidden_maps(runs)[1]) for label, runs in settings.items()]
    panels = [Panel("length", "layer l", "$q_l$", q, yscale="log", limits=(0.1, 30))]
    panels += [Panel("correlation", "layer l", "$c_l$", c, limits=(-0.35, 1.0)), delta_panel(frames, settings, "gradient")]
    title = "In the ordered phase inputs become alike and gradients vanish; in the chaotic phase inputs part and gradients explode."
    return [overlay(page, "order_chaos", title, frames.setting(frames.runs, ()), f"Source: {SOURCE}.", panels, measured_columns=("preact_std",))]


def claims(frames: Frames) -> list[Claim]:
    """q, c and chi of four weight scales, and the boundary that the literature quotes."""
    found = []
    for scale, runs in frames.runs.groupby("init.sigma_w"):
        name = f"tanh, σ_w = {scale:g}, σ_b = 0.3"
        q, c = hidden_maps(runs)
        found += [
            wide_claim(f"{name}: q of the last hidden layer", layer_values(frames, runs, "preact_std", len(q), is_squared=True), q[-1]),
            wide_claim(f"{name}: c of the last hidden layer", layer_values(frames, runs, "pair_correlation", len(c)), c[-1], rival=Rival("c_0", 0.6)),
            factor_claim(frames, runs, f"{name}: factor of |δ|² per layer", rival=Rival("σ_w², tanh as if linear", scale**2)),
        ]
    quoted = Claim("critical σ_w² of tanh at σ_b² = 0.05, rounded", round(critical_sigma_w("tanh", 0.05**0.5) ** 2, 2), 1.76, 0.0, "exact: a root, rounded")
    text = "critical σ_w² of tanh goes to 1 without biases: less 1, at σ_b = 1e-6"
    return [*found, quoted, Claim(text, critical_sigma_w("tanh", 1e-6) ** 2 - 1, 1e-3, 0.0, "a root; falls as σ_b^(2/3)", "below")]


EXPERIMENT = Experiment("order_chaos", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
