"""The sweeper (`hydra/sweeper: gradyn`): makes one plan of all runs and hands it to the launcher whole."""

from __future__ import annotations

import sys
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

# params: the grid, as overrides by key (`depth: 2,4,8`); the command line replaces an axis by its key.
# zip: lists of swept keys that advance together (`[[depth, width]]`) instead of being crossed.
# A plain mapping: Hydra's scan executes this module before it is in sys.modules, where a dataclass would look up its own.
_CONFIG = {"_target_": "hydra_plugins.gradyn.sweeper.GradynSweeper", "params": None, "zip": None}
ConfigStore.instance().store(group="hydra/sweeper", name="gradyn", node=_CONFIG, provider="gradyn")


class GradynSweeper(Sweeper):
    """Plans all jobs at once; the launcher takes the plan, not jobs."""

    def __init__(self, params: Any = None, zip: Any = None) -> None:
        self.params, self.zip = params, zip

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called once by Hydra, before `sweep`."""
        from hydra.core.plugins import Plugins

        self.config = config
        self.loader = hydra_context.config_loader
        self.launcher = Plugins.instance().instantiate_launcher(hydra_context=hydra_context, task_function=task_function, config=config)

    def sweep(self, arguments: list[str]) -> int:
        """Plan, say what will run, launch; returns the exit code.

        Raises:
            ConfigError: the overrides can't be run.
        """
        from hydra_plugins.gradyn._planner import given_to, plain, plan_from
        from hydra_plugins.gradyn._table import lines, stored

        own, _ = given_to(self.config)
        made = plan_from(self.loader, self.config.hydra.job.config_name, own, arguments, plain(self.params), plain(self.zip))
        for line in lines(made, stored(made)):
            sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        return self.launcher.launch_plan(made)
