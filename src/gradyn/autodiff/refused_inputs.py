"""Where autograd refuses its inputs: whole numbers, shapes that do not match, a path that was cut.

Can't: catch what is wrong and runs. A loss over shapes that broadcast by accident is the last function here: no error, another number.
"""

from __future__ import annotations

import torch

from gradyn.autodiff.explanation import Print, explains
from gradyn.autodiff.plain_words import in_plain_words


@explains(
    "Whole numbers have no gradient",
    """
    torch: Only Tensors of floating point and complex dtype can require gradients
    Whole numbers have no slope. Make the tensor floating point: `x.double()`, or write `2.` instead of `2`.
    """,
)
def integers(print: Print) -> None:
    """A derivative asks what a small change does, and an integer has no small changes."""
    try:
        torch.tensor(2, requires_grad=True)
    except RuntimeError as error:
        print("torch:", error)
        print(in_plain_words(error))


@explains(
    "Nothing asks for a gradient, or the path was cut",
    """
    torch: element 0 of tensors does not require grad and does not have a grad_fn
    Nothing below this tensor asks for a gradient, or the path was cut by detach(), no_grad(), .item() or numpy. Look for the cut.
    """,
)
def cut(print: Print) -> None:
    """item() hands out a Python number, which remembers nothing; torch.tensor makes a fresh leaf of it."""
    w = torch.tensor(2.0, requires_grad=True)
    loss = torch.tensor((w**2).item())
    try:
        loss.backward()
    except RuntimeError as error:
        print("torch:", error)
        print(in_plain_words(error))


@explains(
    "Shapes that do not match are refused, forward and backward",
    """
    torch: mat1 and mat2 shapes cannot be multiplied (4x3 and 2x3)
    In A @ B the last axis of A and the axis before the last of B must have one size. nn.Linear stores [out, in]: transpose it.
    torch: The size of tensor a (2) must match the size of tensor b (4) at non-singleton dimension 1
    Two shapes can be broadcast only where, counted from the last axis, sizes are equal or one of them is 1.
    torch: Mismatch in shape
    The vector u of u^T J must have the shape of the output: `torch.ones_like(y)` always fits.
    """,
)
def shapes(print: Print) -> None:
    """Four samples of three features, and a weight [out, in] = [2, 3].

    The product needs the weight's transpose, a bias has one number an output, and what is handed to backward has the output's shape.
    """
    x, w = torch.ones(4, 3), torch.ones(2, 3, requires_grad=True)
    for attempt in (lambda: x @ w, lambda: x @ w.T + torch.ones(4), lambda: (x @ w.T).backward(torch.ones(2, 4))):
        try:
            attempt()
        except RuntimeError as error:
            print("torch:", str(error).split(":")[0])
            print(in_plain_words(error))


@explains(
    "The mismatch that nobody reports: [3, 1] minus [3] is [3, 3]",
    """
    loss 1.33, of a difference of shape [3, 3]
    loss 0, of a difference of shape [3, 1]
    """,
)
def silent_broadcast(print: Print) -> None:
    """The predictions are right, yet the loss is not zero: a column minus a row is a table of all pairs.

    The gradient then pulls every prediction towards the mean of all targets.
    """
    prediction = torch.tensor([[1.0], [2.0], [3.0]], requires_grad=True)
    target = torch.tensor([1.0, 2.0, 3.0])
    for difference in (prediction - target, prediction - target[:, None]):
        print(f"loss {(difference**2).mean():.3g}, of a difference of shape {list(difference.shape)}")
