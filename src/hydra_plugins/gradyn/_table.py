"""A plan in words: how many runs, over which axes, how many are done, how they were composed."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradyn.sweep import Plan

# Values of an axis that fit on a line of a terminal.
_SHOWN = 12


def stored(plan: Plan) -> frozenset[str]:
    """Ids of the plan's runs that the folder has.

    Raises:
        ConfigError: the folder is of another schema or log specification, or can't be written.
    """
    from gradyn.store import check_folder, done

    check_folder(plan.folder, plan.log.settings)
    if not plan.folder.is_dir():
        return frozenset()
    return done(plan.folder).intersection(plan.run_ids)


def lines(plan: Plan, done: Collection[str]) -> Iterator[str]:
    """The plan line, one line per axis, the notes."""
    total, left = len(plan.specs), len(plan.specs) - len(done)
    yield f"{plan.name}: {_runs(total)}, {len(done):,} already done, {left:,} to do, in {plan.folder}"
    indent = max((len(key) for key in plan.axes), default=0)
    for key, values in plan.axes.items():
        yield f"  {key:<{indent}}  {len(values):>4}  {_listed(values)}"
    yield from (f"  {note}" for note in plan.notes)


def run_lines(plan: Plan, done: Collection[str]) -> Iterator[str]:
    """One line per run: its id, whether it is done, and the settings that differ between runs."""
    rows = [spec.columns for spec in plan.specs]
    varying = [key for key in rows[0] if any(row.get(key) != rows[0][key] for row in rows)] if rows else []
    varying = list(dict.fromkeys([*(key for key in plan.axes if key in rows[0]), *varying])) if rows else []
    for run_id, row in zip(plan.run_ids, rows, strict=True):
        settings = " ".join(f"{key}={row[key]}" for key in varying if key in row)
        yield f"{run_id}  {'done' if run_id in done else 'to do':<5}  {settings}"


def _runs(count: int) -> str:
    return f"{count:,} run{'s' * (count != 1)}"


def _listed(values: tuple[Any, ...]) -> str:
    texts = [f"{value:.6g}" if isinstance(value, float) else str(value) for value in values]
    if len(texts) > _SHOWN:
        texts = [*texts[: _SHOWN - 2], "...", texts[-1]]
    return ", ".join(texts)
