"""What Hydra composed, cut into parts: which option brings what, and whether options may be combined part by part.

Two ways lead from the options of a job to its config, before values are set on top:

* by option: every swept group's option fills one package of its own and nothing else reads or writes there, so that Hydra
  composes each option once and the job's config is put together from the parts;
* by combination: Hydra composes each combination of swept options. Always right, and what is done wherever the first isn't proven.
"""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import IConfigRepository
from hydra.core.default_element import GroupDefault, ResultDefault
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gradyn.core import require
from hydra_plugins.gradyn._axes import Axis


class Parts:
    """The configs of all combinations of swept options, unresolved and without values set on top.

    Args:
        loader: Hydra's.
        repository: the files that it reads.
        config_name: the primary config.
        hydra_overrides: overrides of Hydra's own settings, the same for all jobs.
        axes: all axes; those of groups are looked at here.
        by_option: None: by option where proven; False: by combination anyway.
    """

    def __init__(
        self,
        loader: ConfigLoaderImpl,
        repository: IConfigRepository,
        config_name: str,
        hydra_overrides: list[str],
        axes: Sequence[Axis],
        by_option: bool | None = None,
    ) -> None:
        self._loader, self._repository, self._config_name, self._hydra_overrides = loader, repository, config_name, hydra_overrides
        self._axes = [axis for axis in axes if axis.is_group]
        self.swept = [axis for axis in self._axes if axis.is_swept]
        obstacle = self._obstacle() if by_option is None and self.swept else None
        self.is_by_option = by_option is not False and obstacle is None
        self.composed: dict[tuple[int, ...], DictConfig] = {}
        self._grid: Any = None
        self._compose_all()
        self.note = self._describe(obstacle)

    def _compose_all(self) -> None:
        lengths = [len(axis.choices) for axis in self.swept]
        if self.is_by_option:
            # Parts are independent, so one composition serves the n-th option of every group at once.
            for step in range(max(lengths, default=1)):
                choice = tuple(min(step, length - 1) for length in lengths)
                self.composed[choice] = self._compose(choice)
        else:
            for choice in itertools.product(*map(range, lengths)):
                self.composed[choice] = self._compose(choice)

    def _describe(self, obstacle: str | None) -> str:
        count = f"{len(self.composed)} composition{'s' * (len(self.composed) != 1)} by Hydra"
        if self.is_by_option:
            return f"composed by option ({count})"
        combinations = math.prod(len(axis.choices) for axis in self.swept)
        return f"composed by combination of options ({count} for {combinations}), because {obstacle or 'asked to'}"

    def _overrides(self, choice: Sequence[int]) -> list[str]:
        chosen = dict(zip((axis.element for axis in self.swept), choice, strict=True))
        lines = [axis.choices[chosen.get(axis.element, 0)].input_line or "" for axis in self._axes]
        return [*self._hydra_overrides, *lines]

    def _compose(self, choice: Sequence[int]) -> DictConfig:
        config = self._loader.load_configuration(self._config_name, self._overrides(choice), run_mode=RunMode.RUN)
        grid = OmegaConf.to_container(config.hydra.sweeper, resolve=False)
        if self._grid is None:
            self._grid = grid
        for axis in self.swept:
            require(
                grid == self._grid,
                axis.key,
                "be one option a command, as its options bring grids of their own",
                ",".join(map(str, axis.values)),
                "Run one command for each.",
            )
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        OmegaConf.set_struct(config, True)
        return config

    def at(self, choice: tuple[int, ...], keys: set[str] | None = None) -> DictConfig:
        """A fresh config of the combination `choice` (numbers of the options of `swept`), cut to some top-level keys."""
        if not self.is_by_option:
            return _cut(self.composed[choice], keys)
        config = _cut(next(iter(self.composed.values())), keys)
        for place, axis in enumerate(self.swept):
            if keys is None or axis.top in keys:
                source = self.composed[self._step(choice[place])]
                with_flag = OmegaConf.is_struct(config)
                OmegaConf.set_struct(config, False)
                config[axis.key] = source._get_node(axis.key)
                OmegaConf.set_struct(config, with_flag)
        return config

    def _step(self, option: int) -> tuple[int, ...]:
        return tuple(min(option, len(axis.choices) - 1) for axis in self.swept)

    def _obstacle(self) -> str | None:
        """Why the parts are not independent; None: they are."""
        defaults = self._loader.compute_defaults_list(self._config_name, self._overrides([0] * len(self.swept)), RunMode.RUN)
        if any(_has_interpolation(self._defaults_of(entry.config_path)) for entry in defaults.defaults):
            return "a defaults list chooses by another option"
        packages = [entry.package for entry in defaults.defaults if entry.override_key in {axis.element for axis in self.swept}]
        for axis in self.swept:
            reason = self._obstacle_of(axis, defaults.defaults)
            if reason is not None:
                return reason
        if len(set(packages)) != len(self.swept):
            return "two swept groups write to one place"
        return None

    def _obstacle_of(self, axis: Axis, defaults: Sequence[ResultDefault]) -> str | None:
        if axis.element != axis.key or "/" in axis.key:
            return f"{axis.element} is not a plain group at the top"
        for value in axis.values:
            if not isinstance(value, str):
                return f"{axis.key}={value} is not one option"
            loaded = self._repository.load_config(f"{axis.key}/{value}")
            if loaded is None:
                continue  # composing it says what is wrong
            if loaded.defaults_list:
                return f"{axis.key}={value} has a defaults list of its own"
            if loaded.header["package"] not in (None, axis.key):
                return f"{axis.key}={value} writes outside its own group"
        if [entry.package for entry in defaults if entry.override_key == axis.key] != [axis.key]:
            return f"{axis.key} is not chosen in one place, for its own package"
        return None

    def _defaults_of(self, path: str | None) -> Sequence[Any]:
        loaded = self._repository.load_config(path) if path else None
        return (loaded.defaults_list or []) if loaded is not None else []


def _has_interpolation(defaults: Sequence[Any]) -> bool:
    texts = [str(getattr(entry, "value", "") if isinstance(entry, GroupDefault) else getattr(entry, "path", "")) for entry in defaults]
    return any("${" in text for text in texts)


def _cut(config: DictConfig, keys: set[str] | None) -> DictConfig:
    if keys is None:
        return copy.deepcopy(config)
    cut = OmegaConf.create({})
    for key in config:
        # Assigning a node copies it.
        if key in keys:
            cut[key] = config._get_node(key)
    OmegaConf.set_struct(cut, True)
    return cut
