"""The plan of a command: axes, parts, jobs, runs, in this order."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gradyn.core import require
from hydra_plugins.gradyn._arithmetic import lower
from hydra_plugins.gradyn._axes import Axis, parse_axes, zipped
from hydra_plugins.gradyn._jobs import Jobs
from hydra_plugins.gradyn._mentions import EVERYTHING, reads_hydra
from hydra_plugins.gradyn._parts import Parts
from hydra_plugins.gradyn._refusals import Refusals
from hydra_plugins.gradyn._session import hydra_ready
from hydra_plugins.gradyn._session import loader as make_loader
from hydra_plugins.gradyn._ties import Ties, whole_if_needed

_NO_HYDRA = "not depend on how Hydra was started"
# Keys that belong to the command, not to a run.
_COMMAND = ("name", "results", "device", "log", "first")
# What an experiment's YAML says to its script: settings of a measurement that is no sweep, what the small scale replaces, further grids.
# Values of an axis up to which the folder's config lists them.
_LISTED = 1000
_SCRIPT = ("measure", "smoke", "further")


def plan(overrides: Sequence[str], config_dir: str | Path | None = None, config_name: str = "config") -> Any:
    """As `hydra_plugins.gradyn.compose.plan`."""
    with hydra_ready():
        loader = make_loader(config_dir)
        with Refusals(loader, config_name, overrides):
            lines = [lower(line) for line in overrides]
            config = loader.load_configuration(config_name, lines, run_mode=RunMode.MULTIRUN)
            sweeper = config.hydra.sweeper
            own, task = given_to(config)
            return plan_from(loader, config_name, own, task, plain(sweeper.params), plain(sweeper.zip))


def plain(value: Any) -> Any:
    """A value of the config without OmegaConf's containers, resolved."""
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def given_to(config: DictConfig) -> tuple[list[str], list[str]]:
    """The overrides that Hydra sorted: of its own settings, and all others. As text: `width=${depth}` belongs to the jobs."""
    own, task = (OmegaConf.to_container(config.hydra.overrides[key], resolve=False) for key in ("hydra", "task"))
    assert isinstance(own, list)
    assert isinstance(task, list)
    return own, task


def plan_from(loader: Any, config_name: str, hydra_overrides: list[str], arguments: Sequence[str], grid: Any, pairs: Any) -> Any:
    """The plan for a loader and a grid that Hydra has read.

    Args:
        loader: Hydra's.
        config_name: the primary config.
        hydra_overrides: overrides of Hydra's own settings.
        arguments: all other overrides of the command line.
        grid: the experiment's grid, `hydra.sweeper.params`.
        pairs: `hydra.sweeper.zip`.

    Raises:
        ConfigError: it can't be run.
    """
    with Refusals(loader, config_name, arguments, grid):
        jobs, axes, note = jobs_from(loader, config_name, hydra_overrides, arguments, grid, pairs)
        return _plan_of(jobs, axes, [note, *_together(axes, jobs.dimensions)])


def jobs_from(
    loader: ConfigLoaderImpl,
    config_name: str,
    hydra_overrides: list[str],
    arguments: Sequence[str],
    grid: Any,
    pairs: Any,
    by_option: bool | None = None,
) -> tuple[Jobs, list[Axis], str]:
    """All jobs, their axes, and the note on how they were composed."""
    # With the folders that the primary config or the command line add to the search path.
    repository = loader._parse_overrides_and_create_caching_repo(config_name, hydra_overrides)[1]
    axes = parse_axes(loader, grid, arguments, repository.group_exists)
    for axis in axes:
        is_free = not axis.is_swept or axis.top not in (*_COMMAND, "exec") or axis.key == "exec.backward"
        require(is_free, axis.key, "be one value a command, as no number of a run depends on it", ",".join(map(str, axis.values)), "Run one command for each.")
    parts = Parts(loader, repository, config_name, hydra_overrides, axes, by_option)
    _require_grid(axes, grid, parts)
    for config in parts.composed.values():
        for key, value in OmegaConf.to_container(config, resolve=False).items():  # type: ignore[union-attr]
            text = reads_hydra(value)
            require(text is None, str(key), _NO_HYDRA, text, "Write the value itself.")
    for axis in axes:
        text = reads_hydra(list(axis.values))
        require(text is None, axis.key, _NO_HYDRA, text, "Write the value itself.")
    ties = Ties(parts.composed.values())
    axes = [_settled(axis, ties) for axis in axes]
    return Jobs(parts, axes, zipped(axes, pairs), ties), axes, parts.note


def _require_grid(axes: Sequence[Axis], grid: Any, parts: Parts) -> None:
    """Refuse an experiment that measures and sweeps nothing: what would run is the default net under its name."""
    experiment = ",".join(str(value) for axis in axes if axis.key == "experiment" for value in axis.values)
    is_measured = not grid and any("measure" in config for config in parts.composed.values())
    fix = f"It measures: gradyn reproduce --only {experiment}, or python experiments/{experiment}.py --run."
    require(not is_measured, "experiment", "be one with a grid", experiment, fix)


def _settled(axis: Axis, ties: Ties) -> Axis:
    """The axis with the whole floats of a range as ints where its key holds an int."""
    if not axis.is_spaced:
        return axis
    held = ties.held(axis.key)
    choices = [dataclasses.replace(choice, _value=whole_if_needed(axis.key, choice.value(), held, axis.text)) for choice in axis.choices]
    return dataclasses.replace(axis, choices=tuple(choices))


def _plan_of(jobs: Jobs, axes: Sequence[Axis], notes: list[str]) -> Any:
    # Here, not above: torch comes with it, and Hydra imports this folder for tab completion too.
    from gradyn.sweep import Execution, Log, Plan
    from hydra_plugins.gradyn._specs import Specs

    specs = Specs()
    first_job = {key: value for key, value in next(jobs.values(lambda _, value: value)).items() if key not in _SCRIPT}
    _require_read(jobs, specs.keys, first_job)
    runs: dict[str, Any] = {}
    command: dict[str, Any] = {}
    for job in jobs.values(specs.value):
        command = command or {key: job[key] for key in (*_COMMAND, "exec") if key in job}
        for key in _COMMAND:
            require(job.get(key) == command.get(key), key, "be the same for all runs of a command", job.get(key), "Run one command for each.")
        spec = specs.spec(job)
        runs.setdefault(spec.run_id, spec)
    for key in (*_COMMAND, "exec"):
        require(key in command, key, "be given", None, "The config lacks it.")
    swept = {axis.element: list(axis.values) for axis in axes if axis.is_swept}
    notes += [*_twice(len(jobs), len(runs)), *_left_over(runs.values()), *_exponents(axes)]
    return Plan(
        specs=tuple(runs.values()),
        run_ids=tuple(runs),
        name=_name(command["name"]),
        folder=_root(command["results"]) / command["name"],
        log=Log.of(_with_probes(command["log"], specs)),
        execution=Execution.of(command["device"], command["exec"]),
        axes={key: tuple(values) for key, values in swept.items()},
        notes=tuple(notes),
        first=_first(command["first"], next(iter(runs.values())).columns),
        config=OmegaConf.to_yaml(
            OmegaConf.create({"runs": len(runs), "axes": {key: _shortened(values) for key, values in swept.items()}, "config": first_job})
        ),
    )


def _shortened(values: list[Any]) -> Any:
    """Many evenly spaced whole numbers as the command line has them: YAML takes half a minute for 100,000 seeds."""
    if len(values) <= _LISTED or any(type(value) is not int for value in values):
        return values
    whole = range(values[0], values[-1] + (1 if values[-1] > values[0] else -1), values[1] - values[0] or 1)
    return f"range({whole.start},{whole.stop},{whole.step})" if list(whole) == values else values


def _with_probes(section: Any, specs: Any) -> Any:
    """The config's `log` section, its probes as components; what is no such section is left for `Log.of` to refuse."""
    has_probes = isinstance(section, dict) and "probes" in section
    return {**section, "probes": specs.probes(section["probes"])} if has_probes else section


def _require_read(jobs: Jobs, needed: set[str], job: dict[str, Any]) -> None:
    """Refuse top-level keys that nothing reads: a typo behind a `+`."""
    read = set().union(*(keys for keys in jobs.reads.values()))
    for key in jobs.reads:
        is_read = key in needed or key in (*_COMMAND, *_SCRIPT) or key in read or EVERYTHING in read
        require(is_read, key, "be a key that a run reads", job.get(key), "No value reads it; correct or drop it.")


def _name(name: Any) -> str:
    is_folder = isinstance(name, str) and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name) is not None
    require(is_folder, "name", "be a folder's name of letters, digits, points, dashes and underscores", name, "For example name=first_try.")
    return str(name)


def _first(first: Any, columns: Mapping[str, Any]) -> dict[str, tuple[Any, ...]]:
    if first is None:
        return {}
    is_lists = isinstance(first, dict) and all(isinstance(values, list) and values for values in first.values())
    require(is_lists, "first", "be lists of values by key", first, "For example 'first={depth:[4,16],norm:[none]}'.")
    for key in first:
        # Only the group of a dotted key: another run's option may have the setting where this one's has not.
        near = get_close_matches(str(key), columns, n=1)
        require(str(key).split(".")[0] in columns, f"first.{key}", "be a setting of a run", first[key], f"Did you mean {near[0]}?" if near else "")
    return {str(key): tuple(values) for key, values in first.items()}


def _root(results: Any) -> Path:
    require(isinstance(results, str) and results != "", "results", "be a folder", results, "For example results=results.")
    return Path(results).expanduser()


def _together(axes: Sequence[Axis], dimensions: Sequence[tuple[int, ...]]) -> list[str]:
    return [f"{' and '.join(axes[index].element for index in members)} advance together" for members in dimensions if len(members) > 1]


def _twice(jobs: int, runs: int) -> list[str]:
    return [f"{jobs - runs} of {jobs} combinations repeat another and run once"] if runs < jobs else []


def _left_over(specs: Any) -> list[str]:
    # Layers 2 ... depth - 1 go in pairs; layer 1 and the readout stand alone.
    odd = sum(spec.residual.layers_per_branch == 2 and (spec.depth - 2) % 2 == 1 for spec in specs)
    return [f"{odd} runs have a hidden layer left over by residual.branch=full, which is plain"] if odd else []


def _exponents(axes: Sequence[Axis]) -> list[str]:
    return [
        f"{axis.key}={axis.text} goes from {axis.values[0]:.4g} to {axis.values[-1]:.4g}: logspace takes exponents of ten, geomspace the ends"
        for axis in axes
        if axis.is_spaced and "logspace" in axis.text
    ]
