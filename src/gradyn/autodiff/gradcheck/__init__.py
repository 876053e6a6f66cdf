"""IS A BACKWARD RIGHT, AND IF NOT, WHY?  Two Jacobians, told apart by what would make them agree.

`explain.py` is the way through: `problem.py` holds what is asked, `error_bars.py` measures, `comparison.py` compares, `passing.py` doubts what agrees,
`decide.py` explains what does not, by algebra (`causes.py`) and by replaying the forward with paths changed or weighed (`search.py`, `weights.py`).
"""

from gradyn.autodiff.gradcheck.diagnosis import CAUSES, NO_FAULT, Diagnosis, Element
from gradyn.autodiff.gradcheck.explain import explain_gradcheck

__all__ = ["CAUSES", "NO_FAULT", "Diagnosis", "Element", "explain_gradcheck"]
