"""Health: when and where a run left the numbers, found while it runs and without touching its neighbours.

A run that diverges is data. Its status is one of

    ok          every number was finite, and no layer was cut off
    overflow    a number was infinite or nan at step 0: the net as initialized does not fit the dtype
    diverged    a number became infinite or nan later: training blew it up
    underflow   all preactivations of a layer were below the smallest normal number, though its weights and its input
                were not all 0: the forward signal is lost
    saturated   all of a layer's phi' were exactly 0 (dead ReLUs, for one), or a weight gradient was exactly 0, though the layer's input
                was not, in a net whose branches don't begin at 0: nothing passes backwards

The first two outrank the others; the first step at which it was so is kept, with the layer.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import Format, elementwise
from gradyn.nn import AnyNet, LayerPass, Linear, RecurrentNet

Floats = NDArray[np.float64]
STATUSES = ("ok", "diverged", "overflow", "underflow", "saturated")


class Health:
    """Status, first bad step and first bad layer of each run of a stack.

    Args:
        runs: how many.
        format_: in which they are computed.
    """

    def __init__(self, runs: int, format_: Format) -> None:
        self._smallest_normal = format_.smallest_normal
        self.status = ["ok"] * runs
        self.first_bad_step: list[int | None] = [None] * runs
        self.first_bad_layer: list[int | None] = [None] * runs

    def inspect(self, step: int, net: AnyNet, passes: Callable[[], list[LayerPass]], loss_R: Floats, log2_l2_RL: Floats) -> None:
        """Look at a step, after its backward pass.

        Args:
            step: its number.
            net: the net.
            passes: gives those of the forward pass; asked only for a run that went wrong now.
            loss_R: losses.
            log2_l2_RL: log2 of the norm of each layer's weight gradient.
        """
        is_lost_R: NDArray[np.bool_] = np.any(np.isposinf(log2_l2_RL) | np.isnan(log2_l2_RL), axis=1) | ~np.isfinite(loss_R)
        is_cut_R: NDArray[np.bool_] = np.any(np.isneginf(log2_l2_RL), axis=1)
        for run in np.flatnonzero(is_lost_R | is_cut_R).tolist():
            if is_lost_R[run] and self.status[run] not in ("overflow", "diverged"):
                self._mark(run, "diverged" if step else "overflow", step, self._first_lost(passes(), log2_l2_RL[run], run))
            elif is_cut_R[run] and self.status[run] == "ok":
                # They may have to be computed again.
                done = passes()
                status, layer = self._first_cut(net, done, run)
                if layer is None and not net.residual.learns_scale:
                    # No layer is cut off as a whole, and yet nothing passes: phi' underflowed, or its zeros add up.
                    fed = self._fed(net, done, np.flatnonzero(np.isneginf(log2_l2_RL[run])), run)
                    status, layer = "saturated", max(fed) + 1 if fed else None
                if layer is not None:
                    self._mark(run, status, step, layer)

    def inspect_end(self, steps: int, is_lost_R: Tensor) -> None:
        """Look at what the last step left: weights or a final loss that are not finite."""
        for run, is_lost in enumerate(is_lost_R.tolist()):
            if is_lost and self.status[run] not in ("overflow", "diverged"):
                self._mark(run, "diverged", steps, None)

    def _mark(self, run: int, status: str, step: int, layer: int | None) -> None:
        self.status[run], self.first_bad_step[run], self.first_bad_layer[run] = status, step, layer

    def _first_lost(self, passes: list[LayerPass], log2_l2_L: Floats, run: int) -> int | None:
        for index, done in enumerate(passes, start=1):
            assert done.x is not None
            if not bool(torch.isfinite(done.x[run]).all() & torch.isfinite(done.h[run]).all()):
                return index
        # The forward pass is sound: the backward pass was lost where it first met it, coming from the output.
        lost = np.flatnonzero(np.isnan(log2_l2_L) | np.isposinf(log2_l2_L))
        return int(lost.max()) + 1 if len(lost) else None

    def _fed(self, net: AnyNet, passes: list[LayerPass], places: NDArray[np.int64], run: int) -> list[int]:
        """Those places whose weights are multiplied by something: gated nets of zero weights have states of 0, and no gradient by what multiplies them."""
        # A recurrent net's first step has no state before it: its matrix is fed by the steps after.
        first = 1 if isinstance(net, RecurrentNet) else 0
        return [place for place in places.tolist() if place >= first and bool(passes[place].u[run].any())]

    def _first_cut(self, net: AnyNet, passes: list[LayerPass], run: int) -> tuple[str, int | None]:
        for layer, done in zip(net.layers[:-1], passes, strict=False):
            only = slice(run, run + 1)
            # Where the weights are zeros (Fixup's second matrices) or the input is, h = 0 is no loss of this layer's.
            is_fed = done.weight[only].any() & done.u[only].any()
            if bool(is_fed & (done.h[only].abs() < self._smallest_normal).all()):
                return "underflow", layer.index
            if isinstance(layer.activation, Linear):
                continue
            slope = elementwise(layer.activation.derivative, done.z[only], done.a[only])
            if bool((slope == 0).all()):
                return "saturated", layer.index
        return "ok", None
