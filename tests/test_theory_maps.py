"""The maps: against sampled nets of any width where they are exact, against each other, and at published points."""

from __future__ import annotations

import doctest
import importlib
import math
import pkgutil

import numpy as np
import pytest

import gradyn.theory
from catalogue import activations
from gradyn.core import ConfigError
from gradyn.theory import as_function, chi_1, chi_c, chi_parallel, correlation_gaps, correlation_map, correlations, fixed_point_q, gap_map, length_map, lengths

EPS = np.finfo(np.float64).eps
CATALOGUE = pytest.mark.parametrize("activation", activations(), ids=repr)
# Two-sided; 5 statistics for each of 16 activations: one false alarm in 1e5 suites at z = 5.5 (2 * 1.9e-8 * 80 = 3e-6, with slack for tails).
Z = 5.5


def assert_z(draws: np.ndarray, expected: float, what: str) -> None:
    z = (draws.mean() - expected) / (draws.std(ddof=1) / math.sqrt(len(draws)))
    assert abs(z) < Z, f"{what}: {draws.mean()} against {expected}, z = {z:.2f}"


@CATALOGUE
def test_a_sampled_layer_has_the_maps_lengths_correlation_and_gradient(activation, rng):
    """Exact at any width, for h_1 is Gaussian: E over weights of h_2^2, h_2 h_2' and |delta_1|^2 / |delta_2|^2."""
    phi, draws, width, fan_in = as_function(activation), 4000, 12, 5
    sigma_w, sigma_b = rng.uniform(0.6, 1.8), rng.uniform(0.1, 0.5)
    q0, second, c0 = [*rng.uniform(0.3, 2, 2).tolist(), rng.uniform(-0.8, 0.8)]
    e = np.linalg.qr(rng.standard_normal((fan_in, 2)))[0].T * math.sqrt(fan_in)
    x, other = math.sqrt(q0) * e[0], math.sqrt(second) * (c0 * e[0] + math.sqrt(1 - c0**2) * e[1])
    settings = {"sigma_w": sigma_w, "sigma_b": sigma_b}
    w1, b1 = rng.standard_normal((draws, width, fan_in)) * sigma_w / math.sqrt(fan_in), rng.standard_normal((draws, width)) * sigma_b
    h, h_other = w1 @ x + b1, w1 @ other + b1
    w2, b2 = rng.standard_normal((draws, width, width)) * sigma_w / math.sqrt(width), rng.standard_normal((draws, width)) * sigma_b
    next_h, next_other = np.einsum("dij,dj->di", w2, phi.value(h)) + b2, np.einsum("dij,dj->di", w2, phi.value(h_other)) + b2
    delta = np.einsum("dij,di->dj", w2, rng.standard_normal((draws, width))) * phi.derivative(h)

    q_L, q2_L = (lengths(activation, q, 2, **settings) for q in (q0, second))
    c_L = correlations(activation, c0, q0, 2, q0_2=second, **settings)
    what = f"{activation} sigma_w={sigma_w} sigma_b={sigma_b}"
    assert_z((h * h_other).mean(1), c_L[0] * math.sqrt(q_L[0] * q2_L[0]), f"{what} covariance of layer 1")
    assert_z((next_h**2).mean(1), q_L[1], f"{what} length of layer 2")
    assert_z((next_h * next_other).mean(1), c_L[1] * math.sqrt(q_L[1] * q2_L[1]), f"{what} covariance of layer 2")
    assert_z((delta**2).mean(1), chi_1(activation, q_L[0], **settings), f"{what} chi_1")


@CATALOGUE
def test_chi_parallel_is_the_slope_of_the_length_map(activation, rng):
    settings, q = {"sigma_w": rng.uniform(0.5, 2), "sigma_b": rng.uniform(0, 1)}, rng.uniform(0.2, 5)
    step = 0.02 * q

    def slope(by: float) -> float:
        return float(length_map(activation, q + by, **settings) - length_map(activation, q - by, **settings)) / (2 * by)

    table = [[slope(step / 2**i) for i in range(4)]]
    for order in (4, 16, 64):
        table.append([(order * b - a) / (order - 1) for a, b in zip(table[-1][:-1], table[-1][1:], strict=True)])
    # The last of Romberg's columns is better than it differs from the one before; the lengths' rounding is divided by the smallest step.
    bound = abs(table[3][0] - table[2][-1]) + 100 * EPS * float(length_map(activation, q, **settings)) / (step / 8)
    assert bound < 1e-9
    assert abs(chi_parallel(activation, q, **settings) - table[3][0]) <= bound


@CATALOGUE
def test_the_correlation_maps_slope_at_one_is_chi_1(activation, rng):
    settings, q = {"sigma_w": rng.uniform(0.5, 2), "sigma_b": rng.uniform(0, 1)}, rng.uniform(0.2, 5)
    gap = 1e-10
    slope = gap_map(activation, gap, q, **settings) / gap
    # d c' / dc = q chi_1 / q'; the next term is of order sqrt(gap) at kinks.
    expected = q * chi_1(activation, q, **settings) / length_map(activation, q, **settings)
    assert slope == pytest.approx(expected, rel=10 * math.sqrt(gap))
    assert chi_c(activation, None, q, gap=0.0, **settings) == pytest.approx(chi_1(activation, q, **settings), rel=1e-12)


@CATALOGUE
def test_equal_inputs_stay_equal_and_lengths_may_differ(activation):
    settings = {"sigma_w": 1.3, "sigma_b": 0.2}
    assert correlations(activation, 1.0, 0.7, 2, **settings).tolist() == [1.0] * 2
    # Given twice, or equal by chance: the two ways of saying so agree to the quadrature's error, and so does the order of the pair.
    one, two = (correlation_map(activation, 0.4, 0.7, q2=q2, **settings) for q2 in (None, 0.7))
    assert one == pytest.approx(two, abs=1e-12)
    one, two = correlation_map(activation, 0.4, 0.7, q2=2.0, **settings), correlation_map(activation, 0.4, 2.0, q2=0.7, **settings)
    assert one == pytest.approx(two, abs=1e-12)


def test_layer_1_sees_the_input_itself():
    q0, settings = 0.64, {"sigma_w": 1.3, "sigma_b": 0.3}
    q1 = 1.3**2 * q0 + 0.3**2
    assert lengths("tanh", q0, 3, **settings).tolist() == pytest.approx([q1, q2 := length_map("tanh", q1, **settings), length_map("tanh", q2, **settings)])
    assert correlations("tanh", 0.6, q0, 1, **settings)[0] == pytest.approx((1.3**2 * q0 * 0.6 + 0.3**2) / q1)


def test_relu_off_criticality_grows_by_half_of_sigma_w_squared():
    q_L = lengths("relu", 1.0, 200, sigma_w=2.0, sigma_b=0.0)
    assert q_L[-1] / q_L[0] == pytest.approx(2.0**199, rel=400 * EPS)
    gaps = correlation_gaps("relu", 1e-18, 1.0, 30, sigma_w=math.sqrt(2), sigma_b=0.0)
    # 1 - c below float64's eps is followed: 1 - J_1 = gap - (2 gap)^(3/2) / (3 pi) + ...
    expected = 1e-18
    for gap in gaps[1:]:
        expected -= (2 * expected) ** 1.5 / (3 * math.pi)
        assert gap == pytest.approx(expected, rel=1e-12)


SLOW = pytest.mark.slow


@pytest.mark.parametrize(
    ("sigma_w", "q_star", "c_mean"),
    [(2.5, 4.07912, 0.129937), pytest.param(1.3, 0.607047, 0.943815, marks=SLOW), pytest.param(4.0, 12.6041, 0.0313572, marks=SLOW)],
)
def test_poole_2016s_settings_give_the_known_lengths_and_correlations(sigma_w, q_star, c_mean):
    settings = {"sigma_w": sigma_w, "sigma_b": 0.3}
    assert fixed_point_q("tanh", **settings) == pytest.approx(q_star, rel=5e-6)
    # "Last 12 of 30 layers". Six digits were published: half a unit of the sixth is 5e-6 of the value at most.
    assert correlations("tanh", 0.6, 0.64, 30, **settings)[-12:].mean() == pytest.approx(c_mean, rel=5e-6)


@pytest.mark.parametrize(("activation", "rate", "q_last"), [("tanh", -0.208508, 0.520754), ("sigmoid", -2.59797, 0.513934), ("gelu", -0.493471, 0.212902)])
def test_the_recursion_from_any_start_gives_the_known_rates(activation, rate, q_last):
    settings = {"sigma_w": math.sqrt(1.5), "sigma_b": math.sqrt(0.1)}
    q_L = lengths(activation, 1.0, 10, **settings)
    assert q_L[0] == pytest.approx(1.6)
    assert np.log(chi_1(activation, q_L[:-1], **settings)).mean() == pytest.approx(rate, rel=5e-6)
    assert q_L[-1] == pytest.approx(q_last, rel=5e-6)


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: chi_1("relu", 1.0, sigma_w=-1.0, sigma_b=0.0), "sigma_w must be a standard deviation: finite, zero or above; got -1.0"),
        (lambda: length_map("relu", 1.0, sigma_w=1.0, sigma_b=math.inf), "sigma_b must be a standard deviation"),
        (lambda: lengths("relu", -1.0, 3, sigma_w=1.0, sigma_b=0.0), "q0 must be a variance"),
        (lambda: lengths("relu", 1.0, 0, sigma_w=1.0, sigma_b=0.0), "depth must be at least 1; got 0"),
        (lambda: correlations("relu", 0.5, 0.0, 3, sigma_w=1.0, sigma_b=0.0), "q must lead to lengths above 0"),
        (lambda: correlation_map("relu", 2.0, 1.0, sigma_w=1.0, sigma_b=0.0), "c must be a correlation"),
    ],
    ids=range(6),
)
def test_settings_without_a_meaning_are_refused(call, line):
    with pytest.raises(ConfigError, match=line):
        call()


@pytest.mark.parametrize("module", [module.name for module in pkgutil.iter_modules(gradyn.theory.__path__)])
def test_the_examples_in_the_docstrings_run(module):
    assert doctest.testmod(importlib.import_module(f"gradyn.theory.{module}")).failed == 0
