"""A real Slurm for the tests marked `slurm`, and the bill of the faults."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from slurm_faults import HERE, Verdict, compare, make_plan, tables, until

from gradyn.sweep import Plan, launch, slurm
from gradyn.sweep.ledger import job_name


@pytest.fixture(scope="session")
def cluster() -> Iterator[None]:
    """The cluster of `make slurm-up`, or of the machine; skipped where there is none, unless GRADYN_SLURM_REQUIRED is set."""
    before = dict(os.environ)
    conf = subprocess.run([HERE / "node.sh", "conf"], capture_output=True, text=True, check=True).stdout.strip()
    if Path(conf).exists():
        os.environ["SLURM_CONF"] = conf
    is_up = shutil.which("sinfo") is not None and subprocess.run(["sinfo"], capture_output=True, check=False).returncode == 0
    if not is_up:
        reason = "no Slurm answers here; make slurm-up starts one"
        if os.environ.get("GRADYN_SLURM_REQUIRED"):
            pytest.fail(reason)
        pytest.skip(reason)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH")]))
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def judge(tmp_path: Path, record_property: Callable[[str, object], None]) -> Callable[..., Verdict]:
    """Holds a folder to a local sweep of the same runs, and enters the faults that it went through into the bill."""

    def hold(plan: Plan, kind: str = "", count: int = 0) -> Verdict:
        # What is still alive could double runs later.
        until(lambda: not slurm.queue(job_name(plan.folder)))
        local = tmp_path / "undisturbed"
        assert launch(make_plan(local, list(plan.specs))) == 0
        verdict = compare(plan.folder, tables(local))
        record_property("faults", [kind, count, verdict.lost, verdict.doubled, verdict.different])
        return verdict

    return hold


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the faults by kind and what they cost."""
    reports = [report for part in terminalreporter.stats.values() for report in part if getattr(report, "when", "") == "call"]
    bill = [value for report in reports for key, value in report.user_properties if key == "faults"]
    if bill:
        kinds = ", ".join(f"{kind} {count}" for kind, count, *_ in sorted(bill) if count)
        cost = ", ".join(f"{name} {sum(row[place] for row in bill)}" for place, name in ((2, "lost"), (3, "doubled"), (4, "different")))
        terminalreporter.write_line(f"Slurm faults: {kinds or 'none'}; {cost}")
