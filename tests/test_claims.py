"""Claims: z with few draws, verdicts at the family's limit, the error that a claim would notice, rivals, and how many values a board may hold."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gradyn.report import BIAS_FACTOR, MOST_CLAIMS, Z_LIMIT, Claim, Rival, rate_claim, seed_claim, wide_limit


def test_a_claim_about_a_value_is_judged_by_its_standard_error() -> None:
    values = pd.Series(np.linspace(0.9, 1.1, 101))
    error = float(values.std(ddof=1)) / math.sqrt(101)
    near, far = seed_claim("x", values, 1.0 + 3 * error), seed_claim("x", values, 1.0 + 6 * error)
    assert near.standard_error == pytest.approx(error, rel=1e-12)
    assert near.degrees == 100
    assert (near.verdict, far.verdict) == ("holds", "fails")
    assert Claim("x", math.nan, 1.0, 0.1, "").verdict == "not tested"
    assert seed_claim("x", values[:1], 1.0).verdict == "not tested", "one seed has no standard error"


def test_an_exact_claim_holds_for_its_number_and_no_other() -> None:
    exact, off = Claim("x", 5.0, 5.0, 0.0, "a count"), Claim("x", 5.0 + 1e-15, 5.0, 0.0, "a count")
    assert (exact.z, exact.verdict) == (0.0, "holds")
    assert (off.z, off.verdict) == (math.inf, "fails")
    assert Claim("x", math.nan, 5.0, 0.0, "").verdict == "not tested"
    limit = Claim("x", 4.0, 5.0, 0.0, "a count", "below")
    assert limit.verdict == "holds"
    assert math.isnan(limit.z)


@pytest.mark.parametrize(("ratio", "degrees"), [(0.5, 2), (3.0, 9), (5.0, 39), (40.0, 39), (200.0, 399), (60.0, 1e5), (1e6, 5)])
def test_few_draws_make_a_ratio_as_likely_as_its_z(ratio: float, degrees: float) -> None:
    z = Claim("x", ratio, 0.0, 1.0, "", degrees=degrees).z
    with mpmath.workdps(400):
        tail = mpmath.betainc(mpmath.mpf(degrees) / 2, 0.5, 0, degrees / (degrees + mpmath.mpf(ratio) ** 2), regularized=True) / 2
        normal = mpmath.erfc(mpmath.mpf(z) / mpmath.sqrt(2)) / 2
        # d log(tail) / dz is about z, so that eps in z is z^2 eps in the logarithm; scipy's functions are good to some ten eps.
        assert float(mpmath.log(normal) - mpmath.log(tail)) == pytest.approx(0.0, abs=100 * 2**-52 * max(1.0, z * z))
    assert Claim("x", -ratio, 0.0, 1.0, "", degrees=degrees).z == -z
    assert Claim("x", ratio, 0.0, 1.0, "").z == ratio, "known errors need no change"


def test_p_is_uniform_for_true_claims_even_from_three_seeds(rng: np.random.Generator) -> None:
    p = [seed_claim("x", pd.Series(rng.normal(1.0, 2.0, 3)), 1.0).p for _ in range(2000)]
    assert stats.kstest(p, "uniform").pvalue > 1e-4, "one false alarm in 10,000"
    naive = [float(2 * stats.norm.sf(abs(np.mean(x) - 1) / (np.std(x, ddof=1) / 3**0.5))) for x in rng.normal(1.0, 2.0, (2000, 3))]
    assert stats.kstest(naive, "uniform").pvalue < 1e-4, "Student's law is what makes the difference"


def test_a_family_of_true_claims_alarms_once_in_a_thousand() -> None:
    assert BIAS_FACTOR * (1 - (1 - 2 * stats.norm.sf(Z_LIMIT)) ** MOST_CLAIMS) == pytest.approx(1e-3, rel=1e-3)


def test_an_error_of_the_detectable_size_is_noticed_99_times_in_100(rng: np.random.Generator) -> None:
    draws, count, spread = 4000, 60, 0.1
    claims = [seed_claim("x", pd.Series(x), 1.0) for x in rng.normal(1.0, spread, (50, count))]
    share = float(np.mean([claim.detectable for claim in claims]))
    off = rng.normal(1.0 + share, spread, (draws, count))
    noticed = np.mean([seed_claim("x", pd.Series(x), 1.0).verdict == "fails" for x in off])
    # Binomial, 4 standard errors; the formula treats the scatter as known where it enters the power, which costs up to 1 %.
    assert noticed == pytest.approx(0.99, abs=4 * math.sqrt(0.99 * 0.01 / draws) + 0.01)
    assert math.isnan(Claim("x", 1.0, 0.0, 0.1, "").detectable)
    assert math.isnan(Claim("x", 1.0, 1.0, 0.0, "").detectable)
    assert math.isnan(Claim("x", 1.0, 1.0, 0.1, "", "below").detectable)


def test_a_rival_is_judged_by_the_same_error() -> None:
    claim = Claim("x", 1.0, 1.01, 0.01, "", rival=Rival("another formula", 1.1))
    assert claim.z == pytest.approx(-1.0)
    assert claim.rival_z == pytest.approx(-10.0)
    assert math.isnan(Claim("x", 1.0, 1.0, 0.01, "", rival=Rival("named only")).rival_z)
    assert math.isnan(Claim("x", 1.0, 1.0, 0.01, "").rival_z)


def test_two_widths_are_carried_to_infinite_width(rng: np.random.Generator) -> None:
    # A bias of 3 / N is gone, and the error is that of the difference: 4 s^2 / n + s^2 / n for N and 2 N.
    claims = [wide_limit({width: pd.Series(rng.normal(0.7 + 3 / width, 0.1, 50)) for width in (100, 200)}) for _ in range(400)]
    values, errors, degrees = (np.array(column) for column in zip(*claims, strict=True))
    assert abs(values.mean() - 0.7) < 4 * values.std(ddof=1) / 20
    assert errors.mean() == pytest.approx(math.sqrt(5 * 0.01 / 50), rel=0.03)
    assert stats.kstest(2 * stats.t.sf(np.abs(values - 0.7) / errors, degrees), "uniform").pvalue > 1e-4
    one = wide_limit({100: pd.Series([1.0, 2.0, 3.0])})
    assert one == pytest.approx((2.0, 1 / math.sqrt(3), 2.0))


def test_a_rate_is_claimed_as_a_factor(rng: np.random.Generator) -> None:
    logs = {width: pd.Series(rng.normal(math.log(0.5) + 2 / width, 0.01, 40)) for width in (64, 128)}
    claim = rate_claim("x", logs, 0.5, rival=Rival("1 / 4", 0.25))
    assert claim.verdict == "holds"
    assert claim.detectable < 0.05
    # A ratio of 150 is, with 57 degrees of freedom, as likely as a z of 18.
    assert claim.rival_z > 10
    assert "64 and 128" in claim.derivation
