"""How fast a net stretches a curve of inputs."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradyn.theory.maps import chi_1, lengths
from gradyn.theory.scalar_function import ActivationLike

Array: TypeAlias = NDArray[np.float64]


def curve_growth(activation: ActivationLike, length: float, depth: int, *, sigma_w: float, sigma_b: float) -> Array:
    """sqrt(chi_1(q_l)), l = 1 ... depth - 1: the length of a curve's image in h_{l+1} over that in h_l, [depth - 1].

    Args:
        activation: phi.
        length: mean square of every input on the curve, as on an arc of a circle: h and dh / dt are then independent.
        depth: matrices, readout included.
        sigma_w: sqrt(fan_in Var W).
        sigma_b: standard deviation of the biases.

    Valid:
        width -> infinity; at q_l = q* the source's sqrt(chi_1).

    Raises:
        ConfigError: as `lengths`.

    Source: Poole et al. 2016, arXiv:1606.05340, section 3.
    """
    q = lengths(activation, length, depth - 1, sigma_w=sigma_w, sigma_b=sigma_b)
    return np.sqrt(np.asarray(chi_1(activation, q, sigma_w=sigma_w, sigma_b=sigma_b), dtype=np.float64))
