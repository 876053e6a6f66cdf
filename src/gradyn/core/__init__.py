"""Core: what every other folder relies on, and what relies on none of them.

Columns, sources, random streams, the components' base class, error lines, numbers beyond the float's range, and where the
configs are.
"""

from gradyn.core.columns import Column
from gradyn.core.component import AbstractComponent, groups, option_name, options
from gradyn.core.configs import packaged
from gradyn.core.errors import ConfigError, require
from gradyn.core.lanes import LANE, elementwise
from gradyn.core.random import stream
from gradyn.core.scaled import Scaled, expand, l2, log2, log2_l2, log2_total, powers_of_two, rounded
from gradyn.core.source import Source

__all__ = [
    "LANE",
    "AbstractComponent",
    "Column",
    "ConfigError",
    "Scaled",
    "Source",
    "elementwise",
    "expand",
    "groups",
    "l2",
    "log2",
    "log2_l2",
    "log2_total",
    "option_name",
    "options",
    "packaged",
    "powers_of_two",
    "require",
    "rounded",
    "stream",
]
