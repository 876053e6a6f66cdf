"""From overrides to a plan, for callers in Python: `plan(["depth=2,4", "activation=relu,tanh"])`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gradyn.sweep import Plan


def plan(overrides: Sequence[str], config_dir: str | Path | None = None, config_name: str = "config") -> Plan:
    """The plan that `gradyn sweep` would carry out for the same overrides.

    Args:
        overrides: Hydra's grammar, sweeps included, as on the command line.
        config_dir: a folder of the user's own options, searched before the packaged ones.
        config_name: the primary config.

    Raises:
        ConfigError: anything about the overrides can't be run; one line with key, rule, value and fix.
    """
    from hydra_plugins.gradyn._planner import plan as make

    return make(list(overrides), config_dir=config_dir, config_name=config_name)
