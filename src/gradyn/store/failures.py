"""Runs that raised: one JSON file an attempt, so that nothing that went wrong is overwritten or lost."""

from __future__ import annotations

import json
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gradyn.store.files import create_text
from gradyn.store.folder import FAILURES

_NAME = re.compile(r"(?P<run_id>[^.]+)\.(?P<attempt>\d+)\.json")


def write_failure(folder: Path, run_id: str, error: BaseException, settings: Mapping[str, Any] | None = None) -> Path:
    """Keep an error as `failures/<run_id>.<attempt>.json`: message, traceback, settings of the run, time.

    Args:
        folder: the sweep's folder.
        run_id: the run that raised.
        error: what it raised, with its traceback.
        settings: the run's columns (`RunSpec.columns`), for whoever reads the file.

    Returns:
        The file; attempts count from 1, and two processes never take one number.

    Raises:
        OSError: the disk refused.
    """
    place = folder / FAILURES
    place.mkdir(exist_ok=True)
    text = json.dumps(
        {
            "run_id": run_id,
            "error": f"{type(error).__name__}: {error}",
            "traceback": "".join(traceback.format_exception(error)),
            "settings": dict(settings or {}),
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
        },
        indent=2,
        default=str,
    )
    attempt = failures(folder).get(run_id, 0) + 1
    while not create_text(path := place / f"{run_id}.{attempt}.json", text + "\n"):
        attempt += 1
    return path


def failures(folder: Path) -> dict[str, int]:
    """Attempts that raised, by run id. A run that succeeded later is still listed: subtract `done(folder)`."""
    found: dict[str, int] = {}
    for path in (folder / FAILURES).glob("*.json"):
        match = _NAME.fullmatch(path.name)
        if match:
            found[match["run_id"]] = max(found.get(match["run_id"], 0), int(match["attempt"]))
    return found


def failure(folder: Path, run_id: str) -> dict[str, Any]:
    """The latest failure of a run, as `write_failure` kept it.

    Raises:
        KeyError: the run never raised.
    """
    attempt = failures(folder)[run_id]
    return dict(json.loads((folder / FAILURES / f"{run_id}.{attempt}.json").read_text(encoding="utf-8")))
