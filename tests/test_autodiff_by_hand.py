"""Gradients by hand are autograd's: the two-layer net number by number, MLPs for every activation, and the product of matrices."""

from __future__ import annotations

from dataclasses import astuple, dataclass

import pytest
import torch

from catalogue import activations
from gradyn.autodiff import (
    mlp_gradients,
    mlp_gradients_by_autograd,
    mlp_gradients_by_index,
    product_formula,
    two_layer,
    two_layer_by_autograd,
)
from gradyn.core import ConfigError
from gradyn.nn import Linear, Relu, Sigmoid, Tanh

EPS = torch.finfo(torch.float64).eps
SIZES = (5, 7, 6, 8, 7, 3)
every_activation = pytest.mark.parametrize("phi", activations(), ids=repr)
ways = pytest.mark.parametrize("way", [mlp_gradients, mlp_gradients_by_index], ids=["matrices", "indices"])


def net_of(sizes, rng, batch=4):
    draw = lambda *shape: torch.as_tensor(rng.standard_normal(shape))  # noqa: E731
    pairs = list(zip(sizes[1:], sizes, strict=False))
    return draw(batch, sizes[0]), [draw(n, m) / m**0.5 for n, m in pairs], [0.1 * draw(n) for n, _ in pairs], draw(batch, sizes[-1])


def assert_close(found, expected, name, roundings=None):
    # At most 5 layers, each a sum of at most 9 terms and six roundings of phi': 2 * 5 * 15 eps = 3.3e-14 of the largest number on
    # the way. 1e-12 leaves a factor 30 for sums that cancel.
    tolerance = (1e-12 if roundings is None else roundings * EPS) * float(expected.abs().max())
    assert found.shape == expected.shape, f"{name}: {tuple(found.shape)} against {tuple(expected.shape)}"
    error = float((found - expected).abs().max())
    assert error <= tolerance, f"{name}: {found} against {expected}, {error} apart, allowed {tolerance}"


def assert_gradients_are_autograds(phi, rng, way=mlp_gradients):
    x, weights, biases, v = net_of(SIZES, rng)
    found, expected = way(x, weights, biases, phi, v), mlp_gradients_by_autograd(x, weights, biases, phi.forward, v)
    for kind in ("deltas", "weights", "biases"):
        for layer, (ours, torchs) in enumerate(zip(getattr(found, kind), getattr(expected, kind), strict=True), start=1):
            assert_close(ours, torchs, f"{kind} of layer {layer} with {phi}")


@ways
@every_activation
def test_mlp_gradients_by_hand_are_autograds_for_every_activation(phi, way, rng):
    assert_gradients_are_autograds(phi, rng, way)


@dataclass(frozen=True)
class BrokenTanh:
    """1 - x instead of 1 - x^2."""

    def forward(self, h):
        return torch.tanh(h)

    def derivative(self, h, x):
        return 1 - x


@ways
def test_the_law_of_the_mlp_rejects_a_wrong_derivative(way, rng):
    with pytest.raises(AssertionError, match="layer"):
        assert_gradients_are_autograds(BrokenTanh(), rng, way)


def test_the_law_of_the_mlp_rejects_a_forgotten_transpose(rng):
    def forgetful(x, weights, biases, phi, v):
        done = mlp_gradients(x, weights, biases, phi, v)
        done.weights[2] = done.weights[2].T.contiguous()
        return done

    with pytest.raises(AssertionError):
        assert_gradients_are_autograds(Tanh(), rng, forgetful)


def test_both_forms_work_on_one_layer(rng):
    x, weights, biases, v = net_of((4, 3), rng)
    for way in (mlp_gradients, mlp_gradients_by_index):
        found = way(x, weights, biases, Tanh(), v)
        assert torch.equal(found.deltas[0], v)
        assert_close(found.weights[0], v.T @ x, "dW1")


# x, y, W1, b1, W2, b2 and all that follows from them, worked on paper; small halves and whole numbers, so every step is exact.
PAPER = [[[1.0, 2.0]], [[4.0]], [[1.0, -1.0], [2.0, 1.0]], [0.5, -1.0], [[3.0, 2.0]], [-1.0]]
WORKED = {
    "z1": [[-0.5, 3.0]],
    "a1": [[0.0, 3.0]],
    "z2": [[5.0]],
    "L": 0.5,
    "dL/dz2": [[1.0]],
    "dL/dW2": [[0.0, 3.0]],
    "dL/db2": [1.0],
    "dL/da1": [[3.0, 2.0]],
    "dL/dz1": [[0.0, 2.0]],
    "dL/dW1": [[0.0, 0.0], [2.0, 4.0]],
    "dL/db1": [0.0, 2.0],
}


def test_the_worked_numbers_of_the_two_layer_net_come_out_exactly():
    given = [torch.tensor(one) for one in PAPER]
    for way in (two_layer, two_layer_by_autograd):
        assert {name: value.tolist() for name, value in way(*given).items()} == WORKED, way.__name__


def test_every_intermediate_of_the_two_layer_net_is_autograds(rng):
    (x, (w1, w2), (b1, b2), _), y = net_of((5, 8, 3), rng, batch=6), torch.as_tensor(rng.standard_normal((6, 3)))
    found, expected = two_layer(x, y, w1, b1, w2, b2), two_layer_by_autograd(x, y, w1, b1, w2, b2)
    for (name, ours), (_, torchs) in zip(found.items(), expected.items(), strict=True):
        assert_close(ours, torchs, name)
    assert len(astuple(found)) == 11


def test_the_two_layer_net_refuses_weights_the_other_way_round():
    x, y, w1, b1, w2, b2 = (torch.tensor(one) for one in PAPER)
    with pytest.raises(ConfigError, match=r"x, y, w1, b1, w2, b2 must have the shapes .* Weights are \[out, in\], samples are rows"):
        two_layer(x, y, w1, b1, w2.T, b2)


@every_activation
def test_the_product_of_matrices_is_autograds_gradient(phi, rng):
    x, weights, biases, v = net_of(SIZES, rng, batch=1)
    formula, expected = product_formula(x[0], weights, biases, phi, v[0]), mlp_gradients_by_autograd(x, weights, biases, phi.forward, v)
    assert formula.names == ["dL/dz5", "W5", "D4", "W4", "D3", "W3", "D2", "W2", "D1"]
    assert_close(formula.dz1, expected.deltas[0], "dL/dz1")
    assert_close(formula.dw1, expected.weights[0], "dL/dW1")


@every_activation
def test_norms_of_the_gradient_stay_below_the_product_of_the_factors_norms(phi, rng):
    x, weights, biases, v = net_of(SIZES, rng, batch=1)
    norms, bounds = product_formula(x[0], weights, biases, phi, v[0]).norms()
    deltas = mlp_gradients(x, weights, biases, phi, v).deltas
    for norm, bound, delta in zip(norms, bounds, deltas, strict=True):
        assert_close(torch.tensor(norm), delta.norm(), "norm")
        # The bound is computed: 2 (L - 1) spectral norms, each good to about 10 n eps.
        assert norm <= bound * (1 + 8 * 10 * 8 * EPS), f"{norm} above {bound}"


def test_the_bound_is_reached_by_orthogonal_weights_without_an_activation(rng):
    x, weights, biases, v = net_of((6,) * 5, rng, batch=1)
    turned = [torch.linalg.qr(w)[0] for w in weights]
    norms, bounds = product_formula(x[0], turned, biases, Linear(), v[0]).norms()
    assert_close(torch.tensor(norms), torch.tensor(bounds), "norms", roundings=4 * 10 * 6)


def test_the_order_often_printed_does_not_fit(rng):
    x, weights, biases, v = net_of(SIZES, rng, batch=1)
    formula = product_formula(x[0], weights, biases, Sigmoid(), v[0])
    assert formula.as_often_printed == ["dL/dz5", "W2", "D1", "W3", "D2", "W4", "D3", "W5", "D4"]
    with pytest.raises(ConfigError, match=r"factors must fit: columns of the left one equal rows of the right one; got '\(1, 3\) next to \(6, 7\)'"):
        formula.multiplied(formula.as_often_printed)


def test_where_all_layers_are_equally_wide_the_order_often_printed_gives_another_gradient(rng):
    x, weights, biases, v = net_of((6,) * 5, rng, batch=1)
    formula = product_formula(x[0], weights, biases, Tanh(), v[0])
    assert torch.equal(formula.multiplied(formula.names), formula.dz1)
    wrong = formula.multiplied(formula.as_often_printed)
    # Two random rows of six numbers lie within a hundredth of each other once in 1e10 draws or more rarely.
    assert float((wrong - formula.dz1).norm()) > 0.01 * float(formula.dz1.norm())


def test_without_x_the_gradient_has_not_the_shape_of_the_weights(rng):
    x, weights, biases, v = net_of((6,) * 5, rng, batch=1)
    formula = product_formula(x[0], weights, biases, Tanh(), v[0])
    assert formula.dz1.shape == (1, 6) != weights[0].shape == formula.dw1.shape


def test_shapes_that_do_not_fit_are_refused():
    x, w, b, v = torch.ones(2, 3), [torch.ones(4, 3)], [torch.ones(4)], torch.ones(2, 4)
    for way in (mlp_gradients, mlp_gradients_by_index):
        with pytest.raises(ConfigError, match="weights must have at least one matrix; got 0"):
            way(x, [], [], Relu(), v)
        with pytest.raises(ConfigError, match=r"weights must be \[out, in\] and take what comes from below, 3 numbers a sample first"):
            way(x, [w[0].T], b, Relu(), v)
        with pytest.raises(ConfigError, match="biases must have one number a unit"):
            way(x, w, [torch.ones(3)], Relu(), v)
        with pytest.raises(ConfigError, match=r"at_output must have the output's shape, \(2, 4\); got \(4,\)"):
            way(x, w, b, Relu(), v[0])
    with pytest.raises(ConfigError, match=r"x must be the vector of one sample; got \(2, 3\). For a batch use mlp_gradients"):
        product_formula(x, w, b, Relu(), v[0])


def test_vectors_and_misfits_are_refused_before_torch_refuses_them(rng):
    x, u = torch.ones(4, dtype=torch.float64), torch.ones(2, dtype=torch.float64)
    weights, biases = [torch.ones(5, 4, dtype=torch.float64), torch.ones(2, 5, dtype=torch.float64)], [torch.ones(5), torch.ones(2)]
    with pytest.raises(ConfigError, match="x and weights must be matrices"):
        mlp_gradients(x, weights, biases, Tanh(), u[None])
    with pytest.raises(ConfigError, match=r"weights must be \[out, in\] and take what comes from below, 4 numbers"):
        product_formula(x, weights[::-1], biases, Tanh(), u)
    with pytest.raises(ConfigError, match="weights must have at least one matrix"):
        product_formula(x, [], [], Tanh(), u)
    with pytest.raises(ConfigError, match="names must be of dL/dz2, W2, D1; got 'W9'"):
        product_formula(x, weights, [torch.ones(5, dtype=torch.float64), u], Tanh(), u).multiplied(["dL/dz2", "W9"])
