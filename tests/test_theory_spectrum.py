"""Moments of the Jacobian's squared singular values: against products of sampled matrices and against Fuss and Catalan's numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradyn.theory import largest_linear_s2, linear_fourth_moment, spectrum

# |z| beyond which a true law is called false once in a million.
Z = 4.9


def test_the_fourth_moment_of_gaussian_products_is_exact_at_any_width(rng: np.random.Generator) -> None:
    # One matrix: Wishart's 2 + 1 / N.
    assert linear_fourth_moment(1, width=7) == pytest.approx(2 + 1 / 7, rel=1e-15)
    width, layers, draws = 4, 3, 20_000
    product = np.eye(width)
    for _ in range(layers):
        product = rng.standard_normal((draws, width, width)) / math.sqrt(width) @ product
    square = product @ product.transpose(0, 2, 1)
    fourth = np.square(square).sum((1, 2)) / width
    z = (fourth.mean() - linear_fourth_moment(layers, width)) / (fourth.std() / math.sqrt(draws))
    assert abs(z) < Z, f"{fourth.mean():.4g} sampled, {linear_fourth_moment(layers, width):.4g} exact, limit {linear_fourth_moment(layers)}"


@pytest.mark.parametrize("layers", [1, 2, 8])
def test_the_edge_is_where_fuss_and_catalan_s_numbers_grow_to(layers: int) -> None:
    def log_moment(k: int) -> float:
        return math.lgamma((layers + 1) * k + 1) - math.lgamma(k + 1) - math.lgamma(layers * k + 1) - math.log(layers * k + 1)

    assert math.exp(log_moment(2)) == pytest.approx(linear_fourth_moment(layers), rel=1e-12)
    # E s^(2k) falls as edge^k k^(-3/2), so that a ratio is edge (1 - 3 / (2k)) to 1 / k^2; lgamma of 1e5 k has 1e-10 of rounding.
    k = 10_000
    ratio = math.exp(log_moment(k + 1) - log_moment(k)) / (1 - 1.5 / k)
    assert ratio == pytest.approx(largest_linear_s2(layers), rel=10 / k**2 + 1e-9)
    assert largest_linear_s2(0) == 1


@pytest.mark.parametrize("is_orthogonal", [False, True])
def test_layers_of_unlike_lengths_add_their_spread(is_orthogonal: bool, rng: np.random.Generator) -> None:
    lengths, sigma_w, draws = (0.3, 4.0, 1.0), 1.3, 40
    said = spectrum("tanh", lengths, sigma_w=sigma_w, is_orthogonal=is_orthogonal)
    found = {}
    for width in (40, 120):
        means, fourths = np.empty(draws), np.empty(draws)
        for draw in range(draws):
            product = np.eye(width)
            for q in lengths:
                normal = rng.standard_normal((width, width))
                weight = np.linalg.qr(normal)[0] if is_orthogonal else normal / math.sqrt(width)
                slope = np.cosh(math.sqrt(q) * rng.standard_normal(width)) ** -2
                product = slope[:, None] * (sigma_w * weight @ product)
            square = product @ product.T
            means[draw], fourths[draw] = np.trace(square) / width, np.square(square).sum() / width
        # Of the means: a ratio of each draw would be biased by 1 / width too, but needs no more than this.
        found[width] = means, fourths / said.mean**2
    for kind, expected in ((0, said.mean), (1, said.relative_variance + 1)):
        # Two widths to infinite width: the bias of order 1 / N cancels; that of order (L / N)^2 is 0.2 % here, below the standard error.
        values = {width: pair[kind] for width, pair in found.items()}
        limit = 1.5 * values[120].mean() - 0.5 * values[40].mean()
        error = math.sqrt((1.5**2 * values[120].var() + 0.5**2 * values[40].var()) / draws)
        assert abs(limit - expected) < Z * error, f"{limit:.4g} +- {error:.2g} sampled, {expected:.4g} by theory"
