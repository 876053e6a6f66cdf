"""Which top-level keys a value reads: by interpolation (`${depth}`) or by arithmetic (`4*depth`)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

# `${depth}` and `${init.sigma_w}`, without resolvers, relative paths or anything nested.
_PLAIN = re.compile(r"\$\{\s*([A-Za-z_]\w*)(?:[.\w\[\]]*)\s*\}")
# The environment is the same for all jobs.
_CONSTANT = re.compile(r"\$\{\s*oc\.env\s*:[^${}]*\}")
# `${.gain}` inside a node reads its sibling.
_SIBLING = re.compile(r"\$\{\s*\.[A-Za-z_]\w*\s*\}")

EVERYTHING = "*"


def mentions(value: Any, is_nested: bool = False) -> set[str]:
    """Top-level keys that an unresolved value reads; `EVERYTHING` among them where that can't be told from its text."""
    if isinstance(value, dict):
        return set().union(*(mentions(inner, True) for inner in value.values()))
    if isinstance(value, (list, tuple)):
        return set().union(*(mentions(inner, True) for inner in value))
    if not isinstance(value, str) or "${" not in value:
        return set()
    rest = _CONSTANT.sub("", value)
    if is_nested:
        rest = _SIBLING.sub("", rest)
    found = set(_PLAIN.findall(rest))
    return found | ({EVERYTHING} if "${" in _PLAIN.sub("", rest) else set())


def closure(direct: dict[str, set[str]]) -> dict[str, set[str]]:
    """For each key, itself and all that it reads, directly or through others."""
    everything = set(direct)
    closed: dict[str, set[str]] = {}
    for key in direct:
        seen: set[str] = set()
        waiting = {key}
        while waiting:
            current = waiting.pop()
            seen.add(current)
            reads = direct.get(current, set())
            waiting |= (everything if EVERYTHING in reads else reads & everything) - seen
        closed[key] = seen
    return closed


def reads_hydra(value: Any) -> str | None:
    """The first text within a value that reads Hydra's own settings (`${hydra:...}`), or None."""
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    if isinstance(value, str) and re.search(r"\$\{\s*hydra\s*[:.]", value):
        return value
    return next((found for item in inner if (found := reads_hydra(item)) is not None), None)
