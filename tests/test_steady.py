"""Pascanu's regularizer: its gradient is that of the definition, it does not see the loss' scale, and it is of the vanilla cell."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

import gradyn
from gradyn.core import ConfigError
from gradyn.nn import Linear, Relu, Rnn, Tanh, TorchDefault
from gradyn.optim import Steady
from gradyn.sweep import Log, RunSpec, Schedule, execute, materialize
from runs import make_spec

EVERY = Log(Schedule(None), Schedule(None))
PHI = (Tanh(), Relu(), Linear())


def spec_of(phi: Any, seed: int) -> RunSpec:
    """Eight steps of a row of a digit each, in float64, at rate 1."""
    return make_spec(cell=Rnn(), activation=phi, depth=9, width=13, init=TorchDefault(), dtype="float64", steps=1, learning_rate=1.0, seed=seed)


def steady_by_autograd(spec: RunSpec) -> torch.Tensor:
    """d / d W_hh of sum_t (||a_t W_hh|| / ||g_t|| - 1)^2 at the first batch, a_t and g_t held: autograd through the definition."""
    net, batches, loss_fn = materialize(spec)
    x, y = next(batches)
    own, phi = dict(net.named_parameters()), spec.activation
    w_ih, w_hh, bias = own["cell.input.weight"], own["cell.hidden.weight"], own["cell.input.bias"]
    state, states, inside = torch.zeros(len(x), spec.width, dtype=torch.float64), [], []
    for x_t in x.view(len(x), spec.depth - 1, -1).unbind(1):
        inside.append(x_t @ w_ih.T + bias + state @ w_hh.T)
        state = phi.forward(inside[-1])
        states.append(state)
    loss = loss_fn(state @ own[f"layers.{spec.depth}.weight"].T + own[f"layers.{spec.depth}.bias"], y)
    cotangents = torch.autograd.grad(loss, [*states, *inside])
    at_state, at_inside = cotangents[: len(states)], cotangents[len(states) :]
    free = w_hh.detach().clone().requires_grad_()
    value = sum(((a @ free).norm() / g.norm() - 1) ** 2 for g, a in zip(at_state[1:], at_inside[1:], strict=True))
    return torch.autograd.grad(value, free)[0]


@pytest.mark.parametrize("phi", PHI, ids=lambda phi: phi.name)
def test_the_steady_penalty_adds_the_immediate_gradient_of_the_paper(phi: Any) -> None:
    specs = [spec_of(phi, seed) for seed in (0, 7)]
    moved = {}
    for coefficient in (0.0, 0.7):
        spec_steps = [replace(spec, steps=2, penalty=Steady(coefficient=coefficient)) for spec in specs]
        moved[coefficient] = np.asarray(execute(spec_steps, EVERY).layers["weight_l2"]).reshape(2, 2, -1)
    for run, spec in enumerate(specs):
        module, batches, loss_fn = materialize(spec)
        x, y = next(batches)
        loss_fn(module(x), y).backward()
        own = dict(module.named_parameters())
        plain, extra = own["cell.hidden.weight"].detach() - own["cell.hidden.weight"].grad, 0.7 * steady_by_autograd(spec)
        inputs = (own["cell.input.weight"].detach() - own["cell.input.weight"].grad).square().sum()
        for coefficient, hidden in ((0.0, plain), (0.7, plain - extra)):
            # Norms of order 4, of some hundred sums of order 1 that round by 1e-16: 1e-13.
            # weight_l2 of a step is of [W_ih, W_hh] or W_hh: whichever, the change is seen to rounding.
            found = moved[coefficient][run, 1, 0]
            assert min(abs(found - hidden.norm()), abs(found - (hidden.square().sum() + inputs).sqrt())) < 1e-12
        assert float(extra.norm()) > 1e-3, "the twin must be able to fail"


def test_the_steady_penalty_does_not_see_the_scale_of_the_loss() -> None:
    g, w = torch.randn(2, 4, 5, dtype=torch.float64), torch.randn(2, 5, 5, dtype=torch.float64)
    a = g * torch.rand(2, 4, 5, dtype=torch.float64)
    one, far = (Steady().step_gradient(scale * g, scale * a, scale * (a @ w)) for scale in (1.0, 2.0**-60))
    assert torch.equal(one, far)
    assert not Steady().step_gradient(0 * g, 0 * a, 0 * a).any()
    # An orthogonal matrix and phi' = 1 keep every norm: there is nothing to mend.
    q = torch.linalg.qr(w)[0]
    assert float(Steady().step_gradient(g, g, g @ q).abs().max()) < 1e-14


def test_the_steady_penalty_is_of_the_vanilla_cell() -> None:
    for cell in ("lstm", "feedforward"):
        with pytest.raises(ConfigError, match=f"cell must be rnn with penalty=steady, which is of its recurrent matrix; got '{cell}'. Set cell=rnn."):
            gradyn.plan(["penalty=steady", f"cell={cell}", "activation=tanh", "depth=9"])
