"""Materialize: a run as anybody would write it in torch, from the same numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from torch import Tensor, nn

from gradyn.core import FORMATS
from gradyn.nn import Module, Net, RecurrentModule, initial_parameters, net_of
from gradyn.sweep.batches import Batches
from gradyn.sweep.spec import RunSpec

Materialized = tuple[nn.Module, Iterator[tuple[Tensor, Tensor]], Callable[[Tensor, Tensor], Tensor]]


def materialize(spec: RunSpec) -> Materialized:
    """A run as an `nn.Module` at step 0, its batches in order, and its loss.

    A plain loop over these three, with torch's own autograd, optimizer and clipping, lands on the store's numbers.

    Args:
        spec: the run (`gradyn.plan([...])[0]`).

    Returns:
        The module (parameters `layers.<l>.weight` [out, in], `layers.<l>.bias`, ...), in training mode; an iterator of (x [B,
        features], y), one pair a step (one in all where `steps=0`); a function of (output, y) to the mean loss over the batch,
        without the penalty.
    """
    dtype = FORMATS[spec.dtype].carrier
    batches = Batches([spec], dtype, "cpu")
    net = net_of(spec, batches.features, batches.classes)
    row = initial_parameters(spec, net, batches.first_inputs(0))
    module = Module(spec, net, row, dtype) if isinstance(net, Net) else RecurrentModule(net, row, dtype)

    def pairs() -> Iterator[tuple[Tensor, Tensor]]:
        for step in range(max(spec.steps, 1)):
            x_RBM, y = batches.batch(step)
            yield x_RBM[0], y[0]

    return module, pairs(), spec.loss.mean
