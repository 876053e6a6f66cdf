"""What a driver does first, under the lock: remove what a killed one left behind, and set aside what is damaged or not ours."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gradyn.store.files import TEMPORARY
from gradyn.store.folder import FAILURES
from gradyn.store.schema import TABLES
from gradyn.store.seal import is_untouched, is_whole, restore_time
from gradyn.store.shards import Shard, inventory
from gradyn.store.write import METADATA

# Where files go that no reader may find beside the tables, under their table's name; nothing that somebody may want is deleted.
SET_ASIDE = "set_aside"


def clean(folder: Path, in_flight: Collection[str] = ()) -> tuple[str, ...]:
    """Make `layers/`, `steps/` and `runs/` hold whole shards of ours only, and every run once. Call under the lock.

    Removed: temporary files, and files of `layers/` and `steps/` without a twin in `runs/` (their runs are not done, so they are
    run again). Moved to `set_aside/`: a shard's file in `runs/` when one of its three files is damaged or gone, or when another shard has one of
    its runs; and what is not gradyn's, in any table. Afterwards every reader of a table's folder finds the same runs.

    Reads the footers of `runs/`, and those files in full that have another time or size than when they were written.

    Args:
        folder: the sweep's folder.
        in_flight: shards that workers are writing at this moment (a Slurm array that outlived its driver); left alone.

    Returns:
        One line for each file that was moved or removed.

    Raises:
        ConfigError: a shard has another schema version.
    """
    found = inventory(folder)
    said = [_aside(folder, path, "is damaged or no Parquet file", "; its runs are run again") for path in found.broken]
    said += [_aside(folder, path, "was not written by gradyn under this name") for path in found.foreign]
    given_up = {path.stem for path in found.broken}
    committed: set[str] = set()
    seen: set[str] = set()
    for shard in found.shards:
        path = folder / "runs" / f"{shard.name}.parquet"
        damaged = _damaged(folder, shard)
        if damaged is not None:
            said.append(_aside(folder, path, f"belongs to a shard whose {damaged}", "; its runs are run again"))
        elif not seen.isdisjoint(shard.run_ids):
            said.append(_aside(folder, path, "holds runs of another shard", "; those that only it has are run again"))
        else:
            committed.add(shard.name)
            seen |= shard.run_ids
    given_up |= {shard.name for shard in found.shards} - committed
    for table in TABLES:
        for path in sorted((folder / table).glob(f".*{TEMPORARY}")):
            # `.<shard>.parquet.<pid>.tmp`
            if path.name[1:].split(".parquet.")[0] not in in_flight:
                path.unlink(missing_ok=True)
                said.append(f"{table}/{path.name} is a leftover: removed.")
        for path in sorted((folder / table).glob("*.parquet")) if table != "runs" else ():
            if path.stem in committed or path.stem in in_flight:
                continue
            is_ours = _is_ours(path)
            if is_ours or path.stem in given_up:
                path.unlink(missing_ok=True)
                said.append(f"{table}/{path.name} has no twin in runs/: removed; its runs are run again.")
            elif is_ours is None:
                said.append(_aside(folder, path, "is damaged or no Parquet file, and has no twin in runs/"))
            else:
                said.append(_aside(folder, path, "was not written by gradyn"))
    # What a killed driver began beside the tables; while others are at work it may be theirs.
    for path in [*folder.glob(f".*{TEMPORARY}"), *(folder / FAILURES).glob(f".*{TEMPORARY}")] if not in_flight else ():
        path.unlink(missing_ok=True)
        said.append(f"{path.relative_to(folder)} is a leftover: removed.")
    return tuple(said)


def _aside(folder: Path, path: Path, why: str, what: str = "") -> str:
    place = folder / SET_ASIDE / path.parent.name
    place.mkdir(parents=True, exist_ok=True)
    target, number = place / path.name, 1
    while target.exists():
        number += 1
        target = place / f"{path.name}.{number}"
    path.rename(target)
    return f"{path.relative_to(folder)} {why}: moved to {target.relative_to(folder)}{what}."


def _damaged(folder: Path, shard: Shard) -> str | None:
    """What is wrong with a shard's files, or None."""
    for table in TABLES:
        path = folder / table / f"{shard.name}.parquet"
        try:
            if shard.written is None:
                # From before files were sealed: there is nothing to compare with.
                path.stat()
            elif not is_untouched(path, shard.written, shard.sizes.get(table)):
                if not is_whole(path):
                    return f"file in {table}/ is damaged"
                restore_time(path, shard.written)
        except FileNotFoundError:
            return f"file in {table}/ is gone"
    return None


def _is_ours(path: Path) -> bool | None:
    """Whether gradyn wrote the file; None: it can't be read."""
    try:
        return METADATA in (pq.read_metadata(path).metadata or {})
    except (pa.ArrowException, OSError, ValueError):
        return None
