"""What clipping does to a gradient's direction."""

from __future__ import annotations

import math

from gradyn.core import require


def value_clip_cosine(threshold: float) -> float:
    """Cosine between a gradient of independent normal numbers and itself with every number clipped to [-c, c].

    E g clip(g) / sqrt(E g^2 E clip(g)^2) = erf(c / sqrt 2) / sqrt(E clip^2), with
    E clip^2 = erf(c / sqrt 2) - c sqrt(2 / pi) exp(-c^2 / 2) + c^2 erfc(c / sqrt 2). As c -> 0 the signs remain: sqrt(2 / pi) = 0.798.

    Args:
        threshold: c, in standard deviations of the numbers; > 0.

    Returns:
        Dimensionless. Exact for infinitely many numbers; of n, off by about 1 / n.

    Raises:
        ConfigError: a threshold not above 0.
    """
    require(math.isfinite(threshold) and threshold > 0, "threshold", "be a finite number > 0", threshold)
    inside, outside = math.erf(threshold / math.sqrt(2)), math.erfc(threshold / math.sqrt(2))
    # For small c the first two terms cancel to c^3 sqrt(2 / pi) / 3, which is nothing beside the third.
    square = max(inside - threshold * math.sqrt(2 / math.pi) * math.exp(-(threshold**2) / 2), 0.0) + threshold**2 * outside
    return inside / math.sqrt(square)
