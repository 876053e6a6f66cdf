"""Fresh seeds: the whole scoreboard repeated, which shows whether its standard errors are right.

    gradyn reproduce --fresh 1-20        boards in results/fresh/<k>; every claim of a sweep in fresh.csv, what they say together in fresh.md

Sets add up: fresh.csv keeps those of earlier commands, so that twenty may be made in twenty nights.

If every claim is true and every standard error right, p-values are uniform over repetitions, whatever the claims are about: errors
that are too small pile them up at 0, errors that are too large at 1, and a wrong prediction is one claim's p near 0 again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from gradyn.core import ConfigError, require
from gradyn.report.claims import Z_LIMIT

# A test at this level fails for right errors once in a hundred times.
LEVEL = 0.01

# Signs of fewer sets can't reach the level: 2^(1 - 7) is more than 1 %.
_FEWEST_SETS = 8

# Of signs of whole sets, from a fixed seed: the page is the same whenever it is made. p has a relative error of a tenth at 0.05.
_DRAWS = 2_000

# What is run and judged together.
_KEYS = ["set", "experiment"]


def fresh_sets(text: str) -> list[int]:
    """`3` -> [3]; `1-20` -> [1, ..., 20]; `1,4` -> [1, 4]; `0` are the seeds of the YAML twins.

    Raises:
        ConfigError: anything else.
    """
    found: list[int] = []
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdigit() or (dash and not last.isdigit()) or (dash and int(last) < int(first)):
            raise ConfigError("fresh", "be a number, a range (1-20) or several with commas", text, "Write --fresh 1-3.")
        found += range(int(first), int(last or first) + 1) if dash else [int(first)]
    require(len(set(found)) == len(found), "fresh", "name each set of seeds once", text)
    return found


def p_values(boards: Sequence[Path]) -> pd.DataFrame:
    """Every claim of several boards' sweeps: set (the folder's name), experiment, claim, z, p, verdict, commit; exact numbers and limits have no z and p.

    Experiments without a sweep are left out: what they measure is the same for any seed, and its error a bound and no scatter.
    """
    parts = []
    for board in boards:
        table = pd.read_csv(board / "scoreboard.csv")
        table = table[table["settings"].notna() & table["verdict"].isin(["holds", "fails"])]
        is_number = (table["side"] == "equal") & table["p"].notna() & (table["standard_error"] > 0)
        scores = table[["z", "p"]].where(is_number, other=float("nan"))
        parts.append(table.assign(set=board.name, z=scores["z"], p=scores["p"])[[*_KEYS, "claim", "z", "p", "verdict", "commit"]])
    return pd.concat(parts, ignore_index=True)


def recorded(found: pd.DataFrame, file: Path) -> pd.DataFrame:
    """What `file` has and what was found now, which goes into it; an experiment's set that is found again replaces the old one.

    Args:
        found: of `p_values`.
        file: fresh.csv; made where there is none.
    """
    if file.exists():
        old = pd.read_csv(file, dtype={"set": str})
        is_again = old.set_index(_KEYS).index.isin(found.set_index(_KEYS).index)
        found = pd.concat([old[~is_again], found], ignore_index=True)
    file.parent.mkdir(parents=True, exist_ok=True)
    found = found.sort_values(_KEYS, key=lambda column: column.astype(int) if column.name == "set" else column, kind="stable", ignore_index=True)
    found.to_csv(file, index=False)
    return found


def uniformity(found: pd.DataFrame) -> tuple[float, float]:
    """Kolmogorov and Smirnov's D of the p-values against the uniform law, and how often right errors give as large a one.

    Numbers of one set depend on each other: claims share runs, settings share draws. Sets do not. So the null distribution is that of
    the sets' own deviations with signs drawn at random, D* = max_x |sum_k s_k g_k(x)| / n, g_k(x) = how many of set k are <= x, less what
    the uniform law expects (a wild bootstrap over clusters: Cameron, Gelbach & Miller 2008, doi:10.1162/rest.90.3.414). Of k sets it can't
    say less than 2^(1-k): below 8 sets it rejects nothing at 1 %.

    With 26 experiments of 9 claims each, Kolmogorov and Smirnov's own p is below 1 % for 40 % of right boards where an experiment's claims
    correlate by 0.9, this one for 1 %; it finds errors 1.1 times too small, at correlations of 0.6, in 5 of 6 (60 simulations of 20 sets).

    Args:
        found: with columns set and p.

    Returns:
        D and p.
    """
    p = found["p"].to_numpy()
    at = np.sort(p)
    parts = [np.sort(part) for _, part in found.groupby("set")["p"]]
    deviation_KN = np.stack([np.searchsorted(part, at, side="right") - len(part) * at for part in parts]) / len(p)
    largest = np.abs(deviation_KN.sum(0)).max()
    signs_DK = np.random.default_rng(0).choice((-1.0, 1.0), size=(_DRAWS, len(parts)))
    as_large = (np.abs(signs_DK @ deviation_KN).max(1) >= largest * (1 - 1e-12)).sum()
    return float(stats.kstest(p, "uniform").statistic), float((1 + as_large) / (1 + _DRAWS))


def false_alarms(found: pd.DataFrame, limit: float = Z_LIMIT) -> float:
    """Expected number of claims beyond the limit in a run of the board, each as far off as its sets say; no less than P(any fails).

    A claim whose z is N(d, 1), d what finite nets put it off, has a mean of N(d, 1 / k) over k sets, so that
    P(|N(mean, 1 - 1 / k)| > limit), averaged over the sets' chance, is P(|N(d, 1)| > limit): an estimate without bias, which is added up.

    Args:
        found: with columns experiment, claim and z; claims of a single set say nothing and are left out.
        limit: of |z|.
    """
    by_claim = found.groupby(["experiment", "claim"])["z"].agg(["mean", "count"])
    by_claim = by_claim[by_claim["count"] > 1]
    spread = np.sqrt(1 - 1 / by_claim["count"])
    return float((stats.norm.sf((limit - by_claim["mean"]) / spread) + stats.norm.sf((limit + by_claim["mean"]) / spread)).sum())


def summary(found: pd.DataFrame) -> str:
    """The page: how uniform the p-values are, by experiment and in all, and which claims failed."""
    sets, commits, failed = found["set"].nunique(), found["commit"].nunique(), found[found["verdict"] == "fails"]
    limits, found = found[found["p"].isna()], found[found["p"].notna()]
    count, (distance, p), p_alone = len(found), uniformity(found), float(stats.kstest(found["p"], "uniform").pvalue)
    # Too few sets have no choice but to take their numbers for independent, which rejects more easily than the level says.
    judged = p if sets >= _FEWEST_SETS else p_alone
    lines = [
        "# Fresh seeds",
        "",
        (
            f"{sets} sets of seeds that the experiments do not have, up to {found.groupby('set').size().max()} judged numbers each, {count} in all, "
            f"from {commits} commit{'s' * (commits > 1)}. Made by `gradyn reproduce --fresh`."
        ),
        "",
        (
            f"p-values against the uniform law (Kolmogorov, Smirnov): D = {distance:.3f}, p = {p:.2g} with the numbers of a set as dependent as they "
            f"are ({p_alone:.2g} if they were not): {'uniform' if judged > LEVEL else 'not uniform'} at {LEVEL:.0%}. |z| at most {found['z'].abs().max():.2f}; "
            f"{(found['z'].abs() > 2).mean():.1%} beyond 2 (4.6 % expected). {int((found['verdict'] == 'fails').sum())} failed."
        ),
        "",
        "| experiment | numbers | p of the test | mean z | rms z (1 if right) | largest |z| |".replace("|z|", "\\|z\\|"),
        "|---|---|---|---|---|---|",
    ]
    for name, part in found.groupby("experiment"):
        z, shown = part["z"], f"{uniformity(part)[1]:.2g}" if part["set"].nunique() >= _FEWEST_SETS else ""
        lines.append(f"| {name} | {len(part)} | {shown} | {z.mean():+.2f} | {(z**2).mean() ** 0.5:.2f} | {z.abs().max():.2f} |")
    by_claim = found.groupby(["experiment", "claim"])["z"].agg(["mean", "count"])
    # The mean of k independent z has the error 1 / sqrt(k).
    off = by_claim[by_claim["mean"].abs() * by_claim["count"] ** 0.5 > 3]
    lines += ["", f"Claims whose mean z over the sets is more than 3 of its errors from 0: {len(off) or 'none'}."]
    if sets >= _FEWEST_SETS:
        risk = f"fails with a probability of at most {false_alarms(found):.1e}"
        lines[-1] += f" A run of the board, each of its {len(by_claim)} claims as far off as its mean says, {risk}."
    lines.append("")
    lines += [f"* {name}, {claim}: mean z {row['mean']:+.2f} over {row['count']:.0f} sets" for (name, claim), row in off.iterrows()]
    for row in failed.itertuples():
        said = "" if pd.isna(row.z) else f", z {row.z:+.1f}"
        lines.append(f"* failed: {row.experiment}, {row.claim}, set {row.set}{said}")
    if len(limits):
        lines += ["", "## Limits", "", "Claims of a sweep that say above or below, or exactly, by experiment and set: how many of them hold.", ""]
        held = limits.assign(holds=limits["verdict"] == "holds").groupby(_KEYS)["holds"].agg(["sum", "count"]).reset_index()
        held = held.assign(words=held["sum"].astype(str) + " of " + held["count"].astype(str)).pivot(index="experiment", columns="set", values="words")
        held = held[sorted(held.columns, key=int)].fillna("")
        lines += ["| experiment | " + " | ".join(f"set {name}" for name in held.columns) + " |", "|---" * (len(held.columns) + 1) + "|"]
        lines += [f"| {name} | " + " | ".join(row) + " |" for name, row in held.iterrows()]
    return "\n".join(lines).rstrip() + "\n"
