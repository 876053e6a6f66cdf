"""A dual number carries J v along: the same table as the backward pass, read forwards."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest
import torch

from gradyn.autodiff import RULES, Dual, Value, grad, mlp, random_expression, rounding_bounds

EPS = sys.float_info.epsilon


@pytest.mark.parametrize("op", [op for op in RULES if op not in ("+", "-", "*", "/", "**", "neg")])
def test_the_tangent_of_a_function_is_its_derivative_times_v(op: str, rng: np.random.Generator) -> None:
    for x, v in rng.uniform(0.2, 2.0, (20, 2)):
        t = torch.tensor(x, requires_grad=True)
        getattr(t, op)().backward()
        found = getattr(Dual(x, v), op)()
        # Each side rounds up to four times on numbers of size one.
        assert abs(found.tangent - t.grad.item() * v) <= 8 * EPS * max(1.0, abs(t.grad.item() * v))
        assert abs(float(found) - getattr(t.detach(), op)().item()) <= 4 * EPS * max(1.0, abs(float(found)))


def test_plain_numbers_stand_on_either_side_and_do_not_move() -> None:
    x = Dual(2.0, 1.0)
    found = [y.tangent for y in (3 - x, 3 / x, 3 * x, 3 + x, x - 3, x / 3, x**3, 2**x, -x, x**x)]
    assert found == pytest.approx([-1, -0.75, 3, 1, 1, 1 / 3, 12, 4 * math.log(2), -1, 4 * (1 + math.log(2))], rel=4 * EPS)
    assert Dual(-2.0, 1.0) ** 2 * 1 is not None
    assert (Dual(-2.0, 1.0) ** 2).tangent == -4.0


def test_one_direction_per_evaluation_and_the_gradient_from_all_of_them(rng: np.random.Generator) -> None:
    """u^T (J v) of forward mode is (u^T J) v of reverse mode; within the bound of `disagreement`, here along the axes."""
    for _ in range(50):
        expression = random_expression(rng)
        leaves = [Value(x) for x in expression.inputs]
        gradients = grad(expression(leaves), leaves)
        for place, (gradient, bound) in enumerate(zip(gradients, rounding_bounds(gradients), strict=True)):
            moving = expression([Dual(x, float(i == place)) for i, x in enumerate(expression.inputs)])
            assert abs(moving.tangent - gradient.data) <= 4 * bound, (expression, place)


def test_forward_over_reverse_is_the_hessian_times_a_vector(rng: np.random.Generator) -> None:
    """f = sin(x y) + x^3 y: a dozen roundings on numbers below 100 on either side."""
    for x, y, v, w in rng.uniform(0.5, 2.0, (20, 4)):
        a, b = Value(x), Value(y)

        def f(x, y):
            return (x * y).sin() + x**3 * y

        hvp = [g.data for g in grad(f(Dual(a, v), Dual(b, w)).tangent, [a, b])]
        hessian = torch.autograd.functional.hessian(lambda z: f(z[0], z[1]), torch.tensor([x, y]))
        assert np.allclose(hvp, hessian @ torch.tensor([v, w]), rtol=0, atol=48 * EPS * 100)


def test_what_stands_still_adds_nothing_where_its_derivative_is_infinite() -> None:
    assert (Dual(0.0, 1.0) * 2 + Dual(0.0, 0.0) ** 0.5).tangent == 2.0
    assert Dual(-1.0, math.inf).relu().tangent == 0.0


def test_a_dual_without_the_mixed_term_fails(rng: np.random.Generator) -> None:
    """The law can fail: with the second row of the product left out, (x * x)' is x and not 2 x."""

    class Halved(Dual):
        __slots__ = ()

        @classmethod
        def apply(cls, op, *inputs):
            found = Dual.apply(op, *inputs)
            return Dual(found.primal, found.tangent / 2) if op == "*" else found

    x = Halved(3.0, 1.0)
    assert (x * x).tangent != 6.0
    assert (Dual(3.0, 1.0) * Dual(3.0, 1.0)).tangent == 6.0


@pytest.mark.parametrize("bad", ["3", 1j, None, torch.tensor(2.0)])
def test_what_is_no_real_number_is_refused(bad: object) -> None:
    with pytest.raises(TypeError, match="primal must be a real number; got"):
        Dual(bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="tangent must be a real number; got"):
        Dual(1.0, bad)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="must be a real number; got"):
        Dual(1.0) + bad
    with pytest.raises(TypeError, match="a condition must be on a plain number"):
        _ = Dual(1.0) < 2


def test_repr_says_both_parts() -> None:
    assert repr(Dual(2, 1)) == "Dual(2.0, 1.0)"


def test_a_value_on_the_left_of_a_dual_is_carried_along() -> None:
    w, x = Value(3.0), Dual(2.0, 1.0)
    for found, value, tangent in ((w * x, 6.0, 3.0), (w + x, 5.0, 1.0), (w - x, 1.0, -1.0), (w / x, 1.5, -0.75), (w**x, 9.0, 9.0 * math.log(3.0))):
        assert isinstance(found, Dual)
        assert (float(found), float(found.tangent)) == (value, pytest.approx(tangent, rel=4 * EPS))


def test_a_net_of_values_answers_duals_with_its_jvp(rng: np.random.Generator) -> None:
    net, x, v = mlp([3, 4, 1], rng), rng.normal(size=3), rng.normal(size=3)
    inputs = [Value(a) for a in x]
    net(inputs)[0].backward()
    along = net([Dual(a, b) for a, b in zip(x, v, strict=True)])[0].tangent
    # Sums of 3 and 4 terms in another order, each term of at most three roundings.
    terms = [abs(leaf.grad * b) for leaf, b in zip(inputs, v, strict=True)]
    assert float(along) == pytest.approx(sum(leaf.grad * b for leaf, b in zip(inputs, v, strict=True)), abs=40 * EPS * sum(terms))
    # Forward over reverse: the tangent is an expression in the weights, and can be differentiated by them.
    along.backward()
    assert any(weight.grad for weight in net.parameters)
