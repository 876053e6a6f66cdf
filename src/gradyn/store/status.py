"""How far is a folder? Its plan against its tables, its failures and whoever is at work; nothing is locked or written.

`status(folder, elsewhere)` takes the run ids that somebody else vouches for as in flight: jobs of a queue that outlive their driver.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gradyn.core import ConfigError, inert
from gradyn.store.failures import failures
from gradyn.store.flight import Flight, flight
from gradyn.store.folder import FAILURES, stored_log
from gradyn.store.planned import planned
from gradyn.store.shards import Shard, inventory

_AGAIN = "the same command goes on"


@dataclass(frozen=True, slots=True)
class Status:
    """Where a folder's runs are; each run of the plan is counted once.

    Args:
        folder: as it was given.
        planned: runs of the latest command; None: the folder keeps no plan.
        done: stored runs of the plan by their status (of all runs, where there is no plan).
        failed: ids of runs that raised and are neither done nor in flight.
        in_flight: how many are in the hands of workers.
        besides: stored runs of earlier commands that the plan lacks.
        set_aside: files of `runs/` that can't be read or are not gradyn's.
        flight: the driver at work.
    """

    folder: Path
    planned: int | None
    done: Counter[str]
    failed: tuple[str, ...] = ()
    in_flight: int = 0
    besides: int = 0
    set_aside: int = 0
    flight: Flight | None = field(default=None, compare=False)

    @property
    def missing(self) -> int:
        """Runs of the plan that nobody has done, is doing, or has failed at."""
        return (self.planned or 0) - self.done.total() - len(self.failed) - self.in_flight

    @property
    def is_complete(self) -> bool:
        """Whether every run of the plan is stored."""
        return self.planned is not None and self.done.total() == self.planned

    def lines(self) -> Iterator[str]:
        """For people: what is done, failed, in flight, missing; who is at work, and how long it takes."""
        done = self.done.total()
        kinds = ", ".join(f"{count:,} {inert(kind)}" for kind, count in self.done.most_common())
        if self.planned is None:
            yield f"{inert(self.folder)}: {done:,} runs done; it keeps no plan, so nobody can say how many are missing: give the sweep command again."
        else:
            yield f"{inert(self.folder)}: {done:,} of {self.planned:,} runs done{f' ({done / self.planned:.0%})' if self.planned else ''}"
        if kinds:
            yield f"  done       {done:>9,}  {kinds}"
        if self.failed:
            place = inert(self.folder / FAILURES)
            yield f"  failed     {len(self.failed):>9,}  tracebacks in {place}; to try them again: the same command with --retry-failed"
        if self.in_flight or self.flight:
            yield f"  in flight  {self.in_flight:>9,}  {_by(self.flight)}"
        if self.planned is not None and not self.is_complete:
            yield f"  missing    {self.missing:>9,}" + ("" if self.flight or self.in_flight or not self.missing else f"  nobody is at work: {_AGAIN}")
        if self.flight and not self.is_complete:
            left = self.flight.seconds_left
            yield f"  time left  {'not known yet' if left is None else duration(left)}"
        if self.besides:
            yield f"  besides    {self.besides:>9,}  runs of earlier commands"
        if self.set_aside:
            yield f"  unreadable {self.set_aside:>9,}  files in runs/: the next start sets them aside and runs what they held"


def status(folder: str | Path, elsewhere: Collection[str] = ()) -> Status:
    """Where the runs of a folder are.

    Reads one footer and one or two columns a shard, the names in `failures/`, and three small files.

    Args:
        folder: `results/<name>`.
        elsewhere: ids of runs in flight that no driver on this machine knows of (a job queue's).

    Raises:
        ConfigError: no folder, none of a sweep, or one of another schema version.
    """
    folder = Path(folder)
    if not folder.is_dir():
        what = "a file" if folder.exists() else "nothing there"
        raise ConfigError(inert(folder), "be the folder of a sweep", what, "Look into `results`: each sweep has a folder there.")
    if stored_log(folder) is None:
        what = "an empty folder" if not any(folder.iterdir()) else "a folder without sweep.json"
        raise ConfigError(inert(folder), "be the folder of a sweep", what, "Look into `results`: each sweep has a folder there.")
    # Before the tables: what is committed in between is then counted as done, and never as lost.
    at_work = flight(folder)
    plan = planned(folder)
    wanted = None if plan is None else frozenset(plan)
    found = inventory(folder)
    done: Counter[str] = Counter()
    seen: set[str] = set()
    besides: set[str] = set()
    for shard in found.shards:
        new = shard.run_ids - seen
        seen |= new
        chosen = new if wanted is None else new & wanted
        besides |= new - chosen
        done.update(_statuses(folder, shard, chosen))
    left = (wanted or frozenset()) - seen
    flying = left & ((at_work.run_ids if at_work else frozenset()) | frozenset(elsewhere))
    failed = sorted((left - flying) & failures(folder).keys())
    aside = len(found.broken) + len(found.foreign)
    return Status(folder, None if wanted is None else len(wanted), done, tuple(failed), len(flying), len(besides), aside, at_work)


def duration(seconds: float) -> str:
    """A time in the two units that matter: `45 s`, `3 min 20 s`, `2 h 5 min`, `1 d 4 h`."""
    whole = max(0, round(seconds))
    for large, small, size, part in (("d", "h", 86400, 3600), ("h", "min", 3600, 60), ("min", "s", 60, 1)):
        if whole >= size:
            return f"{whole // size} {large} {whole % size // part} {small}"
    return f"{whole} s"


def _statuses(folder: Path, shard: Shard, chosen: frozenset[str]) -> Counter[str]:
    if not chosen:
        return Counter()
    is_whole = chosen == shard.run_ids
    try:
        table = pq.read_table(folder / "runs" / f"{shard.name}.parquet", columns=["status"] if is_whole else ["run_id", "status"])
    except (OSError, pa.ArrowInvalid):
        # Moved aside by a driver at this moment, or damaged behind a whole footer.
        return Counter({"unreadable": len(chosen)})
    kinds = table["status"].to_pylist()
    if not is_whole:
        kinds = [kind for kind, run_id in zip(kinds, table["run_id"].to_pylist(), strict=True) if run_id in chosen]
    return Counter(kinds)


def _by(at_work: Flight | None) -> str:
    if at_work is None:
        return "by jobs of the queue"
    known = "" if at_work.holder.is_here else " (another host: whether it lives can't be seen from here)"
    return f"by {at_work.holder}{known}"
