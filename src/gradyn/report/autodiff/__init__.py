"""WHAT DOES DIFFERENTIATION LOOK LIKE?  Figures and tables of the experiments on automatic differentiation, `experiments/autodiff_*.py`."""
