"""WHAT DO WE SHOW?  Figures, tables and claims, made from a folder's Parquet files alone.

    gradyn.report.figures("results/vanishing_exploding")
    gradyn.report.figures("results/vanishing_exploding", only=["maps"], formats=["pdf"], width="column")

Every figure is a function of frames: it draws what the folder has, says in one line what it lacks, and leaves its points as CSV
and a caption beside the picture.

`sweeps/` draws what any sweep has, `quantities/` and `autodiff/` what the scripts in `experiments/` show. They use what lies here: frames, the
look, panels with theory over measurement, claims and how they are judged. Files, pages and the scoreboard are made last, from all of it.
"""

from gradyn.report.autodiff.by_hand import draw_by_hand
from gradyn.report.autodiff.engine import draw_engine
from gradyn.report.autodiff.functions import draw_functions
from gradyn.report.autodiff.graph import draw_computation_graph
from gradyn.report.autodiff.graph_figure import graph_figure
from gradyn.report.autodiff.graph_tables import graph_from, graph_tables
from gradyn.report.autodiff.inside import draw_inside
from gradyn.report.autodiff.jacobians import crossover, draw_jacobians
from gradyn.report.autodiff.numeric import draw_numeric
from gradyn.report.autodiff.one_curve import draw_one_curve
from gradyn.report.claims import BIAS_FACTOR, MOST_CLAIMS, Z_LIMIT, Claim, Rival, seed_claim
from gradyn.report.experiment import SIGNALLED, Experiment, at_scale, claims_table, described, experiments
from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames, MissingError, read
from gradyn.report.fresh import fresh_sets, p_values, recorded, summary
from gradyn.report.measured import Twin, kept, measure_once, twin
from gradyn.report.overlay import Curve, Panel, overlay
from gradyn.report.page import report
from gradyn.report.quantities.clipped_descent import descents, largest_curvature
from gradyn.report.quantities.clipped_training import clip_curves, clip_words, clipped_steps, largest_safe_rate
from gradyn.report.quantities.decays import decay_claim, decay_curve, differences, logarithms
from gradyn.report.quantities.deep_linear import (
    deep_linear_tables,
    half_rises,
    mode_claims,
    mode_curves,
    mode_points,
    step_claims,
    step_points,
    steps_to_target,
)
from gradyn.report.quantities.defaults_figure import draw_defaults
from gradyn.report.quantities.edge_rates import edge_gaps, map_lines
from gradyn.report.quantities.factors import (
    delta_panel,
    factor_claim,
    factor_curve,
    hidden_maps,
    layer_curve,
    layer_values,
    log_factors,
    mean_field,
    predicted_factor,
)
from gradyn.report.quantities.float_limits import draw as draw_float_limits
from gradyn.report.quantities.float_limits import initial_layers, last_power, reached, read_as_zero
from gradyn.report.quantities.gate_model import sample_gates
from gradyn.report.quantities.gates import chrono_claim, gate_claims, gate_panels
from gradyn.report.quantities.gradient_scales import gradient_scales
from gradyn.report.quantities.growth import claims_curve, growth, stream_growth, wide_profile
from gradyn.report.quantities.jacobian_products import jacobian_products
from gradyn.report.quantities.line_gradients import line_gradients
from gradyn.report.quantities.log_walks import density_curve, log_walk, spread_curve, walk_claims
from gradyn.report.quantities.path_shares import path_shares
from gradyn.report.quantities.phase_map import boundary_crossings, draw_phases, phase_points
from gradyn.report.quantities.recurrences import bound_claim, clip_claims, clipped_cosines, exact_claim, gaussian_claim, noisy_claim, recurrent_panels
from gradyn.report.quantities.stability import stability_curves, stability_runs
from gradyn.report.quantities.time_spans import span_curves, time_spans
from gradyn.report.quantities.trainable_map import draw_trainable_map, normalized_scale, trainable_cells
from gradyn.report.quantities.training_speed import draw_training_speed, training_speed
from gradyn.report.quantities.weight_decay import decay_lines, decayed
from gradyn.report.quantities.width_slopes import change_curves, changes, width_slopes
from gradyn.report.rates import RATE_COLUMNS, interval, rates
from gradyn.report.scoreboard import board_folder, chosen, reproduce, shown
from gradyn.report.script import main
from gradyn.report.style import Page
from gradyn.report.sweeps.cures import Cure, cure_nets, cure_table, families, state, verdict
from gradyn.report.sweeps.over_training import animate
from gradyn.report.sweeps.sentences import sentences
from gradyn.report.sweeps.trainable import TRAINED, best_rates
from gradyn.report.wide import by_layer_and_run, by_width, rate_claim, wide_claim, wide_curve, wide_limit
from gradyn.report.write import FIGURES, STANDARD, draw, drawn, figures

__all__ = [
    "BIAS_FACTOR",
    "FIGURES",
    "MOST_CLAIMS",
    "RATE_COLUMNS",
    "SIGNALLED",
    "STANDARD",
    "TRAINED",
    "Z_LIMIT",
    "Claim",
    "Cure",
    "Curve",
    "Drawn",
    "Experiment",
    "Frames",
    "MissingError",
    "Page",
    "Panel",
    "Rival",
    "Twin",
    "animate",
    "at_scale",
    "best_rates",
    "board_folder",
    "bound_claim",
    "boundary_crossings",
    "by_layer_and_run",
    "by_width",
    "change_curves",
    "changes",
    "chosen",
    "chrono_claim",
    "claims_curve",
    "claims_table",
    "clip_claims",
    "clip_curves",
    "clip_words",
    "clipped_cosines",
    "clipped_steps",
    "crossover",
    "cure_nets",
    "cure_table",
    "decay_claim",
    "decay_curve",
    "decay_lines",
    "decayed",
    "deep_linear_tables",
    "delta_panel",
    "density_curve",
    "descents",
    "described",
    "differences",
    "draw",
    "draw_by_hand",
    "draw_computation_graph",
    "draw_defaults",
    "draw_engine",
    "draw_float_limits",
    "draw_functions",
    "draw_inside",
    "draw_jacobians",
    "draw_numeric",
    "draw_one_curve",
    "draw_phases",
    "draw_trainable_map",
    "draw_training_speed",
    "drawn",
    "edge_gaps",
    "exact_claim",
    "experiments",
    "factor_claim",
    "factor_curve",
    "families",
    "figures",
    "fresh_sets",
    "gate_claims",
    "gate_panels",
    "gaussian_claim",
    "gradient_scales",
    "graph_figure",
    "graph_from",
    "graph_tables",
    "growth",
    "half_rises",
    "hidden_maps",
    "initial_layers",
    "interval",
    "jacobian_products",
    "kept",
    "largest_curvature",
    "largest_safe_rate",
    "last_power",
    "layer_curve",
    "layer_values",
    "line_gradients",
    "log_factors",
    "log_walk",
    "logarithms",
    "main",
    "map_lines",
    "mean_field",
    "measure_once",
    "mode_claims",
    "mode_curves",
    "mode_points",
    "noisy_claim",
    "normalized_scale",
    "overlay",
    "p_values",
    "path_shares",
    "phase_points",
    "predicted_factor",
    "rate_claim",
    "rates",
    "reached",
    "read",
    "read_as_zero",
    "recorded",
    "recurrent_panels",
    "report",
    "reproduce",
    "sample_gates",
    "seed_claim",
    "sentences",
    "shown",
    "span_curves",
    "spread_curve",
    "stability_curves",
    "stability_runs",
    "state",
    "step_claims",
    "step_points",
    "steps_to_target",
    "stream_growth",
    "summary",
    "time_spans",
    "trainable_cells",
    "training_speed",
    "twin",
    "verdict",
    "walk_claims",
    "wide_claim",
    "wide_curve",
    "wide_limit",
    "wide_profile",
    "width_slopes",
]
