"""Fresh seeds: the whole scoreboard repeated, which shows whether its standard errors are right.

    gradyn reproduce --fresh 1-20        boards in results/fresh/<k>; every claim of a sweep in fresh.csv, what they say together in fresh.md

Sets add up: fresh.csv keeps those of earlier commands, so that twenty may be made in twenty nights.

If every claim is true and every standard error right, p-values are uniform over repetitions, whatever the claims are about: errors
that are too small pile them up at 0, errors that are too large at 1, and a wrong prediction is one claim's p near 0 again and again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from scipy import stats

from gradyn.core import ConfigError, require

# A test at this level fails for right errors once in a hundred times.
LEVEL = 0.01

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


def summary(found: pd.DataFrame) -> str:
    """The page: how uniform the p-values are, by experiment and in all, and which claims failed.

    Kolmogorov and Smirnov's test takes its values for independent; claims of one experiment may share runs, so that the test of all
    rejects more easily than its level says. By experiment the same holds within a set, never between sets.
    """
    sets, commits, failed = found["set"].nunique(), found["commit"].nunique(), found[found["verdict"] == "fails"]
    limits, found = found[found["p"].isna()], found[found["p"].notna()]
    count, overall = len(found), stats.kstest(found["p"], "uniform")
    lines = [
        "# Fresh seeds",
        "",
        (
            f"{sets} sets of seeds that the experiments do not have, up to {found.groupby('set').size().max()} judged numbers each, {count} in all, "
            f"from {commits} commit{'s' * (commits > 1)}. Made by `gradyn reproduce --fresh`."
        ),
        "",
        (
            f"p-values against the uniform law (Kolmogorov, Smirnov): D = {overall.statistic:.3f}, p = {overall.pvalue:.2g}: "
            f"{'uniform' if overall.pvalue > LEVEL else 'not uniform'} at {LEVEL:.0%}. |z| at most {found['z'].abs().max():.2f}; "
            f"{(found['z'].abs() > 2).mean():.1%} beyond 2 (4.6 % expected). {int((found['verdict'] == 'fails').sum())} failed."
        ),
        "",
        "| experiment | numbers | p of the test | mean z | rms z (1 if right) | largest |z| |".replace("|z|", "\\|z\\|"),
        "|---|---|---|---|---|---|",
    ]
    for name, part in found.groupby("experiment"):
        test = stats.kstest(part["p"], "uniform")
        z = part["z"]
        lines.append(f"| {name} | {len(part)} | {test.pvalue:.2g} | {z.mean():+.2f} | {(z**2).mean() ** 0.5:.2f} | {z.abs().max():.2f} |")
    by_claim = found.groupby(["experiment", "claim"])["z"].agg(["mean", "count"])
    # The mean of k independent z has the error 1 / sqrt(k).
    off = by_claim[by_claim["mean"].abs() * by_claim["count"] ** 0.5 > 3]
    lines += ["", f"Claims whose mean z over the sets is more than 3 of its errors from 0: {len(off) or 'none'}.", ""]
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
