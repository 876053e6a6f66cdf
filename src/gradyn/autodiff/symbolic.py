"""Symbolic derivatives and why they swell: the logistic map l_1 = x, l_{n+1} = 4 l_n (1 - l_n), and the product (x + 1) ... (x + n).

The product rule writes both factors of every product twice, and a formula, a tree, cannot say "the same as over there". Automatic
differentiation applies the same rules to numbers, each computed once: its size grows as the program does. Sharing common
subexpressions afterwards (`shared`) undoes most of it; multiplying out does not, for l_n is a polynomial of degree 2^(n-1).

Can't: differentiate a program. A formula needs the loop unrolled and the branch chosen before it exists.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from gradyn.core import require


@dataclass(frozen=True, slots=True)
class Size:
    """How many operations (+, -, *, ** and signs) each form of a function and its derivative has.

    Args:
        level: n.
        expression: the function.
        derivative: its derivative as the rules leave it, not simplified.
        shared: the same with every common subexpression computed once.
        automatic: value and derivative by dual numbers: 7 a level of the map, 4 a factor of the product.
    """

    level: int
    expression: int
    derivative: int
    shared: int
    automatic: int


def logistic(x: Any, n: int) -> Any:
    """l_n(x) of the map l_{n+1} = 4 l_n (1 - l_n), l_1 = x; x is any number that multiplies: float, complex, Fraction, Dual, symbol.

    l_4 = 64 x (1 - x) (1 - 2x)^2 (1 - 8x + 8x^2)^2.

    Raises:
        ConfigError: n is below 1.

    Source: Baydin et al. 2018 (arXiv:1502.05767), table 1 and figure 2.
    """
    require(n >= 1, "n", "be at least 1", n)
    for _ in range(n - 1):
        x = 4 * x * (1 - x)
    return x


def logistic_dual(x: Any, n: int) -> tuple[Any, Any]:
    """(l_n, l_n') side by side, with 7 operations a level: l' <- 4 (l' (1 - l) - l l'), l <- 4 l (1 - l)."""
    slope: Any = 1
    for _ in range(n - 1):
        rest = 1 - x
        x, slope = 4 * (x * rest), 4 * (slope * rest - x * slope)
    return x, slope


def nested_product(x: Any, n: int) -> Any:
    """(...((x + 1) (x + 2)) ...) (x + n): a product rule inside a product rule, n - 1 deep."""
    y = x + 1
    for k in range(2, n + 1):
        y = y * (x + k)
    return y


def expression_sizes(family: str, level: int) -> Size:
    """The sizes of one level of a family.

    Args:
        family: `logistic` or `product`.
        level: n, at least 1.

    Raises:
        ConfigError: another family.
    """
    import sympy  # type: ignore[import-untyped]

    families: dict[str, tuple[Callable[[Any, int], Any], int]] = {"logistic": (logistic, 7 * (level - 1)), "product": (nested_product, 4 * level - 3)}
    require(family in families, "family", f"be one of {', '.join(families)}", family)
    function, automatic = families[family]
    x = sympy.Symbol("x")
    expression = function(x, level)
    derivative = sympy.diff(expression, x)
    replaced, reduced = sympy.cse(derivative)
    shared = sum(int(sympy.count_ops(part)) for part in (*(right for _, right in replaced), *reduced))
    return Size(level, int(sympy.count_ops(expression)), int(sympy.count_ops(derivative)), shared, automatic)


def symbolic_derivative(x: float, n: int) -> float:
    """l_n'(x) by evaluating the formula as the rules leave it, in floats."""
    import sympy

    symbol = sympy.Symbol("x")
    return float(sympy.lambdify(symbol, sympy.diff(logistic(symbol, n), symbol), "math")(x))


def exact_derivatives(n: int, x: float, orders: int) -> list[float]:
    """l_n(x), l_n'(x), ... up to the order, each the exact value at the float x, rounded once.

    Args:
        n: of the logistic map.
        x: a float, taken as the fraction that it is.
        orders: highest derivative.
    """
    import sympy

    symbol = sympy.Symbol("x")
    polynomial = sympy.Poly(logistic(symbol, n), symbol)
    at, found = sympy.Rational(*Fraction(x).as_integer_ratio()), []
    for _ in range(orders + 1):
        value = polynomial.eval(at)
        found.append(float(Fraction(int(value.p), int(value.q))))
        polynomial = polynomial.diff(symbol)
    return found
