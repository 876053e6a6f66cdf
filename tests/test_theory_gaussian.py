"""Gaussian moments: against mpmath, against closed forms, against each other; what has no moment is refused in one line."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from catalogue import activations, activations_slow_but
from exact_moments import exact_moment
from gradyn.core import ConfigError
from gradyn.theory import (
    as_function,
    derivative_product,
    gaussian_mean,
    gaussian_mean_of_pair,
    half_distance,
    length_slope,
    moment,
    product,
)
from gradyn.theory.quadrature import GAUSS_Q, KRONROD_Q, NODES_Q

EPS = np.finfo(np.float64).eps
CATALOGUE = pytest.mark.parametrize("activation", activations(), ids=repr)
CLOSED = pytest.mark.parametrize("activation", [a for a in activations() if a.name in ("linear", "relu", "leaky_relu", "erf", "sin")], ids=repr)


def integrated(activation):
    """The same function without its closed form."""
    phi = as_function(activation)
    return as_function(activation.forward, derivative=phi.derivative, second_derivative=phi.second_derivative, kinks=phi.kinks)


def assert_close(found, expected, bound, what: str) -> None:
    found, expected, bound = np.broadcast_arrays(found, expected, bound)
    difference = np.abs(found - expected)
    assert (difference <= bound).all(), f"{what}: {found} against {expected}, difference {difference}, bound {bound}"


@pytest.mark.parametrize("degree", range(0, 32, 2))
def test_the_rule_integrates_polynomials_up_to_its_degree(degree):
    exact = 2 / (degree + 1)
    assert_close(KRONROD_Q @ NODES_Q**degree, exact, 8 * EPS, "Kronrod, degree 31")
    if degree < 20:
        assert_close(GAUSS_Q @ NODES_Q**degree, exact, 8 * EPS, "Gauss, degree 19")


def assert_moments_match_mpmath(activation, q: float, powers: dict[str, int], digits: int) -> None:
    found, expected = moment(activation, q, **powers), float(exact_moment(activation, q, digits=digits, **powers))
    assert found.error <= 1e-10 * expected, f"{activation} q={q}: the stated error is {found.error / expected:.1e} of the value"
    # float(expected) has one rounding more.
    assert_close(found.value, expected, found.error + EPS * expected, f"{activation} q={q} {powers}")


@CATALOGUE
def test_moments_match_mpmath_within_their_stated_error(activation, rng):
    powers = {"value": 2, "derivative": 0} if rng.random() < 0.5 else {"value": 0, "derivative": 2}
    # Above 100, sin has so many periods that mpmath takes seconds; its closed form is held to the quadrature below.
    assert_moments_match_mpmath(activation, float(10 ** rng.uniform(-8, 2 if activation.name == "sin" else 4)), powers, digits=18)


@pytest.mark.slow
@pytest.mark.parametrize("q", [1e-8, 1e-3, 0.7, 2.3, 30.0, 1e4])
@CATALOGUE
def test_moments_match_thirty_digits_on_a_grid(activation, q):
    for value, derivative in ((2, 0), (0, 2), (0, 4), (1, 1)):
        if not (activation.name == "sin" and (q > 100 or (value, derivative) == (1, 1))):
            assert_moments_match_mpmath_to_scale(activation, q, value, derivative)


def assert_moments_match_mpmath_to_scale(activation, q: float, value: int, derivative: int) -> None:
    found = moment(activation, q, value=value, derivative=derivative)
    expected = float(exact_moment(activation, q, value=value, derivative=derivative))
    assert_close(found.value, expected, found.error + EPS * abs(expected), f"{activation} q={q} E phi^{value} phi'^{derivative}")


@CLOSED
def test_closed_forms_are_what_the_quadrature_finds(activation, rng):
    q = np.concatenate([[1e-12, 1e4], 10 ** rng.uniform(-6, 3, 4)])
    by_nodes = integrated(activation)
    for powers in ({"value": 2}, {"derivative": 2}):
        closed, found = moment(activation, q, **powers), moment(by_nodes, q, **powers)
        assert_close(closed.value, found.value, closed.error + found.error, f"{activation} {powers}")
    closed, found = length_slope(activation, q), length_slope(by_nodes, q)
    assert_close(closed.value, found.value, closed.error + found.error, f"{activation} length slope")


@CLOSED
def test_closed_forms_of_pairs_are_what_the_quadrature_finds(activation, rng):
    by_nodes = integrated(activation)
    for gap in (0.0, 1e-12, 2.0, 2 - 1e-12, *rng.uniform(0, 2, 2)):
        q1, q2 = rng.uniform(0.05, 20, 2)
        for function in (product, derivative_product):
            closed, found = function(activation, q1, q2, gap=gap), function(by_nodes, q1, q2, gap=gap)
            assert_close(closed.value, found.value, closed.error + found.error, f"{activation} {function.__name__} q={q1, q2} gap={gap}")
        closed, found = half_distance(activation, q1, gap=gap), half_distance(by_nodes, q1, gap=gap)
        assert_close(closed.value, found.value, closed.error + found.error, f"{activation} half distance q={q1} gap={gap}")


@CATALOGUE
def test_pairs_of_correlation_one_zero_and_minus_one_are_single_integrals(activation, rng):
    phi, (q1, q2) = integrated(activation), rng.uniform(0.1, 5, 2)
    one, mean = product(phi, q1, q1, c=1.0), [moment(phi, q, value=1) for q in (q1, q2)]
    square = moment(phi, q1, value=2)
    assert_close(one.value, square.value, one.error + square.error, "c = 1")
    independent = product(phi, q1, q2, c=0.0)
    factors = mean[0].value * mean[1].value
    slack = abs(mean[0].value) * mean[1].error + abs(mean[1].value) * mean[0].error
    assert_close(independent.value, factors, independent.error + slack, "c = 0")
    mirrored = gaussian_mean(lambda h: phi.value(h) * phi.value(-h), q1, kinks=(*phi.kinks, *(-k for k in phi.kinks)))
    opposite = product(phi, q1, q1, c=-1.0)
    assert_close(opposite.value, mirrored.value, opposite.error + mirrored.error, "c = -1")


@pytest.mark.parametrize("activation", activations_slow_but("leaky_relu", "hard_tanh", "elu", "gelu", "tanh"), ids=repr)
def test_the_slope_in_the_covariance_is_the_derivatives_product(activation, rng):
    """Price 1958: d E phi(u1) phi(u2) / d (covariance) = E phi'(u1) phi'(u2)."""
    phi, (q1, q2), c = integrated(activation), rng.uniform(0.3, 4, 2), rng.uniform(-0.7, 0.7)
    step = 0.02

    def slope(by: float) -> float:
        return float(product(phi, q1, q2, c=c + by).value - product(phi, q1, q2, c=c - by).value) / (2 * by * math.sqrt(q1 * q2))

    halves = [slope(step / 2**i) for i in range(4)]
    # Romberg: h^2, h^4 and h^6 are removed; what is left of h^8 is bounded by the last two columns' difference. The rounding is eps / step.
    table = [halves]
    for order in (4, 16, 64):
        table.append([(order * b - a) / (order - 1) for a, b in zip(table[-1][:-1], table[-1][1:], strict=True)])
    expected = derivative_product(phi, q1, q2, c=c)
    bound = abs(table[3][0] - table[2][-1]) + 1e3 * EPS / step * max(1.0, float(product(phi, q1, q2, c=c).value)) + float(expected.error)
    assert bound < 1e-9, f"{activation}: the difference quotient itself is good to {bound:.1e} only"
    assert_close(table[3][0], float(expected.value), bound, f"{activation} q={q1, q2} c={c}")


@CATALOGUE
def test_the_half_distance_keeps_its_digits_as_c_goes_to_one(activation, rng):
    """E(phi(u1) - phi(u2))^2 / 2 = gap q E phi'^2 to first order; for a kink in phi' the next term is sqrt(gap) smaller, else gap."""
    q, gap = rng.uniform(0.5, 3), 1e-12
    found, slope = half_distance(integrated(activation), q, gap=gap), moment(activation, q, derivative=2)
    assert_close(found.value / (gap * q * slope.value), 1.0, 4 * math.sqrt(gap), f"{activation} q={q}")


@pytest.mark.parametrize("c", [0.6, -0.6])
def test_kinks_to_one_side_are_split_for_either_sign_of_the_correlation(c):
    def f(u, v):
        return np.abs(u - 1) * np.maximum(v + 0.4, 0)

    found = gaussian_mean_of_pair(f, 1.5, 0.8, c=c, kinks_1=(1.0,), kinks_2=(-0.4,))
    # f(u, v) at c is f(u, -(-v)) at -c.
    mirrored = gaussian_mean_of_pair(lambda u, v: f(u, -v), 1.5, 0.8, c=-c, kinks_1=(1.0,), kinks_2=(0.4,))
    assert_close(found.value, mirrored.value, found.error + mirrored.error, f"c = {c}")
    # With every kink split only roundings are left, tens of them.
    assert found.error < 200 * EPS


def test_variances_come_in_any_shape():
    q = np.array([[0.1, 1.0], [10.0, 0.0]])
    found = moment("tanh", q, value=2)
    assert found.value.shape == found.error.shape == (2, 2)
    assert [float(moment("tanh", one, value=2).value) for one in q.ravel()] == found.value.ravel().tolist()
    assert product("tanh", q, 1.0, c=0.5).value.shape == (2, 2)


@pytest.mark.parametrize(
    "given",
    [
        as_function(lambda h: torch.tanh(h)),
        as_function(np.tanh, derivative=lambda h: 1 / np.cosh(np.clip(h, -300, 300)) ** 2),
        as_function(lambda h: torch.tanh(h), derivative=lambda h: 1 / np.cosh(np.clip(h, -300, 300)) ** 2),
        "tanh",
    ],
    ids=["torch", "numpy", "mixed", "name"],
)
def test_however_tanh_is_given_its_moments_are_the_same(given):
    q = [0.0, 0.3, 5.0]
    for powers in ({"value": 2}, {"derivative": 2}):
        found, expected = moment(given, q, **powers), moment(as_function("tanh"), q, **powers)
        assert_close(found.value, expected.value, found.error + expected.error, str(powers))


@pytest.mark.parametrize("power", [2, 4, 6])
def test_a_polynomials_moment_is_the_double_factorial(power):
    q = np.array([1e-8, 1.0, 1e4])
    found = gaussian_mean(lambda h: h**power, q)
    assert_close(found.value, math.prod(range(1, power, 2)) * q ** (power // 2), found.error, "E h^n")


def test_a_mass_far_out_is_found():
    # E exp(2 h) = exp(2 q), and at q = 50 all of it lies around z = 14.
    found = gaussian_mean(lambda h: np.exp(2 * h), 50.0)
    # The argument 2 h near 200 has a relative rounding of eps, so that exp has 200 of them.
    assert_close(found.value / math.exp(100), 1.0, 256 * EPS, "E exp(2 h)")


def test_a_kink_that_nobody_named_costs_accuracy_within_the_stated_error():
    found = gaussian_mean(lambda h: np.abs(h - 0.3), 1.0)
    exact = math.sqrt(2 / math.pi) * math.exp(-0.045) + 0.3 * math.erf(0.3 / math.sqrt(2))
    assert found.error < 1e-9
    assert_close(found.value, exact, found.error, "E |h - 0.3|")


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: moment(lambda h: torch.exp(h * h), 1.0, value=2), "must be finite at every h .* growth slower than exp"),
        (lambda: gaussian_mean(lambda h: np.exp(0.501 * h * h), 1.0), "f must have finite Gaussian moments at q = 1.0; .* growth slower than exp"),
        (lambda: moment("tan", 1.0, value=2), "activation must be one of linear, sigmoid, .*; got 'tan'. Or pass a component"),
        (lambda: moment(np.tanh, 1.0, derivative=2), "derivative must be given for the numpy callable tanh"),
        (lambda: moment(lambda h: h.sum(), 1.0, value=2), "activation must map an array to one of the same shape"),
        (lambda: moment(3.0, 1.0, value=2), "activation must be a component, an option's name or a callable; got 3.0"),
        (lambda: moment("tanh", -1.0, value=2), "q must be a variance: finite, zero or above; got -1.0"),
        (lambda: product("tanh", 1.0, 1.0, c=1.5), "c must be a correlation, between -1 and 1; got 1.5"),
        (lambda: product("tanh", 1.0, 1.0, gap=-0.5), "gap must be 1 - c, between 0 and 2; got -0.5"),
        (lambda: product("tanh", 1.0, 1.0), "c must be given, or its distance from 1"),
        (lambda: as_function("relu", kinks=(0.0,)), "derivative must be left out for a component"),
        (lambda: gaussian_mean_of_pair(lambda u, v: np.exp(u * u) * v, 4.0, 1.0, c=0.1), "f must be finite at every h"),
    ],
    ids=range(12),
)
def test_what_has_no_answer_is_refused_in_one_line(call, line):
    with pytest.raises(ConfigError, match=line) as refusal:
        call()
    assert "\n" not in str(refusal.value)


@CATALOGUE
def test_a_component_is_smooth_but_for_the_kinks_that_it_lists(activation):
    """phi'(h + s) - phi'(h - s) = 2 s phi''(h) + O(s^3): a jump of phi'' by J leaves J s of it, one of phi' leaves J."""
    step = 5e-4
    at = np.arange(-12_000, 12_001) * step
    away = np.all([np.abs(at - kink) > 1.5 * step for kink in activation.kinks], axis=0) if activation.kinks else np.full(len(at), True)
    phi = as_function(activation)
    left = np.abs(phi.derivative(at + step) - phi.derivative(at - step) - 2 * step * phi.second_derivative(at))
    # The remainder is step^3 / 3 |phi|, and |phi| < 60 (erf, tanh and softsign near 0 have the most).
    assert left[away].max() <= 20 * step**3 + 8 * EPS, f"{activation} has a kink near {at[away][left[away].argmax()]}"


@pytest.mark.parametrize(("activation", "kink"), [(a, kink) for a in activations() for kink in a.kinks], ids=repr)
def test_at_a_listed_kink_something_jumps(activation, kink):
    phi, around = as_function(activation), np.array([kink - 1e-9, kink + 1e-9])
    found = max(float(np.ptp(function(around))) for function in (phi.value, phi.derivative, phi.second_derivative))
    assert found > 1e-6, f"{activation} is smooth at {kink}"
