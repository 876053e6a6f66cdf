"""What is measured? Columns, and the functions that fill them from a step's two passes."""

from gradyn.probes.columns import LAYER_COLUMNS, STEP_COLUMNS
from gradyn.probes.layers import LOG10_2, Cells, log10_update_ratios, measure_layers

__all__ = ["LAYER_COLUMNS", "LOG10_2", "STEP_COLUMNS", "Cells", "log10_update_ratios", "measure_layers"]
