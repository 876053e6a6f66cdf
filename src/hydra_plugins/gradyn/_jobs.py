"""The resolved value of every top-level key in every job, each distinct value worked out once.

A key's value depends only on the axes that write under it or under what it reads. So a grid of 100,000 jobs asks for a few
hundred small configs, each made exactly as Hydra makes a job's: options first, values set on top in the order given, resolved last.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.override_parser.types import Override
from omegaconf import OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from gradyn.core import ConfigError
from hydra_plugins.gradyn._axes import Axis
from hydra_plugins.gradyn._mentions import closure, mentions
from hydra_plugins.gradyn._parts import Parts
from hydra_plugins.gradyn._ties import Ties

ABSENT = object()
Position = tuple[int, ...]


class Jobs:
    """All jobs of a grid.

    Args:
        parts: what Hydra composed.
        axes: all axes.
        dimensions: axis numbers that advance together; the last dimension is the fastest.
        ties: which values are arithmetic of other keys.
    """

    def __init__(self, parts: Parts, axes: Sequence[Axis], dimensions: Sequence[tuple[int, ...]], ties: Ties) -> None:
        self._parts, self._axes, self._ties = parts, axes, ties
        self.dimensions = dimensions
        self._lengths = [len(axes[members[0]].choices) for members in dimensions]
        self._dimension_of = {index: place for place, members in enumerate(dimensions) for index in members}
        self._settings = [index for index, axis in enumerate(axes) if not axis.is_group]
        self._swept_groups = [index for index, axis in enumerate(axes) if axis.is_group and axis.is_swept]
        # (number of an axis, options of the swept groups) of which a value has been worked out by Hydra's own functions.
        self._seen_plain: set[tuple[int, Position]] = set()
        self.reads = self._reads()
        self._closed = closure(self.reads)

    def _reads(self) -> dict[str, set[str]]:
        """For each top-level key, the keys it reads in any job."""
        reads: dict[str, set[str]] = {}
        for config in self._parts.composed.values():
            for key, value in OmegaConf.to_container(config, resolve=False).items():  # type: ignore[union-attr]
                reads.setdefault(str(key), set()).update(mentions(value))
        for index in self._settings:
            axis = self._axes[index]
            for value in axis.values:
                reads.setdefault(axis.top, set()).update(mentions(value, "." in axis.key) | self._ties.reads(axis, value))
        return reads

    def __len__(self) -> int:
        total = 1
        for length in self._lengths:
            total *= length
        return total

    def values(self, transform: Callable[[str, Any], Any]) -> Iterator[dict[str, Any]]:
        """For each job in order, top-level key -> `transform(key, resolved value)`; a key that was removed is left out.

        `transform` is called once per distinct set of axis values that the key depends on.
        """
        steady: dict[str, Any] = {}
        moving: list[tuple[str, Callable[[Position], Any], dict[Any, Any]]] = []
        first = (0,) * len(self._lengths)
        for key in self.reads:
            places = sorted({self._dimension_of[index] for index in self._relevant(key)} & {place for place, length in enumerate(self._lengths) if length > 1})
            if places:
                moving.append((key, operator.itemgetter(*places), {}))
            elif (value := self._value(key, first)) is not ABSENT:
                steady[key] = transform(key, value)
        for position in itertools.product(*map(range, self._lengths)):
            job = dict(steady)
            for key, pick, known in moving:
                seen = pick(position)
                if seen not in known:
                    value = self._value(key, position)
                    known[seen] = value if value is ABSENT else transform(key, value)
                if known[seen] is not ABSENT:
                    job[key] = known[seen]
            yield job

    def _relevant(self, key: str) -> set[int]:
        """Numbers of the axes that the key's value depends on."""
        closed = self._closed[key]
        groups = [index for index in self._swept_groups if not self._parts.is_by_option or self._axes[index].top in closed]
        return {*groups, *(index for index in self._settings if self._axes[index].top in closed)}

    def _choice(self, index: int, position: Position) -> Override:
        return self._axes[index].choices[position[self._dimension_of[index]]]

    def _value(self, key: str, position: Position) -> Any:
        """One key's resolved value in one job: a plain container or a leaf."""
        closed = self._closed[key]
        options = tuple(position[self._dimension_of[index]] for index in self._swept_groups)
        writers = [index for index in self._settings if self._axes[index].top == key]
        if len(writers) == 1 and self._axes[writers[0]].element == key:
            # A number for a key that is a leaf of its own is that number: 100,000 seeds are not set one by one, but the first is.
            number = self._choice(writers[0], position).value()
            if type(number) in (int, float) and (writers[0], options) in self._seen_plain:
                return number
            value = self._worked_out(key, closed, options, position)
            if type(number) in (int, float) and type(value) is type(number) and value == number:
                self._seen_plain.add((writers[0], options))
            return value
        return self._worked_out(key, closed, options, position)

    def _worked_out(self, key: str, closed: set[str], options: Position, position: Position) -> Any:
        config = self._parts.at(options, closed)
        settings = [(self._axes[index], self._choice(index, position)) for index in self._settings if self._axes[index].top in closed]
        tied = [(axis, choice) for axis, choice in settings if self._ties.is_tie(axis, choice.value())]
        ConfigLoaderImpl._apply_overrides_to_config([choice for entry in settings if entry not in tied for choice in entry[1:]], config)
        self._ties.resolve(config, tied)
        if key not in list(config):  # `key in config` is False for a value that is missing (`???`)
            return ABSENT
        try:
            value = config[key]
            return OmegaConf.to_container(value, resolve=True, throw_on_missing=True) if OmegaConf.is_config(value) else value
        except MissingMandatoryValue as error:
            full = str(error.full_key or key)
            raise ConfigError(full, "be given", "???", f"Add {full}=<value>.") from error
        except OmegaConfBaseException as error:
            full = str(error.full_key or key)
            written = OmegaConf.to_container(config, resolve=False)
            for part in full.split("."):
                written = written.get(part, written) if isinstance(written, dict) else written
            raise ConfigError(full, "resolve to a value", written, f"{str(error).splitlines()[0]}.") from error
