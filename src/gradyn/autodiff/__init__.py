"""HOW ARE GRADIENTS COMPUTED?  The textbook chapter, each statement as code that runs: read one module in one sitting."""

from __future__ import annotations

from gradyn.autodiff.differentiate import grad, topological
from gradyn.autodiff.dual import Dual
from gradyn.autodiff.explain import explain
from gradyn.autodiff.fifty_lines import FiftyLines
from gradyn.autodiff.neuron import Layer, Mlp, Neuron, descend, mlp, mlp_of
from gradyn.autodiff.number import AbstractNumber
from gradyn.autodiff.rules import RULES
from gradyn.autodiff.value import Value

__all__ = [
    "RULES",
    "AbstractNumber",
    "Dual",
    "FiftyLines",
    "Layer",
    "Mlp",
    "Neuron",
    "Value",
    "descend",
    "explain",
    "grad",
    "mlp",
    "mlp_of",
    "topological",
]
