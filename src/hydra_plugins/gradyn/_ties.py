"""Values tied to other keys by arithmetic: `width=4*depth`, `learning_rate=0.1/depth`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from hydra.core.override_parser.types import Override
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gradyn.core import ConfigError
from hydra_plugins.gradyn._arithmetic import Number, evaluate, is_name, names, parse
from hydra_plugins.gradyn._axes import Axis

# A whole number may come out of floats a few roundings off (0.1 * 30); 2^-40 leaves room for thousands of them.
_ROUNDING = 2.0**-40


class Ties:
    """Knows which values are ties, from what stands at their key without them.

    A text is a tie where the key holds a number (or null) and the text is arithmetic; where it holds null, only if the
    arithmetic reads keys that exist. Text keys (`dtype`, `data.path`) are never tied.

    Args:
        configs: composed configs without values set on top, one or more of each option.
    """

    def __init__(self, configs: Iterable[DictConfig]) -> None:
        self._configs = list(configs)
        self._held: dict[str, Any] = {}

    def is_tie(self, axis: Axis, value: Any) -> bool:
        """Whether `value`, given for this axis, is a tie."""
        if not isinstance(value, str) or axis.is_group or axis.takes_new_keys or "${" in value:
            return False
        tree = parse(value)
        held = self.held(axis.key)
        if tree is None or isinstance(held, (bool, str, list, dict)):
            return False
        if is_name(tree) or held is None:
            # A lone word at a number's place may as well be a wrong word: then the key's own rule says so.
            return bool(names(tree)) and all(self.exists(name) for name in names(tree))
        return True

    def reads(self, axis: Axis, value: Any) -> set[str]:
        """Top-level keys that a tie reads; none for any other value.

        Raises:
            ConfigError: it reads a key that does not exist.
        """
        if not self.is_tie(axis, value):
            return set()
        tree = parse(value)
        assert tree is not None
        for name in sorted(names(tree)):
            if not self.exists(name):
                near = get_close_matches(name, self._numbers(), n=1)
                fix = f"Did you mean {near[0]}?" if near else "It may read any key that holds a number, such as depth."
                raise ConfigError(axis.key, f"read keys that exist, and {name} does not", value, fix)
        return {name.split(".")[0] for name in names(tree)}

    def held(self, key: str) -> Any:
        """What stands at the key in the first config that has it; a number where it is a number in any."""
        if key not in self._held:
            found = [value for config in self._configs if (value := _select(config, key)) is not None]
            numbers = [value for value in found if isinstance(value, (int, float)) and not isinstance(value, bool)]
            self._held[key] = (numbers or found or [None])[0]
        return self._held[key]

    def exists(self, name: str) -> bool:
        """Whether some config has the key."""
        return self.held(name) is not None

    def _numbers(self) -> list[str]:
        found: list[str] = []
        for config in self._configs[:1]:
            for top, value in OmegaConf.to_container(config, resolve=False).items():  # type: ignore[union-attr]
                inner = {f"{top!s}.{key!s}": entry for key, entry in value.items()} if isinstance(value, dict) else {str(top): value}
                found += [key for key, entry in inner.items() if isinstance(entry, (int, float)) and not isinstance(entry, bool)]
        return found

    def resolve(self, config: DictConfig, tied: Sequence[tuple[Axis, Override]]) -> None:
        """Set every tie's number in `config`, each after those it reads.

        Raises:
            ConfigError: ties that read one another in a circle, or no finite number, or no whole number where one is needed.
        """
        waiting = {axis.key: str(choice.value()) for axis, choice in tied}
        for key in waiting:
            # Missing until known: what reads it through an interpolation waits too.
            OmegaConf.update(config, key, "???")
        while waiting:
            ready = [key for key, text in waiting.items() if all(_select(config, name) is not None for name in _read_by(text))]
            if not ready:
                key, text = next(iter(waiting.items()))
                others = f"It reads {', '.join(sorted(_read_by(text)))}, tied in turn or null here."
                raise ConfigError(key, "not be tied in a circle or to null", text, others)
            for key in ready:
                OmegaConf.update(config, key, self._number(config, key, waiting.pop(key)))

    def _number(self, config: DictConfig, key: str, text: str) -> Number:
        def lookup(name: str) -> Number:
            value = _select(config, name)
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ConfigError(key, f"read keys that hold numbers, and {name} holds {value!r}", text, "Take a key such as depth.")
            return value

        return whole_if_needed(key, evaluate(key, text, lookup), self.held(key), text)


def whole_if_needed(key: str, value: Number, held: Any, text: str) -> Number:
    """The number as an int where the key holds one.

    Raises:
        ConfigError: the key holds whole numbers and this is none.
    """
    if type(held) is not int or type(value) is int:
        return value
    nearest = round(value)
    if abs(value - nearest) > _ROUNDING * max(1.0, abs(value)):
        raise ConfigError(key, "be a whole number", value, f"Write round({text}).")
    return nearest


def _read_by(text: str) -> set[str]:
    tree = parse(text)
    assert tree is not None
    return names(tree)


def _select(config: DictConfig, key: str) -> Any:
    try:
        return OmegaConf.select(config, key)
    except OmegaConfBaseException:
        return None
