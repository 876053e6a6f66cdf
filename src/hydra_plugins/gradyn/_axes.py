"""From overrides to axes: what is swept over which values, what is fixed, and what advances together."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, QuotedString, ValueType

from gradyn.core import ConfigError, require
from hydra_plugins.gradyn._arithmetic import as_written, lower, range_values


@dataclass(frozen=True, slots=True)
class Axis:
    """One override: its key, and an override of one value for each of its values.

    Args:
        key: config group or dotted path, without prefix and package.
        element: as Hydra identifies it, with prefix (`+`, `~`) and package.
        is_group: whether the key chooses an option of a config group.
        choices: one override per value; a single one where nothing is swept.
        text: the values as they were written.
        is_spaced: whether some of them come from linspace, logspace or geomspace.
    """

    key: str
    element: str
    is_group: bool
    choices: tuple[Override, ...]
    text: str = ""
    is_spaced: bool = False

    @property
    def is_swept(self) -> bool:
        """Whether there is more than one value."""
        return len(self.choices) > 1

    @property
    def values(self) -> tuple[Any, ...]:
        """The values in order."""
        return tuple(choice.value() for choice in self.choices)

    @property
    def top(self) -> str:
        """The top-level key it writes under."""
        return self.key.split(".")[0]

    @property
    def takes_new_keys(self) -> bool:
        """Whether it may write where nothing is, or removes (`+key`, `++key`, `~key`)."""
        return self.element[:1] in "+~"


def parse_axes(loader: ConfigLoader, grid: dict[str, Any] | None, arguments: Sequence[str], is_group: Callable[[str], bool]) -> list[Axis]:
    """The axes of a grid in YAML, replaced and widened by the command line: a later override of a key takes its place.

    Args:
        loader: knows the options that `glob` chooses from.
        grid: key -> values as on the command line (`hydra.sweeper.params`).
        arguments: overrides of the command line.
        is_group: whether a key names a config group.

    Raises:
        ConfigError: an axis without values, or one that can't be enumerated.
        HydraException: what is not in Hydra's grammar.
    """
    lines = [f"{key}={_written(value)}" for key, value in (grid or {}).items()]
    parser = OverridesParser.create(config_loader=loader)
    found: dict[str, Axis] = {}
    for override in parser.parse_overrides([lower(line) for line in [*lines, *arguments]]):
        element = override.get_key_element()
        found[element] = _axis(parser, element, override, is_group(override.key_or_group))
    return list(found.values())


def _written(value: Any) -> str:
    return "null" if value is None else str(value)


def _axis(parser: OverridesParser, element: str, override: Override, names_group: bool) -> Axis:
    key = override.key_or_group
    is_group = names_group and not isinstance(override.value(), dict)
    if override.is_delete():
        return Axis(key, element, is_group, (override,))
    require(
        override.value_type != ValueType.INTERVAL_SWEEP,
        key,
        "be a list of values",
        as_written(override.get_value_string()),
        "Write linspace(first,last,count).",
    )
    elements = list(override.sweep_iterator()) if override.is_sweep_override() else [override._value]
    is_empty = not elements or (not override.is_sweep_override() and elements == [""])
    if is_empty:
        fix = f"Write {key}=a or {key}=a,b; leave {key} out to keep its default."
        raise ConfigError(key, "have at least one value", override.get_value_string(), fix)
    expanded = [value for written in elements for value in (_expanded(key, written) or [written])] if not is_group else elements
    choices = tuple(_choice(parser, override, element, value) for value in expanded)
    return Axis(key, element, is_group, choices, as_written(override.get_value_string()), is_spaced=len(expanded) > len(elements))


def _expanded(key: str, value: Any) -> list[Any] | None:
    text = value.text if isinstance(value, QuotedString) else value
    return list(range_values(key, text) or []) if isinstance(text, str) else None


def _choice(parser: OverridesParser, override: Override, element: str, value: Any) -> Override:
    if value is None or isinstance(value, (bool, int, float)):
        # What Hydra would read back from the text; parsing 100,000 seeds one by one would take half a minute.
        line = f"{element}={_written(value)}"
        return dataclasses.replace(override, value_type=ValueType.ELEMENT, _value=value, input_line=line)
    return parser.parse_override(f"{element}={Override._get_value_element_as_str(value)}")


def zipped(axes: Sequence[Axis], pairs: Any) -> list[tuple[int, ...]]:
    """The dimensions of the grid: groups of axis numbers that advance together; an axis outside every zip is its own.

    Args:
        axes: in order.
        pairs: `hydra.sweeper.zip`: lists of swept keys, or one such list, or None.

    Raises:
        ConfigError: a zip of keys that are not swept, or of different lengths, or a key in two zips.
    """
    rule_key = "hydra.sweeper.zip"
    lists = [] if pairs is None else pairs
    if isinstance(lists, (list, tuple)) and lists and all(isinstance(entry, str) for entry in lists):
        lists = [lists]
    is_lists = isinstance(lists, (list, tuple)) and all(isinstance(entry, (list, tuple)) and len(entry) > 1 for entry in lists)
    require(is_lists, rule_key, "be lists of two or more swept keys", pairs, f"For example '{rule_key}=[[depth,width]]'.")
    number = {axis.key: index for index, axis in enumerate(axes) if axis.is_swept}
    together: dict[int, tuple[int, ...]] = {}
    for entry in lists:
        for key in entry:
            require(key in number, rule_key, "name swept keys", key, f"Give {key} two or more values.")
            require(number[key] not in together, rule_key, "name each key once", key)
        members = tuple(sorted(number[key] for key in entry))
        lengths = {axes[index].key: len(axes[index].choices) for index in members}
        require(len(set(lengths.values())) == 1, rule_key, "join keys of equally many values", lengths)
        together |= dict.fromkeys(members, members)
    dimensions = [together.get(index, (index,)) for index in range(len(axes))]
    return list(dict.fromkeys(dimensions))
