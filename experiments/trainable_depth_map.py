"""How deep a net trains is written in its weights before the first step: to some six times the depth over which it can tell two inputs apart.

Source: Schoenholz et al. 2017 (arXiv:1611.01232), figure 5; Yang et al. 2019 (arXiv:1902.08129), figure 2, for batch norm. Theirs are MNIST and more
steps, and 6 xi_c a rule of thumb: what lies below half of it and beyond twice is claimed. Theory is about wide nets: claims that a net trains end at depth
64, half of the width. (At depth 90 nets on the edge of chaos come to half of the digits at these rates.)
Cost: 196 runs of 500 steps to depth 90 and 30 with batch norm, twelve minutes on two cores.
Command: python experiments/trainable_depth_map.py --run
"""

from __future__ import annotations

import sys

import numpy as np

from gradyn.core import Source
from gradyn.report import TRAINED, Claim, Drawn, Experiment, Frames, Page, draw_trainable_map, main, normalized_scale, seed_claim, trainable_cells

SOURCE = Source("Schoenholz et al.", 2017, "Deep information propagation", arxiv="1611.01232", where="figure 5")
# Chance is 0.1 on ten classes.
UNTRAINED = 0.3


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Accuracy over depth and weights with the depth scales, and over depth with batch norm."""
    title = "Nets train to some six times the depth over which they can tell inputs apart, deepest at the edge of chaos; batch norm sets a depth of its own."
    shown = ("depth", "init", "init.sigma_w", "init.sigma_b", "learning_rate", "residual", "clip", "steps")
    sides = {"First": frames.where(norm="none"), "Second": frames.where(norm="batch")}
    setting = " ".join(f"{side}: {frames.setting(runs, shown, str(runs['steps'].max()) + ' steps')}" for side, runs in sides.items())
    return [draw_trainable_map(frames, page, "trainable_depth_map", title, setting, f"Source: {SOURCE}.")]


def claims(frames: Frames) -> list[Claim]:
    """Below 3 xi_c every net trains, beyond 12 none; the edge trains deepest; with batch norm depth 5 trains and 24 xi does not."""
    cells, normed, xi = trainable_cells(frames), frames.where(norm="batch"), normalized_scale(frames)
    shallow = cells[(cells["multiple"] <= 3) & (cells["depth"] <= frames.runs["width"].max() / 2)]
    deep, scales = cells[cells["multiple"] >= 12], cells.groupby("sigma_w")["xi_c"].first()
    at = cells[cells["depth"] == shallow["depth"].max()].set_index("sigma_w")["final_accuracy"]
    edge, ends, depth = at.loc[[scales.idxmax()]], at.loc[[scales.index.min(), scales.index.max()]], int(shallow["depth"].max())
    # The depth of the grid that is nearest to 16 xi, by their ratio.
    off = np.log(normed["depth"] / (16 * xi)).abs()
    near = normed.loc[off == off.min(), "final_accuracy"]
    first, far = normed.loc[normed["depth"] <= 5, "final_accuracy"], normed.loc[normed["depth"] >= 24 * xi, "final_accuracy"]
    least, most = f"{len(shallow)} nets to 3 xi_c deep, least accuracy", f"{len(deep)} nets of 12 xi_c and more, largest accuracy"
    return [
        seed_claim(least, shallow["final_accuracy"].nsmallest(1), TRAINED, "above"),
        seed_claim(most, deep["final_accuracy"].nlargest(1), UNTRAINED, "below"),
        seed_claim(f"depth {depth}, at the edge of chaos: accuracy", edge, TRAINED, "above"),
        seed_claim(f"depth {depth}, at both ends of σ_w: larger accuracy", ends.nlargest(1), UNTRAINED, "below"),
        seed_claim("batch norm, depth 5: least accuracy of seeds", first.nsmallest(1), TRAINED, "above"),
        seed_claim(f"batch norm, beyond 24 xi = {24 * xi:.0f} layers: largest accuracy", far.nlargest(1), UNTRAINED, "below"),
        seed_claim("batch norm, at 16 xi: mean accuracy", near, TRAINED, "below"),
    ]


EXPERIMENT = Experiment("trainable_depth_map", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
