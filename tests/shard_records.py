"""Records of made-up runs, and what a folder holds: what the store's tests write and look at."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from gradyn.store import (
    Table,
    arrow_schema,
    shard_id,
    write_shard,
)

LOG = {"layers": [0, 1], "steps": "all"}
DEPTH, STEPS = 3, 2
FLOATS = [name for name in arrow_schema("layers").names if name.startswith("log10_")]

Records = dict[Table, dict[str, Any]]


def run_ids(*numbers: int) -> list[str]:
    return [f"{number:016x}" for number in numbers]


def records(ids: list[str], seed: int = 0) -> Records:
    """All rows of the runs, every float column filled."""
    rng = np.random.default_rng(seed)
    layer_rows, step_rows = len(ids) * STEPS * DEPTH, len(ids) * STEPS
    layers: dict[str, Any] = {
        "run_id": np.repeat(np.array(ids, dtype=object), STEPS * DEPTH),
        "step": np.tile(np.repeat(np.arange(STEPS), DEPTH), len(ids)),
        "layer": np.tile(np.arange(1, DEPTH + 1), len(ids) * STEPS),
        **{name: rng.standard_normal(layer_rows) for name in FLOATS},
    }
    steps = {"run_id": np.repeat(ids, STEPS), "step": np.tile(np.arange(STEPS), len(ids)), "loss": rng.standard_normal(step_rows)}
    runs = {
        "run_id": ids,
        "depth": np.full(len(ids), DEPTH),
        "init": ["gaussian"] * len(ids),
        "init.sigma_w": rng.standard_normal(len(ids)),
        "status": ["ok"] * len(ids),
    }
    return {"layers": layers, "steps": steps, "runs": runs}


def write(folder: Path, ids: list[str], shard: str | None = None, seed: int = 0) -> str:
    name = shard or shard_id(ids)
    found = records(ids, seed)
    write_shard(folder, name, found["layers"], found["steps"], found["runs"])
    return name


def everything(folder: Path) -> set[str]:
    """All files but the lock's, relative."""
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}
