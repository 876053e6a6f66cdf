"""Launch: a plan's missing runs through worker processes of one thread each, on this machine."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import torch

from gradyn.core import ConfigError
from gradyn.store import StoreError, clean, done, failures, lock, open_folder
from gradyn.sweep.ledger import require_no_jobs
from gradyn.sweep.pack import Pack, cost, pack
from gradyn.sweep.plan import Log, Plan
from gradyn.sweep.progress import Progress
from gradyn.sweep.shard import Done, Shard, Zeros, run_shard, shards
from gradyn.sweep.spec import RunSpec

# Called with (runs in the store, runs of the plan) after a shard; draws, or does nothing.
Watcher = Callable[[int, int], None]


def launch(plan: Plan, watcher: Watcher | None = None) -> int:
    """Run what the folder has not yet.

    Args:
        plan: runs, folder, log, execution.
        watcher: told of every committed shard.

    Returns:
        Exit code: 0, all runs of the plan are in the store; 1, some raised or a worker died; 130, interrupted.

    Raises:
        ConfigError: device, folder or lock refuse; nothing has run.
    """
    check_device(plan.execution.device)
    open_folder(plan.folder, plan.log.settings)
    with lock(plan.folder):
        require_no_jobs(plan.folder)
        open_folder(plan.folder, plan.log.settings, plan.config)
        for line in clean(plan.folder):
            print(line)
        stored = done(plan.folder)
        # Of this plan: the folder may hold another command's failures too.
        planned = {spec.run_id for spec in plan.specs}
        failed_before = set() if plan.execution.retry_failed else planned & set(failures(plan.folder)) - stored
        missing = [spec for spec in plan.specs if spec.run_id not in stored and spec.run_id not in failed_before]
        work = queue(plan, missing)
        total = sum(cost(pack_) for shard in work for pack_ in shard)
        progress = Progress(plan, len(plan.specs) - len(missing) - len(failed_before), len(missing), total)
        return _carry_out(plan, work, failed_before, progress, watcher)


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
    """The missing runs as shards: the plan's first look before the rest, and the longest first within each."""
    looked_at_first = [spec for spec in missing if plan.is_first(spec)]
    rest = [spec for spec in missing if not plan.is_first(spec)]

    def ordered(specs: list[RunSpec]) -> list[Pack]:
        return sorted(pack(specs, plan.execution.pack_size), key=cost, reverse=True)

    return [*shards(ordered(looked_at_first)), *shards(ordered(rest))]


def _carry_out(plan: Plan, work: list[Shard], failed_before: set[str], progress: Progress, watcher: Watcher | None) -> int:
    missing = sum(len(pack_) for shard in work for pack_ in shard)
    workers = min(plan.execution.workers or os.cpu_count() or 1, len(work))
    statuses: Counter[str] = Counter()
    failed: dict[str, str] = {}
    zeros = Zeros()
    exit_code = 0
    with progress:
        try:
            # Closed by name: an interrupt that falls into this block must stop the workers before anything else happens.
            with contextlib.closing(results(plan.folder, work, plan.log, plan.execution.device, workers)) as reports:
                for result in reports:
                    statuses.update(result.statuses)
                    failed |= result.failed
                    zeros += result.zeros
                    for run_id, line in result.failed.items():
                        progress.say(f"run {run_id} raised {line}")
                    progress.advance(len(result.statuses) + len(result.failed), result.work)
                    if watcher is not None:
                        watcher(len(plan.specs) - missing - len(failed_before) + sum(statuses.values()), len(plan.specs))
        except KeyboardInterrupt:
            exit_code = 130
        except StoreError as error:
            progress.say(str(error))
            exit_code = 1
        except BrokenProcessPool:
            progress.say("A worker process died: killed, or out of memory (exec.workers=1 or a smaller exec.pack_size needs less).")
            exit_code = 1
    progress.summary(statuses, failed, failed_before, zeros)
    return exit_code or int(bool(failed or failed_before))


def results(folder: Path, work: list[Shard], log: Log, device: str, workers: int) -> Generator[Done, None, None]:
    """Reports as shards are committed by so many processes; close it to stop them."""
    if workers <= 1:
        with one_thread():
            for shard in work:
                yield run_shard(folder, shard, log, device)
        return
    pool = ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin_worker, initargs=(os.getpid(),))
    try:
        waiting: set[Future[Done]] = {pool.submit(run_shard, folder, shard, log, device) for shard in work}
        while waiting:
            finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
            for future in finished:
                yield future.result()
    except BaseException:
        # Ctrl-C, a full disk, a dead worker: what is committed stays, what is in flight is given up. The pool has no public way to
        # stop a worker at once, and forgets its processes when it shuts down: so they come first.
        for process in list(pool._processes.values()):
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """torch with one thread, and as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _begin_worker(driver: int) -> None:
    torch.set_num_threads(1)
    with contextlib.suppress(OSError, AttributeError):
        # glibc gives every freed tensor of a stack back to the system, and the next one costs its page faults again (7 to 15 %
        # of a sweep, 2026-11): keep up to 1 GiB instead (M_TRIM_THRESHOLD = -1, M_MMAP_THRESHOLD = -3).
        libc = ctypes.CDLL(None)
        libc.mallopt(-1, 2**30)
        libc.mallopt(-3, 2**30)
    # A node's notice of its time limit goes to all processes of a job: what to do about it is the driver's affair.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    # The driver stops its workers on Ctrl-C; a worker that raised on its own would lose the shard it is about to commit.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(OSError, AttributeError):
        # Linux: die with the driver, however it dies (PR_SET_PDEATHSIG = 1).
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != driver:
        os._exit(1)
