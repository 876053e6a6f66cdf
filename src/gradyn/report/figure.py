"""What a figure is before it is a file: the drawing, its points, its claim and its caption."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure

from gradyn.core import Column
from gradyn.probes import LAYER_COLUMNS, STEP_COLUMNS, probe_columns
from gradyn.report.frames import Frames
from gradyn.report.rates import RATE_COLUMNS
from gradyn.report.style import Page
from gradyn.store import KEY_COLUMNS, RUN_COLUMNS, SPEC_COLUMNS

_COLUMNS = {column.name: column for column in (*KEY_COLUMNS, *SPEC_COLUMNS, *RUN_COLUMNS, *LAYER_COLUMNS, *probe_columns(), *STEP_COLUMNS, *RATE_COLUMNS)}


@dataclass(frozen=True)
class Drawn:
    """A figure with what belongs beside it.

    Args:
        stem: name of its files.
        figure: the drawing.
        claim: one sentence, the title.
        setting: what is held fixed.
        text: what is drawn and how to read it.
        points: what is drawn, as a table.
        columns: names of the measured columns shown; their definitions go into the caption.
        tables: further tables, stem -> rows.
    """

    stem: str
    figure: Figure
    claim: str
    setting: str
    text: str
    points: pd.DataFrame
    columns: tuple[str, ...] = ()
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)


Draw = Callable[[Frames, Page], list[Drawn]]


def column(name: str) -> Column:
    """The `Column` of that name.

    Raises:
        KeyError: no table of the store and no rate has it.
    """
    return _COLUMNS[name]


def label(name: str) -> str:
    """Axis label of a column: its symbols and unit, or its name where it has none."""
    return _COLUMNS[name].label or name


def decades(value: float, digits: int = 1) -> str:
    """A signed number of decades for a sentence: `−38` from ten on, else `−3.8`; what rounds to zero has no sign."""
    text = f"{value:+.0f}" if abs(value) >= 10 else f"{value:+.{digits}f}"
    return (text if float(text) else text[1:]).replace("-", "−")
