"""A measured quantity, defined once: the schema, the docs, the axis labels and the overlay are made from it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Axis = Literal["run", "step", "layer"]
Kind = Literal["float64", "int64", "string", "bool"]


@dataclass(frozen=True, slots=True)
class Column:
    """One column of the store.

    Args:
        name: as in the Parquet file; `log10_` in front of a logarithm.
        unit: of the stored number, in words (`log10 of [loss / weight]`); empty for a name or a flag.
        definition: formula or words, with every reduction named.
        axis: the table it lives in: one value a run, a run and step, or a run, step and layer.
        label: text for a figure's axis, symbols in matplotlib's mathtext.
        source: paper or section, where the definition is somebody's.
        kind: stored type.
    """

    name: str
    unit: str
    definition: str
    axis: Axis
    label: str = ""
    source: str | None = None
    kind: Kind = "float64"
