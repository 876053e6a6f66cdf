"""Tasks: a plan's missing runs, cut into what one job of a cluster does, and each as a JSON file that the job reads.

A task is minutes of work, so that the queue's own seconds don't count; it commits in parts of half a minute, so that a job which
dies loses no more. A part is a shard: its file is named for its runs, whoever computes it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gradyn.core import ConfigError, options
from gradyn.probes import AbstractProbe
from gradyn.store import create_text, done
from gradyn.sweep.pack import Pack, cost
from gradyn.sweep.plan import Log
from gradyn.sweep.shard import Shard
from gradyn.sweep.spec import RunSpec

# Of a core at the sizes of the default sweep (2026-11): its 4,320 runs are 4.7e12 of `cost` and take 8 minutes of a core. Beside
# that every layer and step of a stack costs its calls, however small it is.
_COST_A_SECOND = 1e10
_SECONDS_A_CALL = 2e-4
_PART_SECONDS = 30.0
_PART_RUNS = 192

Task = tuple[Shard, ...]


def seconds(pack: Pack) -> float:
    """How long a core takes for a pack, by estimate."""
    spec = pack[0]
    return cost(pack) / _COST_A_SECOND + _SECONDS_A_CALL * spec.depth * max(spec.steps, 1)


def tasks(packs: Iterable[Pack], minutes: float, cpus: int = 1) -> list[Task]:
    """Consecutive packs as parts, and parts as tasks of about so many minutes on so many cores."""
    most = minutes * 60
    parts = _cut(packs, min(_PART_SECONDS, most), seconds, len, _PART_RUNS)
    return _cut(parts, most * cpus, lambda part: sum(map(seconds, part)))


def _cut(items: Iterable[Any], enough: float, weight: Any, size: Any = lambda _: 0, most: int = 0) -> list[tuple[Any, ...]]:
    """Consecutive items in groups of about `enough` weight and of size `most` at most."""
    groups: list[tuple[Any, ...]] = []
    current: list[Any] = []
    held, count = 0.0, 0
    for item in items:
        if current and (held + weight(item) > enough or count + size(item) > most):
            groups.append(tuple(current))
            current, held, count = [], 0.0, 0
        current.append(item)
        held, count = held + weight(item), count + size(item)
    return [*groups, tuple(current)] if current else groups


def ids(task: Task) -> list[tuple[str, ...]]:
    """The run ids of each part."""
    return [tuple(spec.run_id for pack in part for spec in pack) for part in task]


@dataclass(frozen=True, slots=True)
class Work:
    """What a job has to do.

    Args:
        folder: the sweep's, absolute.
        log: what is kept.
        device: a torch device of the node.
        workers: processes.
        task: the parts.
    """

    folder: Path
    log: Log
    device: str
    workers: int
    task: Task

    def write(self, path: Path) -> None:
        """As JSON: numbers and names alone.

        Raises:
            OSError: the disk refused.
        """
        parts = [[[{"run_id": spec.run_id, **spec.columns} for spec in pack] for pack in part] for part in self.task]
        about = {"folder": str(self.folder), "log": self.log.settings, "device": self.device, "workers": self.workers}
        create_text(path, json.dumps({**about, "parts": parts}, allow_nan=False) + "\n")

    @classmethod
    def read(cls, path: Path) -> Work:
        """From JSON; every run is held to the id that it was planned under.

        Raises:
            ConfigError: a run has another id here: another version of gradyn, or other bytes in a data file.
        """
        about = json.loads(path.read_text(encoding="utf-8"))
        task = tuple(tuple(tuple(map(_spec, pack)) for pack in part) for part in about["parts"])
        return cls(Path(about["folder"]), _log(about["log"]), about["device"], about["workers"], task)

    def missing(self) -> list[Shard]:
        """What the folder lacks of it: a job that was put back into the queue goes on behind its last part."""
        stored = done(self.folder)
        # A part is committed whole: what is missing of one with anything in the store has raised.
        return [part for part, runs in zip(self.task, ids(self.task), strict=True) if not stored.intersection(runs)]


def modules(specs: Sequence[RunSpec], log: Log) -> tuple[str, ...]:
    """Modules of components that are not gradyn's own: a job has to import them before it can name their options."""
    components = [*(part for spec in specs for part in spec.components.values()), *log.probes]
    return tuple(sorted({module for part in components if not (module := type(part).__module__).startswith("gradyn.")}))


def _spec(row: dict[str, Any]) -> RunSpec:
    spec = RunSpec.from_columns(_hashable(row))
    if spec.run_id != row["run_id"]:
        fix = "The node must have the same gradyn and the same data files as the machine that submitted."
        raise ConfigError(f"run {row['run_id']}", "have the same id on the node", spec.run_id, fix)
    return spec


def _log(settings: dict[str, Any]) -> Log:
    known = options(AbstractProbe)
    probes = tuple(known[name](**_hashable(given)) for name, given in settings.get("probes", {}).items())
    return Log.of({"layers": settings["layers"], "steps": settings["steps"], "probes": probes, "spectral": settings.get("spectral", True)})


def _hashable(settings: dict[str, Any]) -> dict[str, Any]:
    # JSON has lists where components have tuples.
    return {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
