"""The ledger: which Slurm array does which runs of a folder. `<folder>/slurm/<array>.json`, written right after sbatch.

The truth about what is done is `runs/`, and about what is alive the queue. Only the ledger knows which runs a living task will
commit: without it a second driver would do them once more.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gradyn.core import ConfigError
from gradyn.store import TEMPORARY, StoreError, create_text, shard_id
from gradyn.sweep import slurm

_FOLDER = "slurm"
_RUN_ID = re.compile(r"[0-9a-f]{16}")

# A part is what a task commits at once, by its run ids.
Part = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """An array of tasks, as it was submitted.

    Args:
        array: Slurm's id.
        tasks: for each index, the parts that it commits one after the other.
        place: name of the submission's private folder.
        since: when it was submitted, ISO 8601.
    """

    array: int
    tasks: tuple[tuple[Part, ...], ...]
    place: str
    since: str = ""

    def all_runs(self) -> frozenset[str]:
        """The run ids of all tasks."""
        return frozenset().union(*map(self.runs, range(len(self.tasks))))

    def runs(self, index: int) -> frozenset[str]:
        """The run ids of a task; empty for an index that the array has not."""
        return frozenset(run for part in self.tasks[index] for run in part) if index < len(self.tasks) else frozenset()

    def shards(self, index: int) -> frozenset[str]:
        """Names of the files that a task writes."""
        return frozenset(map(shard_id, self.tasks[index])) if index < len(self.tasks) else frozenset()

    def log(self, index: int) -> str:
        """File name of a task's log in the private folder."""
        # submitit makes an array of several tasks only.
        return f"{self.array}_{index}_0_log.out" if len(self.tasks) > 1 else f"{self.array}_0_log.out"


def job_name(folder: Path) -> str:
    """The name of a folder's jobs: the sweep's, and a hash of where the folder is, so that two folders of one name are two."""
    place = folder.resolve()
    return f"gradyn-{place.name}-{hashlib.sha256(str(place).encode()).hexdigest()[:8]}"


def private_folder(folder: Path) -> Path:
    """Where a folder's submissions keep what they hand to submitit, and their logs: beside the results, never among them."""
    return folder.resolve().parent / ".slurm" / job_name(folder)


def begin(folder: Path) -> None:
    """Mark the folder as one that may have jobs, before the first is submitted.

    Raises:
        OSError: the disk refused.
    """
    (folder / _FOLDER).mkdir(exist_ok=True)


def write(folder: Path, array: int, tasks: Sequence[Sequence[Part]], place: str) -> Entry:
    """Add an array, atomically.

    Raises:
        StoreError: there is such an array already.
        OSError: the disk refused.
    """
    since = datetime.now(UTC).isoformat(timespec="seconds")
    path = folder / _FOLDER / f"{array}.json"
    if not create_text(path, json.dumps({"array": array, "since": since, "place": place, "tasks": tasks}) + "\n"):
        raise StoreError(f"{path} is there already, though Slurm has given its number only now. Move it away and run the same command again.")
    return Entry(array, tuple(tuple(map(tuple, task)) for task in tasks), place, since)


def read(folder: Path) -> list[Entry]:
    """The arrays of a folder, oldest first.

    Raises:
        ConfigError: a file is not what `write` wrote.
    """
    entries = []
    for path in (folder / _FOLDER).glob("*.json"):
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            tasks = tuple(tuple(tuple(part) for part in task) for task in kept["tasks"])
            entry = Entry(kept["array"], tasks, kept["place"], str(kept["since"]))
            is_ours = type(entry.array) is int and path.stem == str(entry.array) and re.fullmatch(r"[0-9a-f]{32}", entry.place)
            if not is_ours or not all(_RUN_ID.fullmatch(run) for task in tasks for part in task for run in part):
                raise ValueError("no array id, place or run id where one should be")
        except (ValueError, KeyError, TypeError) as error:
            fix = "Move it away if none of its jobs is alive."
            raise ConfigError(str(path), "be a ledger that gradyn wrote", f"{type(error).__name__}: {error}", fix) from error
        entries.append(entry)
    return sorted(entries, key=lambda entry: entry.array)


def forget(folder: Path, entry: Entry, *, keep_logs: bool) -> None:
    """Remove an array that is over, and what submitit kept of it.

    Raises:
        OSError: the disk refused.
    """
    place = private_folder(folder) / entry.place
    if keep_logs:
        for path in [*place.glob("*.pkl"), *place.glob("*.json")]:
            path.unlink(missing_ok=True)
    else:
        shutil.rmtree(place, ignore_errors=True)
    (folder / _FOLDER / f"{entry.array}.json").unlink(missing_ok=True)


def tidy(folder: Path, entries: Iterable[Entry]) -> None:
    """Remove what drivers left that died while they submitted; nothing of `entries`, and no logs that were kept.

    Raises:
        OSError: the disk refused.
    """
    for path in (folder / _FOLDER).glob(f".*{TEMPORARY}"):
        path.unlink(missing_ok=True)
    kept = {entry.place for entry in entries}
    for place in private_folder(folder).glob("*"):
        if place.name not in kept and any(place.glob("*.json")):
            shutil.rmtree(place, ignore_errors=True)


def in_flight(folder: Path) -> dict[str, frozenset[str]]:
    """Job (`<array>_<index>`) -> the run ids that it was given, for the folder's tasks that Slurm still has.

    What is in `runs/` already is among them; where the folder has no ledger Slurm is not asked.

    Raises:
        ConfigError: a ledger is broken.
        SlurmError: squeue does not answer, or is not here.
    """
    entries = {entry.array: entry for entry in read(folder)}
    if not entries:
        return {}
    return {job.key: entries[job.array].runs(job.index) for job in slurm.queue(job_name(folder)) if job.array in entries}


def require_no_jobs(folder: Path) -> None:
    """Raise where Slurm may still be at work in the folder: a local driver would do its runs once more.

    Raises:
        ConfigError: there are jobs, or nobody here can say.
    """
    if not (folder / _FOLDER).is_dir():
        return
    entries = read(folder)
    try:
        arrays = sorted({job.array for job in slurm.queue(job_name(folder))})
    except slurm.SlurmError as error:
        if not entries:
            return
        fix = f"Go on with hydra/launcher=slurm where squeue answers, or remove {folder / _FOLDER} if its jobs are over."
        raise ConfigError(str(folder), "have no Slurm jobs in flight", f"{len(entries)} arrays in its ledger, and {error}", fix) from error
    if arrays:
        ids = " ".join(map(str, arrays))
        raise ConfigError(str(folder), "have no Slurm jobs in flight", f"jobs {ids}", f"Attach to them with hydra/launcher=slurm, or: scancel {ids}")


def waiting_runs(entries: Mapping[int, Entry], jobs: Sequence[slurm.Job]) -> frozenset[str]:
    """Run ids that living tasks were given."""
    return frozenset().union(*(entries[job.array].runs(job.index) for job in jobs if job.array in entries))
