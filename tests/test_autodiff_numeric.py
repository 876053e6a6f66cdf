"""Differences have the errors that Taylor and rounding give them, and the complex step has no rounding to speak of."""

from __future__ import annotations

import cmath
import math

import pytest

from gradyn.autodiff import (
    AUTOMATIC_BOUND,
    best_central_step,
    best_forward_step,
    central_difference,
    complex_step,
    difference_errors,
    exact_derivatives,
    fit_windows,
    fitted_slope,
    forward_difference,
    logistic,
    method_table,
    optimal_steps,
)
from gradyn.core import ConfigError

EPS = 2.0**-52
X = 0.2


@pytest.fixture(scope="module")
def errors():
    return difference_errors(X, (4, 5, 6, 7))


def assert_arms_have_their_slopes(errors):
    for window in fit_windows(X):
        found = fitted_slope(errors, window)
        # Mixing with the other error moves the slope by at most `mixing`; the rest is scatter of the rounding, at three standard errors
        # (one false alarm in 370 slopes, but the steps are fixed: no draw).
        allowed = window["mixing"] + 3 * found["scatter"]
        off = abs(found["slope"] - window["power"])
        assert off <= allowed, f"{window['method']} {window['side']}: slope {found['slope']}, not {window['power']} to {allowed}"


def test_the_arms_of_every_v_have_the_slopes_of_theory(errors):
    assert_arms_have_their_slopes(errors)


def test_the_law_of_the_slopes_rejects_a_central_difference_that_is_half_a_step_off(errors):
    broken = [dict(row) for row in errors]
    slope = exact_derivatives(4, X, 1)[1]
    for row in broken:
        if row["method"] == "central":
            row["error"] = abs((logistic(X + row["h"], 4) - logistic(X - row["h"] / 2, 4)) / (1.5 * row["h"]) - slope)
    with pytest.raises(AssertionError, match="central truncation"):
        assert_arms_have_their_slopes(broken)


def test_truncation_has_the_coefficients_of_taylors_series(errors):
    for window in fit_windows(X):
        if window["side"] == "truncation":
            # The next order is at most a hundredth at the window's end, rounding a thirtieth and less at its beginning (complex).
            assert fitted_slope(errors, window)["found"] == pytest.approx(window["coefficient"], rel=0.01 + 1 / 30)


def test_the_optima_are_where_the_arms_meet(errors):
    rows = optimal_steps([{**window, **fitted_slope(errors, window)} for window in fit_windows(X)], X)
    for row, power in zip(rows, (1, 2), strict=True):
        # The formula takes each evaluation to be off by eps |f|. Within a factor 16 of that, log10 h moves by log10(16) / (power + 1).
        assert abs(row["log10_h"] - row["predicted"]) <= math.log10(16) / (power + 1)
        assert abs(row["log10_h"] - row["rival"]) > math.log10(16) / (power + 1), "eps ** (1 / (p + 1)) alone ignores the function"


def test_the_best_steps_are_the_lowest_points_of_their_formulas():
    f, _, second, third = exact_derivatives(4, X, 3)
    forward, central = best_forward_step(f, second), best_central_step(f, third)
    for best, error in (
        (forward, lambda h: abs(second) * h / 2 + 2 * EPS * abs(f) / h),
        (central, lambda h: abs(third) * h**2 / 6 + EPS * abs(f) / h),
    ):
        assert error(best) < min(error(best * 1.01), error(best / 1.01))
    assert math.log10(forward) == pytest.approx(-8.7096, abs=5e-5)
    assert math.log10(central) == pytest.approx(-6.4373, abs=5e-5)


def test_the_complex_step_is_exact_to_rounding_at_steps_that_no_difference_survives():
    slope = exact_derivatives(4, X, 1)[1]
    for h in (1e-20, 1e-100, 1e-300):
        # The imaginary parts round as dual numbers do: the bound of those.
        assert abs(complex_step(lambda z: logistic(z, 4), X, h) - slope) <= AUTOMATIC_BOUND * EPS * abs(slope)
    assert forward_difference(lambda x: logistic(x, 4), X, 1e-20) == 0.0


def test_differences_of_polynomials_of_low_degree_have_no_truncation():
    # Powers of two and whole numbers: every operation is exact.
    assert forward_difference(lambda x: 3 * x, 2.0, 0.5) == 3.0
    assert central_difference(lambda x: x * x, 3.0, 0.25) == 6.0
    assert forward_difference(lambda x: x * x, 3.0, 0.25) == 6.25
    assert complex_step(lambda z: z * z, 3.0, 0.25) == 6.0


def test_the_table_of_methods_has_automatic_and_complex_at_rounding_and_differences_above(errors):
    rows = {row["method"]: row for row in method_table(errors, X)}
    assert rows["automatic"]["error"] <= AUTOMATIC_BOUND * EPS
    assert rows["complex"]["error"] <= AUTOMATIC_BOUND * EPS
    assert rows["automatic"]["error"] < rows["central"]["error"] < rows["forward"]["error"]
    assert [rows[name]["operations"] for name in rows] == [21, 23, 28, 82, 21]


@pytest.mark.parametrize("method", [forward_difference, central_difference, complex_step])
@pytest.mark.parametrize("h", [0.0, -1e-3, math.inf, math.nan])
def test_a_step_that_is_none_is_refused(method, h):
    with pytest.raises(ConfigError, match="h must be positive and finite"):
        method(lambda x: x, 1.0, h)


def test_a_function_that_drops_the_imaginary_part_is_refused():
    with pytest.raises(TypeError, match=r"f must return a complex number for a complex one; got float 1.0. Use cmath"):
        complex_step(abs, 1.0)
    assert complex_step(cmath.sin, 0.0) == 1.0


@pytest.mark.parametrize(("best", "name"), [(best_forward_step, "second"), (best_central_step, "third")])
def test_there_is_no_best_step_where_nothing_is_truncated(best, name):
    with pytest.raises(ConfigError, match=f"{name} must not be 0; got 0.0"):
        best(1.0, 0.0)
