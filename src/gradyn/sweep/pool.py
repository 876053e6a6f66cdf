"""Shards handed out to local workers, and what becomes of the runs whose worker dies.

A shard is computed and committed by one worker. Where a worker dies (killed, or the system ran out of memory), what was in the
workers' hands is handed out again; what was there at two deaths is given to a worker of its own, in halves if that dies too, until
the run that takes its worker along is alone: it is kept as a failure, like one that raises.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Collection, Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

from gradyn.store import StoreError
from gradyn.sweep.plan import Log, Plan
from gradyn.sweep.shard import Done, Shard, halves, keep_failure, run_shard
from gradyn.sweep.stop import Stop
from gradyn.sweep.workers import one_thread, worker_pool

# Called with the shards that are in the workers' hands, whenever that changes.
Handed = Callable[[Collection[Shard]], None]

# Shards in hand for every worker: one at work and one behind it, so that none waits for the driver.
_IN_HAND = 2
# How long a signal may wait to be heard.
_SECONDS_DEAF = 0.2


@dataclass(frozen=True, slots=True)
class Target:
    """Where shards are committed to, what is logged of them, and on which device they are computed."""

    folder: Path
    log: Log
    device: str

    @staticmethod
    def of(plan: Plan) -> Target:
        """That of a plan."""
        return Target(plan.folder, plan.log, plan.execution.device)


class DeadWorkerError(RuntimeError):
    """A run took its worker process along, twice and alone: it was killed, or needs more memory than there is."""


class NoWorkersError(RuntimeError):
    """Worker processes die before they are given anything."""


def computed(target: Target, work: Collection[Shard], workers: int, stop: Stop, handed: Handed) -> Generator[Done, None, None]:
    """Reports as shards are committed; close it to stop its workers.

    Args:
        target: of the shards.
        work: what to compute, in this order.
        workers: processes at most; a single shard needs none beside this one.
        stop: asked again and again whether a signal has come.
        handed: told what is in the workers' hands.

    Raises:
        StoreError: the disk refused.
        NoWorkersError: no worker process can be had.
        Stopped: a signal came.
    """
    if min(workers, len(work)) <= 1:
        yield from _here(target, work, stop, handed)
        return
    alone = yield from _together(target, work, workers, stop, handed)
    yield from _alone(target, alone, stop, handed)


def _here(target: Target, work: Iterable[Shard], stop: Stop, handed: Handed) -> Generator[Done, None, None]:
    left = deque(work)
    with one_thread(), stop.at_once():
        while left:
            shard = left.popleft()
            handed([shard])
            try:
                done = run_shard(target.folder, shard, target.log, target.device)
            except StoreError:
                raise
            except Exception as error:
                # Not of one run, those are caught one by one: of the shard as a whole, mostly of its memory.
                parts = halves(shard)
                left.extendleft(reversed(parts))
                if parts:
                    continue
                done = keep_failure(target.folder, shard, error)
            yield done


def _together(target: Target, work: Iterable[Shard], workers: int, stop: Stop, handed: Handed) -> Generator[Done, None, list[Shard]]:
    """Every shard through a pool; returns those that were in hand when workers died twice."""
    left = deque((shard, 0) for shard in work)
    alone: list[Shard] = []
    is_idle = False
    while left:
        in_hand: dict[Future[Done], tuple[Shard, int]] = {}
        is_broken = False
        with worker_pool(workers) as pool:
            if is_idle:
                _require_worker(pool, stop)
            is_idle = True
            while in_hand or (left and not is_broken):
                while left and not is_broken and len(in_hand) < _IN_HAND * workers:
                    shard, deaths = left.popleft()
                    in_hand[_submit(pool, target, shard)] = shard, deaths
                handed([shard for shard, _ in in_hand.values()])
                for future in _finished(in_hand, stop):
                    shard, deaths = in_hand.pop(future)
                    error = future.exception()
                    if error is None:
                        is_idle = False
                        yield future.result()
                        continue
                    is_broken |= _is_broken(error)
                    if deaths:
                        alone.append(shard)
                    else:
                        left.append((shard, 1))
    return alone


def _alone(target: Target, work: Iterable[Shard], stop: Stop, handed: Handed) -> Generator[Done, None, None]:
    left = deque((shard, 0) for shard in work)
    while left:
        is_broken = False
        with worker_pool(1) as pool:
            _require_worker(pool, stop)
            while left and not is_broken:
                shard, deaths = left.popleft()
                handed([shard])
                (future,) = _finished([_submit(pool, target, shard)], stop)
                error = future.exception()
                if error is None:
                    yield future.result()
                    continue
                is_broken = _is_broken(error)
                parts = halves(shard)
                if parts:
                    left.extendleft((part, 0) for part in reversed(parts))
                elif not deaths:
                    left.appendleft((shard, 1))
                else:
                    yield keep_failure(
                        target.folder, shard, DeadWorkerError("the run took its worker along twice: killed, or out of memory") if is_broken else error
                    )


def _submit(pool: ProcessPoolExecutor, target: Target, shard: Shard) -> Future[Done]:
    # Workers are started here, and inherit what is blocked: Ctrl-C goes to the whole group, and is the driver's to answer.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return pool.submit(run_shard, target.folder, shard, target.log, target.device)
    except BrokenProcessPool as error:
        failed: Future[Done] = Future()
        failed.set_exception(error)
        return failed
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _finished(futures: Collection[Future[Done]], stop: Stop) -> Collection[Future[Done]]:
    """Those that are finished, at least one.

    Raises:
        Stopped: a signal came first.
    """
    while True:
        stop.check()
        finished, _ = wait(futures, timeout=_SECONDS_DEAF, return_when=FIRST_COMPLETED)
        if finished:
            return finished


def _is_broken(error: BaseException) -> bool:
    """Whether a worker died, and its pool with it; another error came back from a worker that lives.

    Raises:
        StoreError: the error is one; nobody can go on.
    """
    if isinstance(error, StoreError):
        raise error
    return isinstance(error, BrokenProcessPool)


def _require_worker(pool: ProcessPoolExecutor, stop: Stop) -> None:
    try:
        future = pool.submit(os.getpid)
        while not wait([future], timeout=_SECONDS_DEAF).done:
            stop.check()
        future.result()
    except BrokenProcessPool as error:
        raise NoWorkersError("worker processes die before they begin") from error
