"""Accumulation in numbers: descent that forgets zero_grad, micro-batches beside their batch, and the textbook's six values.

Without zero_grad the gradient adds up, w_{t+1} = w_t - eta sum_{s <= t} w_s on the bowl w^2 / 2, which is w_{t+1} - (2 - eta) w_t + w_{t-1} = 0: an
oscillator without friction, w_t = cos(omega (t + 1/2)) / cos(omega / 2) with cos(omega) = 1 - eta / 2.

Can't: say what forgetting does to a net. There every direction swings at a frequency of its own, and the steps leave the bowl that they began in.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from gradyn.autodiff.accumulation import micro_batch_gradients
from gradyn.core import require

_EPS = 2.0**-52


def swing(rate: float, steps: int) -> dict[str, list[float]]:
    """w over steps of gradient descent on w^2 / 2 from w = 1, with zero_grad and without.

    Args:
        rate: eta, in (0, 4): beyond, the oscillator is none.
        steps: how many.

    Returns:
        Columns step, zeroed, forgotten, their closed forms `_predicted`, and `bound` of the rounding of the forgotten one.

    Raises:
        ConfigError: a rate outside (0, 4).
    """
    require(0 < rate < 4, "rate", "lie between 0 and 4", rate)
    omega = math.acos(1 - rate / 2)
    found: dict[str, list[float]] = {"step": [float(t) for t in range(steps + 1)]}
    for name, is_zeroed in (("zeroed", True), ("forgotten", False)):
        w = torch.ones((), dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=rate)
        path = [w.item()]
        for _ in range(steps):
            if is_zeroed:
                optimizer.zero_grad()
            (w**2 / 2).backward()
            optimizer.step()
            path.append(w.item())
        found[name] = path
    found["zeroed_predicted"] = [(1 - rate) ** t for t in range(steps + 1)]
    found["forgotten_predicted"] = [math.cos(omega * (t + 0.5)) / math.cos(omega / 2) for t in range(steps + 1)]
    # Each step rounds the sum of gradients (at most 1 / sin omega in size), its product with the rate and w: three roundings, each carried on by an
    # oscillation of at most 1 / sin omega. The formula's own argument omega t is rounded to eps omega t.
    found["bound"] = [_EPS * (4 + (3 + omega) * t / math.sin(omega) ** 2) for t in range(steps + 1)]
    return found


def micro_batch_errors(samples: int, features: int, width: int, k: int, rng: np.random.Generator) -> dict[str, float]:
    """How far k micro-batches are from one batch, for a net of one hidden layer and a mean square loss.

    Args:
        samples: n of the batch.
        features: of a sample.
        width: of the hidden layer.
        k: micro-batches; divides n.
        rng: draws net, batch, and unequal sizes.

    Returns:
        Relative errors (largest number of the difference over largest of the gradient): `equal` and `unequal` with weights n_k / n, `summed` with 1,
        `unequal_by_count` with 1 / k; `bound` of rounding; `micro_batches` k.

    Raises:
        ConfigError: k does not divide the samples.
    """
    require(samples % k == 0, "k", f"divide the {samples} samples", k)
    x, y, v, w = (torch.from_numpy(rng.standard_normal(shape)) for shape in ((samples, features), (samples,), (features, width), (width,)))
    parameters = [v.requires_grad_(), w.requires_grad_()]

    def mean_loss(x: Tensor, y: Tensor) -> Tensor:
        return ((torch.tanh(x @ v) @ w - y) ** 2).mean()

    cuts = np.sort(rng.permutation(np.arange(1, samples))[: k - 1])
    sizes = [int(size) for size in np.diff([0, *cuts, samples])]
    whole = list(torch.autograd.grad(mean_loss(x, y), parameters))
    largest = max(float(g.abs().max()) for g in whole)

    def error(sizes: list[int], weights: list[float] | None = None) -> float:
        found = micro_batch_gradients(mean_loss, parameters, (x, y), sizes, weights)
        return max(float((f - g).abs().max()) for f, g in zip(found, whole, strict=True)) / largest

    alone = [micro_batch_gradients(mean_loss, parameters, (x[i : i + 1], y[i : i + 1]), (1,)) for i in range(samples)]
    terms = max(float(sum(g[p].abs() for g in alone).max()) for p in range(2)) / samples  # type: ignore[union-attr]
    return {
        "micro_batches": float(k),
        "equal": error([samples // k] * k),
        "unequal": error(sizes),
        "summed": error([samples // k] * k, [1.0] * k),
        "unequal_by_count": error(sizes, [1 / k] * k),
        # n additions, and a sample's own gradient with sums over features and width, all of it twice; relative to what may cancel.
        "bound": 2 * _EPS * (samples + 2 * (features + width) + 8) * terms / largest,
    }


def textbook_numbers() -> dict[str, float]:
    """(w x + b - 5)^2 at x = 2, w = 3, b = 1: loss and gradients; then .grad at x = 1 after x^2 and, added to it, after x^3."""
    x, w, b, one = (torch.tensor(value, requires_grad=True) for value in (2.0, 3.0, 1.0, 1.0))
    loss = (w * x + b - 5) ** 2
    found = dict(zip(("dL/dx", "dL/dw", "dL/db"), (g.item() for g in torch.autograd.grad(loss, (x, w, b))), strict=True))
    for name, power in (("after x^2", 2), ("after x^3", 3)):
        (one**power).backward()
        found[name] = float(one.grad)  # type: ignore[arg-type]
    return {"loss": loss.item(), **found}
