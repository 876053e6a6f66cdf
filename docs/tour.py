"""Runs tour.ipynb from top to bottom in a folder of its own and keeps what it prints and draws: `python docs/tour.py`.

The test suite runs it too, and compares. `--check FOLDER` runs it in FOLDER and exits with 1 where a cell prints something else.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).with_suffix(".ipynb")


def executed(folder: str | Path) -> Any:
    """The notebook with fresh outputs; nothing of it depends on the day or the machine.

    Args:
        folder: where its cells run; they make `results/` there.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell raised.
    """
    notebook = copy.deepcopy(nbformat.read(NOTEBOOK, as_version=4))
    NotebookClient(notebook, timeout=300, kernel_name="python3", record_timing=False, resources={"metadata": {"path": str(folder)}}).execute()
    notebook.metadata = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return notebook


def printed(notebook: Any) -> list[str]:
    """What each cell prints or shows as text, in however many pieces it came; pictures are left to the eye."""
    return ["".join(map(_text, cell.get("outputs", ()))) for cell in notebook.cells]


def _text(output: Any) -> str:
    if output.output_type == "stream":
        return str(output.text)
    return "" if "image/png" in output.get("data", {}) else str(output.get("data", {}).get("text/plain", ""))


def main() -> str | None:
    """The command line; returns what is wrong."""
    if sys.argv[1:2] != ["--check"]:
        with tempfile.TemporaryDirectory() as folder:
            nbformat.write(executed(folder), NOTEBOOK)
        return None
    before, after = printed(nbformat.read(NOTEBOOK, as_version=4)), printed(executed(sys.argv[2]))
    different = [number for number, (old, new) in enumerate(zip(before, after, strict=True)) if old != new]
    return "\n".join(f"Cell {number} prints\n{after[number]}\nand the notebook has\n{before[number]}" for number in different) or None


if __name__ == "__main__":
    sys.exit(main())
