"""Counted operations are the derived ones: exact whole numbers, no tolerance."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from gradyn.autodiff import MlpCost, jacobian, jvp, operations, tanh_net, tanh_net_jvp, vjp
from gradyn.core import ConfigError

SIZES = [(16,) * 11, (8, 16, 16, 4), (3, 7), (5, 1, 9)]
nets = pytest.mark.parametrize("sizes", SIZES, ids=str)
BATCH = 3


def net_of(sizes, rng, batch=BATCH):
    weights = [torch.as_tensor(rng.standard_normal((n, m))) for m, n in pairwise(sizes)]
    return MlpCost(sizes, batch), weights, torch.as_tensor(rng.standard_normal((batch, sizes[0])))


def assert_gradients_cost_what_is_derived(sizes, rng, cost=MlpCost):
    _, weights, x = net_of(sizes, rng)
    derived = cost(sizes, BATCH)
    for w in weights:
        w.requires_grad_()
    assert operations(lambda: tanh_net(weights, x)).products == derived.forward
    assert operations(lambda: tanh_net(weights, x).sum().backward()).products == derived.forward + derived.weight_gradient


@nets
def test_the_gradient_of_the_weights_costs_two_forwards_less_the_first_layer(sizes, rng):
    assert_gradients_cost_what_is_derived(sizes, rng)


def test_the_law_of_the_gradients_cost_rejects_one_that_pulls_through_layer_one(rng):
    class Broken(MlpCost):
        weight_gradient = property(lambda self: 2 * self.forward)

    with pytest.raises(AssertionError):
        assert_gradients_cost_what_is_derived((8, 16, 4), rng, Broken)


def test_training_costs_three_forwards_less_one_part_in_depth(rng):
    cost, *_ = net_of((16,) * 11, rng)
    # Whole numbers: (F + 2 F - F / L) / F = 3 - 1 / L, both sides times L.
    assert 10 * (cost.forward + cost.weight_gradient) == 29 * cost.forward


@nets
def test_the_gradient_of_the_input_costs_one_forward_more_where_weights_are_constant(sizes, rng):
    cost, weights, x = net_of(sizes, rng)
    u = torch.ones(BATCH, sizes[-1])
    assert operations(lambda: vjp(lambda x: tanh_net(weights, x), x, u)).products == 2 * cost.forward


@nets
def test_with_the_inputs_gradient_training_costs_three_forwards(sizes, rng):
    cost, weights, x = net_of(sizes, rng)
    for leaf in (*weights, x):
        leaf.requires_grad_()
    assert operations(lambda: tanh_net(weights, x).sum().backward()).products == 3 * cost.forward


@nets
def test_a_jvp_costs_two_forwards_by_hand_and_torch_makes_three(sizes, rng):
    cost, weights, x = net_of(sizes, rng)
    v = torch.as_tensor(rng.standard_normal(tuple(x.shape)))
    assert operations(lambda: tanh_net_jvp(weights, x, v)).products == 2 * cost.forward
    # torch 2.6 to 2.13 multiply by the weights' tangent too, a matrix of zeros; a torch that skips it makes two.
    assert operations(lambda: jvp(lambda x: tanh_net(weights, x), x, v)).products in (2 * cost.forward, 3 * cost.forward)


@nets
def test_the_jvp_by_hand_is_torchs(sizes, rng):
    _, weights, x = net_of(sizes, rng)
    v = torch.as_tensor(rng.standard_normal(tuple(x.shape)))
    y, dy = tanh_net_jvp(weights, x, v)
    assert torch.equal(y, tanh_net(weights, x))
    size = v.abs()
    for w in weights:
        size = size @ w.abs().T
    # |tanh'| <= 1: all paths together are at most the product of absolute weights; each has L (fan_in + 4) roundings in either way.
    tolerance = 2 * len(weights) * (max(sizes) + 4) * torch.finfo(torch.float64).eps * float(size.max())
    error = float((dy - jvp(lambda x: tanh_net(weights, x), x, v)).abs().max())
    assert error <= tolerance, f"{error} apart, allowed {tolerance}"


@nets
def test_a_jacobian_costs_its_outputs_by_rows_and_its_inputs_by_columns(sizes, rng):
    cost, weights, x = net_of(sizes, rng, batch=1)
    f = lambda x: tanh_net(weights, x[None])[0]  # noqa: E731
    assert operations(lambda: jacobian(f, x[0])).products == cost.rows == (1 + sizes[-1]) * cost.forward
    assert operations(lambda: jacobian(f, x[0], by="columns")).products in (cost.columns(), 3 * cost.columns() // 2)
    assert operations(lambda: tanh_net_jvp(weights, x, torch.eye(sizes[0]))).products == cost.columns(shared=True)


def test_what_is_no_matrix_product_is_counted_by_the_numbers_it_makes():
    x = torch.ones(4, 5)
    assert operations(lambda: torch.tanh(x) + 1).others == 40
    assert operations(lambda: x.T.contiguous()).others == 20, "a copy"
    assert operations(lambda: x.T).total == 0
    assert operations(lambda: x @ x.T).others == 0


def test_a_net_without_layers_is_refused():
    with pytest.raises(ConfigError, match=r"sizes must have at least two entries, input and output; got \(3,\)"):
        MlpCost((3,))


def test_products_are_counted_as_torchs_own_counter_counts_them(rng):
    x, w = torch.tensor(rng.normal(size=(3, 5)), requires_grad=True), torch.tensor(rng.normal(size=(4, 5)), requires_grad=True)
    runs = [
        lambda: torch.nn.functional.linear(x, w, w[:, 0]).sin().sum().backward(),
        lambda: torch.bmm(x[None], w.T[None]).softmax(-1).sum().backward(),
        lambda: torch.nn.functional.conv1d(x[None], w[None, :3]).sum().backward(),
        lambda: jvp(lambda x: (x @ w.T).tanh(), x, torch.ones_like(x)),
        lambda: (x @ w[0]).dot(x[:, 0]),
    ]
    for run in runs:
        with FlopCounterMode(display=False) as counter:
            run()
        assert operations(run).products == counter.get_total_flops()
