"""What torch's autograd says when it refuses, in plain words, and what to do.

    try:
        loss.backward()
    except RuntimeError as error:
        print(in_plain_words(error))

Can't: tell which line of yours is to blame. `torch.autograd.set_detect_anomaly(True)` can, for the forward pass, at a price in time.
"""

from __future__ import annotations

# A piece of torch's message -> what it means and what to do. Pieces, as the rest of a line changes with shapes, versions and numbers.
_WORDS = (
    (
        "modified by an inplace operation",
        "A number that backward still needs was overwritten: the tensor's version counter says so. Write `x = x + 1` instead of `x += 1`, or change a clone.",
    ),
    (
        "a view of a leaf Variable that requires grad is being used in an in-place operation",
        "A part of a parameter was changed in place while autograd records. Do it under `torch.no_grad()`.",
    ),
    (
        "a leaf Variable that requires grad is being used in an in-place operation",
        "A parameter was changed in place while autograd records. An update is no part of the function: do it under `torch.no_grad()`.",
    ),
    (
        "backward through the graph a second time",
        "The first backward freed what the forward pass had saved. Compute the loss again, or call the first with `retain_graph=True`.",
    ),
    (
        "grad can be implicitly created only for scalar outputs",
        "backward starts from one number. Take the sum or the mean, or pass `gradient=u` to get u^T J.",
    ),
    (
        "does not require grad and does not have a grad_fn",
        "Nothing below this tensor asks for a gradient, or the path was cut by detach(), no_grad(), .item() or numpy. Look for the cut.",
    ),
    (
        "can require gradients",
        "Whole numbers have no slope. Make the tensor floating point: `x.double()`, or write `2.` instead of `2`.",
    ),
    (
        "must match the size of tensor",
        "Two shapes can be broadcast only where, counted from the last axis, sizes are equal or one of them is 1.",
    ),
    (
        "shapes cannot be multiplied",
        "In A @ B the last axis of A and the axis before the last of B must have one size. nn.Linear stores [out, in]: transpose it.",
    ),
    *(
        (
            piece,
            "The two sides of a product must have one size where they meet: the last axis of the left, the last but one (or only one) of the right.",
        )
        for piece in ("size mismatch, got input", "inconsistent tensor size", "Expected size for first two dimensions of batch2")
    ),
    *(
        (piece, "Two tensors of one operation must have one dtype. Convert one: `x.to(w.dtype)`.")
        for piece in ("to have the same dtype", "to have same dtype", "must have the same dtype")
    ),
    (
        "numpy() on Tensor that requires grad",
        "numpy records nothing, so the path to the parameters would end here. Write `x.detach().numpy()` where only the number is wanted, for a plot, say.",
    ),
    (
        "Mismatch in shape",
        "The vector u of u^T J must have the shape of the output: `torch.ones_like(y)` always fits.",
    ),
    (
        "returned an invalid gradient",
        "A custom backward returned another shape than its input has: a transpose or a sum over a broadcast axis is missing.",
    ),
    (
        "appears to not have been used in the graph",
        "The output does not depend on this input, so far as autograd has seen. Pass `allow_unused=True` to get None, or look for a detach().",
    ),
)


def in_plain_words(error: BaseException) -> str:
    """torch's message in one sentence of ours and what to do; the message itself where there is no such sentence.

    Args:
        error: raised by torch.

    Returns:
        One line.
    """
    message = " ".join(str(error).split())
    return next((words for piece, words in _WORDS if piece in message), message)
