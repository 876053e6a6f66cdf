"""Launch: a plan's missing runs through worker processes of one thread each, on this machine."""

from __future__ import annotations

import contextlib
import os
import time
from collections import Counter
from collections.abc import Callable, Collection

import torch

from gradyn.core import ConfigError, inert
from gradyn.store import StoreError, clean, done, failures, lock, open_folder, tell, write_plan
from gradyn.sweep.ledger import require_no_jobs
from gradyn.sweep.pack import Pack, cost, pack
from gradyn.sweep.plan import Plan
from gradyn.sweep.pool import NoWorkersError, Target, computed
from gradyn.sweep.progress import Progress
from gradyn.sweep.shard import Shard, Zeros, shards
from gradyn.sweep.spec import RunSpec
from gradyn.sweep.stop import Stopped, stoppable

_SECONDS_BETWEEN_TELLINGS = 1.0

# Called with (runs in the store, runs of the plan) after a shard; draws, or does nothing.
Watcher = Callable[[int, int], None]


def launch(plan: Plan, watcher: Watcher | None = None) -> int:
    """Run what the folder has not yet.

    Args:
        plan: runs, folder, log, execution.
        watcher: told of every committed shard.

    Returns:
        Exit code: 0, all runs of the plan are in the store; 1, some raised or the disk refused; 130, Ctrl-C
        (128 plus its number for another signal).

    Raises:
        ConfigError: device, folder or lock refuse; nothing has run.
    """
    check_device(plan.execution.device)
    open_folder(plan.folder, plan.log.settings)
    with lock(plan.folder):
        require_no_jobs(plan.folder)
        open_folder(plan.folder, plan.log.settings, plan.config)
        try:
            lines = clean(plan.folder)
        except OSError as error:
            raise ConfigError(str(plan.folder), "be readable and writable", inert(error), "Repair its permissions or its disk.") from error
        for line in lines:
            print(inert(line))
        write_plan(plan.folder, plan.run_ids)
        stored = done(plan.folder)
        # Of this plan: the folder may hold another command's failures too.
        failed_before = set() if plan.execution.retry_failed else set(failures(plan.folder)).intersection(plan.run_ids) - stored
        missing = [spec for spec, run_id in zip(plan.specs, plan.run_ids, strict=True) if run_id not in stored and run_id not in failed_before]
        work = queue(plan, missing)
        total = sum(cost(pack_) for shard in work for pack_ in shard)
        progress = Progress(plan, len(plan.specs) - len(missing) - len(failed_before), len(missing), total)
        exit_code = _carry_out(plan, work, failed_before, progress, watcher)
        # What workers that died or were stopped have begun: gone at once, for readers that know no `runs/`.
        with contextlib.suppress(OSError):
            clean(plan.folder)
        return exit_code


def check_device(name: str) -> None:
    """Raise unless torch can put a tensor on the device.

    Raises:
        ConfigError: there is no such device here.
    """
    try:
        torch.empty(1, device=name)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise ConfigError("device", "be a device of this machine", name, f"torch says: {reason}. Set device=cpu.") from error


def queue(plan: Plan, missing: list[RunSpec]) -> list[Shard]:
    """The missing runs as shards: the plan's first look before the rest, and the longest first within each.

    Runs as long as each other go by seed: those of one seed share what is drawn, and a sweep that is cut short has some seeds of all settings.
    """
    looked_at_first = [spec for spec in missing if plan.is_first(spec)]
    rest = [spec for spec in missing if not plan.is_first(spec)]

    def ordered(specs: list[RunSpec]) -> list[Pack]:
        return sorted(pack(specs, plan.execution.pack_size), key=lambda pack_: (-cost(pack_) / len(pack_), pack_[0].seed))

    return [*shards(ordered(looked_at_first)), *shards(ordered(rest))]


def _cores() -> int:
    """Cores that this process may use: fewer than the machine's under `taskset`, or in a job that was given some of a node's."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _carry_out(plan: Plan, work: list[Shard], failed_before: set[str], progress: Progress, watcher: Watcher | None) -> int:
    missing = sum(len(pack_) for shard in work for pack_ in shard)
    workers = plan.execution.workers or _cores()
    statuses: Counter[str] = Counter()
    failed: dict[str, str] = {}
    zeros = Zeros()
    exit_code = 0
    with progress, stoppable() as stop:
        try:
            # Closed by name: whatever falls into this block must stop the workers before anything else happens.
            with contextlib.closing(computed(Target.of(plan), work, workers, stop, _Telling(plan, progress))) as results:
                for result in results:
                    statuses.update(result.statuses)
                    failed |= result.failed
                    zeros += result.zeros
                    for run_id, line in result.failed.items():
                        progress.say(f"run {run_id} raised {line}")
                    progress.advance(len(result.statuses) + len(result.failed), result.work)
                    if watcher is not None:
                        watcher(len(plan.specs) - missing - len(failed_before) + sum(statuses.values()), len(plan.specs))
        except Stopped as stopped:
            exit_code = stopped.exit_code
        except StoreError as error:
            progress.say(str(error))
            exit_code = 1
        except NoWorkersError as error:
            progress.say(f"Nothing can be computed: {error}.")
            exit_code = 1
    progress.summary(statuses, failed, failed_before, zeros)
    return exit_code or int(bool(failed or failed_before))


class _Telling:
    """Tells whoever watches the folder what is in the workers' hands, at most once a second."""

    def __init__(self, plan: Plan, progress: Progress) -> None:
        self._plan, self._progress = plan, progress
        self._not_before = 0.0

    def __call__(self, in_hand: Collection[Shard]) -> None:
        if time.monotonic() >= self._not_before:
            self._not_before = time.monotonic() + _SECONDS_BETWEEN_TELLINGS
            run_ids = [spec.run_id for shard in in_hand for pack_ in shard for spec in pack_]
            tell(self._plan.folder, run_ids, self._progress.seconds_left)
