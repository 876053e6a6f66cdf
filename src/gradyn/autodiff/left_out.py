"""How a path is left out of the graph: detach, no_grad, and a parameter that does not ask.

Can't: bring a path back. What was computed without a graph has to be computed again.
"""

from __future__ import annotations

import torch

from gradyn.autodiff.explanation import Print, explains


@explains(
    "detach() cuts a path: the number flows on, the gradient does not",
    """
    through both factors 6, with one detached 3
    they share memory: True
    """,
)
def detached(print: Print) -> None:
    """d(w * w)/dw = w + w.

    The detached factor is a constant for autograd, so only one of the two paths is left. detach() copies nothing: writing into the result writes into
    w.
    """
    w = torch.tensor(3.0, requires_grad=True)
    (both,) = torch.autograd.grad(w * w, w)
    (one,) = torch.autograd.grad(w * w.detach(), w)
    print(f"through both factors {both:g}, with one detached {one:g}")
    print(f"they share memory: {w.detach().data_ptr() == w.data_ptr()}")


@explains(
    "no_grad() records nothing; parameters are updated inside it",
    """
    inside: requires_grad False, grad_fn None
    w after a step of 0.1: 2.4, still a leaf: True
    """,
)
def without_a_graph(print: Print) -> None:
    """An update is no part of the function that is differentiated.

    Under no_grad a result has no grad_fn, and a leaf may be changed in place, which is what every optimizer does.
    """
    w = torch.tensor(3.0, requires_grad=True)
    (w**2).backward()
    with torch.no_grad():
        h = 2 * w
        w -= 0.1 * w.grad  # type: ignore[operator]
    print(f"inside: requires_grad {h.requires_grad}, grad_fn {h.grad_fn}")
    print(f"w after a step of 0.1: {w:g}, still a leaf: {w.is_leaf}")


@explains(
    "requires_grad_(False) freezes a parameter; the gradient passes through it all the same",
    """
    second weight frozen: gradients 5, None
    and the input's gradient 10
    """,
)
def frozen(print: Print) -> None:
    """A frozen weight gets no gradient of its own, yet stays a factor in everybody else's: y = w2 w1 x, dy/dw1 = w2 x, dy/dx = w2 w1.

    Unlike under no_grad, what lies before it can still learn.
    """
    x = torch.tensor(1.0, requires_grad=True)
    first, second = torch.tensor(2.0, requires_grad=True), torch.tensor(5.0, requires_grad=True)
    second.requires_grad_(False)
    (second * (first * x)).backward()
    print(f"second weight frozen: gradients {first.grad:g}, {second.grad}")
    print(f"and the input's gradient {x.grad:g}")
