"""Each kind of fault once: the same command mends it all. `make soak` does this for ten minutes."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator

import pytest

from fault_rig import Rig, Verdict
from faults import KINDS, NEEDS_MOUNT
from gradyn.store import TABLES, status


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """One for all: its folders are fresh, its undisturbed twin is the same."""
    made = Rig(tmp_path_factory.mktemp("faults") / "disk", seed=20261126)
    yield made
    made.close()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_after_a_fault_the_same_command_gives_what_an_undisturbed_sweep_gives(kind: Callable[[Rig], bool], rig: Rig) -> None:
    if kind in NEEDS_MOUNT and not rig.can_mount:
        pytest.skip("only root may mount a small or a read-only disk; test_store_crashes.py injects the refusals instead")
    # At a random moment it may come too late, or find nothing to harm.
    for _ in range(20):
        rig.fresh()
        if kind(rig):
            break
    else:
        pytest.fail(f"{kind.__name__} never took place")
    assert rig.finish() == Verdict()


def test_the_verdict_sees_what_is_lost_doubled_or_different(rig: Rig) -> None:
    rig.fresh()
    assert rig.ends(rig.start()) == 0
    assert rig.verdict("polars") == Verdict()
    shard = min((rig.folder / "runs").glob("*.parquet"))
    twins = [rig.folder / table / shard.name for table in TABLES]
    for path in twins:
        shutil.copy2(path, path.with_name(f"copy{path.name}"))
    doubled = rig.verdict("duckdb")
    assert doubled.doubled > 0
    assert (doubled.lost, doubled.different) == (0, doubled.doubled)
    for path in twins:
        path.unlink()
        path.with_name(f"copy{path.name}").unlink()
    assert rig.verdict("pandas") == Verdict(lost=doubled.doubled, different=doubled.doubled)
    rig.ends(rig.start())
    assert rig.verdict("pandas") == Verdict()


def test_a_run_that_always_kills_its_worker_is_found_and_kept_as_a_failure(rig: Rig) -> None:
    """The system's out-of-memory killer names nobody: halves of what was in hand at two deaths, until one run is left."""
    rig.fresh()
    assert rig.plant("kills_its_worker", runs=0)
    found = status(rig.folder)
    assert found.failed == (rig.fragile,)
    assert found.done.total() == len(rig.run_ids) - 1
    assert f"run {rig.fragile} raised DeadWorkerError: the run took its worker along twice" in rig.said()
    assert rig.finish() == Verdict()
