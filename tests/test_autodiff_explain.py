"""`explain` tells the backward pass as a student would write it down."""

from __future__ import annotations

import math

from gradyn.autodiff import Value, explain

EXPLAINED = """\
forward
  w             = 3
  x             = 2
  v1 = w * x    = 6
  b             = 1
  v2 = v1 + b   = 7
  v3 = v2 - 5   = 2
  v4 = v3 ** 2  = 4

backward, begun with d v4 / d v4 = 1
  v4 = v3 ** 2:  d v4 / d v3 = 2 * v3 ** (2 - 1) = 4  v3 += 4 * 1 = 4
  v3 = v2 - 5:   d v3 / d v2 = 1                      v2 += 1 * 4 = 4
  v2 = v1 + b:   d v2 / d v1 = 1                      v1 += 1 * 4 = 4
  v2 = v1 + b:   d v2 / d b = 1                       b += 1 * 4 = 4
  v1 = w * x:    d v1 / d w = x = 2                   w += 2 * 4 = 8
  v1 = w * x:    d v1 / d x = w = 3                   x += 3 * 4 = 12

gradients
  d v4 / d w = 8
  d v4 / d x = 12
  d v4 / d b = 4"""


def test_explain_tells_the_pass_of_the_textbook_example() -> None:
    x, w, b = Value(2), Value(3), Value(1)
    loss = (w * x + b - 5) ** 2
    assert explain(loss, x=x, w=w, b=b) == EXPLAINED
    assert x.grad == 0.0


def test_explain_sums_over_uses_and_shows_closed_gates() -> None:
    x = Value(-2.0)
    text = explain(x * x + 3 * x.relu(), x=x)
    assert "x += 0 * 3 = 0\n" in text
    assert "x += (-2) * 1 = -2, in all -2\n" in text
    assert "x += (-2) * 1 = -2, in all -4" in text
    assert "1 if x > 0 else 0 = 0" in text
    assert "v3 = 3 * v2:" in text


def test_explain_of_a_leaf_has_no_steps() -> None:
    assert explain(Value(-2.0)) == "forward\n  v1  = -2\n\nbackward, begun with d v1 / d v1 = 1\n\ngradients\n  d v1 / d v1 = 1"


def test_names_of_the_reader_are_not_given_twice() -> None:
    x = Value(1.0)
    assert "v2 = v1 * v1" in explain(x * x, v1=x)


def test_a_negative_factor_is_said_once_minus_zero_is_bracketed_and_nan_is_not() -> None:
    x = Value(2.0)
    assert "d v1 / d x = -3  x += (-3) * 1 = -3" in explain(-3.0 * x, x=x)
    assert "x += (-0) * 1 = -0" in explain(-0.0 * x, x=x)
    assert "x += nan * 1 = nan" in explain(math.nan * x, x=x)
