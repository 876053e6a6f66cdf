"""HOW ARE GRADIENTS COMPUTED?  The textbook chapter, each statement as code that runs: read one module in one sitting."""

from __future__ import annotations

from gradyn.autodiff.differentiate import grad, topological
from gradyn.autodiff.number import AbstractNumber
from gradyn.autodiff.rules import RULES
from gradyn.autodiff.value import Value

__all__ = ["RULES", "AbstractNumber", "Value", "grad", "topological"]
