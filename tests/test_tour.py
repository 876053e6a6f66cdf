"""The tour's notebook runs from top to bottom, and prints what it has."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TOUR = Path(__file__).parents[1] / "docs" / "tour.py"


def test_the_tour_prints_what_it_has(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(TOUR), "--check", str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    # In the folder that was given, and nowhere else.
    assert (tmp_path / "results" / "tour" / "runs").is_dir()
