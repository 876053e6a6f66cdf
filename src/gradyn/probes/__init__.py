"""WHAT IS MEASURED?  Columns, and the functions and probes that fill them from a step's two passes."""

from gradyn.probes.columns import LAYER_COLUMNS, STEP_COLUMNS
from gradyn.probes.float_counts import FloatCounts
from gradyn.probes.layers import LOG10_2, SATURATED, log10_update_ratios, measure_layers
from gradyn.probes.probe import AbstractProbe, Cells, Moment, probe_columns

__all__ = [
    "LAYER_COLUMNS",
    "LOG10_2",
    "SATURATED",
    "STEP_COLUMNS",
    "AbstractProbe",
    "Cells",
    "FloatCounts",
    "Moment",
    "log10_update_ratios",
    "measure_layers",
    "probe_columns",
]
