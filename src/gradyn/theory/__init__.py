"""WHAT IS PREDICTED?  Gaussian moments of activations, the mean-field maps made of them, and what they say of depth.

Of use with no sweep at all: `chi_1("tanh", 1.2, sigma_w=1.5, sigma_b=0.1)`.
"""

from gradyn.theory.batch_norm import BatchNormMoments, batch_norm_gradient_correlation, batch_norm_moments, batch_norm_rate
from gradyn.theory.clipping import value_clip_cosine
from gradyn.theory.criticality import CriticalPoint, EdgeRate, critical_point, critical_sigma_w, edge_of_chaos_rate, phase_boundary
from gradyn.theory.curve_growth import curve_growth
from gradyn.theory.deep_linear import half_rise, mode_strength, steps_of_modes
from gradyn.theory.finite_width import FiniteWidthLaw, finite_width_law
from gradyn.theory.fixed_points import DepthScales, FixedPointQ, depth_scales, fixed_point_c, fixed_point_gap, fixed_point_q, fixed_points_q
from gradyn.theory.gaussian import Integral, gaussian_mean, gaussian_mean_of_pair
from gradyn.theory.maps import chi_1, chi_c, chi_parallel, correlation_gaps, correlation_map, correlations, gap_map, length_map, lengths
from gradyn.theory.moments import derivative_product, half_distance, length_slope, moment, product
from gradyn.theory.nets import LayerMoments, NoTheoryError, net_moments
from gradyn.theory.predict import predict
from gradyn.theory.recurrent import chrono_decay, gate_decay
from gradyn.theory.relu_laws import LogNormLaw, gaussian_relu_law, orthogonal_relu_law
from gradyn.theory.residual import batch_norm_residual_growth, residual_growth
from gradyn.theory.scalar_function import ActivationLike, ScalarFunction, as_function
from gradyn.theory.selu import selu_constants, selu_slopes
from gradyn.theory.shattering import (
    GATE_NETS,
    gate_branch,
    gate_covariance,
    gate_variance,
    gradient_autocorrelation,
    orthogonal_gradient_correlation,
    pair_gradient_correlation,
)
from gradyn.theory.spectrum import Spectrum, largest_linear_s2, linear_fourth_moment, spectrum

__all__ = [
    "GATE_NETS",
    "ActivationLike",
    "BatchNormMoments",
    "CriticalPoint",
    "DepthScales",
    "EdgeRate",
    "FiniteWidthLaw",
    "FixedPointQ",
    "Integral",
    "LayerMoments",
    "LogNormLaw",
    "NoTheoryError",
    "ScalarFunction",
    "Spectrum",
    "as_function",
    "batch_norm_gradient_correlation",
    "batch_norm_moments",
    "batch_norm_rate",
    "batch_norm_residual_growth",
    "chi_1",
    "chi_c",
    "chi_parallel",
    "chrono_decay",
    "correlation_gaps",
    "correlation_map",
    "correlations",
    "critical_point",
    "critical_sigma_w",
    "curve_growth",
    "depth_scales",
    "derivative_product",
    "edge_of_chaos_rate",
    "finite_width_law",
    "fixed_point_c",
    "fixed_point_gap",
    "fixed_point_q",
    "fixed_points_q",
    "gap_map",
    "gate_branch",
    "gate_covariance",
    "gate_decay",
    "gate_variance",
    "gaussian_mean",
    "gaussian_mean_of_pair",
    "gaussian_relu_law",
    "gradient_autocorrelation",
    "half_distance",
    "half_rise",
    "largest_linear_s2",
    "length_map",
    "length_slope",
    "lengths",
    "linear_fourth_moment",
    "mode_strength",
    "moment",
    "net_moments",
    "orthogonal_gradient_correlation",
    "orthogonal_relu_law",
    "pair_gradient_correlation",
    "phase_boundary",
    "predict",
    "product",
    "residual_growth",
    "selu_constants",
    "selu_slopes",
    "spectrum",
    "steps_of_modes",
    "value_clip_cosine",
]
