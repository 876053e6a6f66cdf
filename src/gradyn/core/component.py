"""What every option of a config group is: a frozen dataclass, at once config, hashable identity and callable."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, fields
from typing import Any, ClassVar

from gradyn.core.errors import require


@dataclass(frozen=True, slots=True)
class AbstractComponent:
    """A choice in one config group (an activation, an initializer, ...), with its parameters as fields.

    A subclass names its `group` and validates in `__post_init__`; `name` is the option's name, the same as its YAML's.
    """

    group: ClassVar[str]
    # Overrides the option name where the snake-case class name would not do (`none`).
    option: ClassVar[str | None] = None
    # Whether a run's numbers depend on it; what only measures belongs to a folder's log.
    belongs_to_runs: ClassVar[bool] = True
    # Whether the option changes nothing, of a group that came later: it is no part of a run's id, so that earlier results stay.
    is_neutral: ClassVar[bool] = False
    # A law of the suite that this component is excluded from -> the reason; printed in the suite's last line.
    excluded: ClassVar[dict[str, str]] = {}

    @property
    def name(self) -> str:
        """The option's name: the class name in snake case (`HeNormal` -> `he_normal`)."""
        return option_name(type(self))

    @property
    def settings(self) -> dict[str, Any]:
        """The fields, by name: what a YAML of this option may set."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @property
    def fingerprint(self) -> dict[str, Any]:
        """What else the numbers depend on, beyond the fields (the hash of a file's bytes); joins the run's identity."""
        return {}

    def check(self, spec: Any) -> None:
        """Raise a `ConfigError` where this component does not fit the rest of the run; called once per run, when planned."""

    def require(self, holds: bool, field: str, rule: str, fix: str = "") -> None:
        """Raise a `ConfigError` that names `<group>.<field>` unless `holds`."""
        require(holds, f"{self.group}.{field}", rule, getattr(self, field), fix)

    def require_finite(self, field: str, *, low: float = -math.inf, high: float = math.inf, open_low: bool = False, open_high: bool = False) -> None:
        """Raise unless the field is a finite number within the bounds (closed unless said)."""
        value = getattr(self, field)
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        inside = is_number and (low < value if open_low else low <= value) and (value < high if open_high else value <= high)
        bounds = [f"{'>' if open_low else '>='} {low:g}"] if low > -math.inf else []
        bounds += [f"{'<' if open_high else '<='} {high:g}"] if high < math.inf else []
        self.require(inside, field, " ".join(["be a finite number", " and ".join(bounds)]).strip())


def groups() -> dict[str, type[AbstractComponent]]:
    """The config groups that a run is made of, as far as they are loaded: group name -> its abstract class."""
    return {cls.group: cls for cls in AbstractComponent.__subclasses__() if cls.belongs_to_runs}


def options(group: type[AbstractComponent]) -> dict[str, type[AbstractComponent]]:
    """The final classes of a group: option name -> class, in order of definition."""
    found: dict[str, type[AbstractComponent]] = {}
    for cls in group.__subclasses__():
        found |= options(cls) if cls.__name__.startswith("Abstract") else {option_name(cls): cls}
    return found


def snake_case(name: str) -> str:
    """`GlobalL2` -> `global_l2`, `Mnist5k` -> `mnist5k`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def option_name(cls: type[AbstractComponent]) -> str:
    """The name under which a YAML file offers the class."""
    return cls.option or snake_case(cls.__name__)
