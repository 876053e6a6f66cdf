"""Which shards a folder holds: the footers of `runs/`, and nothing else, say what is done."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from gradyn.core import ConfigError
from gradyn.store.schema import SCHEMA_VERSION
from gradyn.store.seal import is_whole
from gradyn.store.write import METADATA

# What a file's metadata says of its shard; the last two not in files from before they were sealed.
_KEYS = {"schema_version", "shard", "run_ids", "provenance"}
_SEALED_KEYS = {"written", "bytes"}


@dataclass(frozen=True, slots=True)
class Shard:
    """A committed shard, as the metadata of its file in `runs/` has it.

    Args:
        name: of its three files, without suffix.
        run_ids: the runs in it.
        written: modification time of its files, in whole seconds; None: they are not sealed.
        sizes: table -> bytes of its file, for the tables that were closed before.
    """

    name: str
    run_ids: frozenset[str]
    written: int | None = None
    sizes: dict[str, int] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Inventory:
    """What is in `runs/`: committed shards by name, files that are damaged, and whole Parquet files of somebody else."""

    shards: tuple[Shard, ...]
    broken: tuple[Path, ...]
    foreign: tuple[Path, ...]


def inventory(folder: Path) -> Inventory:
    """Read the footers in `runs/`, in the order of the names; a folder that isn't there holds nothing.

    A shard of ours under another name than its own is a copy: somebody else's.

    Raises:
        ConfigError: a shard has another schema version.
        OSError: a file can't be read at all (permissions, a failing disk).
    """
    shards: list[Shard] = []
    broken: list[Path] = []
    foreign: list[Path] = []
    for path in sorted((folder / "runs").glob("*.parquet")):
        try:
            metadata = pq.read_metadata(path).metadata or {}
            if METADATA not in metadata:
                foreign.append(path)
                continue
            shard = _shard(folder, path, json.loads(metadata[METADATA]))
        except FileNotFoundError:
            # Set aside by a driver between the listing and the reading.
            continue
        except OSError as error:
            # Arrow's own complaint about a footer has no number; the system's has.
            if error.errno is not None:
                raise
            broken.append(path)
        except ConfigError:
            raise
        except (pa.ArrowException, ValueError, TypeError, KeyError):
            # Cut off on the way from another disk, flipped bits, or no Parquet at all.
            broken.append(path)
        else:
            if shard.name == path.stem:
                shards.append(shard)
            else:
                foreign.append(path)
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


def _shard(folder: Path, path: Path, about: dict[str, Any]) -> Shard:
    is_sealed = about.keys() == _KEYS | _SEALED_KEYS
    if not is_sealed and about.keys() != _KEYS:
        raise ValueError("the metadata's keys are not gradyn's")
    if about["schema_version"] != SCHEMA_VERSION and is_sealed and not is_whole(path):
        raise ValueError("the version is a flipped bit")
    require_version(folder, about["schema_version"])
    if not is_sealed:
        return Shard(str(about["shard"]), frozenset(about["run_ids"]))
    sizes = {str(table): int(size) for table, size in about["bytes"].items()}
    return Shard(str(about["shard"]), frozenset(about["run_ids"]), int(about["written"]), sizes)
