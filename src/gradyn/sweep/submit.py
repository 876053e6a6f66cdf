"""Submit: tasks as one Slurm array, through submitit."""

from __future__ import annotations

import contextlib
import io
import secrets
import shlex
import shutil
import sys
import warnings
from collections.abc import Sequence
from typing import Any

from gradyn.core import ConfigError
from gradyn.sweep import ledger
from gradyn.sweep.ledger import Entry
from gradyn.sweep.node import Task
from gradyn.sweep.plan import Plan
from gradyn.sweep.site import Site
from gradyn.sweep.slurm import SlurmError
from gradyn.sweep.tasks import Task as Parts
from gradyn.sweep.tasks import Work, ids, modules

# Every notice before a limit of ten minutes and less counts as a timeout; `Task` itself knows when to give up.
_TIMEOUTS = 10**6
_ARRAY_PARALLELISM = 256


def require_submitit() -> None:
    """Raise unless submitit can be imported.

    Raises:
        ConfigError: it is not installed.
    """
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise ConfigError("hydra/launcher", "have submitit to submit with", "none", "pip install 'gradyn[slurm]'.") from None


def script(plan: Plan, site: Site, count: int) -> str:
    """The batch script of an array of `count` tasks, as submitit writes it.

    Raises:
        ConfigError: submitit is not installed.
    """
    require_submitit()
    # The one name of submitit's that is not public: its executor wants Slurm on the machine even to be made.
    from submitit.slurm.slurm import _make_sbatch_string

    place = ledger.private_folder(plan.folder) / "<submission>"
    command = f"{shlex.quote(sys.executable)} -u -m submitit.core._submit {shlex.quote(str(place))}"
    array = {"map_count": count} if count > 1 else {}
    return str(_make_sbatch_string(command=command, folder=place, **_parameters(plan, site), **array))


def submit(plan: Plan, site: Site, tasks: Sequence[Parts]) -> Entry:
    """Submit tasks as one array and write it into the ledger.

    Raises:
        SlurmError: sbatch refused; nothing is in the queue.
        OSError: the disk refused.
    """
    import submitit

    ledger.begin(plan.folder)
    # A name that nobody can foresee, readable by the user alone: submitit's pickles are its own, and only its own are loaded.
    token = secrets.token_hex(16)
    place = ledger.private_folder(plan.folder) / token
    place.mkdir(parents=True, mode=0o700)
    imported = modules(plan.specs, plan.log)
    jobs = []
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        executor = submitit.SlurmExecutor(place, max_num_timeout=_TIMEOUTS)
        executor.update_parameters(**_parameters(plan, site))
        try:
            with executor.batch():
                for index, task in enumerate(tasks):
                    path = place / f"{index}.json"
                    Work(plan.folder.resolve(), plan.log, plan.execution.device, site.cpus, task).write(path)
                    jobs.append(executor.submit(Task(path, imported)))
        except (RuntimeError, OSError) as error:
            shutil.rmtree(place, ignore_errors=True)
            raise SlurmError(_said(error)) from error
    array = int(jobs[0].job_id.split("_")[0])
    return ledger.write(plan.folder, array, [ids(task) for task in tasks], token)


def _parameters(plan: Plan, site: Site) -> dict[str, Any]:
    """What submitit's `update_parameters` takes."""
    given = {"partition": site.partition, "account": site.account, "mem": site.memory, "constraint": site.constraint}
    return {
        **{key: value for key, value in given.items() if value is not None},
        "job_name": ledger.job_name(plan.folder),
        "time": site.time,
        "cpus_per_task": site.cpus,
        "setup": list(site.setup) or None,
        "signal_delay_s": site.notice,
        "array_parallelism": site.max_in_flight or _ARRAY_PARALLELISM,
        "stderr_to_stdout": True,
        # Since 22.05 srun no longer takes this from sbatch, and would bind all workers to one core.
        "srun_args": [f"--cpus-per-task={site.cpus}"],
        # submitit's own would be refused where keys are accounted.
        "wckey": None,
        "additional_parameters": {"requeue": True, **site.options},
    }


def _said(error: Exception) -> str:
    lines = [line.removeprefix("sbatch: error: ").rstrip(".") for line in str(error).splitlines() if line.strip()]
    return f"sbatch: {'; '.join(lines)}"
