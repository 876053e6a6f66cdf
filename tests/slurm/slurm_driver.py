"""A driver to be killed: `slurm_driver.py FOLDER SLOW MINUTES [BEGIN]` carries out the plan that the tests have for FOLDER.

With BEGIN (when jobs may start, as sbatch takes it) it kills itself between sbatch and the ledger.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

from slurm_faults import make_plan
from test_slurm import site, specs

from gradyn.sweep import launch_on_slurm

RUNS = {"killed": 8, "orphan": 4, "interrupted": 4}

if __name__ == "__main__":
    # A suite that runs in the background hands down a SIGINT that is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    folder = Path(sys.argv[1])
    slow, minutes, *begin = sys.argv[2:]
    if begin:
        # An sbatch that submits and then kills whoever called it, before a ledger can be written.
        command = folder.parent / "bin" / "sbatch"
        command.parent.mkdir(exist_ok=True)
        command.write_text('#!/bin/sh\nPATH=${PATH#*:} sbatch "$@"\nkill -9 $PPID\n', encoding="utf-8")
        command.chmod(0o755)
        os.environ["PATH"] = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    plan = make_plan(folder, specs(RUNS[folder.name]))
    sys.exit(launch_on_slurm(plan, site(float(slow), shard_minutes=float(minutes), sbatch=tuple(f"--begin={when}" for when in begin))))
