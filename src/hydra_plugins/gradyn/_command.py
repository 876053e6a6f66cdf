"""What `gradyn sweep` and `gradyn plan` do with their arguments; everything that Hydra answers itself goes to Hydra."""

from __future__ import annotations

import argparse
import logging
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from hydra._internal.hydra import Hydra
from hydra._internal.utils import get_args_parser
from hydra.core.override_parser.overrides_parser import OverridesParser

from gradyn.core import ConfigError, require
from hydra_plugins.gradyn._arithmetic import as_written, lower
from hydra_plugins.gradyn._refusals import Refusals
from hydra_plugins.gradyn._session import hydra_ready, loader

if TYPE_CHECKING:
    from gradyn.sweep import Plan

CONFIG_NAME = "config"


def sweep(arguments: Sequence[str]) -> int:
    """Plan and launch through Hydra's multirun with our sweeper, or answer a query; returns the exit code.

    Raises:
        ConfigError: anything that can't be run.
    """
    parser = _parser("sweep")
    parser.add_argument("--retry-failed", action="store_true", help="Run again what raised before")
    parser.add_argument("--dry-run", action="store_true", help="Print the batch script and submit nothing (Slurm launchers)")
    given = _given(parser, arguments)
    with hydra_ready():
        hydra = _hydra(given)
        if _answers(hydra, parser, given):
            return 0
        overrides = [lower(line) for line in given.overrides]
        overrides += ["exec.retry_failed=true"] if given.retry_failed else []
        if given.dry_run:
            launchers = [line.partition("=")[2] for line in overrides if line.lstrip("+").startswith("hydra/launcher=")]
            require(
                launchers[-1:] not in ([], ["local"]),
                "--dry-run",
                "come with a launcher that submits",
                "hydra/launcher=local",
                "gradyn plan prints what would run here.",
            )
            overrides.append("hydra.launcher.dry_run=true")
        with Refusals(hydra.config_loader, _config_name(given), given.overrides):
            code = hydra.multirun(_config_name(given), _no_task, overrides, with_log_configuration=False)
    return int(code)


def plan(arguments: Sequence[str]) -> tuple[Plan | None, bool]:
    """The plan of the arguments, and whether every run is to be listed; no plan where a query was answered.

    Raises:
        ConfigError: anything that can't be run.
    """
    from hydra_plugins.gradyn.compose import plan as compose_plan

    parser = _parser("plan")
    parser.add_argument("--runs", action="store_true", help="List every run")
    given = _given(parser, arguments)
    with hydra_ready():
        if _answers(_hydra(given), parser, given):
            return None, False
    return compose_plan(given.overrides, config_dir=given.config_dir, config_name=_config_name(given)), given.runs


def completion(shell: str, is_install: bool = True) -> None:
    """Print Hydra's script that installs (or removes) completion of the command `gradyn` in a shell."""
    with hydra_ready():
        hydra = Hydra(task_name="gradyn", config_loader=loader())
        known = [name for name in Hydra.get_shell_to_plugin_map(hydra.config_loader) if name != "test"]
        if shell not in known:
            raise ConfigError("completion", f"be one of {', '.join(known)}", shell, 'For example eval "$(gradyn completion bash)".')
        hydra.shell_completion(CONFIG_NAME, [f"{'install' if is_install else 'uninstall'}={shell}"])


def suggestions(shell: str, arguments: str) -> list[str]:
    """Hydra's completions of the last word of a sweep's arguments; in `key=a,b` those of the part behind the last comma."""
    head, space, word = arguments.rpartition(" ")
    key, equals, value = word.partition("=")
    before, comma, last = value.rpartition(",")
    with hydra_ready():
        plugins = Hydra.get_shell_to_plugin_map(loader())
        if shell not in plugins:
            return []
        # As a multirun, so that commas in the words before are no error.
        line = f"--multirun {head}{space}{key}{equals}{last}"
        found = plugins[shell][0]._query(config_name=CONFIG_NAME, line=line)
    return [f"{key}={before},{name.removeprefix(key + '=')}" if comma else name for name in found]


def _parser(command: str) -> argparse.ArgumentParser:
    parser = get_args_parser()
    parser.prog = f"gradyn {command}"

    def refuse(message: str) -> NoReturn:
        raise ConfigError(parser.prog, "be given flags that it knows", message, f"{parser.prog} --help lists them.")

    parser.error = refuse
    return parser


def _given(parser: argparse.ArgumentParser, arguments: Sequence[str]) -> argparse.Namespace:
    # Intermixed: `--cfg job` may stand between overrides.
    given = parser.parse_intermixed_args(list(arguments))
    for flag in ("run", "experimental_rerun"):
        if getattr(given, flag, None):
            raise ConfigError(f"--{flag.replace('_', '-')}", "be left out", "set", "gradyn sweep runs single runs and grids alike.")
    return given


def _config_name(given: argparse.Namespace) -> str:
    return given.config_name or CONFIG_NAME


def _hydra(given: argparse.Namespace) -> Hydra:
    # Where Hydra would say on the terminal what it raises as well.
    logging.getLogger("hydra").addHandler(logging.NullHandler())
    if given.config_path is not None:
        raise ConfigError("--config-path", "be left out", given.config_path, "Add options of your own with --config-dir.")
    return Hydra(task_name="gradyn", config_loader=loader(given.config_dir))


def _answers(hydra: Hydra, parser: argparse.ArgumentParser, given: argparse.Namespace) -> bool:
    """Whether the arguments were a question to Hydra, now answered."""
    name = _config_name(given)
    with Refusals(hydra.config_loader, name, given.overrides):
        if given.help:
            given.overrides = []
            hydra.app_help(config_name=name, args_parser=parser, args=given)
        elif given.hydra_help:
            given.overrides = []
            hydra.hydra_help(config_name=name, args_parser=parser, args=given)
        elif given.cfg:
            hydra.show_cfg(name, _single(given.overrides), given.cfg, given.package, given.resolve)
        elif given.info:
            hydra.show_info(given.info, config_name=name, overrides=_single(given.overrides))
        elif given.shell_completion:
            hydra.shell_completion(name, given.overrides)
        else:
            return False
    return True


def _single(overrides: Sequence[str]) -> list[str]:
    """The overrides, each of one value.

    Raises:
        ConfigError: one of them sweeps.
    """
    lowered = [lower(line, is_for_sweep=False) for line in overrides]
    for override in OverridesParser.create().parse_overrides(lowered):
        if override.is_sweep_override():
            text = as_written(override.get_value_string())
            raise ConfigError(override.key_or_group, "be one value here", text, "Take one of them; gradyn plan --runs lists all runs.")
    return lowered


def _no_task(*_: Any) -> None:
    raise RuntimeError(f"process {os.getpid()}: gradyn's sweeper hands over plans, it never calls a task.")
