"""Three sentences that textbooks repeat, judged on every run: is the condition necessary, sufficient, both or neither?

A sentence says "where A holds, B happens". A run with A and without B shows that A is not sufficient; a run with B and without A
that A is not necessary. Where no run contradicts, the verdict says over how many runs. Depths below 8 are left out: there two
decades mean a rate that nobody calls vanishing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gradyn.report.frames import Frames, MissingError
from gradyn.report.rates import rates
from gradyn.report.sweeps.by_layer import max_derivative
from gradyn.report.sweeps.cures import WELL

_SHALLOWEST = 8


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence, its condition A and consequence B in measured words, and how clear a run is as a counter-example."""

    text: str
    condition: str
    consequence: str
    holds: Callable[[pd.DataFrame], pd.Series]
    happens: Callable[[pd.DataFrame], pd.Series]


SENTENCES = (
    Sentence(
        "sigma' < 1, so the gradient vanishes",
        "max|phi'| < 1",
        f"delta loses more than {WELL:g} decades over the hidden layers",
        lambda runs: runs["max_derivative"] < 1,
        lambda runs: runs["backward_span"] < -WELL,
    ),
    Sentence(
        "sigma' <= 0.25, so ten layers cost at least a factor 0.25^10",
        "sigmoid: max|phi'| <= 0.25",
        "delta loses at least log10 0.25^10 = -6.02 decades in ten layers",
        lambda runs: runs["max_derivative"] <= 0.25,
        lambda runs: 10 * runs["backward_rate"] <= 10 * math.log10(0.25),
    ),
    Sentence(
        "||W|| > 1, so the gradient explodes",
        "||W_l||_2 > 1 in every layer",
        f"delta gains more than {WELL:g} decades over the hidden layers",
        # Orthogonal weights have ||W||_2 = 1 up to the rounding of float32, about 64 * 6e-8.
        lambda runs: runs["least_spectral"] > 1 + 1e-5,
        lambda runs: runs["backward_span"] > WELL,
    ),
)


def sentences(frames: Frames) -> pd.DataFrame:
    """`sentences.csv`: one row a sentence and a scope (plain nets; all nets): counts, verdict, and the runs that show it.

    Raises:
        MissingError: no run is deep enough, or no delta was finite.
    """
    frames.need("depth", "activation", "init")
    deep = frames.runs[frames.runs["depth"] >= _SHALLOWEST]
    if deep.empty:
        raise MissingError(f"{frames.name} has no run of depth {_SHALLOWEST} or more; sweep depth=16,64 to judge the sentences.")
    table = rates(frames, deep)
    # An exact zero has vanished (-inf); what is not finite in the forward pass has no delta to judge.
    table = table[~table["backward_rate"].isna()].copy()
    settings = ["activation", *(name for name in table if name.startswith("activation."))]
    table["max_derivative"] = table.groupby(settings, dropna=False, observed=True)["run_id"].transform(lambda ids: max_derivative(table.loc[ids.index]))
    table["least_spectral"] = _least_spectral(frames, table)
    is_plain = np.ones(len(table), bool)
    for axis, value in (("norm", "none"), ("residual", "plain")):
        is_plain &= table[axis].to_numpy() == value if axis in table else True
    rows = [_judged(sentence, scope, part) for sentence in SENTENCES for scope, part in (("plain nets", table[is_plain]), ("all nets", table)) if len(part)]
    if not rows:
        raise MissingError(f"{frames.name} has no run with a finite delta of depth {_SHALLOWEST} or more.")
    return pd.DataFrame(rows)


def _least_spectral(frames: Frames, table: pd.DataFrame) -> pd.Series:
    rows = frames.initial
    hidden = rows["layer"] < rows["run_id"].map(table.set_index("run_id")["depth"])
    # Without a stored spectrum the condition is false and unknown alike; nan compares false, and the row says how many runs knew.
    return (
        table["run_id"].map(rows[hidden].groupby("run_id", observed=True)["weight_spectral"].min())
        if "weight_spectral" in rows
        else pd.Series(np.nan, index=table.index)
    )


def _judged(sentence: Sentence, scope: str, runs: pd.DataFrame) -> dict[str, object]:
    holds, happens = sentence.holds(runs), sentence.happens(runs)
    against_sufficient, against_necessary = runs[holds & ~happens], runs[~holds & happens]
    is_sufficient, is_necessary = against_sufficient.empty and bool(holds.any()), against_necessary.empty and bool(happens.any())
    words = {
        (True, True): "necessary and sufficient",
        (True, False): "sufficient, not necessary",
        (False, True): "necessary, not sufficient",
        (False, False): "neither",
    }
    verdict = (
        words[is_sufficient, is_necessary]
        if holds.any() and happens.any()
        else "not tested: " + ("the condition" if not holds.any() else "the consequence") + " never occurs"
    )
    row: dict[str, object] = {
        "sentence": sentence.text,
        "scope": scope,
        "condition": sentence.condition,
        "consequence": sentence.consequence,
        "verdict": verdict,
    }
    row |= {"runs": len(runs), "both": int((holds & happens).sum()), "condition_only": len(against_sufficient), "consequence_only": len(against_necessary)}
    for name, part in (("not_sufficient", against_sufficient), ("not_necessary", against_necessary)):
        # The clearest witness is the run furthest from what the sentence says: for the first kind the other way, for the second the same way.
        # Among the deepest ones: a shallow net is a witness that is easily doubted.
        part = part[part["depth"] == part["depth"].max()]
        ranked = part.assign(clear=part["backward_span"].clip(-1e3, 1e3)).sort_values(["clear", "run_id"])
        rises = sentence.happens(runs.assign(backward_span=math.inf, backward_rate=math.inf)).all()
        witness = None if part.empty else ranked.iloc[0 if (name == "not_sufficient") == rises else -1]
        row |= {f"{name}_run": "" if witness is None else witness["run_id"], f"{name}_net": "" if witness is None else _net(witness)}
    return row


def _net(run: pd.Series) -> str:
    parts = [f"depth {run['depth']}", run["activation"], run["init"]]
    parts += [f"{run[axis]} {axis}" for axis, rest in (("norm", "none"), ("residual", "plain")) if axis in run and run[axis] != rest]
    span = "exactly zero" if run["backward_rate"] == -math.inf else f"{run['backward_rate']:+.2f} decades a layer"
    spectral = run["least_spectral"]
    return ", ".join(parts) + f": delta {span}" + (f", smallest ||W||_2 {spectral:.2f}" if np.isfinite(spectral) else "")
