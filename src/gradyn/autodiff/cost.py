"""What derivatives cost, in operations: derived, and counted while torch computes.

For an MLP of weight matrices alone, with F operations in the forward pass (2 B n_{l-1} n_l a layer) of which F_1 in layer 1:
gradient of all weights 2 F - F_1, with the input's 2 F, of the input alone F. A directional derivative costs 2 F with its forward pass,
so a Jacobian [m, n] costs (1 + m) F by rows, 2 n F by columns, (1 + n) F by columns that share one forward pass.

Can't: say how long it takes. Memory traffic and the launch of small kernels are not operations; seconds are measured beside.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from gradyn.core import require


@dataclass(frozen=True, slots=True)
class Operations:
    """Operations of matrix products (a multiplication and an addition are two), and of everything else (one a number made)."""

    products: int
    others: int

    @property
    def total(self) -> int:
        """Both."""
        return self.products + self.others


def operations(run: Callable[[], object]) -> Operations:
    """What torch carries out while `run()` runs, its backward passes included: products by the table of torch's FlopCounterMode, and the rest."""
    with _Counter() as counter:
        run()
    return Operations(counter.products, counter.others)


class _Counter(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self.products, self.others = 0, 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # nothing is compiled here; torch would import its compiler (seconds) to keep this from it

    def __torch_dispatch__(self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        out = func(*args, **(kwargs or {}))
        if func.overloadpacket in flop_registry:
            self.products += flop_registry[func.overloadpacket](*args, **(kwargs or {}), out_val=out)
        # A view computes nothing.
        elif not any(returned.alias_info is not None and not returned.alias_info.is_write for returned in func._schema.returns):
            self.others += sum(one.numel() for one in (out if isinstance(out, (tuple, list)) else (out,)) if isinstance(one, Tensor))
        return out


@dataclass(frozen=True, slots=True)
class MlpCost:
    """Operations of matrix products in an MLP of weights alone, from its sizes: the formulas of the module's docstring.

    Args:
        sizes: n_0, ..., n_L.
        batch: samples.

    Raises:
        ConfigError: fewer than two sizes.
    """

    sizes: tuple[int, ...]
    batch: int = 1

    def __post_init__(self) -> None:
        require(len(self.sizes) > 1, "sizes", "have at least two entries, input and output", self.sizes)

    @property
    def forward(self) -> int:
        """F = 2 B sum_l n_{l-1} n_l."""
        return 2 * self.batch * sum(m * n for m, n in pairwise(self.sizes))

    @property
    def weight_gradient(self) -> int:
        """2 F - F_1: dW_l and the pull through W_l cost as much as the forward product, but below layer 1 nobody asks."""
        return 2 * self.forward - 2 * self.batch * self.sizes[0] * self.sizes[1]

    @property
    def rows(self) -> int:
        """(1 + m) F: the Jacobian of one sample by vjps over one forward pass."""
        return (1 + self.sizes[-1]) * self.forward

    def columns(self, *, shared: bool = False) -> int:
        """2 n F by jvps that each run forward again, (1 + n) F where they share one forward pass."""
        return (1 + self.sizes[0] if shared else 2 * self.sizes[0]) * self.forward


def tanh_net(weights: Sequence[Tensor], x_BM: Tensor) -> Tensor:
    """x_L of the tanh net x_l = tanh(W_l x_{l-1}) with a linear readout and no biases, [B, n_L]."""
    for w_NM in weights[:-1]:
        x_BM = torch.tanh(x_BM @ w_NM.T)
    return x_BM @ weights[-1].T


def tanh_net_jvp(weights: Sequence[Tensor], x_BM: Tensor, dx_BM: Tensor) -> tuple[Tensor, Tensor]:
    """(y, J dx) by hand, through constant weights: two products a layer where torch's dual tensors make three (one with a tangent of zeros).

    Args:
        weights: [n_l, n_{l-1}].
        x_BM: one sample a row.
        dx_BM: a tangent a row; many for one x, [T, n_0] with x [1, n_0], share the forward pass.
    """
    for w_NM in weights[:-1]:
        x_BM = torch.tanh(x_BM @ w_NM.T)
        dx_BM = (dx_BM @ w_NM.T) * (1 - x_BM**2)
    return x_BM @ weights[-1].T, dx_BM @ weights[-1].T
