"""The scoreboard: every experiment's claims with their verdicts, in one table that says where its numbers come from."""

from __future__ import annotations

import math
import subprocess
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

from gradyn.core import ConfigError
from gradyn.report.experiment import Experiment, claims_table, experiments
from gradyn.report.frames import read
from gradyn.store import provenance

_SIDES = {"below": "< ", "above": "> ", "equal": ""}


def reproduce(results: Path, scoreboard: Path, *, only: Sequence[str] | None = None, is_run: bool = True) -> int:
    """Sweep and draw every experiment, judge its claims, write `scoreboard.md` and `scoreboard.csv`.

    What a folder has already is not run again, so the second call costs the drawing alone.

    Args:
        results: folder of the sweeps' folders.
        scoreboard: folder to write to, made where it is missing.
        only: names of experiments; None for all.
        is_run: False to judge what the folders hold.

    Returns:
        Exit code: 0, or 1 where a sweep did not finish. A claim that fails is a result and no error.

    Raises:
        ConfigError: there is no experiment of a name in `only`.
    """
    known = experiments()
    for name in only or ():
        if name not in known:
            raise ConfigError("experiment", f"be one of {', '.join(known)}", name)
    code = 0
    tables = []
    for name, experiment in known.items():
        if only and name not in only:
            continue
        if is_run:
            command = [sys.executable, "-m", "gradyn", "sweep", f"experiment={name}", f"results={results}"]
            code = max(code, int(subprocess.run(command, check=False).returncode != 0))
        tables.append(_judged(experiment, results / name))
    table = pd.concat(tables, ignore_index=True)
    scoreboard.mkdir(parents=True, exist_ok=True)
    table.to_csv(scoreboard / "scoreboard.csv", index=False)
    (scoreboard / "scoreboard.md").write_text(_markdown(table), encoding="utf-8")
    return code


def _judged(experiment: Experiment, folder: Path) -> pd.DataFrame:
    try:
        return claims_table(experiment, read(folder)).assign(reason="")
    except (ConfigError, KeyError, ValueError) as error:
        # A folder that is not there, or lacks an axis: the experiment stays on the board, untested, with the reason.
        reason = " ".join(str(error).split())
        return pd.DataFrame(
            [{"experiment": experiment.name, "claim": "all claims", "verdict": "not tested", "source": str(experiment.source), "reason": reason}]
        )


def _markdown(table: pd.DataFrame) -> str:
    made = provenance()
    commit = f"{made['commit'] or 'unknown'}{' with changes' if made['dirty'] else ''}"
    counts = table["verdict"].value_counts()
    lines = [
        "# Scoreboard",
        "",
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + ". A failed claim stays. Made by `make reproduce`.",
        "",
        f"Commit {commit}; {made['versions']}; {made['hardware']}; {datetime.now(UTC):%Y-%m-%d}.",
        "",
        "| experiment | claim | verdict | measured | said | standard error | z | source |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        said = _SIDES.get(str(row.get("side")), "") + _number(row.get("predicted"))
        claim = f"{row['claim']} ({row['reason']})" if row["reason"] else row["claim"]
        cells = [
            row["experiment"],
            claim,
            row["verdict"],
            _number(row.get("measured")),
            said,
            _number(row.get("standard_error")),
            _number(row.get("z")),
            row["source"],
        ]
        lines.append("| " + " | ".join(str(cell).replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _number(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, (int, float)) and not math.isnan(value) else ""
