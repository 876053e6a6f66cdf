"""Probes of pairs and of curves of inputs, and the data sets that they need."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch

from gradyn.core import ConfigError, stream
from gradyn.data import Arc, Circle, Gaussian, Line, Pair
from gradyn.nn import BatchNorm, Identity, LayerNorm, Linear, NoNorm, Orthogonal, Plain
from gradyn.probes import CurveLength, GradientAutocorrelation, PairCorrelation
from gradyn.probes.pair_correlation import _cosines
from probe_twins import columns, moment_of, small_spec, twin_of

# As in test_probes_linear.py.
TOLERANCE = 1e-9
NETS = [(NoNorm(), Plain()), (LayerNorm(), Identity()), (BatchNorm(), Identity(branch="full")), (BatchNorm(placement="post"), Plain())]
CURVES: list[Any] = [Circle(samples=12, features=3, classes=2), Arc(samples=12, features=3, classes=2, radians=2.0), Line(samples=12, features=3, classes=2)]


def near(found: float, expected: float) -> bool:
    return found == expected or abs(found - expected) <= TOLERANCE * max(1.0, abs(expected))


@pytest.mark.parametrize(("norm", "residual"), NETS, ids=repr)
def test_pair_correlations_are_cosines_of_signals_and_of_own_gradients(norm, residual):
    spec = small_spec(norm=norm, residual=residual, data=Pair(pairs=3, features=3, classes=2), batch_size=6, seed=1)
    moment = moment_of([spec])
    assert moment.rows_RB[0].tolist() != sorted(moment.rows_RB[0]), "the batch must not have the data's order, or this tests less"
    twin, found = twin_of(spec, moment, 0), columns(PairCorrelation(cotangents=2), moment)
    order = np.argsort(moment.rows_RB[0])
    v_KPC = stream(1, "probe pair_correlation", 0).standard_normal((2, 3, 2))

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / math.sqrt(a @ a) / math.sqrt(b @ b))

    for layer in range(1, spec.depth + 1):
        h = twin.h[layer].detach().numpy()[order]
        jacobian = twin.jacobian(twin.x[-1], twin.h[layer])
        own = np.stack([jacobian[b, :, b].numpy() for b in order])
        delta = np.einsum("kpc,pscn->pskn", v_KPC, own.reshape(3, 2, 2, -1)).reshape(3, 2, -1)
        forward, backward = ([cosine(a, b) for a, b in pairs] for pairs in (h.reshape(3, 2, -1), delta))
        expected = [np.log10((h**2).mean()), np.mean(forward), 1 - np.mean(forward), np.mean(backward), 1 - np.mean(backward)]
        for name, value in zip(found, expected, strict=True):
            measured = found[name][0, layer - 1]
            measured = 10**measured if "one_minus" in name else measured
            assert near(measured, value), f"{name}, layer {layer}"
    # At the output both have one and the same delta.
    assert np.isneginf(found["log10_one_minus_delta_pair_correlation"][0, -1])


def test_without_cotangents_pairs_are_followed_forwards_alone():
    moment = moment_of([small_spec(data=Pair(pairs=3, features=3, classes=2), batch_size=6)])
    forwards, both = (columns(PairCorrelation(cotangents=count), moment) for count in (0, 1))
    for name in forwards:
        # Null is +inf here.
        assert np.isposinf(forwards[name]).all() if "delta" in name else np.array_equal(forwards[name], both[name])


@pytest.mark.parametrize("angle", [1e-3, 1e-8, 1e-13])
@pytest.mark.parametrize("size", [1.0, 1e-170, 1e170])
def test_one_minus_c_keeps_its_digits_near_one(angle, size, rng):
    a = rng.standard_normal(40)
    b = a * (1 + 1e-3 * angle) + angle * rng.standard_normal(40)
    # Exact rational arithmetic on the very numbers, then 1 - c = (1 - c^2) / (1 + c).
    exact = [[Fraction(float(value)) for value in vector] for vector in (a, b)]
    aa, bb, ab = (sum(x * y for x, y in zip(exact[i], exact[j], strict=True)) for i, j in ((0, 0), (1, 1), (0, 1)))
    sine2 = float((aa * bb - ab * ab) / (aa * bb))
    expected = sine2 / (1 + math.sqrt(1 - sine2))
    scale = 2.0 ** round(math.log2(size))
    _, found = _cosines(torch.from_numpy(np.stack([a, b]) * scale))
    # Differences are exact; sums of 40 squares round by 40 eps at most, and there are five of them.
    assert abs(float(found[0]) / expected - 1) < 200 * 2.0**-52


def test_an_opposite_pair_and_a_pair_with_a_zero():
    a = torch.tensor([[1.0, 2.0], [-1.0, -2.0], [0.0, 0.0], [1.0, 1.0]])
    cosine, rest = _cosines(a)
    assert math.isclose(float(cosine[0]), -1.0, rel_tol=4 * 2.0**-52)
    assert math.isclose(float(rest[0]), 2.0, rel_tol=4 * 2.0**-52)
    assert math.isnan(float(cosine[1]))


def along(data: Any, x: np.ndarray) -> np.ndarray:
    """d x / d i by central differences; at the ends of an open curve by three points."""
    if isinstance(data, Circle):
        return np.stack([(x[(i + 1) % len(x)] - x[i - 1]) / 2 for i in range(len(x))])
    inside = [(x[i + 1] - x[i - 1]) / 2 for i in range(1, len(x) - 1)]
    return np.stack([(-3 * x[0] + 4 * x[1] - x[2]) / 2, *inside, (3 * x[-1] - 4 * x[-2] + x[-3]) / 2])


@pytest.mark.parametrize(("norm", "residual"), NETS, ids=repr)
@pytest.mark.parametrize("data", CURVES, ids=lambda data: data.name)
def test_autocorrelations_and_lengths_are_those_of_autograd_and_of_a_sum(data, norm, residual):
    spec = small_spec(norm=norm, residual=residual, data=data, batch_size=12, seed=2)
    moment = moment_of([spec])
    order = np.argsort(moment.rows_RB[0])
    x = moment.x_RBM[0]
    assert np.array_equal(x[order].numpy(), data.load().x_train)
    tangent = np.empty(x.shape)
    tangent[order] = along(data, x[order].numpy())
    twin = twin_of(spec, moment, 0)
    acf, curve = columns(GradientAutocorrelation(), moment), columns(CurveLength(), moment)
    is_closed, before = isinstance(data, Circle), math.nan
    for layer, done in enumerate(moment.passes, start=1):
        jacobian = twin.jacobian(twin.h[layer], twin.x[0]).numpy()
        g = np.stack([jacobian[row, :, row] @ tangent[row] for row in order])
        off = g - g.mean(0)
        for lag in (1, 2, 4, 8, 16, 32):
            measured = acf[f"gradient_acf_{lag}"][0, layer - 1]
            if lag >= 12:
                assert np.isposinf(measured)
            elif isinstance(data, Line) and layer == 1:
                assert np.isnan(measured), "on a line h_1 is linear, and its gradient constant"
            else:
                pairs = [(i, (i + lag) % 12) for i in range(12 if is_closed else 12 - lag)]
                expected = sum(off[i] @ off[j] for i, j in pairs) / (off**2).sum()
                assert near(measured, expected), f"lag {lag}, layer {layer}"
        h = done.h[0].numpy()[order]
        pairs = [(i, i + 1) for i in range(11)] + ([(11, 0)] if is_closed else [])
        length = sum(np.linalg.norm(h[j] - h[i]) for i, j in pairs) / math.sqrt(h.shape[1])
        assert near(curve["log10_curve_length"][0, layer - 1], math.log10(length))
        growth = curve["log10_curve_growth"][0, layer - 1]
        assert np.isposinf(growth) if layer == 1 else near(growth, math.log10(length / before))
        before = length


def test_an_orthogonal_linear_net_keeps_length_angle_and_gradient():
    spec = small_spec(activation=Linear(), init=Orthogonal(), width=8, data=Arc(samples=9, features=8, classes=8), batch_size=9)
    moment = moment_of([spec])
    for name, value in moment.parameters.items():
        q, _ = torch.linalg.qr(value) if name.endswith("weight") else (torch.zeros_like(value), None)
        value.copy_(q)
    moment.passes[:] = moment.net.forward(moment.parameters, moment.x_RBM)
    curve = columns(CurveLength(), moment)
    # Chords of 0.02 / 8 radians between numbers of size 1: eps / 0.0025 each, summed over six products of eight terms.
    assert np.abs(curve["log10_curve_growth"][0, 1:]).max() < 48 * 2.0**-52 / 0.0025
    expected = math.log10(8 * 2 * math.sin(0.02 / 16))
    assert abs(curve["log10_curve_length"][0, 0] - expected) < 48 * 2.0**-52 / 0.0025


@pytest.mark.parametrize("features", [1, 7])
def test_points_of_a_line_are_its_grid_in_one_direction(features):
    data = Line(features=features, samples=9, low=-1.0, high=3.0, seed=5)
    x = data.load().x_train
    t = np.linspace(-1.0, 3.0, 9)
    np.testing.assert_allclose((x**2).mean(1), t**2, rtol=20 * 2.0**-52, atol=0)
    assert np.linalg.matrix_rank(x) == 1
    assert (np.sign(x[:, 0]) == np.sign(t)).all()


def test_an_arc_lies_on_the_circle_of_its_seed():
    arc, circle = Arc(samples=3, radians=math.pi, seed=4).load().x_train, Circle(samples=4, seed=4).load().x_train
    # Sums of two products of numbers below 10.
    np.testing.assert_allclose(arc, circle[:3], rtol=0, atol=8 * 10 * 2.0**-52)


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (lambda: Arc(radians=0.0), r"data\.radians must be a finite number > 0 and <= 6\.28\d*; got 0\.0"),
        (lambda: Arc(samples=1), r"data\.samples must be a whole number >= 2; got 1"),
        (lambda: Line(low=2.0, high=1.0), r"data\.high must be above data\.low=2; got 1\.0"),
        (lambda: PairCorrelation(cotangents=-1), r"log\.probes\.pair_correlation\.cotangents must be a whole number >= 0; got -1"),
        (lambda: CurveLength().check(small_spec()), r"data must be points along a curve with probe=curve_length; got 'gaussian'\. Set data=circle"),
        (
            lambda: GradientAutocorrelation().check(small_spec(data=Circle(samples=8), batch_size=4)),
            r"batch_size must be 8, all rows of data=circle, with probe=gradient_autocorrelation; got 4\. Set batch_size=8\.",
        ),
        (
            lambda: PairCorrelation().check(small_spec(data=Gaussian(samples=5), batch_size=5)),
            r"batch_size must be even with probe=pair_correlation; got 5\. Set data=pair, whose rows come in pairs\.",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(build, line):
    with pytest.raises(ConfigError, match=line):
        build()
