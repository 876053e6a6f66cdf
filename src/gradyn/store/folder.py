"""The folder of a sweep: made once, of one schema version, with one log specification."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gradyn.core import ConfigError
from gradyn.store.files import create_text, write_text
from gradyn.store.schema import SCHEMA_VERSION, TABLES
from gradyn.store.shards import require_version

_ABOUT = "sweep.json"
_CONFIG = "config.yaml"
FAILURES = "failures"


def check_folder(folder: Path, log: Mapping[str, Any]) -> None:
    """Refuse a folder that this sweep can't write to; nothing is made or changed. For the plan, before anything runs.

    Args:
        folder: `results/<name>`, there or not.
        log: what is measured and when (probes, schedule), as JSON can hold it; tuples count as lists.

    Raises:
        ConfigError: a file stands in the way, the folder can't be written, has another schema version or log specification, or
            has results but no `sweep.json`.
    """
    nearest = folder
    while not nearest.exists() and nearest != nearest.parent:
        nearest = nearest.parent
    if not nearest.is_dir():
        raise ConfigError(str(folder), "be a folder", f"the file {nearest}", "Choose another `name` or `results`.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise ConfigError(str(folder), "be writable", f"no permission to write in {nearest}", "Change its permissions or choose another `results`.")
    if folder.is_dir():
        _check_about(folder, _plain(log))


def open_folder(folder: Path, log: Mapping[str, Any], config: str | None = None) -> None:
    """Check the folder, make what is missing of it, and keep the log specification and the resolved config in it.

    Args:
        folder: `results/<name>`.
        log: as for `check_folder`.
        config: text of the resolved config, kept as `config.yaml`; that of the latest call stays.

    Raises:
        ConfigError: as `check_folder`, or the system refuses to write.
    """
    check_folder(folder, log)
    try:
        for name in (*TABLES, FAILURES):
            (folder / name).mkdir(parents=True, exist_ok=True)
        if not create_text(folder / _ABOUT, json.dumps({"schema_version": SCHEMA_VERSION, "log": _plain(log)}, indent=2, allow_nan=False) + "\n"):
            # There from an earlier command, or from one that began at this moment.
            _check_about(folder, _plain(log))
        if config is not None:
            write_text(folder / _CONFIG, config)
    except OSError as error:
        raise ConfigError(str(folder), "be writable", error.strerror or str(error), "Choose another `results`, or make room.") from error


def stored_log(folder: Path) -> Mapping[str, Any] | None:
    """The folder's log specification, or None where there is no sweep yet.

    Raises:
        ConfigError: `sweep.json` can't be read, or is of another schema version.
    """
    path = folder / _ABOUT
    if not path.exists():
        return None
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        version, log = about["schema_version"], about["log"]
    except (ValueError, KeyError, TypeError) as error:
        fix = "Restore it, or move the folder away."
        raise ConfigError(str(path), "be the JSON that gradyn wrote", f"{type(error).__name__}: {error}", fix) from error
    require_version(folder, version)
    return dict(log)


def _check_about(folder: Path, log: dict[str, Any]) -> None:
    stored = stored_log(folder)
    if stored is None:
        has_results = any(next((folder / table).glob("*.parquet"), None) for table in TABLES)
        if has_results:
            fix = f"Restore {_ABOUT}, or choose another `name`."
            raise ConfigError(str(folder), f"have a {_ABOUT} beside its results", "none", fix)
        return
    for key in sorted(stored.keys() | log.keys()):
        # False leaves something out: a folder that says nothing of it has it, which does no harm.
        if stored.get(key) != log.get(key) and (key in stored or log[key] is not False):
            given = f"set log.{key}={_override(stored[key])}" if key in stored else f"leave log.{key} alone"
            fix = f"One folder has one log specification: choose another `name`, or {given}."
            raise ConfigError(f"log.{key}", f"be as in {folder}", log.get(key), fix)


def _plain(log: Mapping[str, Any]) -> dict[str, Any]:
    # Through JSON and back, so that what is asked compares with what is kept.
    return dict(json.loads(json.dumps(log, allow_nan=False)))


def _override(value: Any) -> str:
    # As Hydra's command line takes it: no spaces, no quotes about words.
    return json.dumps(value, separators=(",", ":")).replace('"', "")
