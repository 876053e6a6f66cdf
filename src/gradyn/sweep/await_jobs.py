"""Await jobs: watch the store and the queue until every run that was asked for is there, has raised, or has nobody who does it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping

from gradyn.store import done, failures
from gradyn.sweep import ledger, slurm
from gradyn.sweep.arrivals import Arrivals
from gradyn.sweep.launch import Watcher
from gradyn.sweep.ledger import Entry
from gradyn.sweep.pack import cost
from gradyn.sweep.plan import Plan
from gradyn.sweep.progress import Progress
from gradyn.sweep.shard import Zeros
from gradyn.sweep.site import Site
from gradyn.sweep.slurm import Job, SlurmError
from gradyn.sweep.spec import RunSpec

# A task that is not in the queue is believed to be over when it was not there so many times: some sites answer from a cache.
_LOOKS = 2
# Once everything is there: for the last task to leave the queue, so that its pickles can go.
_ENDING = 10.0


def await_jobs(
    plan: Plan,
    site: Site,
    entries: dict[int, Entry],
    wanted: Mapping[str, RunSpec],
    failed_before: set[str],
    progress: Progress,
    watcher: Watcher | None,
) -> int:
    """Watch until nothing more can come; returns the exit code."""
    work = {run: cost((spec,)) for run, spec in wanted.items()}
    before = len(plan.specs) - len(wanted) - len(failed_before)
    arrivals = Arrivals(plan.folder, work)
    watch = _Watch(plan, entries, progress)
    statuses: Counter[str] = Counter()
    failed: dict[str, str] = {}
    zeros = Zeros()
    code = 0
    with progress:
        try:
            while True:
                # The queue first: what leaves it between the two looks has committed before the second.
                watch.look_at_queue()
                waited = set(arrivals.missing)
                found = arrivals.look()
                statuses.update(found.statuses)
                failed |= found.failed
                zeros += found.zeros
                for run_id, line in found.failed.items():
                    progress.say(f"run {run_id} raised {line}")
                came = waited - arrivals.missing
                if came:
                    progress.advance(len(came), sum(work[run] for run in came))
                if came and watcher is not None:
                    watcher(before + sum(statuses.values()), len(plan.specs))
                if not arrivals.missing - watch.lost(arrivals.missing):
                    break
                time.sleep(site.poll_seconds)
            watch.end()
        except KeyboardInterrupt:
            code = 130
            progress.say(how_it_goes_on(watch.arrays() or entries))
    progress.summary(statuses, failed, failed_before, zeros)
    return code or int(bool(failed or failed_before or arrivals.missing))


def how_it_goes_on(arrays: Iterable[int]) -> str:
    """What goes on without a driver, and how to attach to it or end it."""
    ids = " ".join(map(str, sorted(arrays)))
    if not ids:
        return "No jobs are in the queue. Go on: the same command."
    return f"The jobs go on without this command. Attach: the same command again. Cancel: scancel {ids}"


class _Watch:
    """Which tasks are alive, as far as squeue says.

    Args:
        plan: what is waited for.
        entries: the arrays that do it.
        progress: where it is said.
    """

    def __init__(self, plan: Plan, entries: Mapping[int, Entry], progress: Progress) -> None:
        self._plan, self._entries, self._progress = plan, entries, progress
        self._runs = {f"{array}_{index}": entry.runs(index) for array, entry in entries.items() for index in range(len(entry.tasks))}
        self._absent: Counter[str] = Counter()
        self._said: set[str] = set()
        self._jobs: list[Job] = []

    def look_at_queue(self) -> None:
        """Ask squeue; where it does not answer, everything is as it was."""
        try:
            self._jobs = [job for job in slurm.queue(ledger.job_name(self._plan.folder)) if job.array in self._entries]
        except SlurmError as error:
            self._say("squeue", f"{error}. Still waiting: what the jobs commit is seen without it.")
            return
        self._said.discard("squeue")
        alive = {job.key for job in self._jobs}
        for key in self._runs:
            self._absent[key] = 0 if key in alive else self._absent[key] + 1
        for job in self._jobs:
            if job.is_held:
                self._say(f"held {job.key}", f"Task {job.key} is held ({job.reason}): scontrol release {job.key}, or scancel {job.key}")

    def lost(self, missing: Collection[str]) -> set[str]:
        """Runs that are missing and have nobody who does them; says so once a task."""
        carried = {run for key, runs in self._runs.items() if self._absent[key] < _LOOKS for run in runs}
        gone = set(missing) - carried
        for key, runs in self._runs.items():
            if undone := runs & gone:
                self._say(f"lost {key}", f"Task {key} is over and left {len(undone):,} of {len(runs):,} runs undone; its log: {self._log(key)}")
        return gone

    def end(self) -> None:
        """Wait a moment for the last tasks to leave the queue, and forget the arrays that have."""
        deadline = time.monotonic() + _ENDING
        settled = done(self._plan.folder) | set(failures(self._plan.folder))
        while time.monotonic() < deadline and any(self._runs[job.key] <= settled for job in self._jobs if job.key in self._runs):
            time.sleep(0.5)
            self.look_at_queue()
        alive = {job.array for job in self._jobs}
        for array, entry in self._entries.items():
            if array not in alive and "squeue" not in self._said:
                ledger.forget(self._plan.folder, entry, keep_logs=not entry.all_runs() <= settled)

    def arrays(self) -> set[int]:
        """Those that have a task in the queue, as of the last look."""
        return {job.array for job in self._jobs}

    def _log(self, key: str) -> str:
        array, _, index = key.partition("_")
        entry = self._entries[int(array)]
        return str(ledger.private_folder(self._plan.folder) / entry.place / entry.log(int(index)))

    def _say(self, key: str, line: str) -> None:
        if key not in self._said:
            self._said.add(key)
            self._progress.say(line)
