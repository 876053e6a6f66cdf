"""Writes docs/columns.md from the columns that the code declares: `python docs/columns.py`; with `--check` it only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from gradyn.core import Column
from gradyn.store import TABLES, columns

PAGE = Path(__file__).with_suffix(".md")
HEAD = """# Columns

Written by `make docs` from the declarations in the code. Everything is measured at the weights *before* the step, gradients before clipping. In a column
whose name begins with `log10_`, -inf is an exact zero; NaN is not finite; null does not apply. Symbols: [notation.md](notation.md).
"""
KEYS = {"layers": "run, step and layer (1 ... depth)", "steps": "run and step", "runs": "run"}


def row(column: Column) -> str:
    """One line of a table; a bar would end the cell."""
    cells = [f"`{column.name}`", column.kind, column.unit, column.definition + (f" ({column.source})" if column.source else "")]
    return "| " + " | ".join(cell.replace("|", "&#124;") for cell in cells) + " |"


def page() -> str:
    """The whole text."""
    parts = [HEAD]
    for table in TABLES:
        parts += [f"## {table}\n\nOne row per {KEYS[table]}.\n", "| column | type | unit | definition |\n|---|---|---|---|"]
        parts += ["\n".join(row(column) for column in columns(table)) + "\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    if "--check" in sys.argv:
        sys.exit(None if PAGE.read_text(encoding="utf-8") == page() else f"{PAGE.name} is not what the code declares; run `make docs`.")
    PAGE.write_text(page(), encoding="utf-8")
