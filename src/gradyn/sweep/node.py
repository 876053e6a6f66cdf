"""Node: what a job does. submitit carries a path, and names of modules, into the job; everything else is read as JSON."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

from gradyn.sweep.launch import check_device
from gradyn.sweep.pool import Target, computed
from gradyn.sweep.stop import Stop
from gradyn.sweep.tasks import Work

# A task that is put back into the queue so often without having committed anything will never do so.
_MOST_IN_VAIN = 20


class Task:
    """Called in the job by submitit; computes what the folder lacks of its work.

    Args:
        path: the work's JSON file.
        modules: of the user's own components, imported first.
        in_vain: how often the task went back into the queue without a commit before.
    """

    def __init__(self, path: Path, modules: tuple[str, ...] = (), in_vain: int = 0) -> None:
        self.path, self.modules, self.in_vain = path, modules, in_vain

    def __call__(self) -> None:
        """Compute and commit, part by part.

        Raises:
            ConfigError: the node lacks the device, or plans other runs than the machine that submitted.
            StoreError: the disk refused.
        """
        for module in self.modules:
            importlib.import_module(module)
        work = Work.read(self.path)
        check_device(work.device)
        missing = work.missing()
        _say(f"{len(missing)} of {len(work.task)} parts to do in {work.folder}")
        # Signals are submitit's to answer: a Stop that hears none.
        for result in computed(Target(work.folder, work.log, work.device), list(missing), work.workers, Stop(), lambda shards: None):
            self.in_vain = 0
            _say(f"{len(result.statuses)} runs committed")
            for run_id, line in result.failed.items():
                _say(f"run {run_id} raised {line}")

    def checkpoint(self) -> Any:
        """Called by submitit before the time limit or a preemption: what goes back into the queue, or None for nothing."""
        from submitit.helpers import DelayedSubmission

        again = Task(self.path, self.modules, self.in_vain + 1)
        return DelayedSubmission(again) if again.in_vain <= _MOST_IN_VAIN else None


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
