"""Wrong backwards that no single change of the forward explains: 2 a x for (a + a^T) x, two mistakes at once; and paths that torch was kept from."""

from __future__ import annotations

import torch

from gradyn.autodiff import custom
from wrong_backwards import Case, draw, size, sizes


def quadratic_form_without_its_transpose(rng):
    n = size(rng, 3)
    return custom(lambda x, a: x @ a @ x, lambda i, y, u: (2 * u * i[1] @ i[0], u * torch.outer(i[0], i[0]))), (draw(rng, n), draw(rng, n, n))


def gram_matrix_without_its_transpose(rng):
    m, n = size(rng), size(rng, 3, 4)
    return custom(lambda x: x.T @ x, lambda i, y, u: 2 * i[0] @ u), (draw(rng, m, n),)


def transpose_and_factor(rng):
    b, n = size(rng), size(rng, 3)
    return custom(lambda x, w: x @ w, lambda i, y, u: (2 * u @ i[1], i[0].T @ u)), (draw(rng, b, n), draw(rng, n, n))


def two_transposes_inside_a_loss(rng):
    b, n = size(rng), size(rng, 3)
    product = custom(lambda x, a, c: x @ a @ c, lambda i, y, u: (u @ i[2] @ i[1], i[0].T @ u @ i[2].T, (i[0] @ i[1]).T @ u))
    return lambda x, a, c: (product(x, a, c).sin() ** 2).sum(), (draw(rng, b, n), draw(rng, n, n), draw(rng, n, n))


def one_way_of_two_and_three_times(rng):
    return custom(lambda x: x * x.sigmoid(), lambda i, y, u: 3 * u * i[0].sigmoid()), (draw(rng, size(rng, 3)),)


def one_way_of_two_and_its_sign(rng):
    return custom(lambda x: x.sin() + x.exp(), lambda i, y, u: -u * i[0].exp()), (draw(rng, size(rng, 3)),)


def first_row_of_a_bias_twice(rng):
    b, n = sizes(rng, 2)
    return custom(lambda x, c: x + c, lambda i, y, u: (u, 2 * u[0])), (draw(rng, b, n), draw(rng, n))


def scale_by_item(rng):
    return lambda x: x * x.abs().max().item(), (draw(rng, size(rng)),)


def divided_by_a_detached_norm(rng):
    return lambda x: x / x.norm().detach(), (draw(rng, size(rng)),)


def scale_under_no_grad(rng):
    def f(x):
        with torch.no_grad():
            scale = (x**2).mean()
        return x.sin() * scale

    return f, (draw(rng, size(rng)),)


WRONG_IN_TWO_WAYS: dict[str, tuple[Case, ...]] = {
    "missing transpose": (
        quadratic_form_without_its_transpose,
        gram_matrix_without_its_transpose,
        transpose_and_factor,
        two_transposes_inside_a_loss,
    ),
    "missing accumulation": (one_way_of_two_and_three_times, one_way_of_two_and_its_sign, first_row_of_a_bias_twice),
    "detached": (scale_by_item, divided_by_a_detached_norm, scale_under_no_grad),
}
