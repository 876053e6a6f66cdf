"""What a float makes of a gradient: how much of it is 0, subnormal or infinite, and what a logger would read.

Axes: R runs, L layers; N fan_out, M fan_in.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray

from gradyn.core import Column, Scaled, flushing, rounded
from gradyn.probes.probe import AbstractProbe, Cells, Moment

_NAMES = ("grad_w_zero_count", "grad_w_subnormal_count", "grad_w_infinite_count", "grad_w_nan_count", "log10_grad_w_l2_read")
_HELD = "of dL/dW_l as the run's dtype holds it (multiplied by the loss scale, before clipping)"


@dataclass(frozen=True, slots=True)
class FloatCounts(AbstractProbe):
    """Counts the elements of each weight gradient that the run's dtype can't hold, and reads its norm as loggers do.

    The gradient is rounded to the dtype once, whatever `exec.backward` computed it with. `log10_grad_w_l2_read` is what
    `gradient.norm()` gives, whose squares under- and overflow long before the elements: a float32 norm is 0 where all elements
    are below 2.6e-23 (2**-75), and inf where they are above 1.8e19 (2**64).
    """

    columns: ClassVar[tuple[Column, ...]] = (
        Column(_NAMES[0], "elements", f"zeros among the elements {_HELD}", "layer", "zeros"),
        Column(_NAMES[1], "elements", f"subnormal elements {_HELD}", "layer", "subnormal elements"),
        Column(_NAMES[2], "elements", f"infinite elements {_HELD}", "layer", "infinite elements"),
        Column(_NAMES[3], "elements", f"NaNs among the elements {_HELD}", "layer", "NaN elements"),
        Column(
            _NAMES[4],
            "log10 of [loss / weight]",
            "log10 of what gradient.norm() reads for dL/dW_l in the run's dtype (float32 for emulated ones); -inf where it reads 0, though nothing need be 0",
            "layer",
            r"$\log_{10}$ of torch's $\|\partial L/\partial W_l\|$",
        ),
    )

    def measure(self, moment: Moment) -> dict[str, Cells]:
        # Where a run is tracked, subnormals are flushed; here they are what is counted.
        with flushing(False):
            found = [_counts(moment, moment.gradients[f"layers.{layer.index}.weight"]) for layer in moment.net.layers]
        values_NRL = np.stack(found, 2)
        return {name: Cells(values_NRL[place], (True,) * len(found)) for place, name in enumerate(_NAMES)}


def _counts(moment: Moment, gradient: Scaled) -> NDArray[np.float64]:
    """The five columns of one layer, [5, R]."""
    format_ = moment.net.format
    out = torch.empty(gradient.mantissa.shape, dtype=format_.carrier, device=gradient.mantissa.device)
    _, digits = math.frexp(moment.loss_scale)
    held = format_.rounded(rounded(Scaled(gradient.mantissa, gradient.exponent + digits - 1), None, out.clone()))
    size = held.flatten(1).abs()
    is_zero = size == 0
    counts = [is_zero, (size < format_.smallest_normal) & ~is_zero, size == math.inf, size.isnan()]
    unscaled = rounded(gradient, None, out)
    # Run by run, as a user calls it: over a stack, another order of the sum might read another last digit.
    read = [float(one.norm()) for one in unscaled]
    with np.errstate(divide="ignore"):
        return np.stack([*(flags.sum(1).double().cpu().numpy() for flags in counts), np.log10(read)])
