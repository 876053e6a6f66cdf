"""The explanations in the order in which they are read.

    for explanation in EXPLANATIONS:
        print(explanation)

Can't: be complete. Hooks, anomaly mode and checkpointing are left to torch's own pages, which are good on them.
"""

from __future__ import annotations

from gradyn.autodiff.accumulation import accumulated, forgotten, micro_batches
from gradyn.autodiff.explanation import Explanation
from gradyn.autodiff.left_out import detached, frozen, without_a_graph
from gradyn.autodiff.none_or_zero import set_to_none
from gradyn.autodiff.refusals import freed, leaf_in_place, overwritten, several_outputs
from gradyn.autodiff.refused_inputs import cut, integers, shapes, silent_broadcast
from gradyn.autodiff.torchs_autograd import leaves, retained_graph, textbook

EXPLANATIONS: tuple[Explanation, ...] = (
    textbook,
    accumulated,
    forgotten,
    micro_batches,
    set_to_none,
    leaves,
    retained_graph,
    detached,
    without_a_graph,
    frozen,
    overwritten,
    leaf_in_place,
    freed,
    several_outputs,
    integers,
    cut,
    shapes,
    silent_broadcast,
)
