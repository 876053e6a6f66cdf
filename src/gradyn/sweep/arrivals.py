"""Arrivals: what others commit to a folder, noticed by its new files."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from gradyn.store import failure, failures
from gradyn.sweep.shard import LOG_NORMS, Done, Zeros


class Arrivals:
    """Looks for shards and failures that were not there before.

    Args:
        folder: the sweep's.
        wanted: run ids that are waited for.
    """

    def __init__(self, folder: Path, wanted: Collection[str]) -> None:
        self._folder = folder
        # Of all files that are there now the caller has read the run ids; what comes in between is read once more, and counts once.
        self._seen: set[str] = set()
        self._attempts = failures(folder)
        self.missing = set(wanted)

    def look(self) -> Done:
        """What came since the last look; `missing` is what neither came nor raised.

        Raises:
            OSError: a file can't be read.
        """
        statuses: list[str] = []
        zeros = Zeros()
        for path in sorted((self._folder / "runs").glob("*.parquet")):
            if path.name in self._seen:
                continue
            self._seen.add(path.name)
            run_ids = pq.read_table(path, columns=["run_id"])["run_id"].to_pylist()
            if self.missing.isdisjoint(run_ids):
                continue
            runs = pq.read_table(path, columns=["run_id", "status", "backward"])
            statuses += [status for run, status in zip(run_ids, runs["status"].to_pylist(), strict=True) if run in self.missing]
            self.missing.difference_update(run_ids)
            layers = pq.read_table(self._folder / "layers" / path.name, columns=["run_id", *LOG_NORMS])
            zeros += Zeros.of(_arrays(layers), _arrays(runs))
        failed = {}
        for run, attempt in failures(self._folder).items():
            if run in self.missing and attempt > self._attempts.get(run, 0):
                failed[run] = str(failure(self._folder, run)["error"]).splitlines()[0]
        self.missing.difference_update(failed)
        return Done(tuple(statuses), failed, 0.0, zeros)


def _arrays(table: pa.Table) -> dict[str, Any]:
    columns = {name: table[name] for name in table.column_names}
    return {name: np.ma.masked_array(column.to_numpy(), mask=column.is_null().to_numpy()) for name, column in columns.items()}
