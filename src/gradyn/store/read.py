"""Reading a sweep's folder back: three frames, each read when first asked for; or any part of a table that is too big."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from gradyn.core import ConfigError, inert
from gradyn.store.schema import KEYS, TABLES, Table
from gradyn.store.shards import inventory


@dataclass(frozen=True)
class Results:
    """A folder's committed runs. `runs`, `steps` and `layers` are pandas frames, sorted by their keys, read once when first used.

    In a frame a null and a NaN in a column of numbers look alike; `table` keeps them apart.

    Args:
        folder: the sweep's folder.
        parts: committed shards by name -> the runs to take from it; a run that lies in two shards is taken from the first.
        whole: the shards of which every run is taken.
    """

    folder: Path
    parts: dict[str, frozenset[str]] = field(repr=False)
    whole: frozenset[str] = field(repr=False)

    @property
    def run_ids(self) -> frozenset[str]:
        """The runs that the frames hold."""
        return frozenset().union(*self.parts.values())

    @cached_property
    def runs(self) -> pd.DataFrame:
        """One row a run: settings, status, results, provenance."""
        return self.frame("runs")

    @cached_property
    def steps(self) -> pd.DataFrame:
        """One row a run and logged step."""
        return self.frame("steps")

    @cached_property
    def layers(self) -> pd.DataFrame:
        """One row a run, logged step and layer."""
        return self.frame("layers")

    def frame(self, table: Table, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> pd.DataFrame:
        """A part of a table as a pandas frame; see `table`."""
        return self.table(table, columns, where).to_pandas()

    def table(self, table: Table, columns: Sequence[str] | None = None, where: pc.Expression | None = None) -> pa.Table:
        """A part of a table as an Arrow table, where null and NaN differ; rows are sorted by the keys that are among the columns.

        Only the columns and row groups that are needed are read:
        `results.table("layers", ["run_id", "log10_delta_rms"], pyarrow.compute.field("step") == 0)`.

        Args:
            table: layers, steps or runs.
            columns: their names; None: all.
            where: a condition on any column of the table, as pyarrow writes it.

        Raises:
            ConfigError: a file of a committed shard is gone, cut off or damaged.
            ValueError: no such table or column.
        """
        if table not in TABLES:
            raise ValueError(f"table must be one of {', '.join(TABLES)}; got {table!r}.")
        paths = {name: self.folder / table / f"{name}.parquet" for name in self.parts}
        schema = _common_schema(paths)
        missing = sorted(set(columns or ()) - set(schema.names))
        if missing:
            raise ValueError(f"columns must be among those of {table}; got {missing[0]!r}.")
        found = [_read([paths[name] for name in self.parts if name in self.whole], schema, columns, where)]
        for name in sorted(self.parts.keys() - self.whole):
            wanted = pc.field("run_id").isin(pa.array(sorted(self.parts[name]), pa.string()))
            found.append(_read([paths[name]], schema, columns, wanted if where is None else wanted & where))
        rows = pa.concat_tables(found)
        keys = [key for key in KEYS[table] if key in rows.column_names]
        return rows.sort_by([(key, "ascending") for key in keys]) if keys else rows


def load(folder: str | Path, run_ids: Collection[str] | None = None) -> Results:
    """The committed runs of a sweep's folder; reads footers only, the frames come when used.

    Args:
        folder: `results/<name>`.
        run_ids: restrict to these runs (those of a plan); ids that the folder lacks are not missed here. None: all.

    Raises:
        ConfigError: no such folder, no run in it, or another schema version.

    Warns:
        UserWarning: a file in `runs/` was left out: it is cut off, or not gradyn's.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError("folder", "be the folder of a sweep", str(folder), "Run `gradyn sweep` first, or look into `results`.")
    found = inventory(folder)
    for path, what in [*((path, "is cut off or no Parquet file") for path in found.broken), *((path, "was not written by gradyn") for path in found.foreign)]:
        warnings.warn(f"{inert(path)} {what} and is left out; the same sweep command runs what is missing.", UserWarning, stacklevel=2)
    if not found.shards:
        raise ConfigError("folder", "hold at least one finished run", str(folder), "Run the sweep first: the same command goes on where it stopped.")
    parts: dict[str, frozenset[str]] = {}
    whole = set()
    seen: set[str] = set()
    for shard in found.shards:
        wanted = shard.run_ids - seen if run_ids is None else (shard.run_ids & frozenset(run_ids)) - seen
        seen |= wanted
        # A shard of which nothing is wanted stays in the list while it is the only one: its schema makes the empty frames.
        if wanted or shard is found.shards[0]:
            parts[shard.name] = wanted
        if wanted == shard.run_ids:
            whole.add(shard.name)
    return Results(folder, parts, frozenset(whole))


def _common_schema(paths: dict[str, Path]) -> pa.Schema:
    # One schema in all files as long as one catalogue wrote them; a component added later brings columns that older files lack.
    schemas: list[pa.Schema] = []
    for path in paths.values():
        try:
            schema = pq.read_schema(path).remove_metadata()
        except (OSError, pa.ArrowException) as error:
            raise _not_whole(path, "no such file" if isinstance(error, FileNotFoundError) else "a cut-off file") from error
        if not any(schema.equals(known) for known in schemas):
            schemas.append(schema)
    return pa.unify_schemas(schemas)


def _read(paths: list[Path], schema: pa.Schema, columns: Sequence[str] | None, where: pc.Expression | None) -> pa.Table:
    # Expressions instead of names: a dot in a name (`init.sigma_w`) must not be taken for a field of a struct.
    chosen = list(columns) if columns is not None else schema.names
    if not paths:
        return pa.schema([schema.field(name) for name in chosen]).empty_table()
    columns_by_name = {name: ds.field(name) for name in chosen}
    try:
        return _dataset(paths, schema).to_table(columns=columns_by_name, filter=where)
    except (OSError, pa.ArrowException) as error:
        # Of many files the complaint names none.
        for path in paths:
            try:
                _dataset([path], schema).to_table(columns=columns_by_name, filter=where)
            except FileNotFoundError as missing:
                raise _not_whole(path, "no such file") from missing
            except (OSError, pa.ArrowException) as damage:
                raise _not_whole(path, f"a damaged file ({inert(damage)})") from damage
        raise ConfigError(str(paths[0].parent), "be readable", inert(error), "Give the command again: the files changed meanwhile.") from error


def _dataset(paths: list[Path], schema: pa.Schema) -> ds.Dataset:
    # Every page against its checksum: a flipped bit is an error, never another number.
    options = ds.ParquetFragmentScanOptions(page_checksum_verification=True)
    return ds.dataset([str(path) for path in paths], schema=schema, format=ds.ParquetFileFormat(default_fragment_scan_options=options))


def _not_whole(path: Path, what: str) -> ConfigError:
    folder = path.parents[1]
    fix = f"Remove runs/{path.name} and give the sweep command again: it makes those runs anew."
    return ConfigError(str(folder), f"hold {path.relative_to(folder)} whole", what, fix)
