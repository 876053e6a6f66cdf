"""Numeric derivatives: differences of f at two places, and the imaginary part of f a little off the real axis.

A difference has two errors that pull in opposite directions: what Taylor's series leaves out, |f''| h / 2 or |f'''| h^2 / 6, and the
rounding of f, eps |f| over h. Their sum is a V over h on logarithmic axes, lowest at the steps below. The complex step subtracts nothing,
so its rounding does not grow: h can be 1e-20, and the V loses its left arm.

Can't: differentiate n inputs in fewer than n evaluations more; nor take a complex step through abs, max or a comparison.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from gradyn.core import require

# Distance from 1 to the next float64.
EPS = 2.0**-52


def forward_difference(f: Callable[[float], float], x: float, h: float) -> float:
    """(f(x + h) - f(x)) / h = f' + f'' h / 2 + ...; two evaluations, one more for each further input.

    Args:
        f: from a float to a float.
        x: where.
        h: step, in the unit of x.

    Raises:
        ConfigError: h is not positive and finite.
    """
    _require_step(h)
    return (f(x + h) - f(x)) / h


def central_difference(f: Callable[[float], float], x: float, h: float) -> float:
    """(f(x + h) - f(x - h)) / 2h = f' + f''' h^2 / 6 + ...: the even orders cancel; two evaluations for each input.

    Args, Raises: as `forward_difference`.
    """
    _require_step(h)
    return (f(x + h) - f(x - h)) / (2 * h)


def complex_step(f: Callable[[complex], complex], x: float, h: float = 1e-20) -> float:
    """Im f(x + ih) / h = f' - f''' h^2 / 6 + ...: one evaluation, in complex numbers, and no cancellation.

    Args:
        f: analytic, from a complex number to one; real on the real axis.
        x: where.
        h: step; below sqrt(6 eps |f' / f'''|) the truncation is lost in rounding.

    Raises:
        ConfigError: h is not positive and finite.
        TypeError: f returns a real number: abs, max, a comparison or math.sin in it dropped the imaginary part.

    Source: Squire and Trapp 1998.
    """
    _require_step(h)
    y = f(complex(x, h))
    if not hasattr(y, "imag") or isinstance(y, (int, float)):
        raise TypeError(f"f must return a complex number for a complex one; got {type(y).__name__} {y!r}. Use cmath, and no abs, max or comparison.")
    return float(y.imag) / h


def best_forward_step(f: float, second: float) -> float:
    """2 sqrt(eps |f / f''|), near eps^(1/2): where |f''| h / 2 + 2 eps |f| / h is least.

    Args:
        f: f(x); each of the two evaluations is taken to be off by eps |f|.
        second: f''(x).

    Raises:
        ConfigError: f'' is 0: the larger the step, the better.
    """
    require(second != 0, "second", "not be 0", second, "Where f'' vanishes the next order decides, and no step is best to this one.")
    return 2 * math.sqrt(EPS * abs(f / second))


def best_central_step(f: float, third: float) -> float:
    """(3 eps |f / f'''|)^(1/3), near eps^(1/3): where |f'''| h^2 / 6 + eps |f| / h is least.

    Args:
        f: f(x).
        third: f'''(x).

    Raises:
        ConfigError: f''' is 0, likewise.
    """
    require(third != 0, "third", "not be 0", third, "Where f''' vanishes the next order decides, and no step is best to this one.")
    return (3 * EPS * abs(f / third)) ** (1 / 3)


def _require_step(h: float) -> None:
    require(math.isfinite(h) and h > 0, "h", "be positive and finite", h, "Near sqrt(eps) |x| for a forward, eps ** (1 / 3) |x| for a central difference.")
