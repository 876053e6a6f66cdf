"""Jacobians by rows, by columns and from torch.func are one matrix; vjp, jvp and hvp are products with it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from gradyn.autodiff import hvp, jacobian, jvp, log_sum_exp, relu, vjp
from gradyn.core import ConfigError

EPS = torch.finfo(torch.float64).eps

# Name -> function and shape of its input: outputs with no, one, two and three axes, elementwise ones, contractions, views, branches.
FUNCTIONS = {
    "square": (lambda x: x**2, (3,)),
    "scalar_to_scalar": (lambda x: x.sin().exp(), ()),
    "scalar_to_vector": (lambda x: torch.stack([x, x**2, x**3]), ()),
    "sum": (lambda x: x.sum(), (4,)),
    "softmax": (lambda x: torch.softmax(x, -1), (2, 3)),
    "log_sum_exp": (lambda x: torch.logsumexp(x, 0), (5,)),
    "tanh_layer": (lambda x: torch.tanh(x @ torch.linspace(-1.0, 1.0, 12).reshape(4, 3) + 0.3), (2, 4)),
    "gram": (lambda x: x.T @ x, (3, 2)),
    "outer": (lambda x: torch.einsum("i,j,k->ijk", x, x.cos(), x.exp()), (2,)),
    "cumulative_product": (lambda x: torch.cumprod(2 + x.tanh(), 0), (4,)),  # away from 0, by which torch divides
    "transposed_and_cut": (lambda x: x.transpose(0, 1)[1:] * 3.0, (2, 3)),
    "sorted": (lambda x: torch.sort(x)[0].tanh(), (4,)),
    "branch": (lambda x: torch.where(x > 0, x.expm1(), x * 0.5), (6,)),
    "inverse": (lambda x: torch.linalg.inv(x @ x.T + 2 * torch.eye(2)), (2, 3)),
}
names = pytest.mark.parametrize("name", FUNCTIONS)


def close(left, right, size, count):
    # Both sides are sums over the paths of the same graph; a path of the catalogue has at most 16 roundings, a sum `count` more,
    # and each side makes them: 2 (16 + count) eps times the sum of absolute values.
    tolerance = 2 * (16 + count) * EPS * size
    error = float((left - right).abs().max())
    assert left.shape == right.shape
    assert error <= tolerance, f"{left} against {right}: {error} apart, allowed {tolerance}"


def assert_products_agree(f, x, u, v, *, vjp=vjp, jvp=jvp):
    """<u, J v> = <J^T u, v>."""
    forward, reverse = (u * jvp(f, x, v)).sum(), (vjp(f, x, u) * v).sum()
    size = torch.func.jacrev(f)(x).abs().reshape(u.numel(), v.numel())
    close(forward, reverse, float(u.abs().flatten() @ size @ v.abs().flatten()), x.numel() + u.numel())


def case(name, rng):
    f, shape = FUNCTIONS[name]
    x = torch.as_tensor(rng.standard_normal(shape))
    y = f(x)
    return f, x, torch.as_tensor(rng.standard_normal(tuple(y.shape))), torch.as_tensor(rng.standard_normal(shape))


@names
def test_rows_columns_and_torch_func_give_one_jacobian(name, rng):
    f, x, u, _ = case(name, rng)
    rows, columns = jacobian(f, x), jacobian(f, x, by="columns")
    assert rows.shape == u.shape + x.shape
    for other in (columns, torch.func.jacrev(f)(x), torch.func.jacfwd(f)(x)):
        close(rows, other, max(float(rows.abs().max()), 1.0), x.numel())


@names
def test_the_vjp_and_the_jvp_are_adjoint(name, rng):
    assert_products_agree(*case(name, rng))


@names
def test_products_with_the_jacobian_are_what_the_whole_jacobian_gives(name, rng):
    f, x, u, v = case(name, rng)
    whole = jacobian(f, x).reshape(u.numel(), x.numel())
    close(vjp(f, x, u).flatten(), u.flatten() @ whole, float((u.abs().flatten() @ whole.abs()).max()), u.numel())
    close(jvp(f, x, v).flatten(), whole @ v.flatten(), float((whole.abs() @ v.abs().flatten()).max()), x.numel())


@names
def test_hvp_is_a_row_of_the_jacobian_of_the_gradient(name, rng):
    f, x, u, v = case(name, rng)
    loss = lambda x: (u * f(x)).sum()  # noqa: E731
    hessian = torch.autograd.functional.hessian(loss, x).reshape(x.numel(), x.numel())
    # Second derivatives sum over pairs of paths: four times the roundings of one.
    close(hvp(loss, x, v).flatten(), hessian @ v.flatten(), 4 * max(float((hessian.abs() @ v.abs().flatten()).max()), float(u.abs().sum())), 4 * x.numel())


def test_the_law_of_the_adjoint_rejects_a_transposed_jacobian(rng):
    x, u, v = (torch.as_tensor(rng.standard_normal(3)) for _ in range(3))
    w = torch.as_tensor(rng.standard_normal((3, 3)))
    with pytest.raises(AssertionError):
        assert_products_agree(lambda x: (w @ x).tanh(), x, u, v, vjp=lambda f, x, u: jvp(f, x, u))


def test_the_law_of_the_adjoint_rejects_a_detached_part(rng):
    # x * x.detach() has the derivative x in reverse mode; here forward mode is given the true function.
    x, u, v = (torch.as_tensor(rng.standard_normal(3)) for _ in range(3))
    with pytest.raises(AssertionError):
        assert_products_agree(lambda x: x * x.detach(), x, u, v, jvp=lambda f, x, v: jvp(lambda x: x * x, x, v))


def test_rows_are_outputs_and_columns_are_inputs():
    x = torch.tensor([1.0, 2.0, 3.0])
    found = jacobian(lambda x: torch.stack([x[0] * x[1], x[2] ** 2]), x)
    assert found.tolist() == [[2.0, 1.0, 0.0], [0.0, 0.0, 6.0]]


def test_weights_that_require_gradients_are_left_alone():
    w = torch.ones(3, requires_grad=True)
    x = torch.ones(3)
    assert vjp(lambda x: w * x, x, torch.ones(3)).tolist() == [1.0, 1.0, 1.0]
    assert not jvp(lambda x: w * x, x, torch.ones(3)).requires_grad
    assert w.grad is None


def test_derivatives_are_taken_inside_no_grad_too():
    with torch.no_grad():
        assert vjp(lambda x: x**2, torch.tensor([3.0]), torch.ones(1)).item() == 6.0
        assert hvp(lambda x: (x**3).sum(), torch.tensor([3.0]), torch.ones(1)).item() == 18.0


def test_the_hvp_of_a_linear_function_is_zero():
    assert hvp(lambda x: x.sum(), torch.ones(2), torch.ones(2)).tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    "derivative",
    [
        lambda f, x: jacobian(f, x),
        lambda f, x: jacobian(f, x, by="columns"),
        lambda f, x: vjp(f, x, torch.ones(())),
        lambda f, x: jvp(f, x, torch.ones_like(x)),
        lambda f, x: hvp(f, x, torch.ones_like(x)),
    ],
    ids=["rows", "columns", "vjp", "jvp", "hvp"],
)
@pytest.mark.parametrize(
    ("f", "x", "line"),
    [
        (lambda x: x.sum(), torch.arange(3), r"x must be a real floating tensor; got torch.int64. Integers and booleans"),
        (lambda x: x.sum(), torch.ones(2, dtype=torch.complex128), r"x must be a real floating tensor; got torch.complex128"),
        (lambda x: x.argmax(), torch.ones(3), r"f\(x\) must be a real floating tensor; got torch.int64"),
        (lambda x: 3.0, torch.ones(3), r"f\(x\) must be a real floating tensor; got 'float'"),
        (lambda x: x.detach().sum(), torch.ones(3), r"f\(x\) must depend on x through differentiable operations; .* Look for detach\(\)"),
        (lambda x: torch.tensor(float(x.detach().sum())), torch.ones(3), r"f\(x\) must depend on x"),
        (lambda x: torch.ones(2, requires_grad=True).sum(), torch.ones(3), r"f\(x\) must depend on x"),
    ],
    ids=["integer", "complex", "argmax", "no_tensor", "detached", "new_tensor", "other_leaf"],
)
def test_what_has_no_derivative_is_refused_in_every_mode(derivative, f, x, line):
    with pytest.raises(ConfigError, match=line):
        derivative(f, x)


def test_cotangents_and_tangents_of_another_shape_are_refused():
    with pytest.raises(ConfigError, match=r"u must have the shape of f\(x\), \(2,\); got \(3,\)"):
        vjp(lambda x: x[:2], torch.ones(3), torch.ones(3))
    with pytest.raises(ConfigError, match=r"v must have the shape of x, \(3,\); got \(2,\)"):
        jvp(lambda x: x[:2], torch.ones(3), torch.ones(2))
    with pytest.raises(ConfigError, match=r"v must have the shape of x, \(3,\); got \(1, 3\)"):
        hvp(lambda x: x.sum(), torch.ones(3), torch.ones(1, 3))


@pytest.mark.parametrize("bad", [[1.0, 2.0, 3.0], None, torch.ones(3, dtype=torch.int64)], ids=["list", "none", "integers"])
def test_cotangents_and_tangents_that_are_no_floating_tensors_are_refused(bad):
    for key, product in (("u", vjp), ("v", jvp), ("v", lambda f, x, v: hvp(lambda x: f(x).sum(), x, v))):
        with pytest.raises(ConfigError, match=f"{key} must be a real floating tensor; got"):
            product(torch.sin, torch.ones(3), bad)


def test_numbers_that_share_memory_have_a_derivative_each_in_every_mode():
    x = torch.ones(1, dtype=torch.float64).expand(3)
    assert torch.equal(jacobian(torch.sin, x, by="columns"), jacobian(torch.sin, x))
    assert torch.equal(hvp(lambda x: (x**3).sum(), x, torch.ones(3, dtype=torch.float64)), torch.full((3,), 6.0, dtype=torch.float64))


@pytest.mark.parametrize("f", [relu, log_sum_exp, lambda x: log_sum_exp(x, 0)], ids=["relu", "log_sum_exp", "log_sum_exp over rows"])
def test_own_functions_have_a_forward_mode_too(f, rng):
    x, v = (torch.tensor(rng.normal(size=(3, 4)), requires_grad=is_leaf) for is_leaf in (True, False))
    assert torch.autograd.gradcheck(f, x, check_forward_ad=True)
    assert torch.equal(jacobian(f, x), jacobian(f, x, by="columns"))
    expected = torch.autograd.functional.hvp(lambda x: (f(1.3 * x) ** 3).sum(), x, v)[1]
    # Forward over reverse and reverse over reverse: a few dozen roundings on numbers of one size.
    assert (hvp(lambda x: (f(1.3 * x) ** 3).sum(), x, v) - expected).abs().max() <= 64 * 2.0**-52 * expected.abs().max()


def test_a_hessian_needs_one_output_and_a_jacobian_an_element():
    with pytest.raises(ConfigError, match=r"f\(x\) must be a single number; got \(3,\)"):
        hvp(lambda x: x**2, torch.ones(3), torch.ones(3))
    with pytest.raises(ConfigError, match="at least one element"):
        jacobian(lambda x: x, torch.ones(0))
    with pytest.raises(ConfigError, match="by must be 'rows' or 'columns'; got 'row'"):
        jacobian(lambda x: x, torch.ones(1), by="row")


def test_what_the_module_says_it_can_not_do_it_can_not():
    half = vjp(lambda x: x * x.detach(), torch.tensor([3.0]), torch.ones(1))
    assert half.item() == 3.0
    assert np.isclose(jvp(lambda x: x * x, torch.tensor([3.0]), torch.ones(1)).item(), 2 * half.item(), rtol=0, atol=0)
