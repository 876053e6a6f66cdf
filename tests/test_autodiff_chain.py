"""The order of a chain of Jacobians changes its price and nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from gradyn.autodiff import chain_cost, chain_product, chain_text, cheapest_order, forward_order, reverse_order
from gradyn.core import ConfigError

# A loss of a net with three hidden layers of 4, 3 and 5 units and two inputs: J4 is a row.
LOSS = (1, 5, 3, 4, 2)


def factors_of(sizes, rng):
    return [torch.as_tensor(rng.integers(-9, 10, (m, n)), dtype=torch.float64) for m, n in itertools.pairwise(sizes)]


def every_order(count):
    """All plans of a chain: any place first, then any of what is left."""
    return itertools.product(*(range(left) for left in range(count - 1, 0, -1)))


def assert_every_order_gives_the_product(factors, product=chain_product):
    # Whole numbers below 2^53: no rounding, so equality is exact.
    expected = torch.linalg.multi_dot(factors)
    for plan in every_order(len(factors)):
        assert torch.equal(product(factors, plan), expected), chain_text(plan)


def test_four_factors_give_the_same_matrix_in_every_order(rng):
    assert_every_order_gives_the_product(factors_of(LOSS, rng))


def test_the_law_of_the_orders_rejects_factors_in_reverse(rng):
    with pytest.raises(AssertionError):
        assert_every_order_gives_the_product(factors_of((3, 3, 3, 3, 3), rng), lambda factors, plan: chain_product(factors[::-1], plan))


def test_a_loss_is_cheapest_from_its_output():
    reverse, forward = reverse_order(4), forward_order(4)
    assert (chain_text(reverse), chain_text(forward)) == ("(((J4 J3) J2) J1)", "(J4 (J3 (J2 J1)))")
    assert chain_cost(LOSS, reverse) == 1 * 5 * 3 + 1 * 3 * 4 + 1 * 4 * 2 == 35
    assert chain_cost(LOSS, forward) == 3 * 4 * 2 + 5 * 3 * 2 + 1 * 5 * 2 == 64
    assert cheapest_order(LOSS) == reverse


def test_one_input_and_many_outputs_are_cheapest_from_the_input():
    assert cheapest_order(LOSS[::-1]) == forward_order(4)
    assert chain_cost(LOSS[::-1], forward_order(4)) == 35


def test_a_bottleneck_in_the_middle_is_cheapest_from_the_middle():
    sizes = (10, 10, 1, 10, 10)
    assert chain_text(cheapest_order(sizes)) == "((J4 J3) (J2 J1))"
    assert chain_cost(sizes, cheapest_order(sizes)) == 100 + 100 + 100
    assert chain_cost(sizes, reverse_order(4)) == chain_cost(sizes, forward_order(4)) == 100 + 100 + 1000


@pytest.mark.parametrize("count", [1, 2, 3, 4, 6])
def test_the_optimum_is_what_trying_every_order_finds(count, rng):
    sizes = tuple(int(size) for size in rng.integers(1, 12, count + 1))
    tried = min(chain_cost(sizes, plan) for plan in every_order(count))
    assert chain_cost(sizes, cheapest_order(sizes)) == tried
    assert len(cheapest_order(sizes)) == count - 1


def test_the_cost_is_the_number_of_multiplications_that_are_made():
    for plan in every_order(4):
        made = 0
        left = [np.ones(shape) for shape in itertools.pairwise(LOSS)]
        for place in plan:
            a, b = left[place], left[place + 1]
            made += sum(1 for _ in itertools.product(range(a.shape[0]), range(b.shape[1]), range(a.shape[1])))
            left[place : place + 2] = [a @ b]
        assert made == chain_cost(LOSS, plan)


def test_the_chain_of_a_net_is_its_jacobian(rng):
    from gradyn.autodiff import jacobian

    w = [torch.as_tensor(rng.standard_normal(shape)) for shape in ((4, 2), (3, 4), (5, 3))]
    steps = [lambda x: torch.tanh(w[0] @ x), lambda x: torch.sigmoid(w[1] @ x), lambda x: torch.sin(w[2] @ x), lambda x: (x**2).sum().reshape(1)]
    x, jacobians = torch.as_tensor(rng.standard_normal(2)), []
    at = x
    for step in steps:
        jacobians.append(jacobian(step, at))
        at = step(at)
    whole = jacobian(lambda x: steps[3](steps[2](steps[1](steps[0](x)))), x)
    size = float(torch.linalg.multi_dot([j.abs() for j in jacobians[::-1]]).max())
    for plan in every_order(4):
        # Each side: sums of at most 5 + 3 + 4 terms of products of four entries with at most 8 roundings each.
        error = float((chain_product(jacobians[::-1], plan) - whole).abs().max())
        assert error <= 2 * (12 + 4 * 8) * torch.finfo(torch.float64).eps * size, f"{chain_text(plan)}: {error}"


def test_factors_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match=r"factors must fit.*got '\(2, 3\) next to \(2, 3\)'"):
        chain_product([torch.ones(2, 3), torch.ones(2, 3)], (0,))
    with pytest.raises(ConfigError, match="plan must have one product fewer than factors, of which there are 2; got 0"):
        chain_product([torch.ones(2, 3), torch.ones(3, 2)], ())
    with pytest.raises(ConfigError, match="sizes must have at least two entries"):
        cheapest_order((3,))


@pytest.mark.parametrize("plan", [(5, 0, 0), (-1, 0, 0), (0, 2, 0), (2, 1, 1)])
def test_a_plan_that_names_no_pair_is_refused(plan):
    factors = [torch.ones(2, 2)] * 4
    with pytest.raises(ConfigError, match="plan must name a pair that is left at every product"):
        chain_product(factors, plan)
    with pytest.raises(ConfigError, match="plan must name a pair that is left at every product"):
        chain_cost([2] * 5, plan)


def test_a_chain_without_factors_or_of_vectors_is_refused():
    with pytest.raises(ConfigError, match="plan must have one product fewer than factors, of which there are 0"):
        chain_product([], ())
    with pytest.raises(ConfigError, match="factors must be matrices"):
        chain_product([torch.ones(3), torch.ones(3)], (0,))
