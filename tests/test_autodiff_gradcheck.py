"""explain_gradcheck names the cause of every wrong backward of the gallery, and finds no fault in right ones."""

from __future__ import annotations

import importlib
import warnings

import numpy as np
import pytest
import torch

from gradyn.autodiff import CAUSES, MISTAKES, NO_FAULT, Diagnosis, custom, errors_over_steps, explain_gradcheck, relu
from gradyn.core import ConfigError
from right_backwards import RIGHT
from wrong_backwards import (
    WRONG,
    Case,
    backward_answers_in_memory_order,
    draw,
    relu_at_zero,
    reversed_running_sum,
    square_without_its_two,
    swish_with_one_way,
    twice_sine,
)
from wrong_in_two_ways import (
    WRONG_IN_TWO_WAYS,
    first_row_of_a_bias_twice,
    one_way_of_two_and_its_sign,
    one_way_of_two_and_three_times,
    quadratic_form_without_its_transpose,
    scale_by_item,
    transpose_and_factor,
)

GALLERY = {cause: (*cases, *WRONG_IN_TWO_WAYS.get(cause, ())) for cause, cases in WRONG.items()}
CASES = [pytest.param(cause, case, id=f"{cause}-{case.__name__}") for cause, cases in GALLERY.items() for case in cases]
FINE = [pytest.param(NO_FAULT, case, id=f"right-{k}-{case.__name__}") for k, case in enumerate(RIGHT)]
FRESH = 8


def assert_named(cause: str, case: Case, rng: np.random.Generator) -> Diagnosis:
    f, inputs = case(rng)
    found = explain_gradcheck(f, inputs)
    assert found.cause == cause, f"{case.__name__}: expected {cause}\n{found}"
    return found


@pytest.mark.parametrize(("cause", "case"), [*CASES, *FINE])
def test_the_cause_is_named(cause: str, case: Case, rng: np.random.Generator) -> None:
    found = assert_named(cause, case, rng)
    assert bool(found) == found.passed == (cause == NO_FAULT)
    assert str(found).startswith(cause)


@pytest.mark.slow
@pytest.mark.parametrize("fresh", range(FRESH))
@pytest.mark.parametrize(("cause", "case"), [*CASES, *FINE])
def test_the_cause_is_named_at_other_numbers_and_shapes(cause: str, case: Case, fresh: int, rng: np.random.Generator) -> None:
    assert_named(cause, case, rng)


@pytest.mark.parametrize("cause", list(MISTAKES))
def test_the_smallest_mistake_of_each_kind_is_named(cause: str, rng: np.random.Generator) -> None:
    for _ in range(3):
        assert_named(cause, MISTAKES[cause], rng)


def test_a_gallery_with_a_false_label_is_found_out(rng: np.random.Generator) -> None:
    with pytest.raises(AssertionError, match="expected missing transpose"):
        assert_named("missing transpose", twice_sine, rng)
    with pytest.raises(AssertionError, match="expected no fault found"):
        assert_named(NO_FAULT, swish_with_one_way, rng)


@pytest.mark.parametrize(
    ("step", "broken", "case"),
    [
        ("decide.search", lambda *_: None, swish_with_one_way),
        ("causes.transposed", lambda block: ("", None), reversed_running_sum),
        ("search._weighed", lambda *_: None, quadratic_form_without_its_transpose),
        ("weights.of_all", lambda *_: None, first_row_of_a_bias_twice),
        ("search.has_function", lambda problem: True, scale_by_item),
        ("explain._dense", lambda x: x, backward_answers_in_memory_order),
        ("explain.moved_off", lambda problem, size, rng: problem, relu_at_zero),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_without_one_step_its_cause_is_not_named(step: str, broken, case: Case, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    module, name = step.split(".")
    monkeypatch.setattr(importlib.import_module(f"gradyn.autodiff.gradcheck.{module}"), name, broken)
    cause = next(cause for cause, cases in GALLERY.items() if case in cases)
    with pytest.raises(AssertionError, match=f"expected {cause}"):
        assert_named(cause, case, rng)


def test_the_gallery_has_three_functions_for_every_cause() -> None:
    assert set(WRONG) == set(CAUSES) == set(MISTAKES) - {NO_FAULT}
    assert min(len(cases) for cases in WRONG.values()) >= 3


@pytest.mark.parametrize(("cause", "case"), [case for case in CASES if case.values[0] != "float32 input"])
def test_torchs_gradcheck_rejects_the_gallery_too(cause: str, case: Case, rng: np.random.Generator) -> None:
    f, inputs = case(rng)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            assert not torch.autograd.gradcheck(f, inputs, raise_exception=False)
        except (RuntimeError, ValueError):
            # What it can't even try: a wrong shape, a view, or outputs of which none requires a gradient.
            assert cause in ("missing transpose", "missing accumulation", "non-contiguous input", "detached")


@pytest.mark.parametrize("c", [2.0, -1.0, 0.5, 1.5, 1 / 7, -3.0, 0.123456])
def test_the_factor_is_named(c: float, rng: np.random.Generator) -> None:
    f = custom(torch.sin, lambda i, y, u: c * u * i[0].cos())
    found = explain_gradcheck(f, draw(rng, 3, 2))
    assert found.cause == "wrong factor"
    # The numeric Jacobian is right to rtol, and so is the factor.
    assert found.factor == pytest.approx(c, rel=1e-3)
    words = {2.0: "2", -1.0: "-1", 0.5: "1/2", 1.5: "3/2", 1 / 7: "1/7", -3.0: "-3", 0.123456: "0.1235"}
    assert f"is {words[c]} times" in found.detail


def test_the_worst_element_is_named_with_both_numbers(rng: np.random.Generator) -> None:
    f = custom(lambda x: x**2, lambda i, y, u: u * (2 * i[0] + torch.tensor([[0.0, 0.0], [0.0, 5.0], [0.0, 0.0]])))
    x = draw(rng, 3, 2)
    found = explain_gradcheck(f, x)
    assert (found.worst.output, found.worst.row, found.worst.input, found.worst.column) == (0, (1, 1), 0, (1, 1))
    assert found.worst.numeric == pytest.approx(2 * x[1, 1].item(), rel=1e-6)
    assert found.worst.analytic == pytest.approx(2 * x[1, 1].item() + 5, rel=1e-12)
    assert "output 0[1, 1] / d input 0[1, 1]" in str(found)
    steps, errors = zip(*found.error_over_steps, strict=True)
    assert list(steps) == sorted(steps, reverse=True)
    assert len(steps) >= 5
    # A wrong backward is wrong at every step at which anything can be measured.
    assert min(errors[1:6]) == pytest.approx(found.worst.relative_error, rel=1e-2)


def test_the_error_of_a_right_backward_falls_with_the_step_squared_and_rises_again(rng: np.random.Generator) -> None:
    found = explain_gradcheck(torch.exp, draw(rng, 4))
    errors = dict(found.error_over_steps)
    large = sorted(errors)[-3:]
    # h^2 / 6 times f'''/f' = 1: two decades a decade of the step, to the next term, h^2 / 20 of it.
    assert errors[large[2]] / errors[large[1]] == pytest.approx(100, rel=1e-2)
    assert errors[min(errors)] > 100 * min(errors.values())


def test_four_checks_have_four_shapes() -> None:
    found = errors_over_steps(0.7, 3e-5)
    rows = list(zip(*found.values(), strict=True))
    for name, step, error, predicted in rows:
        if name in ("right", "float32") and not np.isnan(error):
            # The prediction has the largest rounding in it, and the series' next term is 3 h^2 of the first.
            assert error <= predicted * (1 + 4 * step**2), f"{name} at {step}"
        elif name == "kink":
            # eps / h, of both values of the difference.
            assert error == pytest.approx(0.0 if np.isnan(predicted) else predicted, abs=4 * np.finfo(float).eps / step)
        elif name == "wrong factor":
            # A relative error e of the numeric half is e / 2 of the quotient: h^2 / 3 and rounding.
            assert abs(error - 0.5) <= step**2 + 4 * np.finfo(float).eps / step
    assert {name for name, *_ in rows} == {"right", "wrong factor", "kink", "float32"}


def test_a_kink_is_reported_with_what_gradcheck_sees_at_its_step() -> None:
    found = explain_gradcheck(relu, torch.tensor([1e-8, 0.5], requires_grad=True))
    assert found.cause == "kink within the step"
    # (relu(x + h) - relu(x - h)) / 2h = (1 + x/h) / 2; the sum rounds h = 1e-6 to 16 digits of x + h.
    assert (found.worst.column, found.worst.analytic, found.worst.numeric) == ((0,), 1.0, pytest.approx(0.505, rel=1e-8))
    assert explain_gradcheck(relu, torch.tensor([1e-8, 0.5], requires_grad=True), eps=1e-9).passed


def test_a_factor_that_is_a_forgotten_path_says_both(rng: np.random.Generator) -> None:
    f = custom(lambda x: x * x, lambda i, y, u: u * i[0])
    found = explain_gradcheck(f, draw(rng, 3))
    assert (found.cause, found.factor) == ("missing accumulation", pytest.approx(0.5, rel=1e-6))
    assert "factor of 1/2" in found.detail
    # The same numbers, but x enters once: then nothing is forgotten but the 2.
    assert assert_named("wrong factor", square_without_its_two, rng).factor == pytest.approx(0.5, rel=1e-6)


@pytest.mark.parametrize(
    ("case", "factor", "said"),
    [
        (transpose_and_factor, 2.0, "axes exchanged"),
        (one_way_of_two_and_three_times, 3.0, "is not added, and the path through operand 1 of mul (operation 2) has a factor of 3"),
        (one_way_of_two_and_its_sign, -1.0, "has a factor of -1"),
        (first_row_of_a_bias_twice, 2.0, "only index 0 of axis 0"),
    ],
)
def test_of_two_mistakes_at_once_both_are_named(case: Case, factor: float, said: str, rng: np.random.Generator) -> None:
    f, inputs = case(rng)
    found = explain_gradcheck(f, inputs)
    assert found.factor == pytest.approx(factor, rel=1e-3)
    assert said in found.detail


def test_a_missing_symmetrization_is_told_from_a_factor(rng: np.random.Generator) -> None:
    f, inputs = quadratic_form_without_its_transpose(rng)
    assert "(a + a^T) x is not 2 a x" in explain_gradcheck(f, inputs).detail
    # Of a symmetric a nothing is wrong, and nobody is blamed.
    x, a = inputs
    assert explain_gradcheck(f, (x, (a + a.T).detach().requires_grad_())).passed


def test_two_calls_that_differ_are_not_explained_away() -> None:
    found = explain_gradcheck(lambda x: x + torch.rand(3), torch.ones(3, requires_grad=True))
    assert (found.cause, found.detail) == ("unknown", "f answers differently when asked twice; seed it inside f")


def test_a_backward_that_needs_a_contiguous_upstream_gradient_is_found_though_the_jacobians_agree(rng: np.random.Generator) -> None:
    f = custom(lambda x: x * 2, lambda i, y, u: (u.view(-1) * 2).view(u.shape))
    x = draw(rng, 3, 2)
    assert torch.autograd.gradcheck(f, x)
    found = explain_gradcheck(f, x)
    assert found.cause == "non-contiguous input"
    assert "upstream gradient" in found.detail


def test_a_backward_that_is_not_linear_is_a_surrogate_though_the_jacobians_agree(rng: np.random.Generator) -> None:
    f = custom(lambda x: x.clone(), lambda i, y, u: u.clamp(-1, 1))
    x = draw(rng, 3, 2)
    assert torch.autograd.gradcheck(f, x)
    found = explain_gradcheck(f, x)
    assert (found.cause, "not linear" in found.detail) == ("surrogate", True)


def test_an_empty_input_has_no_fault() -> None:
    found = explain_gradcheck(lambda x, y: x.sum() + 2 * y, (torch.zeros(0, 3, requires_grad=True), torch.ones(2, requires_grad=True)))
    assert found.passed
    alone = explain_gradcheck(lambda x: 2 * x, torch.zeros(0, 3, requires_grad=True))
    assert (alone.passed, alone.worst) == (True, None)
    assert str(alone) == NO_FAULT


def test_the_edge_of_a_domain_is_said(rng: np.random.Generator) -> None:
    found = explain_gradcheck(torch.sqrt, torch.tensor([0.0, 1.0], requires_grad=True))
    assert found.cause == "unknown"
    assert "the edge of its domain" in found.detail


def test_a_backward_that_raises_is_put_into_plain_words() -> None:
    def overwritten(x):
        y = x.exp()
        z = y * 1
        y.add_(1)
        return z * y

    found = explain_gradcheck(overwritten, torch.ones(2, requires_grad=True))
    assert found.cause == "unknown"
    assert "the tensor's version counter says so" in found.detail


def test_the_callers_tensors_are_left_alone(rng: np.random.Generator) -> None:
    x = draw(rng, 3)
    before = x.detach().clone()
    assert explain_gradcheck(torch.sin, [x]).passed
    assert torch.equal(x.detach(), before)
    assert x.grad is None
    assert x._version == 0


@pytest.mark.parametrize(
    ("f", "inputs", "message"),
    [
        (torch.sin, torch.ones(2), r"inputs must hold a tensor that requires a gradient; got 'torch.float32'\. Call x\.requires_grad_\(\)"),
        (torch.sin, torch.ones(2, dtype=torch.complex128, requires_grad=True), r"inputs must be real; got 'torch.complex128'"),
        (lambda x: x > 0, torch.ones(2, requires_grad=True), r"f must return a floating-point tensor, or several; got 'none'"),
    ],
)
def test_what_can_not_be_checked_is_refused(f, inputs, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        explain_gradcheck(f, inputs)


@pytest.mark.parametrize("name", ["eps", "atol", "rtol"])
def test_a_tolerance_that_is_not_positive_is_refused(name: str) -> None:
    with pytest.raises(ConfigError, match=rf"{name} must be positive; got -1\.0\."):
        explain_gradcheck(torch.sin, torch.ones(2, requires_grad=True), **{name: -1.0})
