"""The folder itself: its lock, its log specification, its refusals, and the runs that raised."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradyn.core import ConfigError
from gradyn.store import (
    check_folder,
    failure,
    failures,
    lock,
    open_folder,
    stored_log,
    write_failure,
)
from shard_records import LOG, everything, run_ids, write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "results" / "x"
    open_folder(place, LOG, "depth: 3\n")
    return place


HOLD = """
import sys
from pathlib import Path
from gradyn.store import lock
with lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_a_second_driver_is_told_who_holds_the_folder_and_a_dead_one_holds_nothing(folder: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        line = rf"must be written by one driver at a time; got 'process {holder.pid} on .* since 20.*\+00:00'\. Wait for it or stop it"
        with pytest.raises(ConfigError, match=line), lock(folder):
            pass
    finally:
        holder.kill()
        holder.communicate()
    with lock(folder):
        assert json.loads((folder / ".lock").read_text())["pid"] == os.getpid()
    assert (folder / ".lock").read_text() == ""


def test_the_lock_is_given_back_after_an_error(folder: Path) -> None:
    with pytest.raises(RuntimeError), lock(folder):
        raise RuntimeError
    with lock(folder), pytest.raises(ConfigError, match="one driver at a time"), lock(folder):
        pass


def test_a_folder_is_made_once_and_opened_again_with_the_same_log(folder: Path) -> None:
    assert stored_log(folder) == LOG
    assert (folder / "config.yaml").read_text() == "depth: 3\n"
    open_folder(folder, {"steps": "all", "layers": (0, 1)}, "depth: 4\n")
    assert (folder / "config.yaml").read_text() == "depth: 4\n"
    assert {path.name for path in folder.iterdir()} == {"layers", "steps", "runs", "failures", "sweep.json", "config.yaml"}


@pytest.mark.parametrize(
    ("log", "line"),
    [
        ({"layers": [0, 5], "steps": "all"}, r"log\.layers must be as in .*; got \[0, 5\]\. One folder has one log.*set log\.layers=\[0,1\]\."),
        ({"layers": [0, 1], "steps": [0]}, r"log\.steps must be as in .*; got \[0\]\. .*set log\.steps=all\."),
        ({"layers": [0, 1], "steps": "all", "probes": ["hessian"]}, r"log\.probes must be as in .*; got \['hessian'\]"),
    ],
)
def test_another_log_specification_is_refused_with_the_way_out(log: dict[str, Any], line: str, folder: Path) -> None:
    for ask in (check_folder, open_folder):
        with pytest.raises(ConfigError, match=line):
            ask(folder, log)
    assert stored_log(folder) == LOG


def test_of_two_commands_that_begin_at_once_with_other_logs_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "x"
    module = sys.modules["gradyn.store.folder"]
    make = module.create_text

    def overtaken(path: Path, text: str) -> bool:
        # The other command makes the file between our check and our own attempt.
        monkeypatch.setattr(module, "create_text", make)
        open_folder(place, {**LOG, "steps": [0]})
        return make(path, text)

    monkeypatch.setattr(module, "create_text", overtaken)
    with pytest.raises(ConfigError, match=r"log\.steps must be as in .*; got 'all'\. .*set log\.steps=\[0\]\."):
        open_folder(place, LOG)
    assert stored_log(place) == {**LOG, "steps": [0]}


def test_checking_a_folder_makes_nothing(tmp_path: Path) -> None:
    check_folder(tmp_path / "new" / "x", LOG)
    assert list(tmp_path.iterdir()) == []
    assert stored_log(tmp_path / "new" / "x") is None


def test_a_file_in_the_way_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for place in (tmp_path / "file", tmp_path / "file" / "x"):
        with pytest.raises(ConfigError, match=r"must be a folder; got 'the file .*file'\. Choose another `name` or `results`"):
            open_folder(place, LOG)


def test_an_unwritable_folder_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Root may write everywhere: the system's answer is put in its mouth.
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda path, mode: False)
        with pytest.raises(ConfigError, match=r"must be writable; got 'no permission to write in .*'\. Change its permissions or choose another `results`"):
            check_folder(tmp_path / "x", LOG)

    def refuse(*arguments: object, **changes: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(ConfigError, match=r"must be writable; got 'Read-only file system'"):
        open_folder(tmp_path / "x", LOG)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema_version": 1}', '{"schema_version": 99, "log": {}}'])
def test_a_spoiled_sweep_json_is_refused(text: str, folder: Path) -> None:
    (folder / "sweep.json").write_text(text)
    line = r"must hold results of schema version 1; got 99" if "99" in text else r"sweep\.json must be the JSON that gradyn wrote"
    with pytest.raises(ConfigError, match=line):
        open_folder(folder, LOG)


def test_results_without_a_sweep_json_are_refused(folder: Path) -> None:
    write(folder, run_ids(1))
    (folder / "sweep.json").unlink()
    with pytest.raises(ConfigError, match=r"must have a sweep\.json beside its results; got 'none'\. Restore sweep\.json"):
        open_folder(folder, LOG)


def raised(message: str) -> ValueError:
    try:
        raise ValueError(message)
    except ValueError as error:
        return error


def test_every_attempt_that_raises_is_kept(folder: Path) -> None:
    assert failures(folder) == {}
    first = write_failure(folder, "aa", raised("first"), {"depth": 3, "init.sigma_w": np.float64(1.5)})
    second = write_failure(folder, "aa", raised("second"))
    write_failure(folder, "bb", raised("other"))
    assert (first.name, second.name) == ("aa.1.json", "aa.2.json")
    assert failures(folder) == {"aa": 2, "bb": 1}
    assert failure(folder, "aa")["error"] == "ValueError: second"
    kept = json.loads(first.read_text())
    assert kept["settings"]["depth"] == 3
    assert "in raised" in kept["traceback"]
    assert kept["traceback"].splitlines()[-1] == "".join(traceback.format_exception_only(raised("first"))).strip()
    with pytest.raises(KeyError):
        failure(folder, "cc")
    assert not [name for name in everything(folder) if name.endswith(".tmp")]


def test_two_processes_never_take_one_attempt_number(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_failure(folder, "aa", raised("first"))
    # As if the other process had written between our look and our link.
    monkeypatch.setattr(sys.modules["gradyn.store.failures"], "failures", lambda place: {})
    assert write_failure(folder, "aa", raised("second")).name == "aa.2.json"
    assert json.loads((folder / "failures" / "aa.1.json").read_text())["error"] == "ValueError: first"
