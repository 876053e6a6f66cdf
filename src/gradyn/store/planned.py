"""What a folder is to hold: the run ids of the latest command, beside its tables."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from pathlib import Path

from gradyn.core import ConfigError
from gradyn.store.files import write_text

PLAN = "plan.json"
_RUN_ID = re.compile(r"[0-9a-f]{16}")


def write_plan(folder: Path, run_ids: Iterable[str]) -> None:
    """Keep the run ids of a command as `plan.json`; that of the latest command stays. Call under the lock.

    Raises:
        ConfigError: the system refuses to write.
    """
    try:
        write_text(folder / PLAN, json.dumps({"run_ids": list(run_ids)}, separators=(",", ":")) + "\n")
    except OSError as error:
        raise ConfigError(str(folder), "be writable", error.strerror or str(error), "Choose another `results`, or make room.") from error


def planned(folder: Path) -> tuple[str, ...] | None:
    """The run ids that the latest command asked for, or None where no command has kept any.

    Raises:
        ConfigError: `plan.json` is not what `write_plan` wrote.
    """
    path = folder / PLAN
    try:
        run_ids = json.loads(path.read_text(encoding="utf-8"))["run_ids"]
        if not all(_RUN_ID.fullmatch(run_id) for run_id in run_ids):
            raise ValueError("not all of its run ids are 16 hex digits")
    except FileNotFoundError:
        return None
    except (ValueError, KeyError, TypeError) as error:
        fix = "Give the sweep command again: it writes a new one."
        raise ConfigError(str(path), "be the JSON that gradyn wrote", f"{type(error).__name__}: {error}", fix) from error
    return tuple(dict.fromkeys(run_ids))
