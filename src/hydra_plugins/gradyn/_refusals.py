"""Every refusal as one line: what Hydra, OmegaConf and YAML raise, said as key, rule, value and fix."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from types import TracebackType
from typing import Any

import yaml  # type: ignore[import-untyped]
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.types import RunMode
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError, MissingMandatoryValue, OmegaConfBaseException

from gradyn.core import ConfigError
from hydra_plugins.gradyn._arithmetic import as_written, lower


class Refusals:
    """Within it, whatever is wrong with a config leaves as a `ConfigError`.

    Args:
        loader: Hydra's.
        config_name: the primary config.
        overrides: of the command line.
        grid: `hydra.sweeper.params`, where known.
    """

    def __init__(self, loader: Any, config_name: str, overrides: Sequence[str], grid: dict[str, Any] | None = None) -> None:
        self._loader, self._config_name = loader, config_name
        self._overrides = [*(f"{key}={value}" for key, value in (grid or {}).items()), *overrides]

    def __enter__(self) -> Refusals:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        is_theirs = isinstance(error, (HydraException, OmegaConfBaseException, yaml.YAMLError))
        # Hydra raises bare ValueErrors too; one from anywhere else is a fault in the program and keeps its trace.
        if not is_theirs and not (isinstance(error, ValueError) and not isinstance(error, ConfigError) and _raised_by_hydra(trace)):
            return
        assert isinstance(error, Exception)
        raise self._said(error) from error

    def _said(self, error: Exception) -> ConfigError:
        if isinstance(error, OverrideParseException):
            key, _, value = error.override.partition("=")
            return ConfigError(
                key, "follow Hydra's grammar: key=value, key=a,b or key=range(5)", value, "Put the whole in single quotes where it has spaces or brackets."
            )
        if isinstance(error, yaml.YAMLError):
            return _said_of_yaml(error)
        if isinstance(error.__cause__, yaml.YAMLError):
            return _said_of_yaml(error.__cause__)
        return self._said_of_override() or self._said_of_option(error) or _said_of_interpolation(error) or _said(error)

    def _said_of_option(self, error: Exception) -> ConfigError | None:
        if not isinstance(error, MissingConfigException) or not error.missing_cfg_file:
            return None
        group, _, option = error.missing_cfg_file.rpartition("/")
        if not group:
            return ConfigError("--config-name", "name a YAML file on the search path", option, "Leave it out for gradyn's own.")
        return self._unknown_option(group, option)

    def _unknown_option(self, group: str, option: Any) -> ConfigError:
        options = self._loader.get_group_options(group)
        near = get_close_matches(str(option), options, n=1)
        if option is None:
            near = ["none"] if "none" in options else []
        return ConfigError(group, f"be one of {', '.join(options)}", option, f"Did you mean {near[0]}?" if near else "")

    def _said_of_override(self) -> ConfigError | None:
        """The first override that names a key or option which does not exist."""
        parser = OverridesParser.create(config_loader=self._loader)
        try:
            base = self._loader.load_configuration(self._config_name, [], run_mode=RunMode.RUN)
            parsed = parser.parse_overrides([lower(line) for line in self._overrides])
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError):
            return None
        chosen = dict(base.hydra.runtime.choices)
        for override in parsed:
            if override.is_hydra_override() or override.package is not None:
                continue
            said = self._said_of_group(override, chosen) if self._loader.get_group_options(override.key_or_group) else None
            if said is not None:
                return said
        for override in parsed:
            is_plain = not (override.is_add() or override.is_force_add() or override.is_hydra_override() or override.package)
            if is_plain and not self._loader.get_group_options(override.key_or_group):
                said = self._said_of_key(override, base, parsed)
                if said is not None:
                    return said
        return None

    def _said_of_group(self, override: Override, chosen: dict[str, Any]) -> ConfigError | None:
        group = override.key_or_group
        options = self._loader.get_group_options(group)
        values = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
        for value in values:
            text = getattr(value, "text", value)
            if isinstance(text, str) and text not in options and "${" not in text and not override.is_delete():
                return self._unknown_option(group, text)
            if not isinstance(text, (str, list, dict)) and not override.is_delete():
                return self._unknown_option(group, text)
        return None

    def _said_of_key(self, override: Override, base: Any, parsed: Sequence[Override]) -> ConfigError | None:
        key = override.key_or_group
        value = as_written(override.get_value_string()) if "=" in (override.input_line or "") else None
        group, _, field = key.partition(".")
        options = self._loader.get_group_options(group) if field else []
        if options:
            return self._said_of_field(group, field, value, options, parsed, base)
        if OmegaConf.select(base, key.split(".")[0]) is not None and not field:
            return None
        known = [str(name) for name in base if name != "hydra"]
        known += [f"{name}.{inner}" for name in known if OmegaConf.is_dict(base[name]) and "_target_" not in base[name] for inner in base[name]]
        if key in known:
            return None
        near = get_close_matches(key, known, n=1)
        fix = f"Did you mean {near[0]}?" if near else "gradyn sweep --help lists all keys."
        return ConfigError(key, "be a key of the config", value, fix)

    def _said_of_field(self, group: str, field: str, value: Any, options: list[str], parsed: Sequence[Override], base: Any) -> ConfigError | None:
        chosen: list[str] = [str(base.hydra.runtime.choices.get(group))]
        for override in parsed:
            if override.key_or_group == group:
                given = list(override.sweep_iterator()) if override.is_sweep_override() else [override.value()]
                chosen = [str(getattr(entry, "text", entry)) for entry in given]
        fields = {option: self._fields(group, option) for option in options}
        lacking = [option for option in chosen if field not in fields.get(option, [])]
        if not lacking:
            return None
        having = [option for option in chosen if option not in lacking]
        if having:
            return lacks(group, field, value, having, lacking)
        known = sorted({name for names in fields.values() for name in names})
        own = sorted({name for option in lacking for name in fields.get(option, [])})
        near = get_close_matches(field, own, n=1) or ([] if field in known else get_close_matches(field, known, n=1))
        with_field = [option for option in options if field in fields[option]]
        fix = f"Did you mean {group}.{near[0]}?" if near else f"Options that have it: {', '.join(with_field)}." if with_field else ""
        listed = f"it has {', '.join(own)}" if own else "it has none"
        return ConfigError(f"{group}.{field}", f"be a field of {group}={','.join(lacking)} ({listed})", value, fix)

    def _fields(self, group: str, option: str) -> list[str]:
        try:
            loaded = self._loader.repository.load_config(f"{group}/{option}")
        except (HydraException, OmegaConfBaseException, yaml.YAMLError, ValueError):
            return []
        keys = loaded.config.keys() if loaded is not None and OmegaConf.is_dict(loaded.config) else []
        return [str(key) for key in keys if key not in ("_target_", "defaults")]


def _raised_by_hydra(trace: TracebackType | None) -> bool:
    module = ""
    while trace is not None:
        module, trace = trace.tb_frame.f_globals.get("__name__", ""), trace.tb_next
    return module.split(".")[0] in ("hydra", "omegaconf")


def lacks(group: str, field: str, value: Any, having: Sequence[str], lacking: Sequence[str]) -> ConfigError:
    """The refusal of a field set for options of which some don't have it."""
    all_of_them = ",".join([*having, *lacking])
    first, second = f"{group}={','.join(having)} '{group}.{field}={value}'", f"{group}={','.join(lacking)}"
    return ConfigError(
        f"{group}.{field}",
        f"be a field of every option of {group}={all_of_them}, and {', '.join(lacking)} has no {field}",
        value,
        f"Use two commands: one with {first}, one with {second}.",
    )


def _said_of_interpolation(error: BaseException) -> ConfigError | None:
    seen: BaseException | None = error
    while seen is not None and not (isinstance(seen, OmegaConfBaseException) and seen.full_key):
        seen = seen.__cause__
    if seen is None:
        return None
    key, message = str(seen.full_key), str(seen).splitlines()[0]
    if isinstance(seen, MissingMandatoryValue):
        return ConfigError(key, "be given", "???", f"Add {key}=<value>.")
    if isinstance(seen, (ConfigKeyError, ConfigAttributeError)):
        return ConfigError(key, "be a key that is there", None, f"{message}; +{key}=<value> adds one.")
    return ConfigError(key, "resolve to a value", seen.value, f"{message}.")


def _said_of_yaml(error: yaml.YAMLError) -> ConfigError:
    mark = getattr(error, "problem_mark", None)
    place = f"{mark.name}, line {mark.line + 1}" if mark is not None else "a config file"
    problem = getattr(error, "problem", None) or " ".join(str(error).split())
    return ConfigError(place, "be valid YAML", problem, "Correct that line.")


def _said(error: BaseException) -> ConfigError:
    texts = [str(error), str(error.__cause__ or "")]
    message = " ".join(" ".join(texts).split()) or type(error).__name__
    return ConfigError("the configuration", "compose", message, "gradyn sweep --cfg job shows what stands where.")
