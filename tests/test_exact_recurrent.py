"""Backpropagation through 600 steps, beyond both ends of the floats, against 40 digits; and every gradient's elements against torch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from exact_backward import log10_l2
from exact_recurrent import ExactThroughTime, ThroughTime
from gradyn.core import FORMATS, Scaled, flushing, log2, log2_l2
from gradyn.data import Gaussian as GaussianData
from gradyn.nn import Gaussian, Gru, Linear, Lstm, RecurrentNet, Relu, Rnn, Tanh, TorchDefault
from gradyn.optim import Cotangent
from gradyn.sweep import RunSpec
from gradyn.sweep.batches import Batches
from gradyn.sweep.execute import _initial, views
from runs import make_spec

LOG10_2 = math.log10(2)
STEPS = 600


def spec_of(cell: Any, phi: Any, sigma_w: float, steps: int, dtype: str = "float64", **changes: Any) -> RunSpec:
    fields: dict[str, Any] = dict(width=3, batch_size=2, steps=0, dtype=dtype, loss=Cotangent(), data=GaussianData(samples=8, features=2 * steps, classes=2))
    return make_spec(**{**fields, "cell": cell, "activation": phi, "depth": steps + 1, "init": Gaussian(sigma_w=sigma_w, sigma_b=0.1), **changes})


class Pass:
    """One run's two passes at step 0."""

    def __init__(self, spec: RunSpec) -> None:
        carrier = FORMATS[spec.dtype].carrier
        with torch.no_grad(), flushing(True):
            batches = Batches([spec], carrier, "cpu")
            self.net = RecurrentNet(spec, batches.features, batches.classes)
            self.parameters = views(self.net, _initial([spec], self.net, batches, carrier, "cpu"))
            self.x_RBM, y = batches.batch(0)
            self.passes = self.net.forward(self.parameters, self.x_RBM)
            self.cotangent = spec.loss.cotangent(self.passes[-1].x, y)
            self.gradients, self.kept = self.net.backward(self.parameters, self.passes, Scaled.plain(self.cotangent.clone()), keep=True)

    def log10(self) -> dict[str, float]:
        """log10 norms: of every gradient, and per step of what is kept."""
        names = list(self.gradients)
        found = dict(zip(names, (log2_l2([self.gradients[name] for name in names])[0] * LOG10_2).tolist(), strict=True))
        for step, kept in enumerate(self.kept[:-1], start=1):
            found[f"state.{step}"] = float((log2(kept.delta_l2.numpy())[0] + kept.exponent[0]) * LOG10_2)
            found[f"share.{step}"] = float(kept.own_weight[0] * LOG10_2)
            found |= {f"{kind}.{step}": float(value[0] * LOG10_2) for kind, value in (("memory", kept.memory), ("path", kept.path)) if value is not None}
        return found

    def reference(self) -> dict[str, float]:
        """The same of 40 digits."""
        exact: ExactThroughTime = ThroughTime(self.net, self.parameters, self.passes).run(self.cotangent)
        found = {name: log10_l2(value) for name, value in exact.gradients.items()}
        for kind, values in (("state", exact.states), ("memory", exact.memories), ("path", exact.paths)):
            found |= {f"{kind}.{step}": log10_l2(value) for step, value in enumerate(values, start=1)}
        return found | {f"share.{step}": value for step, value in enumerate(exact.shares, start=1)}

    def off(self) -> tuple[float, str]:
        """The largest difference in decades, and where."""
        ours, theirs = self.log10(), self.reference()
        worst = max(ours, key=lambda name: 0.0 if ours[name] == theirs[name] else abs(ours[name] - theirs[name]))
        return (0.0 if ours[worst] == theirs[worst] else abs(ours[worst] - theirs[worst])), f"{worst}: ours {ours[worst]!r}, 40 digits {theirs[worst]!r}"


_FAINT = Rnn(input_scale=1e-280)
# Cell, phi, sigma_w, and the decade that the first step's cotangent passes.
FAR = [
    pytest.param(Rnn(), Tanh(), 0.1, -400, id="rnn-tanh-vanishing"),
    pytest.param(Rnn(), Linear(), 0.1, -400, id="rnn-linear-vanishing"),
    # States from 1e-280 on: they stay within float64, the cotangent does not.
    pytest.param(_FAINT, Linear(), 4.0, 308, id="rnn-linear-exploding"),
    pytest.param(Lstm(forget_bias=-3.0), Tanh(), 0.3, -400, id="lstm-vanishing"),
    pytest.param(Gru(update_bias=-3.0), Tanh(), 0.1, -400, id="gru-vanishing"),
    pytest.param(Lstm(chrono=50), Tanh(), 1.0, None, id="lstm-chrono"),
    pytest.param(Gru(), Tanh(), 3.0, None, id="gru-large-weights"),
]


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("cell", "phi", "sigma_w", "reach"), FAR)
def test_600_steps_are_those_of_40_digits(cell: Any, phi: Any, sigma_w: float, reach: int | None, dtype: str) -> None:
    if dtype == "float32" and cell == _FAINT:
        pytest.skip("its states are no numbers of float32")
    run = Pass(spec_of(cell, phi, sigma_w, STEPS, dtype, **({"init": Gaussian(sigma_w=sigma_w)} if cell == _FAINT else {})))
    assert all(bool(torch.isfinite(done.x).all()) for done in run.passes)
    first = run.log10()["state.1"]
    assert math.isfinite(first)
    assert reach is None or (first < reach if reach < 0 else first > reach), "the cotangent must leave float64's range, or this tests nothing"
    off, where = run.off()
    # A step's gates and slopes are rounded to their dtype, a dozen roundings of eps / 2, and turns of the cotangent amplify them
    # tenfold (decision 0008): 600 * 6 eps * 10 in natural logarithms.
    assert off < STEPS * 6 * 10 * torch.finfo(FORMATS[dtype].carrier).eps * math.log10(math.e), where


def test_40_digits_reject_shares_that_are_added_without_being_aligned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Scaled, "plus", lambda self, other: Scaled(self.mantissa + other.mantissa, self.exponent))
    assert Pass(spec_of(Lstm(forget_bias=-3.0), Tanh(), 0.3, 120)).off()[0] > 1e-3


def test_40_digits_reject_a_rescaling_that_forgets_the_exponent(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Scaled.rescaled
    monkeypatch.setattr(Scaled, "rescaled", lambda self: Scaled(original(self).mantissa, self.exponent))
    assert Pass(spec_of(Gru(update_bias=-3.0), Tanh(), 0.3, 120)).off()[0] > 1


def test_40_digits_reject_a_gate_that_is_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    original = Lstm.pullback

    def open_gate(self: Lstm, phi: Any, done: Any, before: Any, upstream: Any) -> Any:
        at_input, at_hidden, (h, _) = original(self, phi, done, before, upstream)
        return at_input, at_hidden, (h, self.memory(done, upstream))

    monkeypatch.setattr(Lstm, "pullback", open_gate)
    assert Pass(spec_of(Lstm(), Tanh(), 0.3, 120)).off()[0] > 1


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("cell", "phi"), [(Rnn(), Tanh()), (Rnn(), Relu()), (Lstm(), Tanh()), (Lstm(chrono=12), Tanh()), (Gru(), Tanh()), (Gru(update_bias=1.5), Tanh())], ids=repr
)
def test_every_element_of_every_gradient_is_torchs(cell: Any, phi: Any, seed: int) -> None:
    steps, width, inputs = 12, 9, 2
    spec = spec_of(cell, phi, 1.0, steps, width=width, batch_size=7, seed=seed, init=TorchDefault())
    run = Pass(spec)
    kind = {"nonlinearity": phi.name} if cell.name == "rnn" else {}
    theirs = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell.name](inputs, width, batch_first=True, **kind).double()
    own = {name: value[0].clone().requires_grad_() for name, value in run.parameters.items() if name.startswith("layers.")}
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(run.parameters["cell.input.weight"][0])
        theirs.weight_hh_l0.copy_(run.parameters["cell.hidden.weight"][0])
        theirs.bias_ih_l0.copy_(run.parameters["cell.input.bias"][0])
        theirs.bias_hh_l0.zero_()
        if cell.has_hidden_bias:
            theirs.bias_hh_l0[-width:] = run.parameters["cell.hidden.bias"][0]
    states, last = theirs(run.x_RBM[0].view(-1, steps, inputs))[0], f"layers.{steps + 1}"
    output = states[:, -1] @ own[f"{last}.weight"].T + own[f"{last}.bias"]
    output.backward(run.cotangent[0])
    for step in range(steps):
        assert (run.passes[step].x[0] - states[:, step]).abs().max() < 1e-14
    names = {"cell.input.weight": theirs.weight_ih_l0.grad, "cell.hidden.weight": theirs.weight_hh_l0.grad, "cell.input.bias": theirs.bias_ih_l0.grad}
    names |= {name: value.grad for name, value in own.items()}
    if cell.has_hidden_bias:
        names["cell.hidden.bias"] = theirs.bias_hh_l0.grad[-width:]
    assert set(names) == set(run.gradients)
    for name, expected in names.items():
        ours = run.gradients[name].mantissa[0] * float(np.ldexp(1.0, run.gradients[name].exponent[0]))
        # Sums of 12 steps of 7 samples, a dozen roundings each, of the largest element: some hundred eps, 1e-14 of it.
        assert (ours - expected).abs().max() < 1e-13 * expected.abs().max(), f"{name}, seed {seed}"
