"""Core: what every other folder relies on, and what relies on none of them.

Axis letters, columns, sources, random streams, component base class, error lines, and where the configs are.
"""

from gradyn.core.columns import Column
from gradyn.core.component import AbstractComponent, groups, options
from gradyn.core.errors import ConfigError, require
from gradyn.core.random import stream
from gradyn.core.source import Source

__all__ = ["AbstractComponent", "Column", "ConfigError", "Source", "groups", "options", "require", "stream"]
