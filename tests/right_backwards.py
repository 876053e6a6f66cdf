"""A gallery of functions whose backward is right, among them those on which a difference of fixed step fails: small and large inputs, sharp bends."""

from __future__ import annotations

import torch
from torch.nn import functional

from gradyn.autodiff import custom, log_sum_exp, relu
from wrong_backwards import Case, draw, size, sizes, strided, turned


def scaled(function, scale, low=None):
    def case(rng):
        return function, ((draw(rng, size(rng), size(rng), low=low).detach() * scale).requires_grad_(),)

    return case


def two_inputs(rng):
    a, b, c = sizes(rng, 3)
    return lambda x, w, c: (x @ w + c).tanh(), (draw(rng, a, b), draw(rng, b, c), draw(rng, c))


def several_outputs(rng):
    return lambda x: (x.sin(), (x**2).sum(), x.T @ x), (draw(rng, size(rng), size(rng)),)


def right_turned(rng):
    a, b = sizes(rng, 2)
    return custom(lambda x, w: (x * w).sin(), lambda i, y, u: (u * (i[0] * i[1]).cos() * i[1], u * (i[0] * i[1]).cos() * i[0])), (
        turned(rng, a, b),
        strided(rng, a, b),
    )


def right_expanded(rng):
    return torch.sin, (draw(rng, size(rng), 1).detach().expand(-1, 4).requires_grad_(),)


def right_normalization(rng):
    return lambda x: functional.layer_norm(x, x.shape[-1:]), (draw(rng, size(rng), size(rng, 3)),)


def right_convolution(rng):
    return lambda x, w: functional.conv1d(x, w, padding=1), (draw(rng, 2, 2, 5), draw(rng, 3, 2, 3))


def right_solve(rng):
    n = size(rng, 2, 4)
    return lambda a, b: torch.linalg.solve(a @ a.T + torch.eye(n), b), (draw(rng, n, n), draw(rng, n))


def right_with_a_label(rng):
    b, n = sizes(rng, 2)
    labels = torch.tensor(rng.integers(0, n, b))
    return functional.cross_entropy, (draw(rng, b, n), labels)


def mixed_scales(rng):
    x = draw(rng, 4).detach().abs() * torch.tensor([1e-6, 1e-3, 1.0, 1e3])
    return torch.log, (x.requires_grad_(),)


def unused_input(rng):
    return lambda x, y: x**2, (draw(rng, 3), draw(rng, 2))


def own_relu_off_its_kink(rng):
    return relu, (draw(rng, size(rng), size(rng)),)


def detached_constant(rng):
    return lambda x: x * torch.ones_like(x).detach() * 3, (draw(rng, 3),)


def gradient_inside(rng):
    def penalty(x):
        (g,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
        return (g**2).sum()

    return penalty, (draw(rng, size(rng)),)


RIGHT: tuple[Case, ...] = (
    two_inputs,
    several_outputs,
    right_turned,
    right_expanded,
    right_normalization,
    right_convolution,
    right_solve,
    right_with_a_label,
    mixed_scales,
    unused_input,
    own_relu_off_its_kink,
    detached_constant,
    gradient_inside,
    scaled(log_sum_exp, 1.0),
    scaled(lambda x: x**2, 1e-6),
    scaled(torch.log, 1e-6, low=0.5),
    scaled(lambda x: 1 / x, 1e-6),
    scaled(torch.exp, 1e-6),
    scaled(lambda x: 1 - x.cos(), 1e-6),
    scaled(lambda x: (x * 1e6).tanh(), 1e-6),
    scaled(lambda x: x**3, 1e6),
    scaled(torch.log, 1e6, low=0.5),
    scaled(lambda x: (x / 1e6).sin(), 1e6),
    scaled(lambda x: (x**2).sum().sqrt(), 1e6),
    scaled(lambda x: (1e3 * x).sin(), 1.0),
    scaled(lambda x: 1e8 * x**2, 1.0),
    scaled(lambda x: (50 * x).exp(), 0.1),
    scaled(torch.abs, 1.0),
    scaled(lambda x: functional.max_pool1d(x[None], 2 if x.shape[-1] > 1 else 1), 1.0),
    scaled(lambda x: x.sort(-1).values.cumsum(-1), 1.0),
    scaled(torch.sign, 1.0),
    scaled(lambda x: x.sigmoid(), 40.0),
)
