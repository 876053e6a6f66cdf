"""Reading a folder: lazily, in part, without doubles, beside broken and foreign files, and by other readers."""

from __future__ import annotations

import shutil
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

import gradyn.store.write as write_module
from gradyn.core import ConfigError
from gradyn.store import (
    SCHEMA_VERSION,
    TABLES,
    Table,
    arrow_schema,
    clean,
    done,
    load,
    open_folder,
    write_shard,
)
from shard_records import DEPTH, FLOATS, LOG, STEPS, everything, records, run_ids, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "results" / "x"
    open_folder(place, LOG, "depth: 3\n")
    return place


def test_tables_are_read_when_first_used_and_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(folder, run_ids(1))
    found = load(folder)
    shutil.rmtree(folder / "layers")
    assert len(found.runs) == 1
    assert found.runs is found.runs
    with pytest.raises(ConfigError, match=r"must hold layers/.*\.parquet whole; got 'no such file'\. Remove runs/"):
        _ = found.layers


def test_frames_have_plain_numbers_and_texts(folder: Path) -> None:
    write(folder, run_ids(1, 2))
    found = load(folder)
    assert found.layers["log10_delta_rms"].dtype == np.float64
    assert found.layers["layer"].dtype == np.int64
    assert found.runs["init"].tolist() == ["gaussian", "gaussian"]
    assert found.runs.columns.tolist() == arrow_schema("runs").names
    assert found.runs.merge(found.layers, on="run_id").shape[0] == 2 * STEPS * DEPTH


def test_a_run_in_two_shards_is_read_once_and_from_one_of_them(folder: Path) -> None:
    write(folder, run_ids(1, 2), "a", seed=1)
    write(folder, run_ids(2, 3), "b", seed=2)
    found = load(folder)
    assert found.run_ids == set(run_ids(1, 2, 3))
    for table, rows in (("runs", 1), ("steps", STEPS), ("layers", STEPS * DEPTH)):
        counts = found.frame(table)["run_id"].value_counts().to_dict()
        assert counts == dict.fromkeys(run_ids(1, 2, 3), rows)
    # Run 2's rows come from shard a in every table.
    expected = records(run_ids(1, 2), seed=1)
    rows = found.layers[found.layers["run_id"] == run_ids(2)[0]]
    np.testing.assert_array_equal(rows[FLOATS[0]], expected["layers"][FLOATS[0]][STEPS * DEPTH :])


def test_reading_is_restricted_to_the_runs_of_a_plan(folder: Path) -> None:
    write(folder, run_ids(1, 2), "a")
    write(folder, run_ids(3, 4), "b")
    found = load(folder, run_ids(1, 3, 4, 99))
    for table in TABLES:
        assert set(found.frame(table)["run_id"]) == set(run_ids(1, 3, 4))
    nothing = load(folder, run_ids(99))
    assert nothing.layers.columns.tolist() == arrow_schema("layers").names
    assert len(nothing.layers) == len(nothing.runs) == 0


def test_a_part_of_a_table_is_read_by_columns_and_condition(folder: Path) -> None:
    write(folder, run_ids(1, 2), "a")
    found = load(folder, run_ids(2))
    part = found.frame("layers", ["layer", "log10_delta_rms"], (pc.field("step") == 1) & (pc.field("layer") > 1))
    assert part.columns.tolist() == ["layer", "log10_delta_rms"]
    assert part["layer"].tolist() == [2, 3]
    assert found.frame("runs", ["init.sigma_w"]).shape == (1, 1)
    with pytest.raises(ValueError, match="columns must be among those of layers; got 'delta'"):
        found.frame("layers", ["delta"])
    with pytest.raises(ValueError, match="table must be one of layers, steps, runs; got 'weights'"):
        found.frame("weights")  # type: ignore[arg-type]


def test_a_column_that_older_shards_lack_is_null_there(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def older(table: Table) -> pa.Schema:
        schema = arrow_schema(table)
        return schema.remove(schema.get_field_index("test_accuracy")) if table == "runs" else schema

    with monkeypatch.context() as patch:
        patch.setattr(write_module, "arrow_schema", older)
        write(folder, run_ids(1), "a")
    found = records(run_ids(2))
    found["runs"]["test_accuracy"] = [0.5]
    write_shard(folder, "b", found["layers"], found["steps"], found["runs"])
    assert load(folder).table("runs")["test_accuracy"].to_pylist() == [None, 0.5]


def test_polars_and_duckdb_see_the_same_rows(folder: Path) -> None:
    write(folder, run_ids(5, 2), "a")
    write(folder, run_ids(1, 3), "b")
    found = load(folder)
    for table in TABLES:
        keys = [name for name in ("run_id", "step", "layer") if name in arrow_schema(table).names]
        ours = found.table(table)
        polars = pl.read_parquet(f"{folder}/{table}/*.parquet").sort(keys).to_arrow()
        assert polars.cast(ours.schema).equals(ours)
        duck = duckdb.sql(f"select * from '{folder}/{table}/*.parquet' order by {', '.join(keys)}").to_arrow_table()
        assert duck.cast(ours.schema).equals(ours)
    status = pl.scan_parquet(f"{folder}/runs/*.parquet").select("run_id", "init.sigma_w").collect()
    assert status["run_id"].sort().to_list() == sorted(found.run_ids)


def test_nothing_to_read_is_said_in_one_line(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"folder must hold at least one finished run; got '.*'\. Run the sweep first"):
        load(folder)
    with pytest.raises(ConfigError, match=r"folder must be the folder of a sweep; got '.*nowhere'"):
        load(tmp_path / "nowhere")


@pytest.mark.parametrize("keep", [0, 4, 100, -1])
def test_a_cut_off_file_in_runs_is_not_done_left_out_aloud_and_moved_aside_by_cleaning(keep: int, folder: Path) -> None:
    write(folder, run_ids(1), "good")
    write(folder, run_ids(2), "bad")
    path = folder / "runs" / "bad.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    assert done(folder) == set(run_ids(1))
    with pytest.warns(UserWarning, match=r"bad\.parquet is cut off or no Parquet file and is left out"):
        assert load(folder).run_ids == set(run_ids(1))
    said = clean(folder)
    assert any("moved to set_aside/runs/bad.parquet" in line for line in said)
    assert {name for name in everything(folder) if "bad" in name} == {"set_aside/runs/bad.parquet"}
    assert load(folder).run_ids == set(run_ids(1))


@pytest.mark.parametrize("table", ["layers", "steps"])
def test_a_cut_off_file_beside_a_committed_run_is_said_with_the_way_out(table: Table, folder: Path) -> None:
    write(folder, run_ids(1), "a")
    path = folder / table / "a.parquet"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(
        ConfigError, match=rf"must hold {table}/a\.parquet whole; got 'a cut-off file'\. Remove runs/a\.parquet and give the sweep command again"
    ):
        load(folder).frame(table)
    clean(folder)
    assert everything(folder) == {"sweep.json", "config.yaml", "set_aside/runs/a.parquet"}


def test_other_peoples_files_are_left_out_aloud_and_set_aside_as_they_are(folder: Path) -> None:
    write(folder, run_ids(1), "a")
    pq.write_table(pa.table({"x": [1]}), folder / "runs" / "theirs.parquet")
    shutil.copy(folder / "runs" / "theirs.parquet", folder / "layers" / "theirs.parquet")
    (folder / "runs" / "notes.txt").write_text("mine")
    with pytest.warns(UserWarning, match=r"theirs\.parquet was not written by gradyn"):
        assert load(folder).run_ids == set(run_ids(1))
    assert done(folder) == set(run_ids(1))
    theirs = (folder / "runs" / "theirs.parquet").read_bytes()
    assert len(clean(folder)) == 2
    assert {"set_aside/runs/theirs.parquet", "set_aside/layers/theirs.parquet", "runs/notes.txt"} <= everything(folder)
    assert (folder / "set_aside" / "runs" / "theirs.parquet").read_bytes() == theirs
    # Now every reader of the pattern finds what ours finds.
    assert pl.read_parquet(f"{folder}/runs/*.parquet")["run_id"].to_list() == run_ids(1)


def test_another_schema_version_is_refused_everywhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(write_module, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
        write(folder, run_ids(1), "a")
    for ask in (load, done, clean):
        with pytest.raises(ConfigError, match=rf"must hold results of schema version {SCHEMA_VERSION}; got {SCHEMA_VERSION + 1}\. Choose another `name`"):
            ask(folder)
