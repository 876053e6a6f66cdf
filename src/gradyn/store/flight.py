"""What a driver at work says of itself, for whoever watches: which runs are in its workers' hands, and how long it has to go.

Told in a hidden file that is replaced now and then and that nobody waits for. It is believed only while the process that wrote it
holds the folder and lives, so that what a killed driver left there is never read as work in progress.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from gradyn.store.files import temporary_name
from gradyn.store.lock import Holder, holder

_NAME = ".flight.json"


@dataclass(frozen=True, slots=True)
class Flight:
    """A driver at work.

    Args:
        holder: the process that holds the folder.
        run_ids: handed to its workers and not committed yet, as far as it has said.
        seconds_left: by its own reckoning; None: it can't tell yet.
    """

    holder: Holder
    run_ids: frozenset[str] = frozenset()
    seconds_left: float | None = None


def tell(folder: Path, run_ids: Iterable[str], seconds_left: float | None) -> None:
    """Say what is in flight, as the driver that holds the folder; a disk that refuses is passed over, since nothing depends on it."""
    path = folder / _NAME
    temporary = temporary_name(path)
    about = {"by": Holder.this().identity, "run_ids": list(run_ids), "seconds_left": seconds_left}
    with contextlib.suppress(OSError):
        try:
            temporary.write_text(json.dumps(about, separators=(",", ":")), encoding="utf-8")
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


def flight(folder: Path) -> Flight | None:
    """The driver at work in a folder, or None; nothing is locked or written."""
    held = holder(folder)
    if held is None:
        return None
    try:
        about = json.loads((folder / _NAME).read_text(encoding="utf-8"))
        if about["by"] != held.identity:
            return Flight(held)
        left = about["seconds_left"]
        return Flight(held, frozenset(map(str, about["run_ids"])), None if left is None else float(left))
    except (OSError, ValueError, KeyError, TypeError):
        return Flight(held)
