"""From resolved values to runs: components made once each, types checked, one RunSpec a job."""

from __future__ import annotations

import dataclasses
import typing
from difflib import get_close_matches
from typing import Any

from hydra.utils import get_class

from gradyn.core import AbstractComponent, ConfigError, option_name, require
from gradyn.probes import AbstractProbe
from gradyn.sweep import RunSpec

TARGET = "_target_"


class Specs:
    """Makes RunSpecs of resolved values; equal components are one object."""

    def __init__(self) -> None:
        hints = typing.get_type_hints(RunSpec)
        self._groups = {name: hint for name, hint in hints.items() if isinstance(hint, type) and issubclass(hint, AbstractComponent)}
        self._floats = {name for name, hint in hints.items() if hint is float}
        self._plain = [field.name for field in dataclasses.fields(RunSpec) if field.name not in self._groups and field.name != "backward"]
        self._order = [field.name for field in dataclasses.fields(RunSpec)]
        self._components: dict[AbstractComponent, AbstractComponent] = {}

    @property
    def keys(self) -> set[str]:
        """Top-level keys of the config that a run is made of (`exec` for its `backward`)."""
        return {*self._groups, *self._plain, "exec"}

    def value(self, key: str, value: Any) -> Any:
        """The field's value: a component for a group, else the plain value, a whole number as a float where a float is meant.

        Raises:
            ConfigError: no option, an unknown field, or a value that breaks its component's rule.
        """
        if key in self._groups:
            component = self._component(key, value)
            return self._components.setdefault(component, component)
        return float(value) if key in self._floats and type(value) is int else value

    def probes(self, section: Any) -> tuple[AbstractProbe, ...]:
        """The probes of the config's `log.probes`, in the order of their names.

        Raises:
            ConfigError: no probe, an unknown field, or a value that breaks its probe's rule.
        """
        require(isinstance(section, dict), "log.probes", "be a section of probes by name", section, "Set probe=<name>, or probe=[<name>,<name>].")
        return tuple(self._component("probe", section[name]) for name in sorted(section))  # type: ignore[misc]

    def spec(self, job: dict[str, Any]) -> RunSpec:
        """The run of one job.

        Raises:
            ConfigError: a key is missing or a value breaks its rule.
        """
        section = job.get("exec", {})
        require(isinstance(section, dict), "exec", "be a section of keys", section, "Set one of its keys: exec.backward=<value>.")
        try:
            return RunSpec(*(job["exec"]["backward"] if name == "backward" else job[name] for name in self._order))
        except KeyError as error:
            key = "exec.backward" if error.args[0] in ("exec", "backward") else error.args[0]
            raise ConfigError(key, "be given", None, f"The config lacks it; add {key}=<value>.") from error

    def _component(self, group: str, value: Any) -> AbstractComponent:
        has_target = isinstance(value, dict) and isinstance(value.get(TARGET), str)
        require(has_target, group, "be an option of its group", value, f"Options are the files in configs/{group}/.")
        cls = self._class(group, value[TARGET])
        hints = typing.get_type_hints(cls)
        known = [field.name for field in dataclasses.fields(cls)]
        settings: dict[str, Any] = {}
        for key, setting in value.items():
            if key == TARGET:
                continue
            if key not in known:
                raise unknown_field(group, key, setting, option_name(cls), known)
            settings[key] = _typed(setting, hints[key])
        for field in dataclasses.fields(cls):
            has_default = field.default is not dataclasses.MISSING or field.default_factory is not dataclasses.MISSING
            require(field.name in settings or has_default, f"{group}.{field.name}", "be given", None, f"{option_name(cls)} has no default for it.")
        return cls(**settings)

    def _class(self, group: str, target: str) -> type[AbstractComponent]:
        base = AbstractProbe if group == AbstractProbe.group else self._groups[group]
        fix = f"Give the full path of a final class of {base.__module__}.{base.__name__}."
        try:
            cls = get_class(target)
        except Exception as error:  # whatever importing somebody's module raises belongs in the one line
            cause = " ".join(str(error.__cause__ or error).split())
            raise ConfigError(f"{group}.{TARGET}", "be a class that can be imported", target, f"{cause}.") from error
        require(issubclass(cls, base) and dataclasses.is_dataclass(cls), f"{group}.{TARGET}", f"be a class of the group {group}", target, fix)
        return cls


def _typed(value: Any, hint: Any) -> Any:
    if isinstance(value, list):
        return tuple(value)  # components are hashable
    takes_float = hint is float or float in typing.get_args(hint)
    return float(value) if takes_float and type(value) is int else value


def unknown_field(group: str, field: str, value: Any, option: str, known: list[str]) -> ConfigError:
    """The refusal of a field that an option does not have, with the nearest that it has."""
    listed = f"it has {', '.join(f'{group}.{name}' for name in known)}" if known else "it has none"
    near = get_close_matches(field, known, n=1)
    return ConfigError(f"{group}.{field}", f"be a field of {group}={option} ({listed})", value, f"Did you mean {group}.{near[0]}?" if near else "")
