"""Worker processes of one thread each: how they begin, how they end, and how long they live.

A launch has workers of its own, unless `kept_workers` says that they serve the launches of a whole command.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess

import torch
from threadpoolctl import threadpool_limits

_SECONDS_TO_DIE = 10.0


@dataclass(slots=True)
class _Kept:
    """The pool that waits for the next launch, if one does."""

    pool: ProcessPoolExecutor | None = None
    workers: int = 0


_kept: ContextVar[_Kept | None] = ContextVar("_kept", default=None)


@contextmanager
def kept_workers() -> Iterator[None]:
    """Within the block a launch leaves its workers to the next one: beginning one (importing torch) takes two seconds."""
    kept = _Kept()
    token = _kept.set(kept)
    try:
        yield
    finally:
        _kept.reset(token)
        if kept.pool is not None:
            _end(kept.pool)


@contextmanager
def worker_pool(workers: int) -> Iterator[ProcessPoolExecutor]:
    """A pool whose workers are dead when the block is left by an error; otherwise too, unless they are kept."""
    kept = _kept.get()
    pool = _start(workers) if kept is None else _taken(kept, workers)
    try:
        yield pool
    except BaseException:
        _stop(pool)
        raise
    if kept is None:
        _end(pool)
    else:
        kept.pool, kept.workers = pool, workers


@contextmanager
def one_thread() -> Iterator[None]:
    """torch and numpy's BLAS with one thread, and as before afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(limits=1):
            yield
    finally:
        torch.set_num_threads(before)


def _taken(kept: _Kept, workers: int) -> ProcessPoolExecutor:
    """The pool that waits, out of what is kept; a new one where it has another size or any of its workers died."""
    pool, kept.pool = kept.pool, None
    if pool is None:
        return _start(workers)
    if kept.workers == workers and all(process.is_alive() for process in _processes(pool)):
        return pool
    _end(pool)
    return _start(workers)


def _start(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(),))


def _stop(pool: ProcessPoolExecutor) -> None:
    """Ctrl-C, a full disk: what is committed stays, what is in hand is given up."""
    # The pool has no public way to stop a worker at once, and forgets its processes when it shuts down: so they come first.
    processes = _processes(pool)
    for process in processes:
        process.terminate()
    pool.shutdown(wait=False, cancel_futures=True)
    deadline = time.monotonic() + _SECONDS_TO_DIE
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        with contextlib.suppress(ValueError):
            process.kill()


def _end(pool: ProcessPoolExecutor) -> None:
    """Of a pool that has nothing in hand."""
    # A worker that waits for work holds the queue's lock: killed from outside at this moment it leaves the others waiting for it, and the pool for
    # them, for ever. So none is asked to end.
    for process in _processes(pool):
        process.kill()
    pool.shutdown()


def _processes(pool: ProcessPoolExecutor) -> list[BaseProcess]:
    return list((pool._processes or {}).values())


def _begin(driver: int) -> None:
    torch.set_num_threads(1)
    # numpy's BLAS has a pool of its own, as large as the machine: on a worker's one core its threads wait for each other, busily. The QR of a
    # 160 x 160 matrix, which is orthogonal initialization, took 200 times as long.
    threadpool_limits(limits=1)
    with contextlib.suppress(OSError, AttributeError):
        # glibc gives every freed tensor of a stack back to the system, and the next one costs its page faults again (7 to 15 %
        # of a sweep, 2026-11): keep up to 1 GiB instead (M_TRIM_THRESHOLD = -1, M_MMAP_THRESHOLD = -3).
        libc = ctypes.CDLL(None)
        libc.mallopt(-1, 2**30)
        libc.mallopt(-3, 2**30)
    # The driver stops its workers on Ctrl-C; a worker that raised on its own would lose the shard it is about to commit.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A node's notice of its time limit goes to all processes of a job: what to do about it is the driver's affair.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    with contextlib.suppress(OSError, AttributeError):
        # Linux: die with the driver, however it dies (PR_SET_PDEATHSIG = 1).
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)
    if os.getppid() != driver:
        os._exit(1)
