"""The scoreboard: every experiment's claims with their verdicts, in one table that says where its numbers come from."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Hashable, Mapping, Sequence
from difflib import get_close_matches
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import pandas as pd

from gradyn.core import ConfigError, require
from gradyn.report.claims import FALSE_ALARMS, MOST_CLAIMS, POWER, Z_LIMIT
from gradyn.report.experiment import Experiment, Sweep, at_scale, carry_out, claims_table, experiments, in_a_process
from gradyn.report.frames import read
from gradyn.report.measured import SCALES, twin
from gradyn.report.predicted import coverage
from gradyn.report.tables import frame_table
from gradyn.report.write import figures
from gradyn.store import provenance

_SIDES = {"below": "< ", "above": "> ", "equal": ""}
# The columns of the LaTeX table.
_PRINTED = ("experiment", "claim", "predicted", "measured", "z", "verdict")
# What a row says of the judgement itself.
_MADE = ("commit", "versions", "hardware", "date")
# In place of a pattern of names.
_INITIALIZATION = "initialization"


def chosen(patterns: Sequence[str] | None) -> list[str]:
    """Names of the experiments that fit any of the shell patterns (`autodiff_*`), in alphabetical order; None: all.

    `initialization` is all that look at nets which take no step, and train none beside.

    Raises:
        ConfigError: a pattern fits none; the line names what is near.
    """
    known = list(experiments())
    found = set()
    for pattern in known if patterns is None else patterns:
        is_kind = pattern == _INITIALIZATION
        fitting = [name for name in known if (twin(name).is_of_initialization if is_kind else fnmatchcase(name, pattern))]
        near = get_close_matches(pattern.strip("*"), [*known, _INITIALIZATION], n=3, cutoff=0.5)
        rule = f"be one of {', '.join(known)}, a pattern of some, or {_INITIALIZATION} (all whose nets take no step)"
        # A word that is nearly right is meant; further ones are no help beside it.
        near = get_close_matches(pattern, near, n=1, cutoff=0.9) or near
        require(bool(fitting), "experiment", rule, pattern, f"Did you mean {' or '.join(near)}?" if near else "")
        found.update(fitting)
    return sorted(found)


def reproduce(
    results: Path,
    scoreboard: Path,
    *,
    only: Sequence[str] | None = None,
    is_run: bool = True,
    scale: str = "full",
    fresh: int = 0,
    sweep: Sweep = in_a_process,
) -> int:
    """Sweep, measure and draw experiments, judge their claims, write `scoreboard.md` and `scoreboard.csv`; prints the seconds of each.

    What a folder has already is not computed again, so the second call costs the drawing alone. Rows of experiments that were
    not asked for stay as they are; the board is written after each experiment. Where the board has a folder of its own, the figures
    are copied beside it.

    Args:
        results: folder of folders.
        scoreboard: folder to write to, made where it is missing; at the small scale `<results>/smoke` whatever is given.
        only: names of experiments, or shell patterns; None for all.
        is_run: False to judge what the folders hold.
        scale: full or smoke.
        fresh: 0 for the seeds of the YAML twins; k for other seeds, in the folder `<results>/fresh/<k>`, board included, without figures.
        sweep: carries out the grids of an experiment.

    Returns:
        Exit code: 0, or 1 where a sweep did not finish or a claim of those asked for fails.

    Raises:
        ConfigError: no experiment fits `only`, no such scale, or `fresh` is below 0.
    """
    require(scale in SCALES, "scale", f"be among {', '.join(SCALES)}", scale)
    names, known = chosen(only), experiments()
    results = at_scale(results, scale, fresh)
    scoreboard = board_folder(results, scoreboard, scale, fresh)
    code = 0
    for name in names:
        began = time.perf_counter()
        if is_run:
            status, is_new = carry_out(known[name], results, scale, fresh=fresh, sweep=sweep)
            code = max(code, int(status != 0))
            if not fresh:
                # Once, when all is there; other seeds are for their verdicts alone.
                code = max(code, _draw(results / name))
        kept = keep_figures(name, results / name / "figures", scoreboard) if scoreboard != results else []
        table = _judged(known[name], results / name).assign(figures=" ".join(kept), **{key: provenance()[key] for key in (*_MADE, "dirty")})
        code = max(code, int((table["verdict"] == "fails").any()))
        write_board(scoreboard, table, list(known), scale)
        if is_run:
            drawn = "" if fresh else f"; figures in {results / name / 'figures'}"
            sys.stdout.write(f"{name}: {time.perf_counter() - began:.1f} s{'' if is_new else ', measured before'}{drawn}\n")
            sys.stdout.flush()
    return code


def keep_figures(name: str, drawn: Path, board: Path) -> list[str]:
    """Copy an experiment's figures (PNG) and captions to the board's folder, under names that begin with its own; returns those of the figures."""
    found = []
    for path in sorted(drawn.glob("*.png")):
        stem = path.stem if path.stem == name else f"{name}_{path.stem}"
        board.mkdir(parents=True, exist_ok=True)
        for file in (path, path.with_suffix(".md")):
            if file.is_file():
                shutil.copyfile(file, board / f"{stem}{file.suffix}")
        found.append(f"{stem}.png")
    return found


def board_folder(results: Path, scoreboard: Path, scale: str, fresh: int = 0) -> Path:
    """Where the scoreboard goes: the small scale's and that of fresh seeds lie with their results, so that none can pass for the other."""
    return results if scale == "smoke" or fresh else scoreboard


def write_board(folder: Path, judged: pd.DataFrame, known: Sequence[str], scale: str = "full") -> None:
    """Put the rows of some experiments on the board in `folder`; rows of others stay, those of experiments that are gone go."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scoreboard.csv"
    stay = pd.read_csv(path) if path.is_file() else judged.iloc[:0]
    stay = stay[stay["experiment"].isin(set(known) - set(judged["experiment"]))]
    # Concatenating an empty frame would ask pandas for the types of its columns.
    table = pd.concat([part for part in (stay, judged) if len(part)], ignore_index=True)
    table = table.sort_values("experiment", kind="stable", key=lambda names: names.map(list(known).index))
    table.to_csv(path, index=False)
    cells = frame_table("scoreboard", "Scoreboard", table[[name for name in _PRINTED if name in table]])
    (folder / "scoreboard.tex").write_text(cells.latex(), encoding="utf-8")
    (folder / "scoreboard.md").write_text(_markdown(table, scale), encoding="utf-8")


def shown(folder: Path, scale: str = "full", only: Sequence[str] | None = None) -> str:
    """The board in `folder` as Markdown, with the rows of these experiments alone.

    Args:
        folder: what `reproduce` has written to.
        scale: full or smoke.
        only: names of experiments, or shell patterns; None for all.
    """
    table = pd.read_csv(folder / "scoreboard.csv")
    return _markdown(table[table["experiment"].isin(chosen(only))] if only else table, scale)


def _draw(folder: Path) -> int:
    """0, or 1 where the figures fail, with a line that says why: the claims are judged, and the other experiments go on, all the same."""
    try:
        figures(folder, formats=["png"])
    except (ConfigError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        sys.stderr.write(f"{folder.name}: no figures. {type(error).__name__}: {reason}\n")
        return 1
    return 0


def _judged(experiment: Experiment, folder: Path) -> pd.DataFrame:
    try:
        frames = read(folder)
        found = coverage(frames)
        said = {"settings": found.settings, "predicted_share": found.share, "no_theory": found.reason} if found else {}
        return claims_table(experiment, frames).assign(reason="", seconds=frames.seconds, **said)
    except (ConfigError, KeyError, ValueError) as error:
        # A folder that is not there, or lacks an axis: the experiment stays on the board, untested, with the reason.
        reason = " ".join(str(error).split())
        return pd.DataFrame(
            [{"experiment": experiment.name, "claim": "all claims", "verdict": "not tested", "source": str(experiment.source), "reason": reason}]
        )


def _markdown(table: pd.DataFrame, scale: str) -> str:
    counts = table["verdict"].value_counts()
    lines = [
        "# Scoreboard",
        "",
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + ". A failed claim stays. Made by `make reproduce`.",
        "",
        *_judgement(table),
        *(["The small scale: that everything runs. A claim speaks of the full scale and may fail here.", ""] if scale == "smoke" else []),
        *_origins(table),
        "",
        "| experiment | claim | theory | measured | z | detects | rival | verdict | seconds | source |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        said = _SIDES.get(str(row.get("side")), "") + _number(row.get("predicted"))
        reason = row.get("reason")
        claim = f"{row['claim']} ({reason})" if isinstance(reason, str) and reason else row["claim"]
        cells = [
            row["experiment"],
            claim,
            said,
            _measured(row),
            _z(row.get("z")),
            _share(row.get("detectable")),
            _rival(row),
            row["verdict"],
            _seconds(row.get("seconds")),
            row["source"],
        ]
        lines.append(_row(cells))
    return "\n".join([*lines, *_predictions(table), *_figures(table)]) + "\n"


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |"


def _figures(table: pd.DataFrame) -> list[str]:
    """Links to the figures that lie beside the board."""
    if "figures" not in table:
        return []
    # A column that is empty throughout comes back from a CSV as floats.
    names = table["figures"].astype(object).fillna("").str.strip()
    rows = table[names != ""].drop_duplicates("experiment").to_dict("records")
    if not rows:
        return []
    return ["", "## Figures", "", *(f"- {row['experiment']}: " + ", ".join(f"[{name}]({name})" for name in row["figures"].split()) for row in rows)]


def _predictions(table: pd.DataFrame) -> list[str]:
    """For how much of each sweep `gradyn.theory.predict` has a prediction, whether a claim is about it or not."""
    if "predicted_share" not in table or not table["predicted_share"].notna().any():
        return []
    # An empty cell comes back from a CSV as nan.
    swept = table[table["predicted_share"].notna()].drop_duplicates("experiment").fillna({"no_theory": ""})
    cells = ([row["experiment"], f"{row['settings']:.0f}", f"{row['predicted_share']:.0%}", row["no_theory"]] for row in swept.to_dict("records"))
    return [
        "",
        "## What theory predicts",
        "",
        "Of the numbers that a sweep has at initialization (settings x columns x layers, seeds aside), the share with a prediction by",
        "`gradyn.theory.predict`, and the most frequent reason where there is none. A claim without a prediction is not tested, never passed.",
        "",
        "| experiment | settings | predicted | where not |",
        "|---|---|---|---|",
        *map(_row, cells),
    ]


def _origins(table: pd.DataFrame) -> list[str]:
    """One line for each origin of rows, with the experiments judged there: a subset may have been judged on another day."""
    found: dict[str, list[str]] = {}
    for row in table.drop_duplicates("experiment").to_dict("records"):
        made = {key: str(row[key]) if isinstance(row.get(key), str) else "unknown" for key in _MADE}
        commit = f"{made['commit']}{' with changes' if row.get('dirty') is True else ''}"
        found.setdefault(f"Commit {commit}; {made['versions']}; {made['hardware']}; {made['date'][:10]}", []).append(str(row["experiment"]))
    if len(found) == 1:
        return [f"{next(iter(found))}."]
    return [f"- {origin}: {', '.join(names)}." for origin, names in found.items()]


def _judgement(table: pd.DataFrame) -> list[str]:
    """How values were judged, and how sharply, in words."""
    if "detectable" not in table or not table["detectable"].notna().any():
        return []
    by_chance, rejected = table["detectable"].dropna(), table["rival_z"].abs()
    sentences = (
        f"A value holds if |z| < {Z_LIMIT:.2f}: with at most {MOST_CLAIMS} values that chance moves, all true, a board shows a failure in at most",
        f"{FALSE_ALARMS:g} of runs (what finite nets put them off by is in it).",
        f"`detects` is the relative error that a claim would have noticed with probability {POWER:g}.",
        f"Its median over {len(by_chance)} claims is {by_chance.median():.2%}.",
        f"{int((rejected > 6).sum())} rival formulas are rejected at |z| > 6.",
        "`seconds` are of one core, for the experiment's runs and measurements.",
    )
    return [" ".join(sentences), ""]


def _measured(row: Mapping[Hashable, Any]) -> str:
    error = row.get("standard_error")
    is_known = isinstance(error, float) and math.isfinite(error) and error > 0
    return _number(row.get("measured")) + (f" ± {error:.1g}" if is_known and row.get("side") == "equal" else "")


def _rival(row: Mapping[Hashable, Any]) -> str:
    formula, said, z = row.get("rival"), row.get("rival_predicted"), row.get("rival_z")
    if not isinstance(formula, str) or not formula:
        return ""
    return formula + (f": {_number(said)}" if _number(said) else "") + (f" (z {z:+.0f})" if isinstance(z, float) and math.isfinite(z) else "")


def _z(value: object) -> str:
    return "exact" if value == 0 else f"{value:+.1f}" if isinstance(value, float) and not math.isnan(value) else ""


def _share(value: object) -> str:
    return f"{value:.2g} %" if isinstance(value, float) and math.isfinite(value := 100 * value) else ""


def _seconds(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) and math.isfinite(value) else ""


def _number(value: object) -> str:
    if not isinstance(value, (int, float)) or math.isnan(value):
        return ""
    # A count is said in full.
    return f"{value:.0f}" if math.isfinite(value) and value == round(value) and abs(value) < 1e9 else f"{value:.4g}"
