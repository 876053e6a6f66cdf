"""The scalar engine gives torch's numbers, also where they are infinite, and depth costs it memory but no stack."""

from __future__ import annotations

import copy
import math
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from gradyn.autodiff import RULES, AbstractNumber, Value, disagreement, explain, grad, random_expression, topological

EPS = sys.float_info.epsilon

SPECIAL = [0.0, -0.0, 0.5, -0.5, 1.0, -1.0, 2.0, -2.0, 3.0, -3.0, 710.0, -710.0, -745.5, 1e200, -1e200, math.inf, -math.inf, math.nan]
UNARY = ["neg", "exp", "log", "tanh", "sigmoid", "relu", "sin", "cos"]
BINARY = ["+", "-", "*", "/", "**"]


def apply(op: str, *x: Any) -> Any:
    """The operation as a user writes it; on tensors and Values alike."""
    if op in BINARY:
        a, b = x
        return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b, "**": lambda: a**b}[op]()
    return -x[0] if op == "neg" else getattr(x[0], op)()


def by_torch(op: str, *numbers: float) -> tuple[float, list[float]]:
    leaves = [torch.tensor(x, requires_grad=True) for x in numbers]
    y = apply(op, *leaves)
    y.backward()
    return y.item(), [leaf.grad.item() for leaf in leaves]


def by_value(op: str, *numbers: float) -> tuple[float, list[float]]:
    leaves = [Value(x) for x in numbers]
    y = apply(op, *leaves)
    y.backward()
    return y.data, [leaf.grad for leaf in leaves]


def agree(ours: float, theirs: float, steps: float = 4.0) -> bool:
    """Equal to `steps` roundings: both libraries' exp, log, sin, cos and pow are within 1 to 2 ulp; or the same inf, or both nan.

    Below the smallest normal number a rounding is 2 ** -1074 and not a share of the number; torch's sigmoid(-745.5), through exp(745.5),
    is 0 there.
    """
    if math.isnan(ours) or math.isnan(theirs):
        return math.isnan(ours) and math.isnan(theirs)
    return ours == theirs or abs(ours - theirs) <= steps * EPS * abs(theirs) + 2 * sys.float_info.min


@pytest.mark.parametrize("x", SPECIAL)
@pytest.mark.parametrize("op", UNARY)
def test_a_function_and_its_derivative_are_torchs_at_special_numbers(op: str, x: float) -> None:
    ours, theirs = by_value(op, x), by_torch(op, x)
    assert agree(ours[0], theirs[0]), (op, x, ours, theirs)
    # 1 - y * y and y * (1 - y) lose what y rounds off: four roundings of a number of size one.
    assert agree(ours[1][0], theirs[1][0]) or (op in ("tanh", "sigmoid") and abs(ours[1][0] - theirs[1][0]) <= 4 * EPS), (op, x, ours, theirs)


@pytest.mark.parametrize("op", BINARY)
def test_an_operator_and_its_derivatives_are_torchs_at_all_pairs_of_special_numbers(op: str) -> None:
    for a in SPECIAL:
        for b in SPECIAL:
            ours, theirs = by_value(op, a, b), by_torch(op, a, b)
            for mine, other in zip([ours[0], *ours[1]], [theirs[0], *theirs[1]], strict=True):
                assert agree(mine, other), (op, a, b, ours, theirs)


def test_a_power_of_zero_has_torchs_conventions() -> None:
    assert by_value("**", 0.0, 0.0) == (1.0, [0.0, 0.0])
    assert by_value("**", 0.0, 0.5) == (0.0, [math.inf, 0.0])
    assert by_value("**", 0.0, -1.0) == (math.inf, [-math.inf, -math.inf])
    assert math.isnan(by_value("**", -2.0, 0.5)[0])


@pytest.mark.parametrize(
    "f",
    [
        lambda v: 2 - v,
        lambda v: v - 2,
        lambda v: 3 / v,
        lambda v: v / 3,
        lambda v: 2**v,
        lambda v: v**2,
        lambda v: v**0.5,
        lambda v: v**-1,
        lambda v: 3 * v,
        lambda v: v * 3,
        lambda v: 3 + v,
        lambda v: v + 3,
        lambda v: v**0,
        lambda v: 0**v,
        lambda v: sum([v, v, v]),
        lambda v: -v,
    ],
)
def test_plain_numbers_stand_on_either_side(f: Callable[[Any], Any]) -> None:
    x, t = Value(1.7), torch.tensor(1.7, requires_grad=True)
    f(x).backward()
    f(t).backward()
    assert agree(float(f(x)), f(t).item())
    assert agree(x.grad, t.grad.item())


@pytest.mark.parametrize("number", [np.float64(2.0), np.float32(2.0), np.int64(2), 2, True + 1])
def test_numpy_scalars_are_plain_numbers(number: Any) -> None:
    for y in (number * Value(3.0), Value(3.0) * number):
        assert isinstance(y, Value)
        assert y.data == 6.0
        assert type(y.data) is float


def test_random_expressions_have_torchs_gradients(rng: np.random.Generator) -> None:
    """Value, its recorded gradients, Dual, torch.autograd and torch.func.jvp, within what the roundings allow: see `disagreement`."""
    for case in range(200):
        expression = random_expression(rng)
        worst, _ = disagreement(expression, rng.normal(size=3).tolist())
        assert worst < 1.0, (case, expression, worst)


@pytest.mark.parametrize("op", list(RULES))
def test_an_engine_with_one_wrong_derivative_is_found_out(op: str, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is not so wide that it would let a derivative pass that is off by one part in 10 ** 10."""
    partials = tuple((text, lambda *x, right=right: None if right(*x) is None else right(*x) * (1 + 1e-10)) for text, right in RULES[op].partials)
    monkeypatch.setitem(RULES, op, RULES[op]._replace(partials=partials))
    assert max(disagreement(random_expression(rng), [1.0, 1.0, 1.0])[0] for _ in range(10)) > 1.0


@pytest.mark.parametrize("op", list(RULES))
def test_the_words_of_the_table_are_its_functions(op: str, rng: np.random.Generator) -> None:
    """`explain` prints the words and the pass uses the functions: they are one table only if they say the same."""
    names = {name: getattr(math, name) for name in ("exp", "log", "tanh", "sin", "cos")}
    names |= {"sigmoid": lambda x: 1 / (1 + math.exp(-x)), "relu": lambda x: max(x, 0.0)}
    for a, b in rng.uniform(0.2, 3.0, (20, 2)):
        inputs = (float(a), float(b))[: len(RULES[op].partials)]
        y = RULES[op].value(*inputs)
        words = {"a": repr(inputs[0]), "b": repr(inputs[-1]), "y": repr(y)}
        assert eval(RULES[op].text.format(**words), names) == pytest.approx(y, rel=4 * EPS)
        for text, partial in RULES[op].partials:
            # Each function takes at most four roundings, and the text the same ones in another order.
            assert eval(text.format(**words), names) == pytest.approx(partial(*inputs, y) or 0.0, rel=8 * EPS, abs=8 * EPS)


def test_a_shared_subexpression_gets_the_sum_over_its_uses() -> None:
    x = Value(3.0)
    square = x * x
    (square * square + square).backward()
    assert x.grad == 4 * 27 + 6
    assert [node.op for node in topological(square * square)] == ["", "*", "*"]


def test_a_second_backward_doubles_the_leaves_and_leaves_the_rest() -> None:
    x = Value(3.0)
    y = x * x
    z = y * y
    z.backward()
    first = (x.grad, y.grad, z.grad)
    z.backward()
    assert first == (108.0, 18.0, 1.0)
    assert (x.grad, y.grad, z.grad) == (216.0, 18.0, 1.0)
    t = torch.tensor(3.0, requires_grad=True)
    out = (t * t) ** 2
    out.backward(retain_graph=True)
    out.backward()
    assert t.grad.item() == x.grad


def test_two_losses_accumulate_on_a_leaf_until_zero_grad() -> None:
    x = Value(1.0)
    (2 * x).backward()
    assert x.grad == 2.0
    loss = x**3
    loss.backward()
    assert x.grad == 5.0
    loss.zero_grad()
    assert (x.grad, loss.grad) == (0.0, 0.0)
    loss.backward(upstream=2)
    assert x.grad == 6.0


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "sigmoid", "sin", "cos"])
def test_third_derivatives_are_torchs(name: str, rng: np.random.Generator) -> None:
    """Each derivative is a sum of a few products of size one; 64 roundings is more than the longest (tanh''') has."""
    for start in rng.uniform(0.3, 2.0, 20):
        x, t = Value(start), torch.tensor(start, requires_grad=True)
        mine, theirs = getattr(x * x, name)(), getattr(t * t, name)()
        for _ in range(3):
            (mine,) = grad(mine, [x])
            (theirs,) = torch.autograd.grad(theirs, t, create_graph=True)
            size = max(1.0, abs(theirs.item())) * 100
            assert abs(mine.data - theirs.item()) <= 64 * EPS * size, (name, start, mine.data, theirs.item())


def test_gradients_of_gradients_know_the_polynomial() -> None:
    x, w = Value(2.0), Value(5.0)
    y = w * x**3
    found = []
    for _ in range(5):
        (y,) = grad(y, [x])
        found.append(y.data)
    assert found == [60.0, 60.0, 30.0, 0.0, 0.0]
    (mixed,) = grad(grad(w * x**3, [x])[0], [w])
    assert mixed.data == 12.0
    assert (x.grad, w.grad) == (0.0, 0.0)


def test_grad_gives_the_gradient_of_intermediates_and_zero_of_strangers() -> None:
    x, stranger = Value(2.0), Value(1.0)
    y = x * 3
    assert [g.data for g in grad(y * y, [y, x, stranger])] == [12.0, 36.0, 0.0]
    assert grad(x, x)[0].data == 1.0


def test_a_closed_relu_stops_even_an_infinite_upstream() -> None:
    """A product of its derivative 0 with inf would be nan; torch masks, and so do we."""
    x, t = Value(-1.0), torch.tensor(-1.0, requires_grad=True)
    (x.relu() ** 0.5).backward()
    (t.relu() ** 0.5).backward()
    assert x.grad == t.grad.item() == 0.0


def test_changed_data_is_refused_and_not_differentiated_wrongly() -> None:
    x, w = Value(2.0), Value(0.0)
    y = x * w
    y.backward()
    x.data = 7.0
    for differentiate in (y.backward, lambda: grad(y, [w]), lambda: explain(y)):
        with pytest.raises(RuntimeError, match=r"data must stay what it was when '\*' was recorded; got 7\.0 in place of 2\.0"):
            differentiate()
    x.data = 2.0
    y.backward()
    y.data = 1.0
    with pytest.raises(RuntimeError, match="data must stay"):
        y.backward()


def test_a_nan_in_the_graph_is_no_change() -> None:
    x = Value(math.nan)
    y = copy.deepcopy(x * 2)
    y.backward()
    assert y.children[0].grad == 2.0


@pytest.mark.parametrize("bad", ["3", 1j, None, torch.tensor(2.0), np.ones(2), [1.0]])
def test_what_is_no_real_number_is_refused(bad: Any) -> None:
    with pytest.raises(TypeError, match="data must be a real number; got"):
        Value(bad)
    with pytest.raises(TypeError, match=r"the other side of \*\* must be a real number; got"):
        Value(2.0) ** bad
    if not isinstance(bad, torch.Tensor):
        with pytest.raises(TypeError, match=r"the other side of - must be a real number; got"):
            bad - Value(2.0)


def test_a_value_is_no_condition() -> None:
    x = Value(2.0)
    for ask in (lambda: x < 3, lambda: x >= 3, lambda: x == 2.0, lambda: x != Value(2.0), lambda: bool(x)):
        with pytest.raises(TypeError, match=r"a condition must be on a plain number; got Value\(2\.0"):
            ask()
    assert float(x) < 3
    assert x in {x: 1}


def test_an_op_must_be_in_the_table_and_fit_its_children() -> None:
    x = Value(1.0)
    assert Value(2.0, (x, x), "+").op == "+"
    for op, children in (("+", (x,)), ("spam", (x,)), ("", (x,)), ("spam", ()), ("+", ())):
        with pytest.raises(ValueError, match="op must be in the table and fit its children; got"):
            Value(2.0, children, op)
    with pytest.raises(TypeError, match="children must be Values; got float"):
        Value(2.0, (x, 1.0), "+")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="inputs must be Values; got float"):
        grad(x, [1.0])  # type: ignore[list-item]
    with pytest.raises(TypeError, match="y must be a Value; got float"):
        explain(x, y=1.0)  # type: ignore[arg-type]


def test_constants_among_themselves_record_nothing() -> None:
    x = Value(2.0)
    (g,) = grad(3 * x, [x])
    assert (g.op, g.data) == ("const", 3.0)
    assert ((g + 1) * 2).children == ()
    assert [node.op for node in topological(x**2)] == ["", "const", "**"]


# In a process of its own: a stack that overflows in C takes the process with it, and no test would report it.
DEEP = """
import copy
from gradyn.autodiff import Dual, Value, explain, grad
x = Value(1.0)
y, d = x, Dual(1.0, 1.0)
for _ in range(100_000):
    y, d = y * 1.000001, d * 1.000001
y.backward()
assert abs(x.grad / 1.000001**100_000 - 1) < 1e-10 and d.tangent == x.grad
assert grad(y, [x])[0].data == x.grad
assert "op='*'" in repr(y)
assert len(explain(y).splitlines()) > 200_000
other, shallow = copy.deepcopy(y), copy.copy(y)
other.backward()
y.zero_grad()
del other, y, shallow
print("alive")
"""


def test_a_chain_of_100000_is_differentiated_explained_printed_copied_and_freed() -> None:
    done = subprocess.run([sys.executable, "-c", DEEP], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "alive\n", "")


def test_a_deep_copy_shares_what_was_shared_and_nothing_with_the_original() -> None:
    x = Value(2.0)
    y = x * x
    leaf, out = copy.deepcopy([x, y])
    assert out.children == (leaf, leaf)
    assert leaf is not x
    out.backward()
    assert (leaf.grad, x.grad) == (4.0, 0.0)
    again = pickle.loads(pickle.dumps(y))
    again.backward()
    assert again.children[0].grad == 4.0


def test_repr_says_the_number_the_operation_and_the_gradient() -> None:
    x = Value(3)
    y = 2 * x
    y.backward()
    assert (repr(x), repr(y)) == ("Value(3.0, grad=2.0)", "Value(6.0, op='*', grad=1.0)")


def test_every_operation_of_the_table_has_a_method_or_operator() -> None:
    assert {*UNARY, *BINARY} == set(RULES)
    assert all(hasattr(AbstractNumber, op) for op in UNARY if op != "neg")
