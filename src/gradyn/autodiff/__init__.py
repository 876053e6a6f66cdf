"""HOW ARE GRADIENTS COMPUTED?  The textbook chapter, each statement as code that runs: read one module in one sitting."""

from __future__ import annotations

from gradyn.autodiff.accumulation import micro_batch_gradients
from gradyn.autodiff.beside_autograd import mlp_gradients_by_autograd, two_layer_by_autograd
from gradyn.autodiff.by_hand import TwoLayer, two_layer
from gradyn.autodiff.by_hand_tables import mlp_differences, product_differences, two_layer_table
from gradyn.autodiff.chain import chain_cost, chain_product, chain_text, cheapest_order, forward_order, reverse_order
from gradyn.autodiff.cost import MlpCost, Operations, operations, tanh_net, tanh_net_jvp
from gradyn.autodiff.cost_tables import chain_orders, jacobian_costs, million_costs, pass_costs
from gradyn.autodiff.differentiate import grad, topological
from gradyn.autodiff.dual import Dual
from gradyn.autodiff.explain import explain
from gradyn.autodiff.explanation import Explanation, explains
from gradyn.autodiff.expressions import Expression, disagreement, random_expression, rounding_bounds
from gradyn.autodiff.faults import chain_error, faults, passes_through
from gradyn.autodiff.fifty_lines import FiftyLines
from gradyn.autodiff.functions import LogSumExp, Relu, log_sum_exp, relu
from gradyn.autodiff.gallery import EXPLANATIONS
from gradyn.autodiff.gradcheck import CAUSES, NO_FAULT, Diagnosis, explain_gradcheck
from gradyn.autodiff.graph import Edge, Graph, Node
from gradyn.autodiff.graph_examples import deep_graph, dynamic_graph, layer_graph, net_graph, textbook_graph, wide_graph
from gradyn.autodiff.graph_text import forward_name, number_text, shape_text
from gradyn.autodiff.graph_trace import Trace
from gradyn.autodiff.graph_walk import graph_of
from gradyn.autodiff.jacobians import jacobian
from gradyn.autodiff.mistakes import MISTAKES, custom
from gradyn.autodiff.mlp_by_hand import Elementwise, MlpGradients, mlp_gradients, mlp_gradients_by_index
from gradyn.autodiff.neuron import Layer, Mlp, Neuron, descend, mlp, mlp_of
from gradyn.autodiff.number import AbstractNumber
from gradyn.autodiff.numeric import best_central_step, best_forward_step, central_difference, complex_step, forward_difference
from gradyn.autodiff.numeric_tables import AUTOMATIC_BOUND, difference_errors, fit_windows, fitted_slope, method_table, optimal_steps, swell
from gradyn.autodiff.one_curve import curve, delta_rounding_bounds, deltas_by_hand, deltas_by_value, norm_bounds, preactivations
from gradyn.autodiff.plain_words import in_plain_words
from gradyn.autodiff.product_formula import ProductFormula, product_formula
from gradyn.autodiff.products import hvp, jvp, vjp
from gradyn.autodiff.rules import RULES
from gradyn.autodiff.step_errors import errors_over_steps
from gradyn.autodiff.subgradients import PLACES, RELUS, TextbookRelu, subgradients
from gradyn.autodiff.surrogates import Exponent, GradientReversal, StraightThroughSign, TrackedIdentity
from gradyn.autodiff.swing import micro_batch_errors, swing, textbook_numbers
from gradyn.autodiff.symbolic import Size, exact_derivatives, expression_sizes, logistic, logistic_dual, nested_product, symbolic_derivative
from gradyn.autodiff.training import batch_loss, outputs, plane, train
from gradyn.autodiff.value import Value

__all__ = [
    "AUTOMATIC_BOUND",
    "CAUSES",
    "EXPLANATIONS",
    "MISTAKES",
    "NO_FAULT",
    "PLACES",
    "RELUS",
    "RULES",
    "AbstractNumber",
    "Diagnosis",
    "Dual",
    "Edge",
    "Elementwise",
    "Explanation",
    "Exponent",
    "Expression",
    "FiftyLines",
    "GradientReversal",
    "Graph",
    "Layer",
    "LogSumExp",
    "Mlp",
    "MlpCost",
    "MlpGradients",
    "Neuron",
    "Node",
    "Operations",
    "ProductFormula",
    "Relu",
    "Size",
    "StraightThroughSign",
    "TextbookRelu",
    "Trace",
    "TrackedIdentity",
    "TwoLayer",
    "Value",
    "batch_loss",
    "best_central_step",
    "best_forward_step",
    "central_difference",
    "chain_cost",
    "chain_error",
    "chain_orders",
    "chain_product",
    "chain_text",
    "cheapest_order",
    "complex_step",
    "curve",
    "custom",
    "deep_graph",
    "delta_rounding_bounds",
    "deltas_by_hand",
    "deltas_by_value",
    "descend",
    "difference_errors",
    "disagreement",
    "dynamic_graph",
    "errors_over_steps",
    "exact_derivatives",
    "explain",
    "explain_gradcheck",
    "explains",
    "expression_sizes",
    "faults",
    "fit_windows",
    "fitted_slope",
    "forward_difference",
    "forward_name",
    "forward_order",
    "grad",
    "graph_of",
    "hvp",
    "in_plain_words",
    "jacobian",
    "jacobian_costs",
    "jvp",
    "layer_graph",
    "log_sum_exp",
    "logistic",
    "logistic_dual",
    "method_table",
    "micro_batch_errors",
    "micro_batch_gradients",
    "million_costs",
    "mlp",
    "mlp_differences",
    "mlp_gradients",
    "mlp_gradients_by_autograd",
    "mlp_gradients_by_index",
    "mlp_of",
    "nested_product",
    "net_graph",
    "norm_bounds",
    "number_text",
    "operations",
    "optimal_steps",
    "outputs",
    "pass_costs",
    "passes_through",
    "plane",
    "preactivations",
    "product_differences",
    "product_formula",
    "random_expression",
    "relu",
    "reverse_order",
    "rounding_bounds",
    "shape_text",
    "subgradients",
    "swell",
    "swing",
    "symbolic_derivative",
    "tanh_net",
    "tanh_net_jvp",
    "textbook_graph",
    "textbook_numbers",
    "topological",
    "train",
    "two_layer",
    "two_layer_by_autograd",
    "two_layer_table",
    "vjp",
    "wide_graph",
]
