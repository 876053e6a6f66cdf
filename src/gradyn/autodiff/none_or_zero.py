"""None or zero: what `zero_grad` leaves behind, and why an optimizer can tell the two apart.

Can't: say which is right for an optimizer that is not SGD; whoever writes one decides what a missing gradient means.
"""

from __future__ import annotations

import torch

from gradyn.autodiff.explanation import Print, explains


@explains(
    "set_to_none: a gradient of zero still moves a parameter, none does not",
    """
    zero_grad(set_to_none=False): gradient 0, w after the step 0.9
    zero_grad(set_to_none=True): gradient None, w after the step 1
    """,
)
def set_to_none(print: Print) -> None:
    """A parameter whose gradient is zero still decays; one whose gradient is None is passed over.

    With weight decay (or momentum, or Adam's averages) an update is more than the gradient. None is torch's default, and saves the memory too.
    """
    for is_none in (False, True):
        w = torch.tensor(1.0, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1, weight_decay=1.0)
        (w**2).backward()
        optimizer.zero_grad(set_to_none=is_none)
        gradient = None if w.grad is None else f"{w.grad:g}"
        optimizer.step()
        print(f"zero_grad(set_to_none={is_none}): gradient {gradient}, w after the step {w:g}")
