"""The launchers: of one machine (`hydra/launcher: local`), and of a cluster (`slurm`, and what sites make of it). Each hands the plan to `gradyn.sweep`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.config_store import ConfigStore
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

# Exit codes: something failed; from SIGNALLED on they are signals, as shells have it.
FAILED, SIGNALLED = 1, 128

if TYPE_CHECKING:
    from gradyn.sweep import Plan


# A plain mapping: Hydra's scan executes this module before it is in sys.modules, where a dataclass would look up its own.
_CONFIG = {"_target_": "hydra_plugins.gradyn.launcher.LocalLauncher"}
ConfigStore.instance().store(group="hydra/launcher", name="local", node=_CONFIG, provider="gradyn")


class LocalLauncher(Launcher):
    """Runs a plan in worker processes on this machine."""

    def __init__(self) -> None:
        pass

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called once by Hydra; everything needed is in the plan."""

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Refused: another sweeper would hand over jobs one by one."""
        raise RuntimeError("hydra/launcher=local takes a plan; use it with hydra/sweeper=gradyn.")

    def launch_plan(self, plan: Plan) -> int:
        """Carry out the plan; returns the exit code."""
        from gradyn.sweep import launch

        return _with_figures(plan, lambda watcher: launch(plan, watcher))


class SlurmLauncher(Launcher):
    """Submits a plan as Slurm arrays, and waits for them unless told otherwise.

    Args:
        settings: the fields of `configs/hydra/launcher/slurm.yaml`.
    """

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called once by Hydra, before anything is planned.

        Raises:
            ConfigError: a setting breaks its rule.
        """
        from gradyn.sweep import Site
        from hydra_plugins.gradyn._planner import plain

        self.site = Site.of({key: plain(value) for key, value in self.settings.items()})

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Refused: another sweeper would hand over jobs one by one."""
        raise RuntimeError("hydra/launcher=slurm takes a plan; use it with hydra/sweeper=gradyn.")

    def launch_plan(self, plan: Plan) -> int:
        """Carry out the plan; returns the exit code."""
        from gradyn.sweep import launch_on_slurm

        if self.site.dry_run or not self.site.wait:
            return launch_on_slurm(plan, self.site)
        return _with_figures(plan, lambda watcher: launch_on_slurm(plan, self.site, watcher))


def _with_figures(plan: Plan, carry_out: Callable[[Any], int]) -> int:
    from hydra_plugins.gradyn._redraw import Redraw

    if not plan.execution.figures:
        return carry_out(None)
    redraw = Redraw(plan)
    code = carry_out(redraw)
    is_drawn = redraw.end(is_complete=code < SIGNALLED and bool(plan.specs))
    # Runs that failed say so with a code of their own; figures that failed must not pass for success either.
    return code if is_drawn else max(code, FAILED)
