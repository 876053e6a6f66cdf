"""Shards: the runs of one pack, written as one file in each table, whole or not at all.

`write_shard` for records that fit in memory at once; `ShardWriter` where they come in pieces:

    with ShardWriter(folder, shard_id(run_ids), provenance()) as shard:
        for records in execute(pack):
            shard.append(records.layers, records.steps, records.runs)
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from gradyn.store import seal
from gradyn.store.files import commit, temporary_name
from gradyn.store.schema import KEYS, PROVENANCE_COLUMNS, SCHEMA_VERSION, SPEC_COLUMNS, TABLES, Table, arrow_schema, setting_columns

# Values by column name: arrays of one length. None in a list and a masked element of a numpy.ma array are null; NaN is NaN.
Arrays = Mapping[str, Any]

# A row group is what a reader skips or reads whole. Fewer runs than 48 make the footers as big as the data, more than 256 make
# a query for one run read megabytes (256 runs of 64 layers at 7 steps are 115 thousand rows).
_FEWEST_RUNS, _MOST_RUNS = 48, 256

# zstd above level 3 gains 2 % of size here and costs three times the time (float columns of a default sweep, 2026-11).
_ZSTD_LEVEL = 3

# Key under which the file's metadata holds one JSON text.
METADATA = b"gradyn"


class StoreError(OSError):
    """The disk refused; the text is one line that says what is lost (the runs in flight) and what to do."""


def shard_id(run_ids: Iterable[str]) -> str:
    """A name that depends on the runs alone: 16 hex digits of sha256 of the sorted run ids."""
    return hashlib.sha256("\n".join(sorted(run_ids)).encode()).hexdigest()[:16]


def write_shard(folder: Path, shard: str, layers: Arrays, steps: Arrays, runs: Arrays, provenance: Mapping[str, Any] | None = None) -> None:
    """Write one shard whose records are all there; see `ShardWriter`.

    Raises:
        StoreError: the disk refused; nothing of the shard is in `runs/`.
        ValueError: the records break the schema or name runs that `runs` has not.
    """
    with ShardWriter(folder, shard, provenance) as writer:
        writer.append(layers, steps, runs)


class ShardWriter:
    """Collects records and commits them on leaving the `with` block: `layers/`, then `steps/`, then `runs/`.

    Rows are kept sorted by their keys, so that a file depends on its records alone and not on how they were packed. A run is done
    when its row is in `runs/`: leaving by an exception, or a kill at any moment, leaves none of the shard's runs there.

    Args:
        folder: the sweep's folder, made by `open_folder`.
        shard: file name without suffix; letters, digits, `-` and `_`.
        provenance: values of the provenance columns for all runs of the shard; also kept in the metadata of its files.

    Raises:
        StoreError: the disk refused.
    """

    def __init__(self, folder: Path, shard: str, provenance: Mapping[str, Any] | None = None) -> None:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", shard):
            raise ValueError(f"shard must be a name of letters, digits, - and _; got {shard!r}.")
        self._shard, self._provenance = shard, dict(provenance or {})
        self._paths: dict[Table, Path] = {table: folder / table / f"{shard}.parquet" for table in TABLES}
        self._schemas: dict[Table, pa.Schema] = {table: arrow_schema(table) for table in TABLES}
        self._pending: dict[Table, list[pa.Table]] = {table: [] for table in TABLES}
        self._writers: dict[Table, pq.ParquetWriter] = {}
        self._written: set[str] = set()
        self._waiting: set[str] = set()

    def __enter__(self) -> Self:
        try:
            for table in TABLES:
                self._open(table)
        except OSError as error:
            self._discard()
            raise self._failure(error) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        try:
            if kind is None:
                self._finish()
        except OSError as failure:
            raise self._failure(failure) from failure
        finally:
            self._discard()

    def append(self, layers: Arrays, steps: Arrays, runs: Arrays) -> None:
        """Add records of whole runs: all rows of a run come in one call. Columns that are missing become null.

        Raises:
            StoreError: the disk refused.
            ValueError: an unknown column, arrays of unequal length, a value that does not fit its column, a run twice, or rows of
                a run that `runs` has not.
        """
        given: dict[Table, Arrays] = {"layers": layers, "steps": steps, "runs": {**self._provenance, **runs}}
        tables = {table: _arrow(table, given[table], self._schemas[table]) for table in TABLES}
        ids = tables["runs"]["run_id"].to_pylist()
        for one, count in Counter(ids).items():
            if count > 1 or one in self._written or one in self._waiting:
                raise ValueError(f"runs must hold every run of the shard once; got {one!r} twice.")
        for table in ("layers", "steps"):
            strangers = set(pc.unique(tables[table]["run_id"]).to_pylist()) - set(ids)
            if strangers:
                raise ValueError(f"{table} must hold rows of the runs in `runs` only; got {sorted(strangers)[0]!r}.")
        for table in TABLES:
            self._pending[table].append(tables[table])
        self._waiting |= set(ids)
        if len(self._waiting) >= _FEWEST_RUNS:
            try:
                self._flush()
            except OSError as error:
                raise self._failure(error) from error

    def _open(self, table: Table) -> None:
        schema = self._schemas[table]
        keys = KEYS[table]
        # A setting has few values in a shard: dictionary. A measured float has as many as rows: its bytes split by significance.
        repeated = [*keys, *(field.name for field in schema if field.type != pa.float64())]
        if table == "runs":
            repeated += [column.name for column in SPEC_COLUMNS + setting_columns() + PROVENANCE_COLUMNS]
        repeated = sorted(set(repeated))
        self._writers[table] = pq.ParquetWriter(
            temporary_name(self._paths[table]),
            schema,
            write_page_checksum=True,
            compression="zstd",
            compression_level=_ZSTD_LEVEL,
            use_dictionary=repeated,
            use_byte_stream_split=[field.name for field in schema if field.name not in repeated],
            sorting_columns=[pq.SortingColumn(index) for index in range(len(keys))],
        )

    def _flush(self) -> None:
        # Row groups of at most _MOST_RUNS runs, cut between runs; rows are sorted, so that a run is one slice.
        tables = {table: pa.concat_tables(self._pending[table]).sort_by([(key, "ascending") for key in KEYS[table]]) for table in TABLES}
        ids = tables["runs"]["run_id"].to_pylist()
        firsts = ids[::_MOST_RUNS]
        for table in TABLES:
            rows = np.asarray(tables[table]["run_id"].to_pylist(), dtype=object)
            cuts = [*np.searchsorted(rows, firsts), len(rows)] if len(rows) else []
            for start, stop in pairwise(cuts):
                if stop > start:
                    self._writers[table].write_table(tables[table].slice(start, stop - start), row_group_size=int(stop - start))
            self._pending[table] = []
        self._written |= self._waiting
        self._waiting = set()

    def _finish(self) -> None:
        if self._waiting:
            self._flush()
        if not self._written:
            raise ValueError(f"shard {self._shard} must hold at least one run; got none.")
        # Whole seconds: every file system keeps them.
        written = int(time.time())
        about = {
            "schema_version": SCHEMA_VERSION,
            "shard": self._shard,
            "run_ids": sorted(self._written),
            "provenance": self._provenance,
            "written": written,
        }
        sizes: dict[Table, int] = {}
        for table in TABLES:
            temporary = temporary_name(self._paths[table])
            text = json.dumps({**about, "bytes": sizes}, allow_nan=False)
            self._writers[table].add_key_value_metadata({METADATA.decode(): text, seal.NAME: seal.BLANK})
            self._writers[table].close()
            seal.seal(temporary, written)
            sizes[table] = temporary.stat().st_size
        for table in TABLES:
            commit(temporary_name(self._paths[table]), self._paths[table])

    def _discard(self) -> None:
        # After a commit the temporary names are gone already; a writer on a full disk raises again when closed.
        for writer in self._writers.values():
            try:
                writer.close()
            except OSError:
                continue
        self._writers.clear()
        for path in self._paths.values():
            # On a disk that has become read-only the next start removes it.
            with contextlib.suppress(OSError):
                temporary_name(path).unlink(missing_ok=True)

    def _failure(self, error: OSError) -> StoreError:
        reason = "no space left on the disk" if error.errno in (errno.ENOSPC, errno.EDQUOT) else (error.strerror or str(error))
        folder = self._paths["runs"].parents[1]
        line = f"{folder} must take shard {self._shard}; got: {reason}. Every committed run is safe: make room or repair, then run the same command again."
        return StoreError(line)


def _arrow(table: Table, arrays: Arrays, schema: pa.Schema) -> pa.Table:
    unknown = set(arrays) - set(schema.names)
    if unknown:
        raise ValueError(f"{table} must have columns of its schema only; got {sorted(unknown)[0]!r}.")
    if "run_id" not in arrays:
        raise ValueError(f"{table} must have a column run_id; got {sorted(arrays)}.")
    rows = len(arrays["run_id"])
    found = []
    for field in schema:
        array = _array(f"{table}.{field.name}", arrays.get(field.name), rows, field.type)
        if field.name in KEYS[table] and array.null_count:
            raise ValueError(f"{table}.{field.name} must hold no null; got {array.null_count}.")
        found.append(array)
    return pa.Table.from_arrays(found, schema=schema)


def _array(where: str, values: Any, rows: int, kind: pa.DataType) -> pa.Array:
    # One value for all rows may come as itself (a provenance text); from_pandas=False: NaN stays NaN and only None is null.
    if values is None:
        return pa.nulls(rows, kind)
    if isinstance(values, (str, bool, int, float)):
        return pa.repeat(pa.scalar(values, kind), rows)
    mask = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    plain = values.data if isinstance(values, np.ma.MaskedArray) else values
    if isinstance(plain, np.ndarray) and plain.dtype.kind == "U":
        plain = plain.tolist()
    if len(plain) != rows:
        raise ValueError(f"{where} must have {rows} values, one a row; got {len(plain)}.")
    try:
        # Through numpy's own type first: float32 to float64 and int to float are exact, anything lossy raises.
        return pa.array(plain, mask=mask, from_pandas=False).cast(kind) if mask is not None else pa.array(plain, from_pandas=False).cast(kind)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise ValueError(f"{where} must hold values of type {kind}; got {error}.") from error
