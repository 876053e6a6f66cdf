"""Claims: sentences with a number that can prove them wrong, and how they are judged.

    Claim("chi_1 of a sigmoid net", measured=0.0557, predicted=0.0557207, standard_error=4e-5, derivation="...", degrees=39)
    seed_claim("rate of an orthogonal net", rates_by_seed, predicted=1.0, rival=Rival("Gaussian's 3/n", 0.97))

A claim about a value is judged by z alone, at a limit so far out that a whole scoreboard of true claims raises a false alarm in at
most one run of a thousand. What that costs is said beside it: the relative error that the claim would not have missed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd
from scipy import special, stats

from gradyn.report.rates import interval

# A scoreboard has at most this many claims about values that chance moves; a test counts them.
MOST_CLAIMS = 260
# Nets are finite: what is left of order 1 / width^2 puts some true claims off by up to 0.8 standard errors. False alarms of the family are that
# much likelier for it (`gradyn.report.fresh.false_alarms`, twenty sets of fresh seeds; a test compares).
BIAS_FACTOR = 1.5
# A run of the whole scoreboard, every claim true, shows a failure with at most this probability (Bonferroni: whatever depends on what).
FALSE_ALARMS = 1e-3
# Two-sided: 4.70 standard errors.
Z_LIMIT = float(stats.norm.isf(FALSE_ALARMS / (MOST_CLAIMS * BIAS_FACTOR) / 2))
# Of an error as large as `Claim.detectable`.
POWER = 0.99


@dataclass(frozen=True, slots=True)
class Rival:
    """Another formula for the same number, which the measurement may reject.

    Args:
        formula: its name or its symbols.
        predicted: what it says; nan where it says nothing that could be judged (it is only named).
    """

    formula: str
    predicted: float = math.nan


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence with a number that can prove it wrong.

    Args:
        text: what is claimed, in words.
        measured: the number; nan where the folder lacks the runs.
        predicted: what the sentence says it is, or its limit.
        standard_error: of `measured`; nan where it can't be known, 0 where the number is exact (a count, or no rounding step):
            then nothing but `predicted` itself holds.
        derivation: where the standard error comes from.
        side: `below` or `above` where `predicted` is a limit, `equal` where it is a value.
        rival: another formula that the measurement rejects, where there is one.
        degrees: of freedom of the standard error: n - 1 for the scatter of n draws, inf where it is known from a law.
    """

    text: str
    measured: float
    predicted: float
    standard_error: float
    derivation: str
    side: str = "equal"
    rival: Rival | None = None
    degrees: float = math.inf

    @property
    def z(self) -> float:
        """(measured - predicted) / standard error on the scale of a normal variable; nan where one of them is.

        An error estimated from few draws makes large ratios likelier than a normal law has them: the ratio is carried to the z
        that is as likely. Where the number is exact, 0 or infinite for a value and nan for a limit: how far below it lies is no
        matter of chance.
        """
        return self._z(self.predicted)

    @property
    def rival_z(self) -> float:
        """The same against the rival's number; nan where there is none."""
        return math.nan if self.rival is None else self._z(self.rival.predicted)

    @property
    def p(self) -> float:
        """Probability of a |z| at least as large if the claim is true; uniform over repetitions. nan where z is."""
        return float(2 * stats.norm.sf(abs(self.z)))

    @property
    def detectable(self) -> float:
        """Error of `predicted`, relative to it, that this claim would have noticed with probability POWER.

        (t + z_POWER) standard errors, t the limit of |measured - predicted| / standard error; nan for limits, for exact
        numbers, and where the prediction is 0.
        """
        if self.side != "equal" or not self.standard_error or not self.predicted:
            return math.nan
        limit = stats.t.isf(stats.norm.sf(Z_LIMIT), self.degrees) if math.isfinite(self.degrees) else Z_LIMIT
        return float((limit + stats.norm.ppf(POWER)) * self.standard_error / abs(self.predicted))

    @property
    def verdict(self) -> str:
        """holds, fails or not tested; a limit is judged by the number itself, a value by |z| < Z_LIMIT."""
        if pd.isna(self.measured):
            return "not tested"
        if self.side == "below":
            return "holds" if self.measured < self.predicted else "fails"
        if self.side == "above":
            return "holds" if self.measured > self.predicted else "fails"
        return "not tested" if pd.isna(self.z) else "holds" if abs(self.z) < Z_LIMIT else "fails"

    def _z(self, predicted: float) -> float:
        off = self.measured - predicted
        if self.standard_error == 0 and not math.isnan(off):
            return math.nan if self.side != "equal" else math.copysign(math.inf, off) if off else 0.0
        ratio = off / self.standard_error if self.standard_error else math.nan
        if not math.isfinite(self.degrees) or math.isnan(ratio):
            return ratio
        return math.copysign(_as_normal(abs(ratio), self.degrees), ratio)


def seed_claim(text: str, values: pd.Series, predicted: float, side: str = "equal", rival: Rival | None = None) -> Claim:
    """A claim about a mean over seeds, with its standard error from their scatter."""
    found = interval(values.to_numpy(dtype=float))
    error = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")
    return Claim(text, found.mean, predicted, error, f"scatter of {found.count} seeds over the root of their number", side, rival, max(found.count - 1, 1))


def _as_normal(ratio: float, degrees: float) -> float:
    """The z whose normal tail is Student's tail beyond `ratio`, also where both are below the smallest float."""
    tail = float(stats.t.sf(ratio, degrees))
    if tail > 1e-290:
        return float(stats.norm.isf(tail))
    # tail = I_w(a, 1/2) / 2 with w = degrees / (degrees + ratio^2), a = degrees / 2; the series of I_w in its logarithm.
    a, w = degrees / 2, degrees / (degrees + ratio**2)
    log_tail = a * math.log(w) + 0.5 * math.log1p(-w) - math.log(2 * a) - special.betaln(a, 0.5) + math.log(special.hyp2f1(a + 0.5, 1, a + 1, w))
    # Newton steps on log P(Z > z), whose slope there is -z (to 1 / z^2).
    z = math.sqrt(-2 * log_tail)
    for _ in range(20):
        z += (float(stats.norm.logsf(z)) - log_tail) / z
    return z
