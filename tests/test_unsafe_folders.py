"""A results folder is data: whatever lies in it, nothing of it is executed, and its texts do nothing where they are shown."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import gradyn
from gradyn.cli import main
from gradyn.report import figures
from gradyn.store import write_failure
from gradyn.sweep import Execution, Log, Plan, Schedule, launch
from runs import make_spec

SOURCES = Path(gradyn.__file__).parent
HOSTILE = "<script>alert(1)</script> $(touch owned) `id` {0.__class__} %s %n $\\frac{1}$ \x1b[31m\x1b]0;owned\x07 \r\u202e"


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, ...]]:
        return open, (str(self.mark), "w")  # type: ignore[return-value]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "results" / "x"
    specs = tuple(make_spec(seed=seed, depth=depth, steps=1) for seed in range(2) for depth in (2, 4))
    assert launch(Plan(specs, "x", place, Log(Schedule((0,)), Schedule(None)), Execution(workers=1), config="runs: 4\n")) == 0
    return place


def test_no_source_reads_pickles_or_yaml_with_tags_or_instantiates_what_a_folder_names() -> None:
    forbidden = ("import pickle", "pickle.load", "torch.load", "allow_pickle=True", "yaml.load(", "yaml.unsafe", "joblib", "shelve", "marshal")
    read = sorted([*SOURCES.rglob("*.py"), *(SOURCES.parent / "hydra_plugins").rglob("*.py")])
    assert len(read) > 100
    assert not [(path.name, word) for path in read for word in forbidden if word in path.read_text(encoding="utf-8")]
    # Hydra's `instantiate` is nowhere: components are made of classes of their own group alone.
    assert not [path.name for path in read if "utils import instantiate" in path.read_text(encoding="utf-8")]


def test_pickles_and_targets_planted_in_a_folder_are_never_run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mark = tmp_path / "owned"
    bomb = pickle.dumps(Bomb(mark))
    pickle.loads(bomb).close()
    assert mark.exists(), "the bomb must work, or it tests nothing"
    mark.unlink()
    for name in ("runs/bomb.parquet", "layers/bomb.parquet", "bomb.pkl", "runs/bomb.pt", ".flight.json", "failures/aaaaaaaaaaaaaaaa.1.json"):
        (folder / name).write_bytes(bomb)
    (folder / "config.yaml").write_text(
        f"runs: 4\nconfig: {{_target_: os.system, command: 'touch {mark}', x: !!python/object/apply:os.system ['touch {mark}']}}\n"
    )
    main(["status", str(folder)])
    with pytest.warns(UserWarning, match=r"bomb\.parquet is cut off or no Parquet file"):
        figures(folder, only=["norms_by_layer"], formats=["png"])
    specs = tuple(make_spec(seed=seed, depth=depth, steps=1) for seed in range(3) for depth in (2, 4))
    assert launch(Plan(specs, "x", folder, Log(Schedule((0,)), Schedule(None)), Execution(workers=1))) == 0
    assert len(gradyn.load(folder).runs) == 6
    assert not mark.exists()


def test_a_target_on_the_command_line_must_be_a_component(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    mark = tmp_path / "owned"
    assert main(["plan", "activation._target_=os.system", f"results={tmp_path}"]) == 2
    said = capsys.readouterr().err
    assert "activation._target_ must be a class of the group activation" in said or "must be a class" in said
    assert not mark.exists()


def test_hostile_names_and_texts_come_out_inert(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in (folder / "runs").glob("*.parquet"):
        table = pq.read_table(path)
        about = {b"gradyn": pq.read_metadata(path).metadata[b"gradyn"]}
        for name in ("activation", "status", "commit", "hardware"):
            table = table.set_column(table.schema.get_field_index(name), table.schema.field(name), pa.array([HOSTILE] * len(table)))
        pq.write_table(table.replace_schema_metadata(about), path)
    write_failure(folder, "0" * 16, RuntimeError(HOSTILE), {"activation": HOSTILE})
    # What a file's name can hold of it.
    hostile_folder = folder.with_name(HOSTILE.replace("/", "|"))
    folder.rename(hostile_folder)
    (hostile_folder / ".lock").write_text(json.dumps({"pid": 1, "host": HOSTILE, "since": HOSTILE, "born": None}))
    main(["status", str(hostile_folder)])
    main(["status", str(hostile_folder) + "nowhere"])
    shown = "".join(capsys.readouterr())
    assert "process 1 on" in shown
    assert not [letter for letter in shown if not letter.isprintable() and letter != "\n"]
    files = figures(hostile_folder, only=["norms_by_layer"], formats=["png", "svg"])
    texts = {path.name: path.read_text(encoding="utf-8") for path in files if path.suffix in (".svg", ".md", ".csv")}
    assert len(texts) >= 3
    for text in texts.values():
        assert "<script" not in text
        assert "\x1b" not in text
        assert "\u202e" not in text


def test_a_failure_is_shown_without_what_a_terminal_would_obey(tmp_path: Path) -> None:
    program = f"""
from collections import Counter
from gradyn.sweep.progress import Progress
from gradyn.sweep import Execution, Log, Plan, Schedule
from pathlib import Path
plan = Plan((), "x", Path("x"), Log(Schedule(None), Schedule(None)), Execution())
Progress(plan, 0, 0, 0.0).say({HOSTILE!r} + "[bold]")
"""
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, cwd=tmp_path).stdout.decode()
    assert "\\x1b[31m" in said
    assert "[bold]" in said
    assert "\x1b" not in said
    assert not list(tmp_path.iterdir())
