"""Figures while a sweep runs: drawn by a process of its own when the first look is complete, again now and then, and at the end."""

from __future__ import annotations

import subprocess
import sys
import time

from gradyn.sweep import Plan

# A drawing may take this share of the time: after one of 10 s the next begins 40 s later at the earliest.
_SHARE = 0.2


class Redraw:
    """Told of every committed shard (`gradyn.sweep.launch`'s watcher); draws beside the workers at low priority.

    Args:
        plan: what is being run; where it has a first look, nothing is drawn before that is complete.
    """

    def __init__(self, plan: Plan) -> None:
        self._folder = plan.folder
        self._look = sum(plan.is_first(spec) for spec in plan.specs) or 1
        self._process: subprocess.Popen[str] | None = None
        self._began = self._not_before = 0.0

    def __call__(self, done: int, total: int) -> None:
        """`done` of `total` runs are in the store."""
        if self._process is not None and self._process.poll() is not None:
            ended = time.monotonic()
            self._not_before = ended + (ended - self._began) * (1 / _SHARE - 1)
            self._process = None
        if self._process is None and self._look <= done < total and time.monotonic() >= self._not_before:
            self._began = time.monotonic()
            self._process = self._start(priority=10)

    def end(self, *, is_complete: bool) -> bool:
        """Draw what there is once more, or, after Ctrl-C, leave the figures that are there; False where the drawing failed, which has said why."""
        if self._process is not None:
            if is_complete:
                self._process.terminate()
            self._process.wait()
        # Where every run raised there is nothing to draw, and the sweep has said so.
        if is_complete and any((self._folder / "runs").glob("*.parquet")):
            process = self._start(priority=0)
            out, _ = process.communicate()
            if process.returncode != 0:
                sys.stderr.write(f"The runs are stored, their figures failed as said above. To draw again: gradyn figures {self._folder}\n")
                return False
            pictures = [line for line in out.splitlines() if line.endswith(".png")]
            sys.stdout.write(f"{len(pictures)} figures in {self._folder / 'figures'}, each with its points as CSV.\n")
            sys.stdout.write(f"As PDF and SVG too: gradyn figures {self._folder}\n")
        return True

    def _start(self, *, priority: int) -> subprocess.Popen[str]:
        words = ["nice", "-n", str(priority)] if priority else []
        words += [sys.executable, "-m", "gradyn", "figures", str(self._folder), "--format", "png"]
        # A drawing that fails says why on stderr, and the sweep goes on; only the last one speaks.
        quiet = subprocess.DEVNULL if priority else None
        # Its own session: Ctrl-C is for the sweep, and a drawing that is under way is finished.
        return subprocess.Popen(words, stdout=subprocess.PIPE if not priority else quiet, stderr=quiet, text=True, start_new_session=True)
