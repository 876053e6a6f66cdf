"""Descents in one dimension against plain floats."""

from __future__ import annotations

import math

from gradyn.report import descents


def steps(a: float, start: float, tolerance: float, rate: float, longest: float) -> int:
    x, count = start, 0
    while abs(x) > tolerance:
        step = rate * a * (math.exp(a * x) - math.exp(-a * x))
        x, count = x - math.copysign(min(abs(step), longest), step), count + 1
    return count


def test_counts_are_those_of_a_loop_in_plain_floats() -> None:
    a, tolerance = 1.7, 1e-3
    for start in (0.4, 1.23, 3.3):
        table = descents(a, [start], tolerance, 100_000).set_index("way")["steps"]
        assert table["plain"] == steps(a, start, tolerance, 1 / (a**2 * (math.exp(a * start) + math.exp(-a * start))), math.inf)
        assert table["clipped"] == steps(a, start, tolerance, 1 / (2 * a**2), 1 / a)


def test_a_descent_that_needs_more_steps_is_missing() -> None:
    assert descents(1.0, [8.0], 1e-3, 50).set_index("way")["steps"].isna().to_dict() == {"plain": True, "clipped": False}
