"""Core: what every other folder relies on, and what relies on none of them.

Columns, sources, random streams, the components' base class, error lines, where the configs are; and, of tensors, numbers
beyond the float's range, float formats, and lanes that give every run of a stack the same bits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradyn.core.columns import Column
from gradyn.core.component import AbstractComponent, groups, option_name, options
from gradyn.core.configs import packaged
from gradyn.core.errors import ConfigError, require
from gradyn.core.inert import inert
from gradyn.core.random import stream
from gradyn.core.source import Source

if TYPE_CHECKING:
    from gradyn.core.formats import FORMATS, Format, flushing
    from gradyn.core.lanes import LANE, elementwise, products
    from gradyn.core.scaled import Scaled, contracted, cosine, expand, l2, log2, log2_l2, log2_total, outer, powers_of_two, rounded

__all__ = [
    "FORMATS",
    "LANE",
    "AbstractComponent",
    "Column",
    "ConfigError",
    "Format",
    "Scaled",
    "Source",
    "contracted",
    "cosine",
    "elementwise",
    "expand",
    "flushing",
    "groups",
    "inert",
    "l2",
    "log2",
    "log2_l2",
    "log2_total",
    "option_name",
    "options",
    "outer",
    "packaged",
    "powers_of_two",
    "products",
    "require",
    "rounded",
    "stream",
]


def __getattr__(name: str) -> Any:
    # What works on tensors is imported when first asked for: help, tab completion and a refused command line need none of it
    # and would wait a second for torch.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gradyn.core import formats, lanes, scaled

    return next(getattr(module, name) for module in (formats, lanes, scaled) if hasattr(module, name))
