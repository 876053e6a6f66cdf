"""What a sweep says while it runs, and at its end."""

from __future__ import annotations

import errno
import time
from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from gradyn.core import inert
from gradyn.store import duration
from gradyn.sweep.plan import Plan
from gradyn.sweep.shard import Zeros

# Without a terminal a bar is noise: one line at most this often.
_SECONDS_BETWEEN_LINES = 15.0
_RETRY = "To try them again: the same command with exec.retry_failed=true"


class Progress:
    """A bar with runs done, runs a second and time left; a summary at the end.

    Args:
        plan: what is carried out.
        before: runs that the store had already.
        missing: runs to do now.
        work: what they cost together, in any unit: deep nets come first, so that the time left goes by work and not by runs.
    """

    def __init__(self, plan: Plan, before: int, missing: int, work: float) -> None:
        self._plan, self._before, self._missing, self._work = plan, before, missing, work
        self._console = Console(highlight=False, soft_wrap=True)
        texts = (TextColumn(f"{{task.fields[{name}]}}") for name in ("runs", "rate", "left"))
        self._bar = Bar(TextColumn("{task.description}"), BarColumn(), *texts, console=self._console)
        self._task = self._bar.add_task(plan.name, total=work, runs="", rate="", left="")
        self._now, self._worked, self._started, self._said = 0, 0.0, time.monotonic(), time.monotonic()

    def __enter__(self) -> Self:
        self._started = time.monotonic()
        if self._console.is_terminal and self._missing:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar.live.is_started:
            self._bar.stop()

    def say(self, line: str) -> None:
        """A line above the bar; where it goes to a file on a full disk, the sweep goes on without it."""
        try:
            self._console.print(inert(line), markup=False)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS):
                raise

    @property
    def seconds_left(self) -> float | None:
        """By the work that is done and the time that it took; None: nothing is done."""
        if not self._worked:
            return None
        return (time.monotonic() - self._started) * (self._work - self._worked) / self._worked

    def advance(self, runs: int, work: float) -> None:
        """`runs` more are finished, `work` of all work."""
        self._now += runs
        self._worked += work
        seconds = max(time.monotonic() - self._started, 1e-9)
        runs_text, rate = f"{self._now:,} of {self._missing:,} runs", f"{self._now / seconds:,.1f} runs/s"
        left_text = f"{duration(self.seconds_left or 0.0)} left"
        self._bar.update(self._task, advance=work, runs=runs_text, rate=rate, left=left_text)
        if not self._console.is_terminal and time.monotonic() - self._said > _SECONDS_BETWEEN_LINES:
            self._said = time.monotonic()
            self.say(f"{runs_text}, {rate}, {left_text}")

    def summary(self, statuses: Counter[str], failed: dict[str, str], failed_before: set[str], zeros: Zeros) -> None:
        """What was done, what was not, where it is, what to do next."""
        seconds = time.monotonic() - self._started
        total, folder = len(self._plan.specs), self._plan.folder
        stored = self._before + sum(statuses.values())
        counts = ", ".join(f"{count:,} {status}" for status, count in statuses.most_common())
        now = f"{sum(statuses.values()):,} now ({counts})" if statuses else "none now"
        self.say(f"{stored:,} of {total:,} runs in {folder}: {self._before:,} before, {now}, {seconds:,.1f} s.")
        if zeros.norms:
            self.say(f"Exact zeros: {zeros.zeros:,} of {zeros.norms:,} log norms of gradients are -inf, in {zeros.runs:,} of the runs now.")
        if failed:
            self.say(f"{len(failed):,} runs raised; their tracebacks are in {folder / 'failures'}. {_RETRY}")
        if failed_before:
            self.say(f"{len(failed_before):,} runs raised in an earlier sweep and were not tried again. {_RETRY}")
        if stored < total - len(failed) - len(failed_before):
            self.say("Stopped early; nothing that was committed is lost. Go on: the same command again.")
