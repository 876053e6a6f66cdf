"""With one learning rate for all layers a wide net's outputs move further in a step the wider it is; with those of mup all its layers move alike at any width.

Source: Yang, Hu and others 2022 (arXiv:2203.03466), appendix D.1 and figure 5; theirs are transformers and MLPs on CIFAR-10, ours an MLP on digits.
Looked at is the change from initialization, after three steps: later, saturation hides it. Standard hidden layers come to slope 1 only at larger widths.
Cost: 100 runs of four steps to width 2,048, a minute of one core.
Command: python experiments/coordinate_check.py --run
"""

from __future__ import annotations

import sys

from gradyn.core import Source
from gradyn.report import Claim, Drawn, Experiment, Frames, Page, Panel, Rival, change_curves, changes, main, overlay, seed_claim, width_slopes

SOURCE = Source("Yang et al.", 2022, "Tensor programs V: tuning large neural networks via zero-shot hyperparameter transfer", arxiv="2203.03466", where="D.1")
NAMES = {"uniform": "standard: one rate", "mup": "maximal update: rates by layer"}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Mean change of each layer over width, both parametrizations at one scale."""
    table = changes(frames)
    last = int(frames.layers["step"].max())
    ends = (0.5 * table["change"].min(), 2 * table["change"].max())
    panels = [
        Panel(name, "width", f"mean |change| of h after {last} steps", change_curves(table, rates), xscale="log", yscale="log", limits=ends)
        for rates, name in NAMES.items()
    ]
    base = frames.runs["rates.base_width"].max()
    title = "At one learning rate wide nets move further in a step; with the rates of mup every layer moves as far at any width."
    setting = frames.setting(frames.runs, ("width", "rates", "init"), f"after {last} steps")
    return [overlay(page, "coordinate_check", title, setting, f"Base width {base:g}: there both have the same rates. Source: {SOURCE}.", panels)]


def claims(frames: Frames) -> list[Claim]:
    """Slopes over width of the hidden layer's and the logits' change, in each parametrization."""
    table = changes(frames)
    hidden, logits = 2, int(table["layer"].max())
    # The initial readout, N(0, 64 / n^2), hands on the hidden layer's change with a factor of order 8 / sqrt(n): a share of one half of the logits'
    # change that falls as n^(-1/2) makes a slope of -1/4, and less where the nets are wider.
    wide = int(sorted(table["width"].unique())[len(table["width"].unique()) // 2])
    standard = {layer: width_slopes(table, "uniform", layer) for layer in (hidden, logits)}
    found = [
        seed_claim("standard: slope of log2 |change of h_2| over log2 width", standard[hidden], 0.5, "above", Rival("0: the same at any width", 0.0)),
        seed_claim("standard: slope of the logits, not below 3/4", standard[logits], 0.75, "above", Rival("0: the same at any width", 0.0)),
        seed_claim("standard: slope of the logits, not above 5/4", standard[logits], 1.25, "below"),
    ]
    for layer in range(1, logits + 1):
        slopes, name = width_slopes(table, "mup", layer, wide), f"{'the logits' if layer == logits else f'h_{layer}'} from width {wide} on"
        found.append(seed_claim(f"mup: slope of {name}, not above 0.15", slopes, 0.15, "below", Rival("1: in proportion to width", 1.0)))
        low = -0.25 if layer == logits else -0.15
        found.append(seed_claim(f"mup: slope of {name}, not below {low:g}", slopes, low, "above"))
    return found


EXPERIMENT = Experiment("coordinate_check", SOURCE, figure, claims)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
