"""The gradient of a deep net as one product of matrices, written out: z_l = W_l x_{l-1} + b_l, D_l = diag(phi'(z_l)), one sample.

    dL/dz_1 = dL/dz_L  W_L D_{L-1}  W_{L-1} D_{L-2}  ...  W_2 D_1        a row      dL/dW_1 = (dL/dz_1)^T x^T

Each factor's norm bounds what it can do to a vector, and their product bounds the gradient: sigma' <= 1/4 makes it vanish by the bound.
Often printed as dL/dz_L times the product of W_l D_{l-1} over l = 2, ..., L, and without x. Read as it stands, with l rising to the right,
the factors don't fit; between layers of one width they do, and give another number. Without x the row can't have the shape of W_1.

Can't: say how loose the bound is without the run. It is reached only where every factor's best direction is the next one's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradyn.autodiff.chain import chain_product, reverse_order
from gradyn.autodiff.mlp_by_hand import Elementwise, require_fit
from gradyn.core import require


@dataclass(frozen=True, slots=True)
class ProductFormula:
    """The factors of the formula, and what is made of them.

    Args:
        names: dL/dz_L, W_L, D_{L-1}, ..., W_2, D_1, as written.
        factors: the matrices of those names; the first is a row.
        x: the input, a column.
    """

    names: list[str]
    factors: list[Tensor]
    x: Tensor

    @property
    def dz1(self) -> Tensor:
        """dL/dz_1, [1, n_1]: all factors, multiplied from the output (then every product is one of a row and a matrix)."""
        return chain_product(self.factors, reverse_order(len(self.factors)))

    @property
    def dw1(self) -> Tensor:
        """dL/dW_1 = (dL/dz_1)^T x^T, [n_1, n_0]."""
        return self.dz1.T @ self.x.T

    @property
    def as_often_printed(self) -> list[str]:
        """The names in the order of the product sign read from left to right: dL/dz_L, W_2, D_1, W_3, D_2, ..., W_L, D_{L-1}."""
        pairs = [self.names[i : i + 2] for i in range(1, len(self.names), 2)]
        return [self.names[0], *(name for pair in reversed(pairs) for name in pair)]

    def multiplied(self, names: Sequence[str]) -> Tensor:
        """The factors of those names, multiplied in that order.

        Raises:
            ConfigError: neighbours do not fit, or there is no factor of a name.
        """
        for name in names:
            require(name in self.names, "names", f"be of {', '.join(self.names)}", name)
        return chain_product([self.factors[self.names.index(name)] for name in names], reverse_order(len(names)))

    def norms(self) -> tuple[list[float], list[float]]:
        """|dL/dz_l|, and its bound by the product of the spectral norms of the factors above, for l = 1, ..., L."""
        row, bound = self.factors[0], float(torch.linalg.vector_norm(self.factors[0]))
        norms, bounds = [bound], [bound]
        for w, d in zip(self.factors[1::2], self.factors[2::2], strict=True):
            row = row @ w @ d
            bound *= float(torch.linalg.matrix_norm(w, 2)) * float(torch.linalg.matrix_norm(d, 2))
            norms.insert(0, float(torch.linalg.vector_norm(row)))
            bounds.insert(0, bound)
        return norms, bounds


def product_formula(x_M: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor], phi: Elementwise, at_output_C: Tensor) -> ProductFormula:
    """The factors of dL/dz_1 for one sample.

    Args:
        x_M: the input.
        weights: [n_l, n_{l-1}].
        biases: [n_l].
        phi: of all layers but the last.
        at_output_C: dL/dz_L.

    Raises:
        ConfigError: x or dL/dz_L is no vector, or the shapes don't fit.
    """
    for key, given in (("x", x_M), ("at_output", at_output_C)):
        require(given.ndim == 1, key, "be the vector of one sample", tuple(given.shape), "For a batch use mlp_gradients.")
    require_fit(x_M[None], weights, biases, at_output_C[None])
    z, slopes, at = x_M, [], x_M
    for w_NM, b_N in zip(weights, biases, strict=True):
        z = w_NM @ at + b_N
        at = phi.forward(z)
        slopes.append(phi.derivative(z, at))
    names, factors = [f"dL/dz{len(weights)}"], [at_output_C[None]]
    for layer in range(len(weights), 1, -1):
        names += [f"W{layer}", f"D{layer - 1}"]
        factors += [weights[layer - 1], torch.diag(slopes[layer - 2])]
    return ProductFormula(names, factors, x_M[:, None])
