"""One shape for every refusal: key, rule, value, fix, in one line."""

from __future__ import annotations

from typing import Any


class ConfigError(ValueError):
    """A setting that can't be run; its text is one line: `<key> must <rule>; got <value>. <fix>`.

    Args:
        key: config key or argument, as the user writes it (`init.sigma_w`).
        rule: what must hold, beginning with a verb in the infinitive (`be positive`).
        value: what was given.
        fix: what to do, one sentence with its full stop; empty where the rule says it all.
    """

    def __init__(self, key: str, rule: str, value: Any, fix: str = "") -> None:
        self.key, self.rule, self.value, self.fix = key, rule, value, fix
        super().__init__(f"{key} must {rule}; got {value!r}." + (f" {fix}" if fix else ""))

    def __reduce__(self) -> tuple[type, tuple[str, str, Any, str]]:
        return ConfigError, (self.key, self.rule, self.value, self.fix)


def require(holds: bool, key: str, rule: str, value: Any, fix: str = "") -> None:
    """Raise `ConfigError(key, rule, value, fix)` unless `holds`."""
    if not holds:
        raise ConfigError(key, rule, value, fix)
