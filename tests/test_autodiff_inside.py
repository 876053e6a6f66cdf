"""Every explanation prints what its page says, as a script of its own too; and the numbers behind them follow."""

from __future__ import annotations

import contextlib
import io
from dataclasses import replace

import numpy as np
import pytest
import torch

from gradyn.autodiff import EXPLANATIONS, Explanation, explains, in_plain_words, micro_batch_errors, micro_batch_gradients, swing, textbook_numbers
from gradyn.core import ConfigError

EPS = np.finfo(float).eps


def assert_prints_what_it_says(explanation: Explanation) -> None:
    assert explanation.run() == explanation.output, f"{explanation.name} prints\n{explanation.run()}"


@pytest.mark.parametrize("explanation", EXPLANATIONS, ids=lambda explanation: explanation.name)
def test_an_explanation_prints_what_its_page_says(explanation: Explanation) -> None:
    assert_prints_what_it_says(explanation)
    assert explanation.title
    assert explanation.why.endswith((".", "?"))
    assert explanation.output in str(explanation).replace("\n  ", "\n")


@pytest.mark.parametrize("explanation", EXPLANATIONS, ids=lambda explanation: explanation.name)
def test_its_code_is_a_script_that_runs_alone(explanation: Explanation) -> None:
    # The page's code, pasted into a fresh interpreter in float32, is what the reader will do.
    torch.set_default_dtype(torch.float32)
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(explanation.code, explanation.name, "exec"), {})
    assert printed.getvalue().rstrip("\n") == explanation.output
    assert "type: ignore" not in explanation.code


def test_an_explanation_whose_output_is_off_by_a_digit_is_found_out() -> None:
    textbook = EXPLANATIONS[0]
    with pytest.raises(AssertionError, match="textbook prints"):
        assert_prints_what_it_says(replace(textbook, output=textbook.output.replace("12", "11")))


def test_an_explanation_is_made_by_a_decorator() -> None:
    @explains("Two and two", "4")
    def added(print) -> None:
        """It is known."""
        print(2 + 2)

    assert (added.run(), added.why, added.code) == ("4", "It is known.", "\nprint(2 + 2)")


def test_the_textbooks_numbers_follow() -> None:
    assert textbook_numbers() == {"loss": 4.0, "dL/dx": 12.0, "dL/dw": 8.0, "dL/db": 4.0, "after x^2": 2.0, "after x^3": 5.0}


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.5, 1.9])
def test_descent_that_forgets_zero_grad_is_the_swing_of_the_formula(rate: float) -> None:
    path = {name: np.array(values) for name, values in swing(rate, 200).items()}
    assert (np.abs(path["forgotten"] - path["forgotten_predicted"]) <= path["bound"]).all()
    # (1 - eta)^t: t products, each rounded three times.
    assert (np.abs(path["zeroed"] - path["zeroed_predicted"]) <= 3 * EPS * path["step"] * np.abs(path["zeroed_predicted"])).all()
    # The formula a step late is another curve: the bound is far below what it must tell apart.
    assert np.abs(path["forgotten"][:-1] - path["forgotten_predicted"][1:]).max() > 1e3 * path["bound"].max()


@pytest.mark.parametrize("rate", [0.0, -1.0, 4.0])
def test_a_rate_at_which_nothing_swings_is_refused(rate: float) -> None:
    with pytest.raises(ConfigError, match=r"rate must lie between 0 and 4; got"):
        swing(rate, 3)


@pytest.mark.parametrize("k", [2, 4, 8])
def test_micro_batch_errors_are_rounding_with_the_right_weights_and_known_with_the_wrong_ones(k: int, rng: np.random.Generator) -> None:
    found = micro_batch_errors(32, 4, 6, k, rng)
    assert max(found["equal"], found["unequal"]) <= found["bound"] < 1e-12
    assert abs(found["summed"] - (k - 1)) <= k * found["bound"]
    assert found["unequal_by_count"] > 1e-3
    with pytest.raises(ConfigError, match=r"k must divide the 32 samples; got 3\."):
        micro_batch_errors(32, 4, 6, 3, rng)


def cubic_loss(n: int, rng: np.random.Generator) -> tuple:
    w, c = (torch.tensor(rng.standard_normal(3), requires_grad=True) for _ in range(2))
    x, y = torch.tensor(rng.standard_normal((n, 3))), torch.tensor(rng.standard_normal(n))
    return (lambda x, y: ((x**3 @ w + x @ c - y) ** 2).mean()), [w, c], [x, y]


def difference(found: list[torch.Tensor], right: list[torch.Tensor]) -> float:
    return max(float((f - r).abs().max() / r.abs().max()) for f, r in zip(found, right, strict=True))


@pytest.mark.parametrize("sizes", [(24,), (12, 12), (1,) * 24, (7, 5, 11, 1), (23, 1)], ids=str)
def test_micro_batches_add_up_to_the_batch(sizes: tuple[int, ...], rng: np.random.Generator) -> None:
    loss, parameters, batch = cubic_loss(24, rng)
    whole = list(torch.autograd.grad(loss(*batch), parameters))
    found = micro_batch_gradients(loss, parameters, batch, sizes)
    # A sum of 24 rows in another order: at most 24 roundings of partial sums, each no larger than the sum of the rows' sizes, which these
    # draws keep below 100 times the result (20 fresh seeds: at most 3e-15).
    assert difference(found, whole) <= 24 * 100 * EPS
    assert all(parameter.grad is None for parameter in parameters)


def test_micro_batches_with_the_wrong_weights_do_not(rng: np.random.Generator) -> None:
    loss, parameters, batch = cubic_loss(24, rng)
    whole = list(torch.autograd.grad(loss(*batch), parameters))
    assert difference(micro_batch_gradients(loss, parameters, batch, (6,) * 4, weights=(1.0,) * 4), [4 * g for g in whole]) <= 24 * 100 * EPS
    assert difference(micro_batch_gradients(loss, parameters, batch, (23, 1), weights=(0.5, 0.5)), whole) > 1e-3


@pytest.mark.parametrize(("sizes", "weights"), [((3, 4), None), ((0, 8), None), ((), None)])
def test_sizes_that_do_not_make_the_batch_are_refused(sizes: tuple[int, ...], weights: None, rng: np.random.Generator) -> None:
    loss, parameters, batch = cubic_loss(8, rng)
    with pytest.raises(ConfigError, match=r"sizes must be positive and add up to the 8 rows of the batch; got"):
        micro_batch_gradients(loss, parameters, batch, sizes, weights)
    with pytest.raises(ConfigError, match=r"weights must be 2, one a micro-batch; got 1\."):
        micro_batch_gradients(loss, parameters, batch, (4, 4), (1.0,))


def test_a_message_without_plain_words_is_passed_on_in_one_line() -> None:
    assert in_plain_words(RuntimeError("something\n  else")) == "something else"


def test_an_unused_input_and_a_wrong_shape_have_plain_words_too() -> None:
    class Transposed(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            return x * 2

        @staticmethod
        def backward(ctx, u):
            return (2 * u).T

    x, unused = torch.ones(2, 3, requires_grad=True), torch.ones(1, requires_grad=True)
    with pytest.raises(RuntimeError) as wrong_shape:
        Transposed.apply(x).sum().backward()
    assert "a transpose or a sum over a broadcast axis is missing" in in_plain_words(wrong_shape.value)
    with pytest.raises(RuntimeError) as not_used:
        torch.autograd.grad(x.sum(), [x, unused])
    assert "allow_unused=True" in in_plain_words(not_used.value)
    with pytest.raises(RuntimeError) as view:
        x[0] += 1
    assert "A part of a parameter" in in_plain_words(view.value)


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (lambda: torch.mv(torch.ones(2, 3), torch.ones(2)), "one size where they meet"),
        (lambda: torch.dot(torch.ones(2), torch.ones(3)), "one size where they meet"),
        (lambda: torch.bmm(torch.ones(1, 2, 3), torch.ones(1, 2, 3)), "one size where they meet"),
        (lambda: torch.ones(2) @ torch.ones(2, dtype=torch.float32), "must have one dtype"),
        (lambda: torch.ones(2, 2) @ torch.ones(2, 2, dtype=torch.float32), "must have one dtype"),
        (lambda: torch.ones(2, requires_grad=True).numpy(), "numpy records nothing"),
    ],
)
def test_shapes_dtypes_and_numpy_have_plain_words(refused, said: str) -> None:
    with pytest.raises(RuntimeError) as error:
        refused()
    assert said in in_plain_words(error.value)


def test_batches_of_no_tensor_or_of_different_rows_are_refused() -> None:
    w = torch.ones(2, requires_grad=True)
    for batch, lengths in (([], r"\[\]"), ([torch.ones(4, 2), torch.ones(3)], r"\[4, 3\]")):
        with pytest.raises(ConfigError, match=f"batch must be tensors with one number of rows; got '?{lengths}"):
            micro_batch_gradients(lambda *_: w.sum(), [w], batch, sizes=(2, 2))
