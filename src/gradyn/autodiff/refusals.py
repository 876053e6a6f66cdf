"""Where autograd refuses to go backward: torch's message first, plain words below.

Can't: see a change that keeps the version, such as one through `.data` or numpy; the gradient is then wrong without a word.
"""

from __future__ import annotations

import torch

from gradyn.autodiff.explanation import Print, explains
from gradyn.autodiff.plain_words import in_plain_words


@explains(
    "An in-place change is found out by the version counter",
    """
    version 0, after add_ 1
    torch: one of the variables needed for gradient computation has been modified by an inplace operation
    A number that backward still needs was overwritten: the tensor's version counter says so. Write `x = x + 1` instead of `x += 1`, or change a clone.
    """,
)
def overwritten(print: Print) -> None:
    """d exp(w)/dw is exp(w), so exp saves its own result, together with the version of it that it saw.

    Every in-place change raises the version, and backward compares. h = 2 w could be overwritten freely: its backward needs only the 2.
    """
    w = torch.tensor(1.0, requires_grad=True)
    h = w.exp()
    before = h._version
    h.add_(1)
    print(f"version {before}, after add_ {h._version}")
    try:
        h.backward()
    except RuntimeError as error:
        print("torch:", str(error).split(":")[0])
        print(in_plain_words(error))


@explains(
    "A parameter is not changed in place while autograd records",
    """
    torch: a leaf Variable that requires grad is being used in an in-place operation.
    A parameter was changed in place while autograd records. An update is no part of the function: do it under `torch.no_grad()`.
    """,
)
def leaf_in_place(print: Print) -> None:
    """After the change w would be a result, no leaf any more, and where should its gradient go?"""
    w = torch.tensor(1.0, requires_grad=True)
    try:
        w -= 0.1
    except RuntimeError as error:
        print("torch:", error)
        print(in_plain_words(error))


@explains(
    "A freed graph can't be used again",
    """
    torch: Trying to backward through the graph a second time
    The first backward freed what the forward pass had saved. Compute the loss again, or call the first with `retain_graph=True`.
    """,
)
def freed(print: Print) -> None:
    """The saved w of w^2 went with the first pass. A sum saves nothing, so a second backward through sums alone would pass."""
    w = torch.tensor(2.0, requires_grad=True)
    loss = w**2
    loss.backward()
    try:
        loss.backward()
    except RuntimeError as error:
        print("torch:", str(error).split(" (")[0])
        print(in_plain_words(error))


@explains(
    "backward starts from one number, or from a vector",
    """
    torch: grad can be implicitly created only for scalar outputs
    backward starts from one number. Take the sum or the mean, or pass `gradient=u` to get u^T J.
    with u = (1, 10): u^T J = [2, 40]
    """,
)
def several_outputs(print: Print) -> None:
    """Of y = (w1^2, w2^2) there is no gradient but a Jacobian, diag(2 w1, 2 w2); backward can give one combination u of its rows. y.sum() is u = 1."""
    w = torch.tensor([1.0, 2.0], requires_grad=True)
    y = w**2
    try:
        y.backward()
    except RuntimeError as error:
        print("torch:", error)
        print(in_plain_words(error))
    y.backward(gradient=torch.tensor([1.0, 10.0]))
    print(f"with u = (1, 10): u^T J = [{w.grad[0]:g}, {w.grad[1]:g}]")  # type: ignore[index]
