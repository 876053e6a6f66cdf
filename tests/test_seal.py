"""Sealed files: whatever byte is another, a start sets the shard aside; and a start reads no more than it must."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import gradyn.store.seal as seal_module
from gradyn.core import ConfigError
from gradyn.store import TABLES, Table, clean, done, load, open_folder, status, write_plan
from gradyn.store.seal import is_untouched, is_whole
from shard_records import FLOATS, LOG, everything, run_ids, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "results" / "x"
    open_folder(place, LOG)
    return place


@pytest.mark.parametrize("table", TABLES)
def test_a_flipped_bit_anywhere_in_a_file_breaks_its_seal(table: Table, folder: Path, rng: np.random.Generator) -> None:
    write(folder, run_ids(1), "a")
    path = folder / table / "a.parquet"
    whole = path.read_bytes()
    assert is_whole(path)
    # The ends, and places of every kind between: pages, footer, the checksum itself.
    for place in [0, len(whole) - 1, len(whole) - 6, *rng.integers(0, len(whole), 200).tolist()]:
        path.write_bytes(whole[:place] + bytes([whole[place] ^ (1 << int(rng.integers(8)))]) + whole[place + 1 :])
        assert not is_whole(path), place
    path.write_bytes(whole)
    assert is_whole(path)


def test_a_damaged_shard_is_set_aside_whole_and_its_runs_are_run_again(folder: Path) -> None:
    write(folder, run_ids(1), "a")
    write(folder, run_ids(2), "b")
    path = folder / "layers" / "a.parquet"
    group = pq.read_metadata(path).row_group(0)
    chunk = next(group.column(index) for index in range(group.num_columns) if group.column(index).path_in_schema == FLOATS[0])
    content = bytearray(path.read_bytes())
    # The last byte of a column's page: not its header, which no page checksum covers.
    content[chunk.data_page_offset + chunk.total_compressed_size - 1] ^= 1
    path.write_bytes(content)
    with pytest.raises(
        ConfigError, match=r"must hold layers/a\.parquet whole; got 'a damaged file .*'\. Remove runs/a\.parquet and give the sweep command again"
    ):
        load(folder).frame("layers")
    said = clean(folder)
    assert said[0] == "runs/a.parquet belongs to a shard whose file in layers/ is damaged: moved to set_aside/runs/a.parquet; its runs are run again."
    assert done(folder) == set(run_ids(2))
    assert set(load(folder).layers["run_id"]) == set(run_ids(2))
    assert not {name for name in everything(folder) if "a.parquet" in name} - {"set_aside/runs/a.parquet"}


def test_a_shard_whose_file_is_gone_or_that_holds_anothers_runs_is_set_aside(folder: Path) -> None:
    for name, ids in (("a", (1, 2)), ("b", (2, 3)), ("c", (4,))):
        write(folder, run_ids(*ids), name)
    (folder / "steps" / "c.parquet").unlink()
    assert len(clean(folder)) == 5
    assert done(folder) == set(run_ids(1, 2))
    assert {path.name for path in (folder / "set_aside" / "runs").iterdir()} == {"b.parquet", "c.parquet"}


def test_a_copied_folder_is_read_in_full_once_and_then_known(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3):
        write(folder, run_ids(number))
    copy = tmp_path / "copy"
    # Contents without times, as `cp -r` copies.
    shutil.copytree(folder, copy, copy_function=shutil.copyfile)
    read: list[str] = []
    real = seal_module._crc
    monkeypatch.setattr(seal_module, "_crc", lambda path, place: read.append(path.name) or real(path, place))
    for place, expected in ((folder, 0), (copy, 9), (copy, 9)):
        assert clean(place) == ()
        assert len(read) == expected
    assert done(copy) == done(folder)


def test_times_set_by_anybody_change_nothing(folder: Path) -> None:
    write(folder, run_ids(1), "a")
    path = folder / "runs" / "a.parquet"
    for when in (0, 4 * 10**9):
        os.utime(path, (when, when))
        assert clean(folder) == ()
    assert is_untouched(path, int(path.stat().st_mtime))
    assert done(folder) == set(run_ids(1))


def test_a_start_and_a_status_read_footers_and_one_column_and_open_no_layers(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What 100,000 finished runs cost: a footer a shard, no row of a table but `status`."""
    shards = 20
    for number in range(shards):
        write(folder, run_ids(*range(100 * number, 100 * number + 3)))
    write_plan(folder, run_ids(*(100 * number + part for number in range(shards) for part in range(3))))
    footers: list[str] = []
    columns: list[list[str]] = []
    metadata, table = pq.read_metadata, pq.read_table
    monkeypatch.setattr(pq, "read_metadata", lambda path: footers.append(path.parent.name) or metadata(path))
    monkeypatch.setattr(pq, "read_table", lambda path, columns_=columns, **options: columns_.append(options["columns"]) or table(path, **options))
    assert clean(folder) == ()
    assert len(done(folder)) == 3 * shards
    assert footers == ["runs"] * (2 * shards)
    assert columns == []
    footers.clear()
    assert status(folder).done.total() == 3 * shards
    assert footers == ["runs"] * shards
    assert columns == [["status"]] * shards
