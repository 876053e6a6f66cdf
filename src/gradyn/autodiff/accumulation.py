"""`backward` adds to `.grad`: a bug when one forgets it, the tool when a batch does not fit into memory.

    grads = micro_batch_gradients(mean_loss, parameters, batch, sizes=(3, 5))     # = the gradient of the mean over all 8

Can't: make a batch of what looks across samples. Batch norm in a micro-batch sees that micro-batch's statistics, so k of them are not one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from gradyn.autodiff.explanation import Print, explains
from gradyn.core import require


def micro_batch_gradients(
    mean_loss: Callable[..., Tensor], parameters: Sequence[Tensor], batch: Sequence[Tensor], sizes: Sequence[int], weights: Sequence[float] | None = None
) -> list[Tensor]:
    """sum_k weight_k grad(mean loss of micro-batch k); with weight_k = n_k / n it is the gradient of the mean over the whole batch.

    Args:
        mean_loss: of the tensors of a batch -> scalar, a mean over its rows.
        parameters: leaves that require a gradient; their `.grad` is not touched.
        batch: tensors whose axis 0 runs over n samples.
        sizes: n_k, rows of each micro-batch; add up to n.
        weights: of the micro-batches; None for n_k / n. A plain sum is 1 each, and 1 / K is right only where all have one size.

    Returns:
        One tensor a parameter, in its shape.

    Raises:
        ConfigError: sizes do not add up to the batch, one is not positive, there is not one weight a size, or tensors differ in rows.
    """
    lengths = [len(tensor) for tensor in batch]
    require(len(set(lengths)) == 1, "batch", "be tensors with one number of rows", lengths)
    n = lengths[0]
    require(min(sizes, default=0) > 0 and sum(sizes) == n, "sizes", f"be positive and add up to the {n} rows of the batch", tuple(sizes))
    shares = [size / n for size in sizes] if weights is None else list(weights)
    require(len(shares) == len(sizes), "weights", f"be {len(sizes)}, one a micro-batch", len(shares))
    total = [torch.zeros_like(parameter) for parameter in parameters]
    for share, *rows in zip(shares, *(tensor.split(list(sizes)) for tensor in batch), strict=True):
        # Each micro-batch's graph is freed here: the memory is that of one micro-batch, which is the point.
        for own, gradient in zip(total, torch.autograd.grad(share * mean_loss(*rows), list(parameters)), strict=True):
            own += gradient
    return total


@explains(
    "A second backward adds to the gradient of the first",
    """
    after x^2: 2
    after x^3: 5
    """,
)
def accumulated(print: Print) -> None:
    """At x = 1 the derivatives are 2 and 3; .grad holds their sum, 5.

    A tensor used twice needs this inside one backward, so torch does the same between two.
    """
    x = torch.tensor(1.0, requires_grad=True)
    (x**2).backward()
    print(f"after x^2: {x.grad:g}")
    (x**3).backward()
    print(f"after x^3: {x.grad:g}")


@explains(
    "When it is a bug: without zero_grad the steps do not die out",
    """
    zeroed:    1.00 0.50 0.25 0.12 0.06 0.03 0.02
    forgotten: 1.00 0.50 -0.25 -0.88 -1.06 -0.72 -0.02
    """,
)
def forgotten(print: Print) -> None:
    """Steps of 0.5 down the bowl w^2 / 2. Forgetting turns the gradient into a velocity with nothing to slow it down: a swing that never rests."""
    for word, is_zeroed in (("zeroed:   ", True), ("forgotten:", False)):
        w, path = torch.tensor(1.0, requires_grad=True), []
        optimizer = torch.optim.SGD([w], lr=0.5)
        for _ in range(7):
            path.append(f"{w.item():.2f}")
            if is_zeroed:
                optimizer.zero_grad()
            (w**2 / 2).backward()
            optimizer.step()
        print(word, *path)


@explains(
    "When it is the tool: micro-batches of 3 and 5 are one batch of 8",
    """
    weights 3/8 and 5/8 agree with one batch: True
    weights 1/2 and 1/2 agree: False
    """,
)
def micro_batches(print: Print) -> None:
    """The mean over 8 is 3/8 of the mean over the first 3 plus 5/8 of the mean over the other 5.

    Dividing by the number of micro-batches is right only when all have one size; the last one of an epoch mostly has not.
    """
    x = torch.arange(8.0, dtype=torch.float64).reshape(8, 1).sin()
    w = torch.ones(1, dtype=torch.float64, requires_grad=True)

    def mean_loss(x: torch.Tensor) -> torch.Tensor:
        return ((x * w - 1) ** 2).mean()

    (whole,) = torch.autograd.grad(mean_loss(x), w)
    right = micro_batch_gradients(mean_loss, [w], [x], sizes=(3, 5))[0]
    wrong = micro_batch_gradients(mean_loss, [w], [x], sizes=(3, 5), weights=(1 / 2, 1 / 2))[0]
    print(f"weights 3/8 and 5/8 agree with one batch: {torch.allclose(right, whole, rtol=1e-12)}")
    print(f"weights 1/2 and 1/2 agree: {torch.allclose(wrong, whole, rtol=1e-12)}")
