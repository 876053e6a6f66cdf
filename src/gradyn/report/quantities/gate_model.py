"""The gate model of shattered gradients, by sampling: nets whose gates are drawn, not made by signals.

Axes: V gradients of one net, N units.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from gradyn.core import stream
from gradyn.theory import GATE_NETS, gate_branch


def sample_gates(settings: Mapping[str, Any]) -> pd.DataFrame:
    """Moments of the gradients of two inputs through nets of drawn gates, from g = g' ~ N(0, 1).

    g becomes s g + a W^T D g with W_ij ~ N(0, 2 / N) common to both inputs, and gates D that are open with probability 1/2, independent for every
    unit, input and layer: both are open with probability 1/4.

    Args:
        settings: `seed`; `draws` of a net; `vectors`, gradients that go through each; `width`, N; `layers`.

    Returns:
        One row a draw, net and number of layers: `variance` (|g|^2 + |g'|^2) / 2 N and `covariance` g . g' / N, means over the gradients.

    Source: Balduzzi et al. 2017, arXiv:1702.08591, section 3.
    """
    width, vectors = settings["width"], settings["vectors"]
    rows = []
    for draw in range(settings["draws"]):
        rng = stream(settings["seed"], "gate model", draw)
        start_VN = rng.standard_normal((vectors, width))
        pairs = dict.fromkeys(GATE_NETS, (start_VN, start_VN))
        for layer in range(1, settings["layers"] + 1):
            w_NN = rng.standard_normal((width, width)) * math.sqrt(2 / width)
            gates = rng.random((2, vectors, width)) < 0.5
            for net, pair in pairs.items():
                s, square = gate_branch(net, layer)
                first, second = (s * g_VN + math.sqrt(square) * ((open_VN * g_VN) @ w_NN) for g_VN, open_VN in zip(pair, gates, strict=True))
                pairs[net] = first, second
                variance = (np.square(first).mean() + np.square(second).mean()) / 2
                rows.append({"draw": draw, "net": net, "layers": layer, "variance": variance, "covariance": (first * second).mean()})
    return pd.DataFrame(rows)
