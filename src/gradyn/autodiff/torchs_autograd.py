"""torch's autograd from inside: which tensors keep a gradient, and how long a graph is kept.

Each function prints its steps; `explanation.py` tells how they become pages.

Can't: show what happens in C++ between `backward` and `.grad`; `graph_of` draws the nodes, their code stays torch's.
"""

from __future__ import annotations

import torch

from gradyn.autodiff.explanation import Print, explains


@explains(
    "Three numbers, one loss, three gradients",
    """
    loss 4
    dL/dx 12, dL/dw 8, dL/db 4
    """,
)
def textbook(print: Print) -> None:
    """L = r^2 with r = w x + b - 5 = 2, so dL/dr = 2 r = 4; each gradient is that times the derivative of r: w = 3 for x, x = 2 for w, 1 for b."""
    x, w, b = (torch.tensor(value, requires_grad=True) for value in (2.0, 3.0, 1.0))
    loss = (w * x + b - 5) ** 2
    loss.backward()
    print(f"loss {loss.item():g}")
    print(f"dL/dx {x.grad:g}, dL/dw {w.grad:g}, dL/db {b.grad:g}")


@explains(
    "Leaves keep their gradient; what is computed keeps it when asked to",
    """
    w: leaf True, gradient 12
    h: leaf False, made by MulBackward0, retains its gradient False
    asked with retain_grad(): dL/dh 6
    """,
)
def leaves(print: Print) -> None:
    """A leaf was made by you, everything else by an operation.

    Autograd drops a gradient in between as soon as it has been passed on: nobody updates an intermediate, and keeping all of them would cost as much
    memory as the forward pass.
    """
    w = torch.tensor(1.5, requires_grad=True)
    h = 2 * w
    (h**2).backward()
    print(f"w: leaf {w.is_leaf}, gradient {w.grad:g}")
    print(f"h: leaf {h.is_leaf}, made by {h.grad_fn.name()}, retains its gradient {h.retains_grad}")  # type: ignore[union-attr]
    h = 2 * w
    h.retain_grad()
    (h**2).backward()
    print(f"asked with retain_grad(): dL/dh {h.grad:g}")


@explains(
    "A graph serves one backward, unless it is retained",
    """
    first backward 4, second 8
    asked for again with grad(): 4, .grad still 8
    """,
)
def retained_graph(print: Print) -> None:
    """What the forward pass saved for the backward pass is freed on the way, node by node.

    retain_graph=True keeps it; leaves then accumulate, as with any second backward. torch.autograd.grad returns the gradient and adds it to nothing.
    """
    w = torch.tensor(2.0, requires_grad=True)
    loss = w**2
    loss.backward(retain_graph=True)
    first = w.grad.item()  # type: ignore[union-attr]
    loss.backward(retain_graph=True)
    print(f"first backward {first:g}, second {w.grad:g}")
    (again,) = torch.autograd.grad(loss, w)
    print(f"asked for again with grad(): {again:g}, .grad still {w.grad:g}")
