"""WHAT IS MEASURED?  Columns, and the functions and probes that fill them from a step's two passes."""

from gradyn.probes.activation_change import ActivationChange
from gradyn.probes.columns import LAYER_COLUMNS, STEP_COLUMNS
from gradyn.probes.curve_length import CurveLength
from gradyn.probes.delta_moments import DeltaMoments
from gradyn.probes.float_counts import FloatCounts
from gradyn.probes.gradient_autocorrelation import GradientAutocorrelation
from gradyn.probes.gradient_noise import GradientNoise
from gradyn.probes.gradient_scale import GradientScale
from gradyn.probes.jacobian import Jacobian
from gradyn.probes.layers import LOG10_2, SATURATED, log10_update_ratios, measure_layers
from gradyn.probes.linearized import LinearizedNet
from gradyn.probes.pair_correlation import PairCorrelation
from gradyn.probes.path_lengths import PathLengths
from gradyn.probes.probe import AbstractPathProbe, AbstractProbe, AbstractRunProbe, Cells, Moment, Row, WeightPath, probe_columns
from gradyn.probes.sharpness import Sharpness, hessian_product
from gradyn.probes.updates import Updates

__all__ = [
    "LAYER_COLUMNS",
    "LOG10_2",
    "SATURATED",
    "STEP_COLUMNS",
    "AbstractPathProbe",
    "AbstractProbe",
    "AbstractRunProbe",
    "ActivationChange",
    "Cells",
    "CurveLength",
    "DeltaMoments",
    "FloatCounts",
    "GradientAutocorrelation",
    "GradientNoise",
    "GradientScale",
    "Jacobian",
    "LinearizedNet",
    "Moment",
    "PairCorrelation",
    "PathLengths",
    "Row",
    "Sharpness",
    "Updates",
    "WeightPath",
    "hessian_product",
    "log10_update_ratios",
    "measure_layers",
    "probe_columns",
]
