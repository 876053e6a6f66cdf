"""Cluster: a plan's missing runs as Slurm arrays. The same command again attaches to what is in the queue, and does the rest.

What is done is what `runs/` says; who is alive is what squeue says; who does what is what the ledger says.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from gradyn.core import ConfigError
from gradyn.store import clean, done, failures, lock, open_folder, write_plan
from gradyn.sweep import ledger, slurm
from gradyn.sweep.await_jobs import await_jobs, how_it_goes_on
from gradyn.sweep.launch import Watcher, queue
from gradyn.sweep.ledger import Entry
from gradyn.sweep.pack import Pack, cost
from gradyn.sweep.plan import Plan
from gradyn.sweep.progress import Progress
from gradyn.sweep.site import Site
from gradyn.sweep.slurm import Job, SlurmError
from gradyn.sweep.spec import RunSpec
from gradyn.sweep.submit import require_submitit, script, submit
from gradyn.sweep.tasks import Task, tasks

# For Slurm to end what was cancelled: its KillWait is 30 s, and an epilogue may take its time.
_PATIENCE = 180.0


def launch_on_slurm(plan: Plan, site: Site, watcher: Watcher | None = None) -> int:
    """Submit what the folder lacks and nobody in the queue does; unless told otherwise, wait for it.

    Args:
        plan: runs, folder, log, execution.
        site: what Slurm is asked for.
        watcher: told of committed shards.

    Returns:
        Exit code: 0, all runs of the plan are in the store, or, without waiting, on their way; 1, some are missing; 130, interrupted.

    Raises:
        ConfigError: site, folder, lock or Slurm refuse; nothing was submitted.
    """
    if site.dry_run:
        return _print_script(plan, site)
    require_submitit()
    slurm.require_slurm()
    open_folder(plan.folder, plan.log.settings)
    with lock(plan.folder):
        open_folder(plan.folder, plan.log.settings, plan.config)
        write_plan(plan.folder, plan.run_ids)
        try:
            largest = slurm.largest_array()
            entries, jobs = _attach(plan.folder)
        except SlurmError as error:
            raise ConfigError("hydra/launcher", "reach Slurm", str(error), "Try again when squeue answers.") from error
        flying = ledger.waiting_runs(entries, jobs)
        stored = done(plan.folder)
        # Once: an id is a hash of the whole spec.
        planned = dict(zip(plan.run_ids, plan.specs, strict=True))
        failed_before = set() if plan.execution.retry_failed else planned.keys() & set(failures(plan.folder)) - stored - flying
        wanted = {run: spec for run, spec in planned.items() if run not in stored and run not in failed_before}
        progress = Progress(plan, len(stored & planned.keys()), len(wanted), sum(cost((spec,)) for spec in wanted.values()))
        try:
            is_refused = _submit(plan, site, [spec for run, spec in wanted.items() if run not in flying], largest, entries, progress)
        except KeyboardInterrupt:
            progress.say("Interrupted while submitting. " + how_it_goes_on(entries))
            return 130
        if not site.wait:
            _leave(progress, entries, len(wanted))
            return int(is_refused or bool(failed_before))
        return await_jobs(plan, site, entries, wanted, failed_before, progress, watcher) or int(is_refused)


def _print_script(plan: Plan, site: Site) -> int:
    stored = done(plan.folder) if plan.folder.is_dir() else frozenset()
    work = _tasks(plan, site, [spec for spec in plan.specs if spec.run_id not in stored])
    sys.stdout.write(f"{script(plan, site, max(1, len(work)))}\n")
    sys.stdout.write(f"# {_counted(len(work))}, in arrays below the cluster's MaxArraySize; nothing was submitted.\n")
    return 0


def _attach(folder: Path) -> tuple[dict[int, Entry], list[Job]]:
    """The folder's arrays that are alive, and their jobs; what else has the folder's name in the queue is cancelled.

    Raises:
        SlurmError: Slurm does not answer.
        ConfigError: a ledger is broken.
    """
    name = ledger.job_name(folder)
    entries = {entry.array: entry for entry in ledger.read(folder)}
    strangers = {job.array for job in slurm.queue(name)} - set(entries)
    for array in sorted(strangers):
        slurm.cancel(array)
        print(f"Array {array} is of this sweep, but its driver died before it could write down what it does: cancelled.")
    # Until it is gone a cancelled task may still commit, and what is missing is not known.
    deadline = time.monotonic() + _PATIENCE
    while strangers & {job.array for job in slurm.queue(name)}:
        if time.monotonic() > deadline:
            raise SlurmError(f"scancel: arrays {sorted(strangers)} are still in the queue after {_PATIENCE:.0f} s")
        time.sleep(0.5)
    jobs = [job for job in slurm.queue(name) if job.array in entries]
    alive = {job.array for job in jobs}
    settled = done(folder) | set(failures(folder))
    for entry in [entry for array, entry in entries.items() if array not in alive]:
        ledger.forget(folder, entry, keep_logs=not entry.all_runs() <= settled)
        del entries[entry.array]
    ledger.tidy(folder, entries.values())
    for line in clean(folder, frozenset().union(*(entries[job.array].shards(job.index) for job in jobs))):
        print(line)
    return entries, jobs


def _tasks(plan: Plan, site: Site, missing: list[RunSpec]) -> list[Task]:
    packs: list[Pack] = [pack for shard in queue(plan, missing) for pack in shard]
    return tasks(packs, site.shard_minutes, site.cpus)


def _submit(plan: Plan, site: Site, missing: list[RunSpec], largest: int, entries: dict[int, Entry], progress: Progress) -> bool:
    """Submit in arrays of at most `largest` tasks, and add them to the entries; whether Slurm refused some.

    Raises:
        ConfigError: it refused the first.
    """
    work = _tasks(plan, site, missing)
    for begin in range(0, len(work), largest):
        part = work[begin : begin + largest]
        try:
            entry = submit(plan, site, part)
        except SlurmError as error:
            if begin == 0:
                raise ConfigError("hydra.launcher", "be what Slurm accepts", str(error), "--dry-run prints the batch script.") from error
            progress.say(f"{len(work) - begin:,} of {_counted(len(work))} are not submitted: {error}. The same command again submits them.")
            return True
        entries[entry.array] = entry
        runs = len(entry.all_runs())
        progress.say(f"Submitted {runs:,} runs as array {entry.array}, {_counted(len(part))}; logs in {ledger.private_folder(plan.folder) / entry.place}")
    return False


def _counted(count: int) -> str:
    return f"{count:,} task{'s' * (count != 1)}"


def _leave(progress: Progress, entries: dict[int, Entry], wanted: int) -> None:
    line = f"{wanted:,} runs are on their way. {how_it_goes_on(entries)}" if wanted else "Nothing is left to submit."
    progress.say(line)
