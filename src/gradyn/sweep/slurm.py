"""Slurm's own commands: what is in the queue, cancel, how long an array may be. No accounting: `sacct` is never asked."""

from __future__ import annotations

import re
import shutil
import subprocess
from dataclasses import dataclass

from gradyn.core import ConfigError

# A busy controller takes its time; a dead one never answers.
_PATIENCE = 60.0
_TOOLS = ("sbatch", "squeue", "scancel", "scontrol", "srun")
# Slurm's own default, where its configuration does not say.
_MAX_ARRAY_SIZE = 1001


class SlurmError(RuntimeError):
    """A command of Slurm's failed; the text is one line: the command, and what it said."""


@dataclass(frozen=True, slots=True)
class Job:
    """A task in the queue.

    Args:
        array: id of its array, or of the job where there is none.
        index: in the array; 0 where there is none.
        state: as squeue writes it (`PENDING`, `RUNNING`, ...).
        reason: why it is not running.
    """

    array: int
    index: int
    state: str
    reason: str

    @property
    def key(self) -> str:
        """`<array>_<index>`."""
        return f"{self.array}_{self.index}"

    @property
    def is_held(self) -> bool:
        """Whether it waits for somebody to release it (Slurm holds what it could not start several times)."""
        return self.state == "PENDING" and "held" in self.reason.lower()


def require_slurm() -> None:
    """Raise unless Slurm's commands are here.

    Raises:
        ConfigError: one is missing.
    """
    missing = [tool for tool in _TOOLS if shutil.which(tool) is None]
    if missing:
        fix = "Run this on a login node of the cluster, or leave hydra/launcher out to compute here."
        raise ConfigError("hydra/launcher", "find Slurm's commands on the PATH", f"no {', '.join(missing)}", fix)


def queue(name: str) -> list[Job]:
    """The jobs of a name that are pending, running or ending, each task of an array by itself.

    Raises:
        SlurmError: squeue failed.
    """
    jobs = []
    for line in _ask("squeue", "--noheader", "--array", f"--name={name}", "--format=%F|%K|%T|%r").splitlines():
        found = re.fullmatch(r"(\d+)\|(\d+|N/A)\|(\w+)\|(.*)", line.strip())
        if found is None:
            raise SlurmError(f"squeue: {line!r} is no line of a queue.")
        array, index, state, reason = found.groups()
        jobs.append(Job(int(array), 0 if index == "N/A" else int(index), state, reason))
    return jobs


def cancel(array: int) -> None:
    """Cancel a whole array; one that is over already is no error.

    Raises:
        SlurmError: scancel failed.
    """
    try:
        _ask("scancel", str(array))
    except SlurmError as error:
        if "Invalid job id" not in str(error):
            raise


def largest_array() -> int:
    """How many tasks an array may have: indices stay below Slurm's MaxArraySize.

    Raises:
        SlurmError: scontrol failed.
    """
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", _ask("scontrol", "show", "config"), re.MULTILINE)
    return max(1, (int(found[1]) if found else _MAX_ARRAY_SIZE) - 1)


def _ask(*words: str) -> str:
    try:
        done = subprocess.run(words, capture_output=True, text=True, timeout=_PATIENCE, check=False, stdin=subprocess.DEVNULL)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(f"{words[0]}: {error}") from error
    if done.returncode:
        said = " ".join(done.stderr.split()) or f"exit code {done.returncode}"
        raise SlurmError(said if said.startswith(words[0]) else f"{words[0]}: {said}")
    return done.stdout
