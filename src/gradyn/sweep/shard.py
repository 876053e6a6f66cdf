"""A shard: packs that one worker computes and commits together, and what happens when one of their runs raises."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gradyn.store import StoreError, provenance, shard_id, write_failure, write_shard
from gradyn.sweep.execute import Records, Table, execute, joined
from gradyn.sweep.pack import Pack, cost
from gradyn.sweep.plan import Log

Shard = tuple[Pack, ...]

# A shard is committed at once: large enough that its files are few, small enough that a kill costs seconds.
_RUNS = 192
# Of `cost`: about two seconds of one core, so that first figures come early and the last worker is not waited for long.
_COST = 6e10
# A small sweep is cut into at least so many, so that no worker waits long for the last one: `quick` in two shards left one of
# two workers idle for a fifth of the time.
_SHARDS = 16


# The log norms of gradients and cotangents among the columns of `layers`.
LOG_NORMS = ("log10_grad_w_l2", "log10_grad_b_l2", "log10_delta_rms")


@dataclass(frozen=True, slots=True)
class Zeros:
    """How many log norms of tracked runs' gradients and cotangents are -inf, which is to say that the norm is exactly 0.

    Args:
        norms: log norms in all, over runs, layers and logged steps.
        zeros: those of them that are -inf.
        runs: how many runs have one.
    """

    norms: int = 0
    zeros: int = 0
    runs: int = 0

    @staticmethod
    def of(layers: Table, runs: Table) -> Zeros:
        """Counted in the rows of both tables; what a plain backward pass lost to the float is no exact zero."""
        is_tracked = np.isin(layers["run_id"].astype(str), runs["run_id"][runs["backward"] == "tracked"].astype(str))
        columns = [np.ma.asarray(layers[name])[is_tracked] for name in LOG_NORMS if name in layers]
        is_zero = [np.isneginf(column.filled(0.0).astype(np.float64)) for column in columns]
        where = np.logical_or.reduce(is_zero) if is_zero else np.zeros(is_tracked.sum(), dtype=np.bool_)
        with_zeros = set(layers["run_id"][is_tracked][where].tolist())
        return Zeros(sum(int(column.count()) for column in columns), sum(int(flags.sum()) for flags in is_zero), len(with_zeros))

    def __add__(self, other: Zeros) -> Zeros:
        return Zeros(self.norms + other.norms, self.zeros + other.zeros, self.runs + other.runs)


@dataclass(frozen=True, slots=True)
class Done:
    """What a worker reports of a shard.

    Args:
        statuses: of the runs that are now in the store.
        failed: run id -> its error in one line, for the runs that raised.
        work: the shard's `cost`.
        zeros: of the runs' log norms, those that are -inf.
    """

    statuses: tuple[str, ...]
    failed: dict[str, str]
    work: float
    zeros: Zeros = Zeros()


def shards(packs: Iterable[Pack]) -> list[Shard]:
    """Consecutive packs, cut where a shard has runs or work enough."""
    packs = tuple(packs)
    enough = min(_COST, sum(map(cost, packs)) / _SHARDS)
    result: list[Shard] = []
    current: list[Pack] = []
    for pack in packs:
        full = current and (sum(map(len, current)) + len(pack) > _RUNS or sum(map(cost, current)) + cost(pack) > enough)
        if full:
            result.append(tuple(current))
            current = []
        current.append(pack)
    return [*result, tuple(current)] if current else result


def run_shard(folder: Path, shard: Shard, log: Log, device: str) -> Done:
    """Compute a shard and commit it; called in a worker.

    Raises:
        StoreError: the disk refused; none of the shard's runs is done.
    """
    work = sum(map(cost, shard))
    records: list[Records] = []
    failed: dict[str, str] = {}
    for pack in shard:
        records += _isolated(folder, pack, log, device, failed)
    if not records:
        return Done((), failed, work)
    layers, steps, runs = (joined([getattr(part, table) for part in records]) for table in ("layers", "steps", "runs"))
    # Named for what was planned: whoever watches knows the name before, though some of its runs may raise.
    name = shard_id(spec.run_id for pack in shard for spec in pack)
    write_shard(folder, name, layers, steps, runs, provenance(device))
    return Done(tuple(runs["status"].tolist()), failed, work, Zeros.of(layers, runs))


def halves(shard: Shard) -> tuple[Shard, ...]:
    """The shard in two, between packs where it has several, else within its pack; nothing where it is one run."""
    parts: tuple[Pack, ...] | Pack = shard if len(shard) > 1 else shard[0]
    middle = len(parts) // 2
    if not middle:
        return ()
    return (shard[:middle], shard[middle:]) if len(shard) > 1 else ((shard[0][:middle],), (shard[0][middle:],))


def keep_failure(folder: Path, shard: Shard, error: BaseException) -> Done:
    """Keep what the shard's only run raised in `failures/`.

    Raises:
        StoreError: the disk refused.
    """
    ((spec,),) = shard
    try:
        write_failure(folder, spec.run_id, error, spec.columns)
    except OSError as refused:
        raise StoreError(
            f"{folder} must take what run {spec.run_id} raised; got: {refused}. Make room or repair, then run the same command again."
        ) from refused
    return Done((), {spec.run_id: (f"{type(error).__name__}: {error}".splitlines() or [""])[0]}, cost(shard[0]))


def _isolated(folder: Path, pack: Pack, log: Log, device: str, failed: dict[str, str]) -> list[Records]:
    """The pack's records; where it raises, its halves', down to the runs that raise alone, which are kept as failures."""
    try:
        return [execute(pack, log, device)]
    except Exception as error:
        # The one place where any error is caught: a run that raises must not take its neighbours along.
        if len(pack) == 1:
            failed |= keep_failure(folder, (pack,), error).failed
            return []
        middle = len(pack) // 2
        return [part for half in (pack[:middle], pack[middle:]) for part in _isolated(folder, half, log, device, failed)]
