"""What is wrong with the usual fifty lines: each fault happens there (the red test, kept red by pytest.raises or !=) and not in ours."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch

from gradyn.autodiff import FiftyLines, Value, grad

BOTH = pytest.mark.parametrize("engine", [FiftyLines, Value])


@BOTH
def test_both_get_a_small_expression_right_once(engine: type) -> None:
    x, w, b = engine(2.0), engine(3.0), engine(1.0)
    loss = (x * w + b - 5) ** 2
    loss.backward()
    assert (loss.data, x.grad, w.grad, b.grad) == (4.0, 12.0, 8.0, 4.0)


@BOTH
def test_both_know_tanh_and_division(engine: type) -> None:
    x, t = engine(0.5), torch.tensor(0.5, requires_grad=True)
    (-(x.tanh() / (x * x + 1))).backward()
    (-(t.tanh() / (t * t + 1))).backward()
    # Fewer than 16 roundings on numbers of size one.
    assert abs(x.grad - t.grad.item()) <= 16 * 2.0**-52


@pytest.mark.parametrize("f", [lambda x: 3 * x, lambda x: 3 + x, lambda x: 3 - x, lambda x: 1 / x, lambda x: 2**x], ids=["3*x", "3+x", "3-x", "1/x", "2**x"])
def test_a_number_on_the_left_is_refused_by_the_fifty_lines_and_not_by_ours(f: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match="unsupported operand type"):
        f(FiftyLines(2.0))
    x, t = Value(2.0), torch.tensor(2.0, requires_grad=True)
    f(x).backward()
    f(t).backward()
    assert x.grad == pytest.approx(t.grad.item(), rel=4 * 2.0**-52)


def chain(engine: type, length: int) -> tuple[Any, Any]:
    x = engine(1.0)
    y = x
    for _ in range(length):
        y = y * 1.0
    return x, y


def test_a_chain_of_1000_exhausts_the_recursion_of_the_fifty_lines_and_not_ours() -> None:
    x, y = chain(FiftyLines, 500)
    y.backward()
    assert x.grad == 1.0
    _, y = chain(FiftyLines, 1000)
    with pytest.raises(RecursionError):
        y.backward()
    with pytest.raises(RecursionError):
        copy.deepcopy(y)
    x, y = chain(Value, 100_000)
    y.backward()
    assert x.grad == 1.0


@pytest.mark.parametrize("length", [1, 2, 5, 10])
def test_a_second_backward_of_the_fifty_lines_counts_what_is_in_the_graph_again(length: int) -> None:
    """A leaf behind n operations: n + 1 times in the second pass on top of once in the first, where it should be twice in all.

    The output is set to 1 each time; the k-th number below it has k + 1 after the second pass: its own of before, and the k of above.
    """
    x, y = chain(FiftyLines, length)
    y.backward()
    y.backward()
    assert x.grad == length + 1
    x, y = chain(Value, length)
    y.backward()
    y.backward()
    assert x.grad == 2.0


def test_op_is_dropped_by_the_fifty_lines_and_kept_by_ours() -> None:
    assert not hasattr(FiftyLines(2.0) * FiftyLines(3.0), "op")
    assert (Value(2.0) * Value(3.0)).op == "*"


def test_a_gradient_of_the_fifty_lines_has_no_history_and_ours_has() -> None:
    x = FiftyLines(2.0)
    (x**3).backward()
    assert type(x.grad) is float
    x = Value(2.0)
    assert grad(grad(x**3, [x])[0], [x])[0].data == 12.0
