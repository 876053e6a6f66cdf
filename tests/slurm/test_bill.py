"""The bill itself: what it must see, without a Slurm."""

from __future__ import annotations

import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from slurm_faults import Verdict, compare, make_plan, tables

from gradyn.sweep import launch
from runs import make_spec


def test_a_run_that_is_lost_doubled_or_different_is_seen(tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "s", [make_spec(seed=seed) for seed in range(3)], pack_size=1)
    assert launch(plan) == 0
    reference = tables(plan.folder)
    assert compare(plan.folder, reference) == Verdict(0, 0, 0)
    one, two, three = sorted(path.name for path in (plan.folder / "runs").iterdir())
    shutil.copy(plan.folder / "steps" / one, plan.folder / "steps" / "again.parquet")
    assert compare(plan.folder, reference) == Verdict(0, 1, 0)
    (plan.folder / "runs" / two).unlink()
    layers = pq.read_table(plan.folder / "layers" / three)
    place = layers.column_names.index("log10_grad_w_l2")
    values = layers["log10_grad_w_l2"].to_numpy().copy()
    values[-1] += 1e-15
    pq.write_table(layers.set_column(place, "log10_grad_w_l2", pa.array(values)), plan.folder / "layers" / three)
    assert compare(plan.folder, reference) == Verdict(1, 1, 1)
