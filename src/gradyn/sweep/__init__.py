"""How does a sweep run? Spec, plan, pack, execute, launch: files in the order in which the data flows.

A spec is one run, fully resolved; a plan is the runs of one command; a pack is the runs that are computed as one tensor
program; a shard is what a worker commits at once.
"""

from gradyn.sweep.cluster import launch_on_slurm
from gradyn.sweep.execute import Records, execute
from gradyn.sweep.launch import check_device, launch
from gradyn.sweep.ledger import in_flight
from gradyn.sweep.materialize import Materialized, materialize
from gradyn.sweep.pack import pack, structure
from gradyn.sweep.plan import Execution, Log, Plan, Schedule, joined
from gradyn.sweep.shard import run_shard
from gradyn.sweep.site import Site
from gradyn.sweep.slurm import SlurmError
from gradyn.sweep.spec import ENGINE_VERSION, RunSpec
from gradyn.sweep.workers import kept_workers

__all__ = [
    "ENGINE_VERSION",
    "Execution",
    "Log",
    "Materialized",
    "Plan",
    "Records",
    "RunSpec",
    "Schedule",
    "Site",
    "SlurmError",
    "check_device",
    "execute",
    "in_flight",
    "joined",
    "kept_workers",
    "launch",
    "launch_on_slurm",
    "materialize",
    "pack",
    "run_shard",
    "structure",
]
