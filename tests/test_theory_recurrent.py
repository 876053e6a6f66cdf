"""Gates and clipped gradients against sampling, and against numbers that are known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradyn.core import ConfigError
from gradyn.theory import chrono_decay, gate_decay, value_clip_cosine


def test_constant_gates_are_powers_of_the_logistic_function() -> None:
    # b_f = 0, 1, 2 over 50 steps.
    for bias, expected in ((0.0, 8.88178e-16), (1.0, 1.57619e-07), (2.0, 0.00175305)):
        assert abs(gate_decay(bias, 50) / expected - 1) < 1e-5
    assert gate_decay(-800.0, 0) == 1.0
    assert gate_decay(-800.0, 2) == 0.0


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_chronos_moment_is_met_by_sampling(power: float) -> None:
    u = np.random.default_rng(3).uniform(1.0, 99.0, 200_000)
    drawn = (u / (1 + u)) ** (power * 50)
    # Five standard errors: one run in a million.
    assert abs(drawn.mean() - chrono_decay(100, 50, power)) < 5 * drawn.std() / math.sqrt(len(drawn))


@pytest.mark.parametrize("threshold", [0.01, 0.1, 0.5, 1.0, 2.0, 5.0])
def test_the_cosine_of_clipped_values_is_met_by_sampling(threshold: float) -> None:
    g = np.random.default_rng(4).standard_normal((50, 100_000))
    cut = np.clip(g, -threshold, threshold)
    cosines = (g * cut).sum(1) / np.sqrt((g**2).sum(1) * (cut**2).sum(1))
    # Five standard errors, and the bias of order 1 / n.
    assert abs(cosines.mean() - value_clip_cosine(threshold)) < 5 * cosines.std(ddof=1) / math.sqrt(50) + 1e-5


def test_a_tiny_threshold_leaves_the_signs() -> None:
    assert abs(value_clip_cosine(1e-9) - math.sqrt(2 / math.pi)) < 1e-6
    # 0.1 and 1 standard deviation, as printed to six digits.
    assert abs(value_clip_cosine(0.1) - 0.818604) < 1e-6
    assert abs(value_clip_cosine(1.0) - 0.950328) < 1e-6


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: gate_decay(1.0, -1), "steps must be >= 0; got -1"),
        (lambda: chrono_decay(2, 5), "longest must be >= 3; got 2"),
        (lambda: value_clip_cosine(0.0), "threshold must be a finite number > 0; got 0.0"),
    ],
)
def test_what_has_no_answer_is_refused(call, line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        call()
