"""What a driver does first, under the lock: remove what a killed one left behind."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from gradyn.store.files import TEMPORARY
from gradyn.store.folder import FAILURES
from gradyn.store.schema import TABLES
from gradyn.store.shards import inventory

# Where a `runs/` file without a footer goes: no reader's pattern matches it, and nothing of the user's is deleted.
BROKEN = ".broken"


def clean(folder: Path, in_flight: Collection[str] = ()) -> tuple[str, ...]:
    """Make `layers/` and `steps/` hold the shards of `runs/` only. Call under the lock, before anything is written.

    Removed: temporary files, and files of `layers/` and `steps/` without a twin in `runs/` (their runs are not done, so they are
    run again). A file in `runs/` that has no footer is renamed to `*.broken`. Other people's files stay.

    Args:
        folder: the sweep's folder.
        in_flight: shards that workers are writing at this moment (a Slurm array that outlived its driver); left alone.

    Returns:
        One line for each file that was moved or removed.

    Raises:
        ConfigError: a shard has another schema version.
    """
    said = []
    found = inventory(folder)
    for path in found.broken:
        path.rename(path.with_name(path.name + BROKEN))
        said.append(f"runs/{path.name} has no Parquet footer: renamed to {path.name}{BROKEN}; its runs are run again.")
    committed = {shard.name for shard in found.shards} | {path.stem for path in found.foreign}
    for table in TABLES:
        for path in sorted((folder / table).glob(f".*{TEMPORARY}")):
            # `.<shard>.parquet.<pid>.tmp`
            if path.name[1:].split(".parquet.")[0] not in in_flight:
                path.unlink(missing_ok=True)
                said.append(f"{table}/{path.name} is a leftover: removed.")
        for path in sorted((folder / table).glob("*.parquet")) if table != "runs" else ():
            if path.stem not in committed and path.stem not in in_flight:
                path.unlink(missing_ok=True)
                said.append(f"{table}/{path.name} has no twin in runs/: removed; its runs are run again.")
    # What a killed driver began beside the tables; while others are at work it may be theirs.
    for path in [*folder.glob(f".*{TEMPORARY}"), *(folder / FAILURES).glob(f".*{TEMPORARY}")] if not in_flight else ():
        path.unlink(missing_ok=True)
        said.append(f"{path.relative_to(folder)} is a leftover: removed.")
    return tuple(said)
