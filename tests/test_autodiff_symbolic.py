"""Symbolic derivatives swell by the counts of the literature; automatic ones grow with the program and are exact to rounding."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest

from gradyn.autodiff import AUTOMATIC_BOUND, Dual, exact_derivatives, expression_sizes, jvp, logistic, logistic_dual, nested_product, swell, symbolic_derivative
from gradyn.core import ConfigError

EPS = 2.0**-52


def table_1(x):
    """The derivative of l_4 as Baydin et al. 2018, table 1, print it."""
    q = 1 - 8 * x + 8 * x**2
    return (
        128 * x * (1 - x) * (-8 + 16 * x) * (1 - 2 * x) ** 2 * q
        + 64 * (1 - x) * (1 - 2 * x) ** 2 * q**2
        - 64 * x * (1 - 2 * x) ** 2 * q**2
        - 256 * x * (1 - x) * (1 - 2 * x) * q**2
    )


def assert_is_the_derivative(derivative):
    for x in (Fraction(1, 5), Fraction(0), Fraction(1), Fraction(-7, 3), Fraction(22, 7)):
        # Fractions: no rounding anywhere. A polynomial of degree 7 that agrees at five places and has the same form is the same one.
        assert derivative(x) == table_1(x)


def test_automatic_differentiation_of_l4_is_the_printed_polynomial():
    assert_is_the_derivative(lambda x: logistic_dual(x, 4)[1])


def test_the_law_of_the_polynomial_rejects_a_product_rule_with_the_wrong_sign():
    def broken(x, slope=1):
        for _ in range(3):
            x, slope = 4 * x * (1 - x), 4 * (slope * (1 - x) + x * slope)
        return slope

    with pytest.raises(AssertionError):
        assert_is_the_derivative(broken)


def test_the_closed_form_of_l4_is_the_iteration():
    x = Fraction(3, 7)
    assert logistic(x, 4) == 64 * x * (1 - x) * (1 - 2 * x) ** 2 * (1 - 8 * x + 8 * x**2) ** 2


@pytest.mark.parametrize("way", ["dual", "engine", "torch", "symbolic"])
def test_every_exact_way_gives_9_0660864_at_one_fifth(way):
    import torch

    one = torch.ones(())
    found = {
        "dual": lambda: logistic_dual(0.2, 4)[1],
        "engine": lambda: logistic(Dual(0.2, 1.0), 4).tangent,
        "torch": lambda: jvp(lambda x: logistic(x, 4), 0.2 * one, one).item(),
        "symbolic": lambda: symbolic_derivative(0.2, 4),
    }[way]()
    assert round(found, 5) == 9.06609
    exact = exact_derivatives(4, 0.2, 1)[1]
    # The formula adds up four terms of at most three times their sum with about 12 roundings each: 2 * 12 * 3 / 2 eps = 36 eps.
    bound = 36 if way == "symbolic" else AUTOMATIC_BOUND
    assert abs(found - exact) <= bound * EPS * exact, f"{(found - exact) / EPS / exact} eps"


def test_the_unsimplified_derivative_of_the_logistic_map_swells_as_counted():
    # sympy's diff of the nested product as it stands, nothing expanded; the counts of the first levels: 2, 21, 82, 264, 768.
    rows = swell("logistic", range(2, 11))
    assert [row["derivative"] for row in rows] == [2, 21, 82, 264, 768, 2096, 5472, 13824, 34048]
    ratios = [after["derivative"] / before["derivative"] for before, after in pairwise(rows)]
    assert min(ratios) >= 2
    # 768 / 264 = 2.9 is no limit: the ratio goes on falling.
    assert ratios == sorted(ratios, reverse=True)
    assert [row["expression"] for row in rows] == [5 * 2 ** (n - 2) - 2 for n in range(2, 11)]


@pytest.mark.parametrize("n", [3, 4, 8, 16])
def test_the_unsimplified_derivative_of_a_nested_product_grows_with_the_square(n):
    # n terms of n - 1 factors x + j (an addition each) with n - 2 multiplications, and n - 1 additions between them.
    assert expression_sizes("product", n).derivative == n * ((n - 1) + (n - 2)) + (n - 1) == 2 * n * n - 2 * n - 1


class Tally:
    """A number that counts what is done with it."""

    count = 0

    def _operate(self, other):
        Tally.count += 1
        return Tally()

    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _operate


@pytest.mark.parametrize("n", [2, 4, 9])
def test_the_size_of_the_automatic_derivative_is_what_it_carries_out(n):
    Tally.count = 0
    logistic_dual(Tally(), n)
    # The first slope is the plain 1, with which numbers multiply as with any other.
    assert Tally.count == expression_sizes("logistic", n).automatic == 7 * (n - 1)
    Tally.count = 0
    nested_product(Tally(), n)
    # Value: n additions and n - 1 products; its slope: dy (x + k) + y, two more for each product.
    assert Tally.count + 2 * (n - 1) == expression_sizes("product", n).automatic


def test_sharing_subexpressions_undoes_most_of_the_swell():
    size = expression_sizes("logistic", 8)
    assert size.automatic < size.shared < size.derivative / 40


def test_exact_derivatives_are_those_of_fractions():
    f, slope, second = exact_derivatives(2, 0.25, 2)
    assert (f, slope, second) == (0.75, 2.0, -8.0)


def test_families_and_levels_that_are_none_are_refused():
    with pytest.raises(ConfigError, match="family must be one of logistic, product; got 'tower'"):
        expression_sizes("tower", 2)
    with pytest.raises(ConfigError, match="n must be at least 1; got 0"):
        logistic(0.5, 0)
