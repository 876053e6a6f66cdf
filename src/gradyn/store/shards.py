"""Which shards a folder holds: the footers of `runs/`, and nothing else, say what is done."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from gradyn.core import ConfigError
from gradyn.store.schema import SCHEMA_VERSION
from gradyn.store.write import METADATA


@dataclass(frozen=True, slots=True)
class Shard:
    """A committed shard: its name, and the runs in it as its own metadata lists them."""

    name: str
    run_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is in `runs/`: committed shards by name, files without a readable footer, and whole Parquet files of somebody else."""

    shards: tuple[Shard, ...]
    broken: tuple[Path, ...]
    foreign: tuple[Path, ...]


def inventory(folder: Path) -> Inventory:
    """Read the footers in `runs/`, in the order of the names; a folder that isn't there holds nothing.

    Raises:
        ConfigError: a shard has another schema version.
        OSError: a file can't be read at all (permissions, a failing disk).
    """
    shards, broken, foreign = [], [], []
    for path in sorted((folder / "runs").glob("*.parquet")):
        try:
            metadata = pq.read_metadata(path).metadata or {}
        except pa.ArrowInvalid:
            # No footer: cut off on the way from another disk, or no Parquet at all.
            broken.append(path)
            continue
        if METADATA not in metadata:
            foreign.append(path)
            continue
        about = json.loads(metadata[METADATA])
        require_version(folder, about["schema_version"])
        shards.append(Shard(path.stem, frozenset(about["run_ids"])))
    return Inventory(tuple(shards), tuple(broken), tuple(foreign))


def require_version(folder: Path, version: object) -> None:
    """Raise unless a folder's schema version is ours.

    Raises:
        ConfigError: it is another; the line says what to do.
    """
    if version != SCHEMA_VERSION:
        fix = "Choose another `name`, or read this one with the gradyn that wrote it."
        raise ConfigError(str(folder), f"hold results of schema version {SCHEMA_VERSION}", version, fix)


def done(folder: Path) -> frozenset[str]:
    """The run ids that the folder holds: a run is done if and only if it is in `runs/`.

    Raises:
        ConfigError: a shard has another schema version.
    """
    return frozenset().union(*(shard.run_ids for shard in inventory(folder).shards))
