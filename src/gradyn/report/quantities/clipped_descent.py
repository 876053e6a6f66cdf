"""Plain and clipped gradient descent on f(x) = e^(ax) + e^(-ax), whose curvature grows with its gradient; by the harness's own steps.

f' = 2a sinh(ax), f'' = 2a^2 cosh(ax); |f''| <= L0 + L1 |f'| with L0 = 2a^2 and L1 = a, for cosh u - |sinh u| = e^(-|u|) <= 1.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from gradyn.core import Scaled, log2_l2
from gradyn.optim import AbstractClip, GlobalL2, NoClip, Sgd


def descents(a: float, starts: Sequence[float], tolerance: float, most: int) -> pd.DataFrame:
    """Steps until |x| <= tolerance from each start, plain and clipped, beside what they should be.

    Plain: rate 1 / f''(start), the largest for which smoothness alone promises descent. Clipped: rate 1 / L0 at gradients up to L0 / L1, above
    that steps of length 1 / L1.

    Args:
        a: [1 / x].
        starts: > 0.
        tolerance: of x.
        most: steps; a descent that needs more has nan.

    Returns:
        Rows of `way` (plain, clipped), `start`, `steps`, `predicted`.
    """
    curvature, slope = 2 * a**2, a
    limit = GlobalL2(max_norm=curvature / slope, eps=0.0)
    rows = []
    for start in starts:
        rate = 1 / (2 * a**2 * math.cosh(a * start))
        # Gradient flow x' = -f' has tanh(a x / 2) = tanh(a x_0 / 2) e^(-2 a^2 t), t = rate steps.
        flow = math.log(math.tanh(a * start / 2) / math.tanh(a * tolerance / 2)) / (curvature * rate)
        # Euler's steps follow x' = -f' (1 + rate f'' / 2) to second order, which is there earlier by half of ln f'(x_0) / f'(x_n) steps.
        ahead = 0.5 * math.log(math.sinh(a * start) / math.sinh(a * tolerance))
        rows.append({"way": "plain", "start": start, "steps": _steps(NoClip(), rate, a, start, tolerance, most), "predicted": flow - ahead})
        # Steps of 1 / L1 down to asinh(1) / a, where the gradient is L0 / L1; from there u -> u - sinh u, -u^3 / 6 or so, in at most two steps.
        walk = (start - math.asinh(1) / a) * slope
        rows.append({"way": "clipped", "start": start, "steps": _steps(limit, 1 / curvature, a, start, tolerance, most), "predicted": walk})
    return pd.DataFrame(rows)


def largest_curvature(a: float, slope: float, reach: float) -> float:
    """sup over |x| <= reach of f'' / (L0 + L1 |f'|), on 10,001 places with 0 among them; L1 = `slope` * a."""
    u = np.linspace(-a * reach, a * reach, 10_001)
    return float((np.cosh(u) / (1 + slope * np.abs(np.sinh(u)))).max())


def _steps(clip: AbstractClip, rate: float, a: float, start: float, tolerance: float, most: int) -> float:
    x_RP = torch.full((1, 1), start, dtype=torch.float64)
    rate_R1 = torch.full((1, 1), rate, dtype=torch.float64)
    optimizer = Sgd()
    state = optimizer.state(x_RP)
    limited_RP = torch.empty_like(x_RP)
    for step in range(most):
        if abs(float(x_RP)) <= tolerance:
            return float(step)
        gradient = Scaled.plain(2 * a * torch.sinh(a * x_RP))
        factors_RP = clip.log2_factors(log2_l2([gradient]), [1])
        clip.limited(gradient, x_RP, None if factors_RP is None else factors_RP[:, 0], limited_RP)
        optimizer.step(x_RP, limited_RP, state, rate_R1, step + 1)
    return math.nan
