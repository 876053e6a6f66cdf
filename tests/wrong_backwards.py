"""A gallery of backwards that are wrong on purpose, drawn anew for every generator, with other numbers and other shapes.

Each entry is a function of a generator that returns f and its inputs. WRONG lists them by cause.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from gradyn.autodiff import Exponent, GradientReversal, StraightThroughSign, TrackedIdentity, custom, log_sum_exp, relu

Case = Callable[[np.random.Generator], tuple]


def draw(rng, *shape, low=None) -> Tensor:
    """Normal numbers, or uniform ones in [low, low + 1.5]; away from 0 by at least 0.05."""
    values = rng.standard_normal(shape) if low is None else rng.uniform(low, low + 1.5, shape)
    values = np.where(np.abs(values) < 0.05, 0.05 + np.abs(values), values)
    return torch.tensor(values, requires_grad=True)


def size(rng, low=2, high=5) -> int:
    return int(rng.integers(low, high + 1))


def sizes(rng, count) -> list[int]:
    """Different ones, so that a wrong shape can't pass by accident."""
    return [int(n) for n in rng.permutation(np.arange(2, 7))[:count]]


def twice_sine(rng):
    return custom(torch.sin, lambda i, y, u: 2 * u * i[0].cos()), (draw(rng, size(rng), size(rng)),)


def minus_exp(rng):
    return custom(torch.exp, lambda i, y, u: -u * y), (draw(rng, size(rng)),)


def square_without_its_two(rng):
    return custom(lambda x: x**2, lambda i, y, u: u * i[0]), (draw(rng, size(rng), size(rng)),)


def mean_without_its_count(rng):
    return custom(lambda x: x.mean(), lambda i, y, u: u.expand_as(i[0])), (draw(rng, size(rng), size(rng)),)


def subtraction_with_two_plus_signs(rng):
    n = size(rng)
    return custom(lambda a, b: a - b, lambda i, y, u: (u, u)), (draw(rng, n), draw(rng, n))


def one_number_and_a_third_too_much(rng):
    return custom(torch.tanh, lambda i, y, u: 1.5 * u * (1 - y**2)), (draw(rng, 1),)


def loss_twice(rng):
    a, b = sizes(rng, 2)
    mse = custom(lambda p, t: ((p - t) ** 2).mean(), lambda i, y, u: (u * (i[0] - i[1]) / i[0].numel(), None))
    return mse, (draw(rng, a, b), draw(rng, a, b).detach())


def factor_inside_a_composition(rng):
    half = custom(torch.sin, lambda i, y, u: 0.5 * u * i[0].cos())
    return lambda x: (half(x * 2) ** 2).sum(), (draw(rng, size(rng)),)


def factor_on_one_of_two_ways(rng):
    triple = custom(torch.sigmoid, lambda i, y, u: 3 * u * y * (1 - y))
    return lambda x: (x * 1.7 + triple(x)).exp().sum(), (draw(rng, size(rng)),)


def product_by_the_weight_itself(rng):
    b, n = size(rng), size(rng, 3)
    return custom(lambda x, w: x @ w, lambda i, y, u: (u @ i[1], i[0].T @ u)), (draw(rng, b, n), draw(rng, n, n))


def weights_gradient_turned(rng):
    b, n = size(rng), size(rng, 3)
    return custom(lambda x, w: x @ w, lambda i, y, u: (u @ i[1].T, (i[0].T @ u).T)), (draw(rng, b, n), draw(rng, n, n))


def matrix_times_vector(rng):
    n = size(rng, 3)
    return custom(torch.mv, lambda i, y, u: (torch.outer(u, i[1]), i[0] @ u)), (draw(rng, n, n), draw(rng, n))


def wrong_shape_of_a_linear_layer(rng):
    b, m, n = sizes(rng, 3)
    return custom(lambda x, w: x @ w.T, lambda i, y, u: (u @ i[1], i[0].T @ u)), (draw(rng, b, m), draw(rng, n, m))


def transposed_inside_a_loss(rng):
    product, inputs = product_by_the_weight_itself(rng)
    return lambda x, w: (product(x, w).tanh() ** 2).sum(), inputs


def batched_product(rng):
    b, n = size(rng), size(rng, 3, 4)
    return custom(torch.bmm, lambda i, y, u: (u @ i[1].mT, i[0] @ u)), (draw(rng, b, n, n), draw(rng, b, n, n))


def reversed_running_sum(rng):
    return custom(lambda x: x.cumsum(0), lambda i, y, u: u.cumsum(0)), (draw(rng, size(rng, 3)),)


def swish_with_one_way(rng):
    return custom(lambda x: x * x.sigmoid(), lambda i, y, u: u * i[0].sigmoid()), (draw(rng, size(rng), size(rng)),)


def skip_connection_forgotten(rng):
    return custom(lambda x: x + x.tanh(), lambda i, y, u: u * (1 - i[0].tanh() ** 2)), (draw(rng, size(rng)),)


def first_row_of_a_bias(rng):
    b, n = sizes(rng, 2)
    return custom(lambda x, c: x + c, lambda i, y, u: (u, u[0])), (draw(rng, b, n), draw(rng, n))


def last_sample_of_a_weight(rng):
    b, m, n = sizes(rng, 3)
    layer = custom(lambda x, w: x @ w.T, lambda i, y, u: (u @ i[1], torch.outer(u[-1], i[0][-1])))
    return layer, (draw(rng, b, m), draw(rng, n, m))


def last_sample_inside_a_loss(rng):
    layer, inputs = last_sample_of_a_weight(rng)
    return lambda x, w: (layer(x, w).sin() ** 2).sum(), inputs


def softmax_without_its_sum(rng):
    return custom(lambda x: x.softmax(-1), lambda i, y, u: u * y), (draw(rng, size(rng), size(rng, 3)),)


def repeated_index_overwritten(rng):
    n = size(rng, 3)
    index = torch.tensor([0, 1, 0, 2, 1])
    return custom(lambda x: x[index], lambda i, y, u: torch.zeros_like(i[0]).index_copy(0, index, u)), (draw(rng, n),)


def bias_not_summed_over_the_wide_axis(rng):
    b, n = sizes(rng, 2)
    return custom(lambda x, c: x + c[:, None], lambda i, y, u: (u, u)), (draw(rng, b, n), draw(rng, b))


def recurrent_weight_of_the_last_step(rng):
    n = size(rng, 2, 4)

    def forward(x, w):
        return torch.tanh(torch.tanh(x @ w) @ w)

    def backward(i, y, u):
        x, w = i
        h = torch.tanh(x @ w)
        last = u * (1 - y**2)
        return ((last @ w.T) * (1 - h**2)) @ w.T, h.T @ last

    return custom(forward, backward), (draw(rng, size(rng), n), draw(rng, n, n))


def strided(rng, *shape) -> Tensor:
    """Every second column of a wider matrix."""
    return draw(rng, shape[0], 2 * shape[1]).detach()[:, ::2].requires_grad_()


def turned(rng, *shape) -> Tensor:
    return draw(rng, *shape[::-1]).detach().T.requires_grad_()


def memory(x: Tensor) -> Tensor:
    """The first numbers of a tensor's memory, whatever its strides say."""
    return torch.as_strided(x, x.shape, torch.empty(x.shape).stride(), x.storage_offset())


def forward_reads_memory_in_order(rng):
    return custom(torch.sin, lambda i, y, u: u * memory(i[0]).cos()), (strided(rng, size(rng), size(rng, 3)),)


def backward_answers_in_memory_order(rng):
    a, b = sizes(rng, 2)
    return custom(lambda x: x**3, lambda i, y, u: u * 3 * memory(i[0]) ** 2), (turned(rng, a, b),)


def product_with_a_turned_weight(rng):
    a, b = sizes(rng, 2)
    return custom(lambda x, w: x * w, lambda i, y, u: (u * memory(i[1]), u * i[0])), (draw(rng, a, b), turned(rng, a, b))


def view_of_what_can_not_be_viewed(rng):
    a, b = sizes(rng, 2)
    return custom(torch.exp, lambda i, y, u: (u.reshape(-1) * i[0].view(-1).exp()).view(i[0].shape)), (turned(rng, a, b),)


def single(x: Tensor) -> Tensor:
    return x.detach().float().requires_grad_()


def single_tanh(rng):
    return torch.tanh, (single(draw(rng, size(rng), size(rng))),)


def single_product(rng):
    a, b, c = sizes(rng, 3)
    return lambda x, w: (x @ w).sigmoid(), (single(draw(rng, a, b)), single(draw(rng, b, c)))


def single_log_sum_exp(rng):
    return log_sum_exp, (single(draw(rng, size(rng), size(rng))),)


def single_layer_with_a_single_weight(rng):
    a, b, c = sizes(rng, 3)
    w = single(draw(rng, b, c)).detach()
    return lambda x: (x @ w).tanh(), (single(draw(rng, a, b)),)


def cast_inside(rng):
    return lambda x: x.float().sin() * 2, (draw(rng, size(rng)),)


def on_the_kink(rng, *shape) -> Tensor:
    x = draw(rng, *shape).detach()
    x.view(-1)[int(rng.integers(x.numel()))] = 0.0
    return x.requires_grad_()


def relu_at_zero(rng):
    return relu, (on_the_kink(rng, size(rng), size(rng)),)


def clamp_at_its_edge(rng):
    x = draw(rng, size(rng)).detach()
    x[0] = 1.0
    return lambda x: x.clamp(-1, 1) * 3, (x.requires_grad_(),)


def abs_next_to_zero(rng):
    x = draw(rng, size(rng)).detach()
    x[-1] = 2e-7 * (1 + rng.random())
    return torch.abs, (x.requires_grad_(),)


def maximum_with_a_tie(rng):
    a = draw(rng, size(rng))
    b = draw(rng, *a.shape).detach()
    b[0] = a[0].item()
    # torch.maximum halves the gradient at a tie, which is what central differences say; this one gives all of it to a.
    larger = custom(torch.maximum, lambda i, y, u: (u * (i[0] >= i[1]), u * (i[0] < i[1])))
    return lambda a, b: larger(a, b).sum(), (a, b.requires_grad_())


def hinge_inside_a_loss(rng):
    x = draw(rng, size(rng)).detach()
    x[0] = 1.0
    return lambda x: (relu(1 - x) ** 1).mean() + (x**2).sum(), (x.requires_grad_(),)


def leaky_next_to_its_bend(rng):
    x = draw(rng, size(rng), 2).detach()
    x[0, 1] = -3e-7 * rng.random()
    return lambda x: functional.leaky_relu(x, 0.2).sum(), (x.requires_grad_(),)


def straight_through_sign(rng):
    return StraightThroughSign.apply, (draw(rng, size(rng), size(rng)),)


def reversal(rng):
    return lambda x: GradientReversal.apply(x, 1.0), (draw(rng, size(rng)),)


def reversal_inside_a_loss(rng):
    strength, w = rng.uniform(0.2, 0.9), draw(rng, 3).detach()
    return lambda x: (GradientReversal.apply(x, strength) @ w).tanh().sum(), (draw(rng, size(rng), 3),)


def tracked_identity(rng):
    return lambda x: TrackedIdentity.apply(x, Exponent()), (draw(rng, size(rng)),)


def rounding_by_detach(rng):
    return lambda x: x + (torch.round(4 * x) / 4 - x).detach(), (draw(rng, size(rng)),)


def quantized_inside_a_loss(rng):
    quantize = custom(lambda x: torch.floor(8 * x) / 8, lambda i, y, u: u)
    return lambda x: (quantize(x) ** 2 + x.sin()).sum(), (draw(rng, size(rng)),)


def spike_with_a_smooth_gradient(rng):
    return custom(lambda x: (x > 0.02).to(x.dtype), lambda i, y, u: u / (1 + 10 * i[0].abs()) ** 2), (draw(rng, size(rng)),)


def clipped_gradient(rng):
    return custom(lambda x: x.clone(), lambda i, y, u: u.clamp(-0.5, 0.5)), (draw(rng, size(rng)),)


def detached_output(rng):
    return lambda x: x.sin().detach(), (draw(rng, size(rng)),)


def zeros_returned(rng):
    return custom(torch.tanh, lambda i, y, u: torch.zeros_like(u)), (draw(rng, size(rng), size(rng)),)


def none_for_the_weight(rng):
    a, b, c = sizes(rng, 3)
    return custom(lambda x, w: x @ w, lambda i, y, u: (u @ i[1].T, None)), (draw(rng, a, b), draw(rng, b, c))


def one_way_detached(rng):
    return lambda x: (x.sin() * x.detach().exp()).sum(), (draw(rng, size(rng)),)


def through_numpy(rng):
    return lambda x: torch.tensor(np.cos(x.detach().numpy())) * 2 + 0 * x, (draw(rng, size(rng)),)


def someone_elses_derivative(rng):
    return custom(torch.sin, lambda i, y, u: u * (i[0] ** 2 + 0.3)), (draw(rng, size(rng, 3)),)


def any_numbers(rng):
    return custom(torch.exp, lambda i, y, u: u * torch.linspace(0.1, 3, u.numel())), (draw(rng, size(rng, 3)),)


def sigmoid_without_its_second_half(rng):
    return custom(torch.sigmoid, lambda i, y, u: u * y), (draw(rng, size(rng, 3)),)


WRONG: dict[str, tuple[Case, ...]] = {
    "wrong factor": (
        twice_sine,
        minus_exp,
        square_without_its_two,
        mean_without_its_count,
        subtraction_with_two_plus_signs,
        one_number_and_a_third_too_much,
        loss_twice,
        factor_inside_a_composition,
        factor_on_one_of_two_ways,
    ),
    "missing transpose": (
        product_by_the_weight_itself,
        weights_gradient_turned,
        matrix_times_vector,
        wrong_shape_of_a_linear_layer,
        transposed_inside_a_loss,
        batched_product,
        reversed_running_sum,
    ),
    "missing accumulation": (
        swish_with_one_way,
        skip_connection_forgotten,
        first_row_of_a_bias,
        last_sample_of_a_weight,
        last_sample_inside_a_loss,
        softmax_without_its_sum,
        repeated_index_overwritten,
        bias_not_summed_over_the_wide_axis,
        recurrent_weight_of_the_last_step,
    ),
    "non-contiguous input": (forward_reads_memory_in_order, backward_answers_in_memory_order, product_with_a_turned_weight, view_of_what_can_not_be_viewed),
    "float32 input": (single_tanh, single_product, single_log_sum_exp, single_layer_with_a_single_weight, cast_inside),
    "kink within the step": (relu_at_zero, clamp_at_its_edge, abs_next_to_zero, maximum_with_a_tie, hinge_inside_a_loss, leaky_next_to_its_bend),
    "surrogate": (
        straight_through_sign,
        reversal,
        reversal_inside_a_loss,
        tracked_identity,
        rounding_by_detach,
        quantized_inside_a_loss,
        spike_with_a_smooth_gradient,
        clipped_gradient,
    ),
    "detached": (detached_output, zeros_returned, none_for_the_weight, one_way_detached, through_numpy),
    "unknown": (someone_elses_derivative, any_numbers, sigmoid_without_its_second_half),
}
