"""The store: one schema from the catalogue, and what is written is read back to the bit."""

from __future__ import annotations

import json
import pickle
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, get_type_hints

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradyn.core import AbstractComponent, groups, options
from gradyn.store import (
    KEY_COLUMNS,
    RUN_COLUMNS,
    SCHEMA_VERSION,
    SPEC_COLUMNS,
    TABLES,
    ShardWriter,
    Table,
    arrow_schema,
    columns,
    done,
    load,
    open_folder,
    provenance,
    shard_id,
    write_failure,
    write_shard,
)
from gradyn.store.schema import field_kinds, setting_columns
from gradyn.sweep import RunSpec
from shard_records import DEPTH, FLOATS, LOG, STEPS, Records, everything, records, run_ids, write


def bits(values: Any) -> list[bytes | None]:
    return [None if value is None else struct.pack("<d", value) for value in values]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "results" / "x"
    open_folder(place, LOG, "depth: 3\n")
    return place


def test_a_column_has_one_definition_in_a_table() -> None:
    for table in TABLES:
        names = [column.name for column in columns(table)]
        assert len(names) == len(set(names))
        assert all(column.definition for column in columns(table))


def test_the_plain_settings_are_those_of_a_run_in_its_order_and_types() -> None:
    hints = get_type_hints(RunSpec)
    plain = [field.name for field in fields(RunSpec) if not (isinstance(hints[field.name], type) and issubclass(hints[field.name], AbstractComponent))]
    assert [column.name for column in SPEC_COLUMNS] == plain
    kinds = {int: "int64", float: "float64", str: "string", bool: "bool"}
    assert [column.kind for column in SPEC_COLUMNS] == [kinds[hints[name]] for name in plain]


@pytest.mark.parametrize("group", groups())
def test_every_setting_of_every_option_fits_its_column(group: str) -> None:
    schema = arrow_schema("runs")
    assert group in schema.names
    found = options(groups()[group])
    assert found
    for option in found.values():
        component = option()
        for name, value in component.settings.items():
            column = schema.field(f"{group}.{name}")
            assert pa.scalar(value, column.type).as_py() == value
        assert field_kinds(option).keys() == component.settings.keys()


def test_settings_of_one_name_share_a_column_that_holds_them_all() -> None:
    @dataclass
    class Odd:
        whole_or_not: int | float = 1
        unset: float | None = None
        word: Literal["a", "b"] = "a"
        flag: bool = False

    assert field_kinds(Odd) == {"whole_or_not": "float64", "unset": "float64", "word": "string", "flag": "bool"}  # type: ignore[arg-type]


def test_a_setting_that_no_column_can_hold_is_an_error() -> None:
    @dataclass
    class Mixed:
        value: int | str = 1

    @dataclass
    class Nested:
        value: list[int] | None = None

    with pytest.raises(TypeError, match=r"Mixed\.value must have one stored type"):
        field_kinds(Mixed)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Nested\.value must be annotated with float, int, str, bool"):
        field_kinds(Nested)  # type: ignore[arg-type]


def test_files_carry_units_version_provenance_and_run_ids(folder: Path) -> None:
    ids = run_ids(2, 1)
    found = records(ids)
    about = provenance("cpu", "eager")
    write_shard(folder, "a", found["layers"], found["steps"], found["runs"], about)
    for table in TABLES:
        schema = pq.read_schema(folder / table / "a.parquet")
        assert schema.remove_metadata().equals(arrow_schema(table).remove_metadata())
        for column in columns(table):
            assert schema.field(column.name).metadata[b"unit"].decode() == column.unit
        text = json.loads(pq.read_metadata(folder / table / "a.parquet").metadata[b"gradyn"])
        # The whole second that is the files' modification time, and the bytes of those that were closed before.
        written = int((folder / table / "a.parquet").stat().st_mtime)
        before = TABLES[: TABLES.index(table)]
        sizes = {other: (folder / other / "a.parquet").stat().st_size for other in before}
        assert text == {"schema_version": SCHEMA_VERSION, "shard": "a", "run_ids": sorted(ids), "provenance": about, "written": written, "bytes": sizes}
    row = load(folder).table("runs").to_pylist()[0]
    assert {name: row[name] for name in about} == about


def test_provenance_names_versions_hardware_and_an_utc_date() -> None:
    about = provenance("cpu", "eager")
    assert about.keys() == {column.name for column in RUN_COLUMNS[-len(about) :]}
    assert f"numpy {np.__version__}" in about["versions"]
    assert about["hardware"]
    assert about["date"].endswith("+00:00")
    assert (about["commit"] is None) == (about["dirty"] is None)


any_float = st.floats(width=64, allow_nan=True, allow_infinity=True, allow_subnormal=True)
awkward = st.sampled_from([0.0, -0.0, np.inf, -np.inf, np.nan, 5e-324, -5e-324, np.finfo(float).tiny / 2, np.finfo(float).max, 1e-45])


@settings(deadline=None, max_examples=25)
@given(values=st.lists(st.one_of(st.none(), awkward, any_float), min_size=6, max_size=6), form=st.sampled_from(["list", "masked", "objects"]))
def test_every_float_and_null_comes_back_to_the_bit(values: list[float | None], form: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("trip")
    open_folder(folder, LOG)
    found = records(run_ids(1))
    plain = np.array([0.0 if value is None else value for value in values])
    forms: dict[str, Any] = {
        "list": values,
        "masked": np.ma.masked_array(plain, [value is None for value in values]),
        "objects": np.array(values, dtype=object),
    }
    found["layers"]["log10_delta_rms"] = forms[form]
    write_shard(folder, "a", found["layers"], found["steps"], found["runs"])
    table = load(folder).table("layers")
    assert bits(table["log10_delta_rms"].to_pylist()) == bits(values)
    # Every other column too, and what was not given is null.
    for name in FLOATS[:2]:
        assert bits(table[name].to_pylist()) == bits(found["layers"][name])
    assert table["act_mean"].null_count == 6


@pytest.mark.parametrize("value", [np.float32(1e-45), np.float32(np.pi), np.float16(0.1)])
def test_narrower_floats_are_widened_exactly(value: Any, folder: Path) -> None:
    found = records(run_ids(1))
    found["steps"]["loss"] = np.array([value, value])
    write_shard(folder, "a", found["layers"], found["steps"], found["runs"])
    assert load(folder).steps["loss"].tolist() == [float(value)] * 2


@pytest.mark.parametrize(
    "values",
    [[None, np.nan], np.array([None, np.nan], dtype=object), np.ma.masked_array([0.0, np.nan], [True, False])],
    ids=["list", "objects", "masked"],
)
def test_a_null_and_a_nan_differ_in_every_reader(values: Any, folder: Path) -> None:
    found = records(run_ids(1))
    found["steps"]["accuracy"] = values
    write_shard(folder, "a", found["layers"], found["steps"], found["runs"])
    path = folder / "steps" / "a.parquet"
    assert load(folder).table("steps")["accuracy"].null_count == 1
    assert pl.read_parquet(path)["accuracy"].null_count() == 1
    assert duckdb.sql(f"select count(*) from '{path}' where accuracy is null").fetchall() == [(1,)]
    assert duckdb.sql(f"select count(*) from '{path}' where isnan(accuracy)").fetchall() == [(1,)]


def test_rows_come_sorted_by_their_keys_however_they_were_packed(folder: Path, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time", lambda: 1.8e9)
    ids = run_ids(*range(5))
    found = records(ids)
    whole = folder / "layers" / "a.parquet"
    write_shard(folder, "a", found["layers"], found["steps"], found["runs"])
    expected = whole.read_bytes()
    shuffled: Records = {}
    for table in TABLES:
        order = rng.permutation(len(found[table]["run_id"]))
        shuffled[table] = {
            name: np.asarray(values, dtype=object if name in ("run_id", "init", "status") else None)[order] for name, values in found[table].items()
        }
    write_shard(folder, "a", shuffled["layers"], shuffled["steps"], shuffled["runs"])
    assert whole.read_bytes() == expected


def test_pieces_give_the_rows_that_one_piece_gives(folder: Path) -> None:
    ids = run_ids(*range(10))
    found = records(ids)
    write_shard(folder, "whole", found["layers"], found["steps"], found["runs"])
    expected = {table: load(folder).table(table) for table in TABLES}
    other = folder.parent / "pieces"
    open_folder(other, LOG)
    with ShardWriter(other, "pieces") as shard:
        for number in range(10):
            piece = {table: {name: np.asarray(v)[np.asarray(found[table]["run_id"]) == ids[number]] for name, v in found[table].items()} for table in TABLES}
            shard.append(piece["layers"], piece["steps"], piece["runs"])
    for table in TABLES:
        assert load(other).table(table).equals(expected[table])


def test_a_row_group_holds_48_to_256_whole_runs(folder: Path) -> None:
    with ShardWriter(folder, "a") as shard:
        for first, count in ((0, 30), (30, 30), (60, 300), (360, 5)):
            found = records(run_ids(*range(first, first + count)))
            shard.append(found["layers"], found["steps"], found["runs"])
    for table, rows in (("runs", 1), ("steps", STEPS), ("layers", STEPS * DEPTH)):
        metadata = pq.read_metadata(folder / table / "a.parquet")
        sizes = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]
        assert sizes == [count * rows for count in (60, 256, 44, 5)]
    assert len(done(folder)) == 365


def test_floats_are_split_by_bytes_keys_by_dictionary_and_all_by_zstd(folder: Path) -> None:
    write(folder, run_ids(1), "a")
    group = pq.read_metadata(folder / "layers" / "a.parquet").row_group(0)
    for index in range(group.num_columns):
        column = group.column(index)
        is_key = column.path_in_schema in ("run_id", "step", "layer")
        assert column.compression == "ZSTD"
        assert ("RLE_DICTIONARY" in column.encodings) == is_key
        assert ("BYTE_STREAM_SPLIT" in column.encodings) == (not is_key)


def test_no_pickle_is_anywhere_in_a_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **changes: object) -> None:
        raise AssertionError("the store pickled")

    for name in ("dump", "dumps", "load", "loads"):
        monkeypatch.setattr(pickle, name, refuse)
    write(folder, run_ids(1))
    write_failure(folder, "b", ValueError("x"))
    assert len(load(folder).layers) == STEPS * DEPTH


@pytest.mark.parametrize(
    ("table", "change", "line"),
    [
        ("runs", {"deepth": [3]}, "runs must have columns of its schema only; got 'deepth'"),
        ("layers", {"log10_delta_rms": [1.0]}, r"layers\.log10_delta_rms must have 6 values, one a row; got 1"),
        ("layers", {"log10_delta_rms": ["a"] * 6}, r"layers\.log10_delta_rms must hold values of type double"),
        ("layers", {"step": [0.5] * 6}, r"layers\.step must hold values of type int64"),
        ("steps", {"step": [0, None]}, r"steps\.step must hold no null; got 1"),
        ("steps", {"run_id": ["f" * 16] * 2}, "steps must hold rows of the runs in `runs` only; got 'ffffffffffffffff'"),
    ],
)
def test_records_that_break_the_schema_are_an_error_and_leave_nothing(table: Table, change: dict[str, Any], line: str, folder: Path) -> None:
    before = everything(folder)
    found = records(run_ids(1))
    found[table] |= change
    with pytest.raises(ValueError, match=line):
        write_shard(folder, "a", found["layers"], found["steps"], found["runs"])
    assert everything(folder) == before


def test_a_run_twice_in_a_shard_and_an_empty_shard_are_errors(folder: Path) -> None:
    found = records(run_ids(1))
    with ShardWriter(folder, "a") as shard:
        shard.append(found["layers"], found["steps"], found["runs"])
        with pytest.raises(ValueError, match="every run of the shard once"):
            shard.append(found["layers"], found["steps"], found["runs"])
    with pytest.raises(ValueError, match="at least one run"), ShardWriter(folder, "a"):
        pass
    with pytest.raises(ValueError, match="shard must be a name of letters"):
        ShardWriter(folder, "../a")
    assert done(folder) == set(run_ids(1))


def test_a_shards_name_depends_on_its_runs_alone() -> None:
    assert shard_id(run_ids(1, 2)) == shard_id(run_ids(2, 1))
    assert shard_id(run_ids(1, 2)) != shard_id(run_ids(1, 3))


def test_a_run_written_by_its_own_columns_comes_back(folder: Path, base_spec: Callable[[], RunSpec]) -> None:
    spec = base_spec()
    write_shard(
        folder, "a", {"run_id": [], "step": [], "layer": []}, {"run_id": [], "step": []}, {"run_id": [spec.run_id], **{k: [v] for k, v in spec.columns.items()}}
    )
    row = load(folder).table("runs").to_pylist()[0]
    expected = {**dict.fromkeys(arrow_schema("runs").names), "run_id": spec.run_id, **spec.columns}
    assert row == expected


@pytest.fixture
def base_spec() -> Callable[[], RunSpec]:
    plain = {"depth": 3, "width": 4, "batch_size": 5, "steps": 2, "learning_rate": 0.1, "seed": 0, "dtype": "float32"}
    plain |= {"loss_scale": 1.0, "backward": "tracked"}
    wanted = {"cell": "feedforward", "activation": "relu", "init": "gaussian", "norm": "none", "residual": "plain", "dropout": "none", "clip": "global_l2"}
    wanted |= {"penalty": "none", "optimizer": "momentum", "rates": "uniform", "loss": "cross_entropy", "data": "digits"}
    return lambda: RunSpec(**plain, **{group: options(groups()[group])[name]() for group, name in wanted.items()})


def test_columns_of_keys_settings_and_results_make_up_the_runs_table() -> None:
    names = ["run_id", *(c.name for c in SPEC_COLUMNS), *(c.name for c in setting_columns()), *(c.name for c in RUN_COLUMNS)]
    assert [column.name for column in columns("runs")] == names
    assert {column.name for column in KEY_COLUMNS} == {"run_id", "step", "layer"}
