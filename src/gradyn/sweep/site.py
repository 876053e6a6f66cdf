"""Site: what a Slurm cluster is asked for, checked before anything is submitted."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Any

from gradyn.core import require

# A long option of sbatch as one writes it in a script, with or without `#SBATCH`.
_LINE = re.compile(r"(?:#SBATCH\s+)?--(?P<key>[a-z][a-z0-9-]*)(?:=(?P<value>.+))?")
# What gradyn itself needs to say; another value would lose runs or logs.
_OURS = ("array", "job-name", "output", "error", "open-mode", "signal", "requeue", "no-requeue", "ntasks", "nodes")
_EXAMPLES = {"sbatch": 'hydra.launcher.sbatch=["--gres=gpu:1"]', "setup": 'hydra.launcher.setup=["module load cuda"]'}
# Seconds before the time limit at which a task is told to stop, as long as that leaves it most of its time.
_NOTICE = 90


@dataclass(frozen=True, slots=True)
class Site:
    """A site's settings: the fields of `configs/hydra/launcher/slurm.yaml`.

    Args:
        partition: where jobs go; None: the site's default.
        account: who pays; None: the site's default.
        time: minutes that a task may take, after which it goes back into the queue.
        memory: of a task, as Slurm writes it (`4G`); None: the partition's default.
        cpus: cores of a task, one thread of gradyn each.
        constraint: features that nodes must have; None: any node.
        sbatch: further lines for sbatch, as one writes them in a script (`--gres=gpu:1`).
        setup: shell lines before python starts (`module load ...`).
        max_in_flight: tasks of one array that may run at once; None: 256.
        shard_minutes: work of one task, by estimate.
        wait: stay, show progress and end with the summary; False: submit and leave.
        poll_seconds: between two looks at the queue.
        dry_run: print the batch script and submit nothing.

    Raises:
        ConfigError: a value breaks its rule.
    """

    partition: str | None = None
    account: str | None = None
    time: int = 60
    memory: str | None = "4G"
    cpus: int = 1
    constraint: str | None = None
    sbatch: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()
    max_in_flight: int | None = None
    shard_minutes: float = 3.0
    wait: bool = True
    poll_seconds: float = 5.0
    dry_run: bool = False

    def __post_init__(self) -> None:
        for key in ("partition", "account", "constraint"):
            value = getattr(self, key)
            _require(value is None or _is_line(value), key, "be one word as sbatch takes it, or null", value)
        # Slurm's notice may come a minute early, and a job that has just begun can't heed it yet.
        _require(type(self.time) is int and self.time >= 2, "time", "be a whole number of minutes >= 2", self.time)
        _require(type(self.cpus) is int and self.cpus >= 1, "cpus", "be a whole number >= 1", self.cpus)
        is_size = self.memory is None or (isinstance(self.memory, str) and re.fullmatch(r"[1-9]\d*[KMGT]", self.memory) is not None)
        _require(is_size, "memory", "be a size such as 4G or 800M, or null", self.memory)
        limit = self.max_in_flight
        _require(limit is None or (type(limit) is int and limit >= 1), "max_in_flight", "be a whole number >= 1, or null", limit)
        for key in ("shard_minutes", "poll_seconds"):
            value = getattr(self, key)
            _require(type(value) in (int, float) and math.isfinite(value) and value > 0, key, "be a number > 0", value)
        for key in ("wait", "dry_run"):
            _require(isinstance(getattr(self, key), bool), key, "be true or false", getattr(self, key))
        for key in ("sbatch", "setup"):
            lines = getattr(self, key)
            _require(isinstance(lines, tuple) and all(map(_is_line, lines)), key, "be a list of lines", lines, f"For example '{_EXAMPLES[key]}'.")
        for line in self.sbatch:
            found = _LINE.fullmatch(line.strip())
            _require(found is not None, "sbatch", "be lines such as --gres=gpu:1", line)
            assert found is not None
            _require(found["key"] not in _OURS, "sbatch", f"leave {', '.join(_OURS)} to gradyn", line)

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Site:
        """From the launcher's section of the config; lists become tuples.

        Raises:
            ConfigError: a value breaks its rule.
        """
        known = [entry.name for entry in fields(cls)]
        for key, value in settings.items():
            _require(key in known, key, f"be one of {', '.join(known)}", value)
        values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in settings.items()}
        return cls(**values)

    @property
    def options(self) -> dict[str, str | bool]:
        """The further lines for sbatch: option -> value, or True where it has none."""
        found = [_LINE.fullmatch(line.strip()) for line in self.sbatch]
        return {match["key"]: match["value"] or True for match in found if match}

    @property
    def notice(self) -> int:
        """Seconds before the time limit at which Slurm tells a task."""
        return min(_NOTICE, self.time * 60 // 4)


def _is_line(value: Any) -> bool:
    return isinstance(value, str) and value.strip() != "" and "\n" not in value


def _require(holds: bool, key: str, rule: str, value: Any, fix: str = "") -> None:
    require(holds, f"hydra.launcher.{key}", rule, value, fix)
