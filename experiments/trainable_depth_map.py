"""How deep a net trains is written in its weights before the first step: to some six times the depth over which it can tell two inputs apart.

Source: Schoenholz et al. 2017 (arXiv:1611.01232), figure 5; Yang et al. 2019 (arXiv:1902.08129), figure 2, for batch norm. Theirs are MNIST and more
steps, and 6 xi_c a rule of thumb: what lies below half of it and beyond twice is claimed. Depths that no multiple of xi_c explains: a rate too large.
Cost: 196 runs of 500 steps to depth 90 and 30 with batch norm, twelve minutes on two cores.
Command: python experiments/trainable_depth_map.py --run
"""

from __future__ import annotations

import math
import sys

from gradyn.core import Source
from gradyn.report import TRAINED, Claim, Drawn, Experiment, Frames, Page, Rival, draw_trainable_map, main, normalized_scale, seed_claim, trainable_cells

SOURCE = Source("Schoenholz et al.", 2017, "Deep information propagation", arxiv="1611.01232", where="figure 5")
# Chance is 0.1 on ten classes.
UNTRAINED = 0.3


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Accuracy over depth and weights with the depth scales, and over depth with batch norm."""
    title = "Nets train to some six times the depth over which they can tell inputs apart, deepest at the edge of chaos; batch norm sets a depth of its own."
    setting = "digits, width 128, batch 128; left tanh, momentum, 500 steps; right ReLU with batch norm, sgd, 200 steps."
    return [draw_trainable_map(frames, page, "trainable_depth_map", title, setting, f"Source: {SOURCE}.")]


def claims(frames: Frames) -> list[Claim]:
    """Below 3 xi_c every net trains, beyond 12 none; the edge trains deepest; with batch norm depth 5 trains and 24 xi does not."""
    cells, normed, xi = trainable_cells(frames), frames.where(norm="batch"), normalized_scale(frames)
    shallow, deep = cells[cells["multiple"] <= 3], cells[cells["multiple"] >= 12]
    reached = cells[cells["final_accuracy"] >= TRAINED].groupby("sigma_w")["depth"].max().reindex(cells["sigma_w"].unique(), fill_value=0)
    edge = cells.groupby("sigma_w")["xi_c"].first().idxmax()
    ends = reached.iloc[[0, -1]].max() / reached[edge] if reached[edge] else math.nan
    by_depth = normed.groupby("depth")["final_accuracy"]
    first, far = normed.loc[normed["depth"] <= 5, "final_accuracy"], normed.loc[normed["depth"] >= 24 * xi, "final_accuracy"]
    least, most = f"{len(shallow)} nets to 3 xi_c deep, least accuracy", f"{len(deep)} nets of 12 xi_c and more, largest accuracy"
    flat = Rival("one depth for all weights", 1.0)
    return [
        seed_claim(least, shallow["final_accuracy"].nsmallest(1), TRAINED, "above"),
        seed_claim(most, deep["final_accuracy"].nlargest(1), UNTRAINED, "below"),
        Claim("deepest trained net at the ends of σ_w over that at the edge of chaos", ends, 0.5, 0.0, "depths of the grid, a factor 1.5 apart", "below", flat),
        seed_claim("batch norm, depth 5: least accuracy of seeds", first.nsmallest(1), TRAINED, "above"),
        seed_claim(f"batch norm, beyond 24 xi = {24 * xi:.0f} layers: largest accuracy", far.nlargest(1), UNTRAINED, "below"),
        seed_claim("batch norm, at 16 xi: mean accuracy", by_depth.get_group(40) if 40 in by_depth.groups else first, TRAINED, "below"),
    ]


EXPERIMENT = Experiment("trainable_depth_map", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
