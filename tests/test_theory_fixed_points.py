"""Fixed points, depth scales and the edge of chaos: against the recursions themselves, over the catalogue, and at published points."""

from __future__ import annotations

import math

import numpy as np
import pytest

from catalogue import activations, activations_slow_but
from gradyn.core import ConfigError
from gradyn.nn import Erf, Gelu, HardTanh, LeakyRelu, Sin, Tanh
from gradyn.theory import (
    as_function,
    chi_1,
    chi_parallel,
    correlation_gaps,
    correlation_map,
    critical_point,
    critical_sigma_w,
    depth_scales,
    edge_of_chaos_rate,
    fixed_point_c,
    fixed_point_gap,
    fixed_point_q,
    fixed_points_q,
    gap_map,
    length_map,
    lengths,
    phase_boundary,
)

EPS = np.finfo(np.float64).eps
CATALOGUE = pytest.mark.parametrize("activation", activations(), ids=repr)
# chi_1 doesn't depend on the length.
SCALE_FREE = ("linear", "relu", "leaky_relu")


def outside(activation, low: float = 0.0) -> dict[str, float]:
    """Settings at which every activation of the catalogue has a q* of order one, weights scaled by its slope at large h."""
    return {"sigma_w": 0.9 / max(0.8, min(activation.max_derivative, 1.05)), "sigma_b": 0.4 + low}


@CATALOGUE
def test_lengths_arrive_at_the_fixed_point_at_the_rate_of_chi_parallel(activation):
    settings = outside(activation)
    q, scales = fixed_point_q(activation, **settings), depth_scales(activation, **settings)
    assert scales.q == q
    assert length_map(activation, q, **settings) == pytest.approx(q, rel=1e-13)
    # 1e-4 from q* the recursion is linear but for 1e-4 of the step (times q V'' / V', of order one).
    near = lengths(activation, (q * (1 + 1e-4) - settings["sigma_b"] ** 2) / settings["sigma_w"] ** 2, 2, **settings)
    assert (near[1] - q) / (near[0] - q) == pytest.approx(scales.chi_parallel, rel=1e-3)
    assert scales.xi_q == pytest.approx(1 / abs(math.log(scales.chi_parallel)))
    # And from afar: a layer shrinks the distance by no less than the largest slope on the way.
    from_afar = lengths(activation, 5.0, 40, **settings)
    slope = np.abs(chi_parallel(activation, np.linspace(q, from_afar[0], 50), **settings)).max()
    assert slope < 0.97
    assert abs(from_afar[-1] - q) <= abs(from_afar[0] - q) * (slope * (1 + 1e-3)) ** 39 + 64 * EPS * q


@CATALOGUE
def test_in_the_ordered_phase_gaps_shrink_by_chi_1(activation):
    settings = outside(activation)
    q, scales = fixed_point_q(activation, **settings), depth_scales(activation, **settings)
    assert scales.chi_1 == chi_1(activation, q, **settings) < 1
    assert scales.c == fixed_point_c(activation, **settings) == 1.0
    assert scales.xi_c == scales.xi_grad == pytest.approx(-1 / math.log(scales.chi_1))
    # Kinks add sqrt(gap) of the slope, smooth curvature gap.
    assert gap_map(activation, 1e-8, q, **settings) / 1e-8 == pytest.approx(scales.chi_1, rel=1e-3)


@pytest.mark.parametrize("activation", [Erf(), Sin(), Tanh(), pytest.param(HardTanh(), marks=pytest.mark.slow)], ids=repr)
def test_in_the_chaotic_phase_any_pair_arrives_at_c_star_at_the_rate_of_chi_c(activation):
    settings = {"sigma_w": 2.2, "sigma_b": 0.5}
    scales = depth_scales(activation, **settings)
    assert scales.chi_1 > 1 > scales.chi_c > 0
    assert 0 < scales.c < 1
    assert correlation_map(activation, scales.c, scales.q, **settings) == pytest.approx(scales.c, abs=1e-11)
    step = correlation_map(activation, scales.c + 1e-4, scales.q, **settings) - correlation_map(activation, scales.c - 1e-4, scales.q, **settings)
    # The error of a central difference, 1e-8 C''' / 6, and that of the two values, 1e-12 over the step.
    assert step / 2e-4 == pytest.approx(scales.chi_c, rel=1e-6)
    assert scales.xi_c == pytest.approx(-1 / math.log(scales.chi_c))
    assert 1 - fixed_point_gap(activation, **settings) == scales.c


def test_an_odd_activation_without_biases_forgets_correlations():
    assert fixed_point_c("tanh", sigma_w=1.5, sigma_b=0.0) == fixed_point_c("sin", sigma_w=1.5, sigma_b=0.0) == 0.0


@pytest.mark.parametrize("slope", [0.0, 0.2, -0.5])
def test_leaky_lengths_are_a_geometric_series(slope):
    phi, sigma_b = LeakyRelu(slope), 0.7
    sigma_w = math.sqrt(0.6 * 2 / (1 + slope**2))
    assert fixed_point_q(phi, sigma_w=sigma_w, sigma_b=sigma_b) == pytest.approx(sigma_b**2 / 0.4, rel=1e-12)
    assert fixed_point_q(phi, sigma_w=sigma_w, sigma_b=0.0) == 0.0
    critical = math.sqrt(2 / (1 + slope**2))
    assert fixed_point_q(phi, sigma_w=critical, sigma_b=0.0, start=3.5) == 3.5
    assert critical_sigma_w(phi, 0.0) == pytest.approx(critical, rel=4 * EPS)
    assert critical_sigma_w(phi, 2.0) == pytest.approx(critical, rel=4 * EPS)
    scales = depth_scales(phi, sigma_w=critical, sigma_b=0.0)
    assert scales.xi_q == scales.xi_c == scales.xi_grad == math.inf


def test_gelu_has_a_length_from_which_nets_either_vanish_or_explode():
    settings = {"sigma_w": math.sqrt(2.1), "sigma_b": 0.0}
    zero, watershed = fixed_points_q("gelu", **settings)
    assert (zero.q, zero.is_stable, watershed.is_stable) == (0.0, True, False)
    assert watershed.chi_parallel > 1 > zero.chi_parallel == pytest.approx(2.1 / 4)
    below, above = (lengths("gelu", watershed.q * factor / 2.1, 60, **settings) for factor in (0.8, 1.25))
    assert (np.diff(below) < 0).all()
    assert below[-1] < 1e-3
    assert (np.diff(above) > 0).all()
    assert above[-1] > 2 * above[0]
    assert fixed_point_q("gelu", start=watershed.q * 0.99, **settings) == 0.0
    with pytest.raises(
        ConfigError, match="sigma_w must leave the lengths bounded from q = .*; The fixed points are at q = 0, .*iterate `lengths`".replace("; The", ".*The")
    ):
        fixed_point_q("gelu", start=watershed.q * 1.01, **settings)


@CATALOGUE
def test_at_the_critical_point_chi_1_is_one_at_a_stable_length_or_it_is_refused(activation, rng):
    for sigma_b in (0.0, rng.uniform(0.05, 0.4) if rng.random() < 0.5 else rng.uniform(0.8, 2.0)):
        if activation.name == "softplus" or (activation.name in ("gelu", "silu") and sigma_b < 0.41):
            with pytest.raises(ConfigError, match="sigma_b must leave a stable critical point"):
                critical_point(activation, sigma_b)
            continue
        point = critical_point(activation, sigma_b)
        settings = {"sigma_w": point.sigma_w, "sigma_b": sigma_b}
        assert chi_1(activation, 0.3 if point.q is None else point.q, **settings) == pytest.approx(1, rel=1e-12)
        if point.q is None:
            assert activation.name in SCALE_FREE
            continue
        assert length_map(activation, point.q, **settings) == pytest.approx(point.q, rel=1e-12, abs=0)
        assert chi_parallel(activation, point.q, **settings) <= 1 + 1e-9
        if point.q:
            # The root of q is as good as eps / |1 - chi_parallel|.
            assert fixed_point_q(activation, start=2 * point.q, **settings) == pytest.approx(point.q, rel=1e-8)


@pytest.mark.parametrize(("activation", "sigma_b2", "sigma_w2"), [("gelu", 0.17292239, 1.98305826), ("silu", 0.55514317, 1.98800468)])
def test_gelu_and_silu_are_critical_from_where_both_susceptibilities_are_one(activation, sigma_b2, sigma_w2):
    """Roberts, Yaida & Hanin 2022 (arXiv:2106.10165), the half-stable criticality of the section on other universality classes."""
    with pytest.raises(ConfigError, match=rf"There is one for sigma_b from {math.sqrt(sigma_b2):.6g} to"):
        critical_sigma_w(activation, 0.99 * math.sqrt(sigma_b2))
    # Eight digits of sigma_b^2 say sigma_w^2 to as many.
    assert critical_sigma_w(activation, math.sqrt(sigma_b2) * (1 + 1e-6)) ** 2 == pytest.approx(sigma_w2, rel=1e-6)


def test_the_boundary_is_where_published_and_nothing_else_is_between():
    boundary = phase_boundary("tanh", [1e-5, math.sqrt(0.05)])
    assert boundary[1] ** 2 == pytest.approx(1.76095, rel=3e-6)
    # sigma_b^2 = 4 q^3 / 3 + ... and sigma_w^2 = 1 + 2 q + ... for small q.
    assert boundary[0] ** 2 - 1 == pytest.approx(2 * (0.75 * 1e-10) ** (1 / 3), rel=0.01)
    # Sigmoid: critical only with weights twenty times those of any framework.
    assert critical_sigma_w("sigmoid", 0.0) == pytest.approx(10.149263710, rel=1e-9)


@pytest.mark.parametrize(("sigma_w2", "xi_c", "xi_grad", "xi_q"), [(1.0, 3.627, 3.627, 1.748), (1.4, 10.732, 10.732, 1.740), (2.5, 11.796, 7.979, 1.180)])
def test_schoenholz_2017s_settings_give_the_known_depth_scales(sigma_w2, xi_c, xi_grad, xi_q):
    found = depth_scales("tanh", sigma_w=math.sqrt(sigma_w2), sigma_b=math.sqrt(0.05))
    assert (found.xi_c, found.xi_grad, found.xi_q) == pytest.approx((xi_c, xi_grad, xi_q), abs=5.1e-4)


@pytest.mark.parametrize("activation", activations_slow_but("relu", "leaky_relu", "hard_tanh", "elu", "erf", "sin", "gelu"), ids=repr)
def test_the_map_near_c_is_one_has_the_edge_rate(activation):
    """gap -> coefficient / l^p is gap' = gap - p coefficient^(-1/p) gap^(1 + 1/p)."""
    if activation.name in ("linear", "softplus"):
        with pytest.raises(ConfigError, match=r"must bend|must leave a stable critical point"):
            edge_of_chaos_rate(activation)
        return
    sigma_b = 0.0 if activation.name in SCALE_FREE else 0.9
    rate = edge_of_chaos_rate(activation, sigma_b)

    def decrease(gap: float) -> float:
        next_gap = gap_map(activation, gap, rate.q, sigma_w=rate.sigma_w, sigma_b=sigma_b)
        return float(gap - next_gap) / (rate.power * rate.coefficient ** (-1 / rate.power) * gap ** (1 + 1 / rate.power))

    # Orders sqrt(gap) and gap are extrapolated away; the rest is below what the last step changed, the integrals' 1e-12 over what is left of the gap beside it.
    table = [[decrease(4e-5 / 4**i) for i in range(3)]]
    for order in (2, 4):
        table.append([(order * b - a) / (order - 1) for a, b in zip(table[-1][:-1], table[-1][1:], strict=True)])
    bound = abs(table[2][0] - table[1][-1]) + 1e-4
    assert bound < 5e-3
    assert table[2][0] == pytest.approx(1, abs=bound)


def test_correlations_follow_the_edge_rate_to_great_depth():
    relu, depth = edge_of_chaos_rate("relu"), 300
    gaps = correlation_gaps("relu", 0.5, 1.0, depth, sigma_w=relu.sigma_w, sigma_b=0.0)
    assert relu.coefficient == pytest.approx(9 * math.pi**2 / 2)
    # 1 / sqrt(gap) grows by 1 / sqrt(coefficient) a layer, up to terms of order sqrt(gap).
    assert np.diff(gaps[-2:] ** -0.5)[0] == pytest.approx(relu.coefficient**-0.5, rel=3 * gaps[-1] ** 0.5)
    erf = edge_of_chaos_rate("erf", 0.5)
    q0 = (erf.q - 0.25) / erf.sigma_w**2
    gaps = correlation_gaps("erf", 0.1, q0, depth, sigma_w=erf.sigma_w, sigma_b=0.5)
    assert np.diff(1 / gaps[-2:])[0] == pytest.approx(1 / erf.coefficient, rel=20 * gaps[-1])


@pytest.mark.parametrize(
    ("call", "line"),
    [
        (lambda: fixed_point_q("relu", sigma_w=1.5, sigma_b=0.0), "sigma_w must leave the lengths bounded from q = 1; got 1.5. The fixed points are at q = 0;"),
        (lambda: fixed_point_q("relu", sigma_w=1.5, sigma_b=0.1), "got 1.5. There is no fixed point; iterate `lengths` to any depth instead"),
        (lambda: fixed_point_q("relu", sigma_w=math.sqrt(2), sigma_b=0.1), "There is no fixed point"),
        (lambda: fixed_points_q("relu", sigma_w=math.sqrt(2), sigma_b=0.0), "Every q is fixed for Relu"),
        (lambda: fixed_point_q("tanh", sigma_w=-1.0, sigma_b=0.0), "sigma_w must be a standard deviation"),
        (lambda: fixed_point_q("tanh", sigma_w=1.0, sigma_b=0.1, start=0.0), "start must be a length above 0; got 0.0"),
        (lambda: fixed_point_c("tanh", sigma_w=0.9, sigma_b=0.0), "sigma_b must leave a length above 0 for c to have a fixed point; got 0.0. Lengths go to 0"),
        (lambda: critical_sigma_w("softplus", 0.5), "No sigma_b has one"),
        (lambda: critical_sigma_w("tanh", -0.5), "sigma_b must be a standard deviation"),
        (lambda: critical_sigma_w(as_function(np.sign, derivative=np.zeros_like, kinks=(0.0,)), 0.5), "activation must have a derivative for chi_1 to be 1"),
        (lambda: edge_of_chaos_rate("linear"), "activation must bend, or correlations stay what they are; got 'Linear"),
        (lambda: edge_of_chaos_rate("relu", 0.1), "sigma_b must be 0 for Relu"),
        (lambda: edge_of_chaos_rate(Tanh()), "sigma_b must give a critical length above 0; got 0.0"),
        (lambda: edge_of_chaos_rate(Gelu()), "sigma_b must leave a stable critical point for Gelu"),
    ],
    ids=range(14),
)
def test_what_does_not_exist_is_refused_and_what_exists_named(call, line):
    with pytest.raises(ConfigError, match=line) as refusal:
        call()
    assert "\n" not in str(refusal.value)
