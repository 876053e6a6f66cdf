"""Recurrent nets: torch's own cells, a plain loop, matrices that are not shared, and numbers beyond floats say the same."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import gradyn
from gradyn.cli import main
from gradyn.core import ConfigError
from gradyn.data import Gaussian as GaussianData
from gradyn.nn import AbstractRecurrent, Eye, Gaussian, Gru, Linear, Lstm, NoNorm, Orthogonal, Relu, Rnn, Tanh, TorchDefault
from gradyn.nn.cells import Step
from gradyn.optim import L2, Cotangent, CrossEntropy
from gradyn.report.frames import read
from gradyn.report.sweeps.by_layer import upper_bound
from gradyn.sweep import Log, RunSpec, Schedule, execute, materialize
from gradyn.sweep.pack import cost, stack_size
from runs import make_spec

TANH = Tanh()
EVERY = Log(Schedule(None), Schedule(None))
CELLS = [Rnn(), Lstm(), Gru(), Lstm(forget_bias=-0.5, recurrent_scale=0.3), Lstm(chrono=20), Gru(update_bias=2.0, input_scale=0.5), Gru(chrono=9)]
PHI = {"rnn": (Tanh(), Relu(), Linear()), "lstm": (Tanh(),), "gru": (Tanh(),)}
KINDS = [pytest.param(cell, phi, id=f"{cell}-{phi.name}") for cell in CELLS for phi in PHI[cell.name]]
TORCHS = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def spec_of(cell: AbstractRecurrent, phi: Any = TANH, **changes: Any) -> RunSpec:
    """Eight steps of a row of a digit each, in float64."""
    fields = {"cell": cell, "activation": phi, "depth": 9, "width": 13, "init": TorchDefault(), "dtype": "float64", "steps": 4}
    return make_spec(**{**fields, **changes})


def column(records: Any, name: str, rows: slice = slice(None)) -> np.ndarray:
    """A column with nan for null, and where the net has no such column."""
    if name not in records.layers:
        return np.full(len(records.layers["layer"]), np.nan)[rows]
    return np.ma.filled(np.ma.asarray(records.layers[name]).astype(float), np.nan)[rows]


@pytest.mark.parametrize(("cell", "phi"), [kind for kind in KINDS if kind.values[1].name != "linear"])
def test_torchs_own_cells_give_the_same_forwards_and_backwards(cell: AbstractRecurrent, phi: Any) -> None:
    spec = spec_of(cell, phi)
    net, batches, loss_fn = materialize(spec)
    x, y = next(batches)
    own = dict(net.named_parameters())
    kind = {"nonlinearity": phi.name} if cell.name == "rnn" else {}
    theirs = TORCHS[cell.name](8, spec.width, batch_first=True, **kind).double()
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(own["cell.input.weight"])
        theirs.weight_hh_l0.copy_(own["cell.hidden.weight"])
        theirs.bias_ih_l0.copy_(own["cell.input.bias"])
        theirs.bias_hh_l0.zero_()
    output = theirs(x.view(-1, 8, 8))[0][:, -1] @ own["layers.9.weight"].T + own["layers.9.bias"]
    loss = loss_fn(output, y)
    loss.backward()
    ours = execute([replace(spec, steps=1)], EVERY)
    # k eps: sums of some tens of terms of order 1.
    assert abs(ours.steps["loss"][0] - loss.item()) < 1e-14
    squares = [theirs.weight_ih_l0.grad, theirs.weight_hh_l0.grad, theirs.bias_ih_l0.grad, own["layers.9.weight"].grad, own["layers.9.bias"].grad]
    squares += [theirs.bias_hh_l0.grad[-spec.width :]] if cell.has_hidden_bias else []
    total = math.sqrt(sum(float(gradient.square().sum()) for gradient in squares))
    assert abs(ours.steps["log10_grad_l2"][0] - math.log10(total)) < 1e-12


@pytest.mark.parametrize(("cell", "phi"), KINDS)
def test_a_plain_loop_over_the_materialized_net_lands_on_the_stored_numbers(cell: AbstractRecurrent, phi: Any) -> None:
    specs = [spec_of(cell, phi, seed=seed, penalty=L2(coefficient=0.01)) for seed in (0, 7)]
    records = execute(specs, EVERY)
    for run, spec in enumerate(specs):
        net, batches, loss_fn = gradyn.materialize(spec)
        sgd = torch.optim.SGD(net.parameters(), lr=spec.learning_rate)
        for step, (x, y) in enumerate(batches):
            sgd.zero_grad()
            loss_fn(net(x), y).backward()
            for parameter in net.parameters():
                if parameter.dim() == 2:
                    assert parameter.grad is not None
                    parameter.grad += 0.01 * parameter.detach()
            squares = sum(float(p.grad.square().sum()) for p in net.parameters() if p.grad is not None)
            # Four steps of rate 0.1 amplify the rounding of a step by little.
            assert abs(records.steps["log10_grad_l2"][4 * run + step] - math.log10(squares) / 2) < 1e-12
            sgd.step()


class _Unshared(nn.Module):
    """The same net with a copy of the cell's matrices for every step, and states that keep their gradients: slow and obvious."""

    def __init__(self, spec: RunSpec) -> None:
        super().__init__()
        self.net, self.batches, self.loss_fn = materialize(spec)
        self.spec, own = spec, dict(self.net.named_parameters())
        self.copies = [{name: own[name].detach().clone().requires_grad_() for name in own if name.startswith("cell")} for _ in range(8)]
        self.readout = own["layers.9.weight"], own["layers.9.bias"]

    def run(self) -> tuple[list[Step], list[torch.Tensor]]:
        """One batch forwards and backwards: the steps, and the states after them."""
        x, y = next(self.batches)
        cell, phi = self.spec.cell, self.spec.activation
        assert isinstance(cell, AbstractRecurrent)
        state = tuple(torch.zeros(1, len(x), self.spec.width, dtype=torch.float64) for _ in range(cell.parts))
        steps, states = [], []
        for x_t, own in zip(x.view(len(x), 8, 8).unbind(1), self.copies, strict=True):
            at_hidden = state[0] @ own["cell.hidden.weight"].T
            if cell.has_hidden_bias:
                at_hidden = torch.cat([at_hidden[..., : -self.spec.width], at_hidden[..., -self.spec.width :] + own["cell.hidden.bias"]], -1)
            steps.append(cell.step(phi, (x_t @ own["cell.input.weight"].T + own["cell.input.bias"]).unsqueeze(0), at_hidden, state))
            state = steps[-1].state
            for part in state:
                part.retain_grad()
            states.append(state)
        self.loss_fn((state[0] @ self.readout[0].T + self.readout[1]).squeeze(0), y).backward()
        return steps, states


@pytest.mark.parametrize(("cell", "phi"), KINDS)
def test_every_step_has_its_own_cotangent_and_its_own_share(cell: AbstractRecurrent, phi: Any) -> None:
    spec = spec_of(cell, phi, steps=0)
    records, slow = execute([spec], EVERY), _Unshared(spec)
    steps, states = slow.run()
    batch, width = spec.batch_size, spec.width
    to_rms = batch / math.sqrt(batch * width)

    def close(name: str, expected: list[float]) -> None:
        # Sums of 400 numbers of some cancellation: 1e-12 is a thousand times their rounding.
        assert np.abs(column(records, name)[:8] - np.log10(expected)).max() < 1e-12, name

    close("log10_delta_rms", [float(state[0].grad.norm()) * to_rms for state in states])
    # The first step has no state before it, and so no share in W_hh.
    gradients = [[own[f"cell.{part}.weight"].grad for part in ("input", "hidden")] for own in slow.copies]
    shares = [math.hypot(*(float(gradient.norm()) for gradient in pair if gradient is not None)) for pair in gradients]
    close("log10_grad_w_l2", shares)
    close("log10_grad_b_l2", [float(own["cell.input.bias"].grad.norm()) for own in slow.copies])
    assert np.isnan(column(records, "log10_gain_weight")).all()
    if cell.name == "rnn":
        assert np.isnan(column(records, "log10_gate_path_rms")).all()
        return
    memory = [state[-1].grad for state in states]
    path, paths = memory[-1], []
    for step in reversed(steps):
        paths.append(float(path.norm()) * to_rms)
        path = path * step.gate.detach()
    close("log10_gate_path_rms", paths[::-1])
    if cell.name == "lstm":
        close("log10_delta_cell_rms", [float(part.norm()) * to_rms for part in memory])
    assert np.isnan(column(records, "log10_gate_path_rms")[8])


def _pulled(cell: AbstractRecurrent, phi: Any, size: float, seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    shape, rows = (2, 5, 3), cell.gates * 3
    draw = lambda *s: torch.from_numpy(rng.standard_normal(s))  # noqa: E731
    p, r = size * draw(2, 5, rows), size * draw(2, 5, rows)
    before, upstream = tuple(draw(*shape) for _ in range(cell.parts)), tuple(draw(*shape) for _ in range(cell.parts))
    done = cell.step(phi, p, r, before)
    flat = lambda found: torch.cat([found[0].flatten(), found[1].flatten(), *(part.flatten() for part in found[2])])  # noqa: E731
    return flat(cell.pullback(phi, done, before, upstream)), flat(AbstractRecurrent.pullback(cell, phi, done, before, upstream))


@pytest.mark.parametrize(("cell", "phi"), KINDS)
@pytest.mark.parametrize("size", [0.1, 1.0, 5.0])
def test_the_cells_pullback_is_that_of_their_step(cell: AbstractRecurrent, phi: Any, size: float) -> None:
    ours, autograd = _pulled(cell, phi, size)
    # torch's s (1 - s) cancels as 1 - s -> 0: at h = 20 its error is eps / e^-20 = 1e-7 of a number of 2e-9.
    assert torch.allclose(ours, autograd, rtol=1e-12, atol=1e-14)


class _NoTanh(Lstm):
    option = None

    def memory(self, done: Step, upstream: Any) -> Any:
        return upstream[1] + upstream[0] * done.saved[3]


class _GateOfTheInput(Lstm):
    option = None

    def pullback(self, phi: Any, done: Step, before: Any, upstream: Any) -> Any:
        at_input, at_hidden, (h, c) = Lstm.pullback(self, phi, done, before, upstream)
        return at_input, at_hidden, (h, c / done.saved[1] * done.saved[0])


class _ResetForgotten(Gru):
    option = None

    def pullback(self, phi: Any, done: Step, before: Any, upstream: Any) -> Any:
        at_input, _, state = Gru.pullback(self, phi, done, before, upstream)
        return at_input, at_input, state


@pytest.mark.parametrize("broken", [_NoTanh(), _GateOfTheInput(), _ResetForgotten()], ids=lambda cell: type(cell).__name__)
def test_a_broken_cell_is_seen(broken: AbstractRecurrent) -> None:
    ours, autograd = _pulled(broken, Tanh(), 1.0)
    assert not torch.allclose(ours, autograd, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("batch", "width"), [(5, 7), (100, 50), (127, 3), (64, 64)])
@pytest.mark.parametrize("cell", [Rnn(), Lstm(), Gru()], ids=lambda cell: cell.name)
def test_a_stack_changes_no_bit(cell: AbstractRecurrent, batch: int, width: int, dtype: str) -> None:
    specs = [spec_of(cell, batch_size=batch, width=width, dtype=dtype, steps=2, seed=seed) for seed in range(4)]
    order = [2, 0, 3, 1]
    stacked, alone = execute([specs[i] for i in order], EVERY), [execute([spec], EVERY) for spec in specs]
    for table in ("layers", "steps"):
        for name, values in getattr(stacked, table).items():
            if name == "run_id" or values.dtype == object:
                continue
            expected = np.ma.concatenate([np.ma.asarray(getattr(alone[i], table)[name]) for i in order])
            assert np.ma.asarray(values).tobytes() == expected.tobytes(), (table, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_gradients_are_numbers_far_beyond_the_floats(dtype: str) -> None:
    # Orthogonal matrices of gain g and no nonlinearity: the cotangent's norm is g^k after k steps, whatever the draw.
    data = GaussianData(samples=16, features=600 * 2)
    for gain in (0.1, 8.0):
        spec = spec_of(
            Rnn(input_scale=0.0), Linear(), depth=601, width=8, init=Orthogonal(gain=gain), dtype=dtype, data=data, loss=Cotangent(), batch_size=4, steps=0
        )
        delta = column(execute([spec], EVERY), "log10_delta_rms")[:600]
        # 600 products of 8 numbers in float64; weights that are orthogonal to the rounding of their dtype.
        error = 600 * (1e-15 if dtype == "float64" else 1e-7)
        assert np.abs((delta[0] - delta[-1]) / (599 * math.log10(gain)) - 1) < error
    assert delta[0] - delta[-1] > 500


@pytest.mark.parametrize(
    ("cell", "gate"),
    [(Lstm(forget_bias=b, input_scale=0.0, recurrent_scale=0.0), b) for b in (-1.0, 0.0, 2.0)]
    + [(Gru(update_bias=b, input_scale=0.0, recurrent_scale=0.0), b) for b in (0.0, 2.0)],
)
def test_with_zero_weights_the_memory_decays_by_its_gate(cell: AbstractRecurrent, gate: float) -> None:
    data = GaussianData(samples=16, features=1000)
    records = execute([spec_of(cell, depth=1001, width=4, init=Gaussian(), data=data, loss=Cotangent(), batch_size=4, steps=0)], EVERY)
    name = "log10_delta_cell_rms" if cell.name == "lstm" else "log10_delta_rms"
    memory, path = column(records, name)[:1000], column(records, "log10_gate_path_rms")[:1000]
    # A rounding a step.
    assert abs((memory[0] - memory[-1]) / (999 * -math.log10(1 + math.exp(-gate))) - 1) < 1e-12
    assert np.abs(memory - path).max() < 1e-10


def test_chrono_spreads_the_gates_over_the_distances() -> None:
    rng = np.random.default_rng(0)
    bias = Lstm(chrono=101).bias(rng, 100, 20_000).reshape(4, -1)
    # u = e^b is uniform on [1, 100]: mean 50.5 with the error 28.6 / sqrt(20,000) = 0.2; five of them.
    assert abs(np.exp(bias[1]).mean() - 50.5) < 1.0
    assert np.array_equal(bias[0], -bias[1])
    assert not bias[2:].any()
    gru = Gru(chrono=101).bias(np.random.default_rng(0), 100, 20_000).reshape(3, -1)
    assert np.array_equal(gru[1], bias[1])
    assert not gru[[0, 2]].any()


def test_identity_is_the_identity_in_the_recurrent_matrix() -> None:
    net, _, _ = materialize(spec_of(Rnn(), Relu(), init=Eye(gain=0.5)))
    own = dict(net.named_parameters())
    assert torch.equal(own["cell.hidden.weight"].detach(), 0.5 * torch.eye(13, dtype=torch.float64))
    assert torch.equal(own["cell.input.weight"].detach(), 0.5 * torch.eye(13, 8, dtype=torch.float64))


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"depth": 2}, r"depth must be >= 3 with cell=lstm: two steps of the sequence at least, and the readout; got 2"),
        ({"depth": 8}, r"depth must be one more than a number of steps into which the 64 features of data=digits can be cut.*got 8\. depth=3,5,9,17,33,65 cut"),
        ({"activation": Relu()}, r"activation must be tanh with cell=lstm; got 'relu'\. Set activation=tanh; cell=rnn takes any"),
        ({"dtype": "float16"}, r"dtype must be float32 or float64 with cell=lstm"),
        ({"norm": "layer"}, r"norm must be none with cell=lstm; got 'layer'"),
        ({"residual": "identity"}, r"residual must be plain with cell=lstm"),
        ({"dropout": "inverted"}, r"dropout must be none with cell=lstm"),
        ({"init": "lsuv"}, r"init must be drawn without data with cell=lstm"),
    ],
)
def test_what_a_recurrent_net_has_not_is_refused(changes: dict[str, Any], line: str) -> None:
    overrides = {"cell": "lstm", "activation": "tanh", "depth": 9} | {key: getattr(value, "name", value) for key, value in changes.items()}
    with pytest.raises(ConfigError, match=line):
        gradyn.plan([f"{key}={value}" for key, value in overrides.items()])


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["cell=gru", "cell.forget_bias=1"], "cell.forget_bias must be a field of cell=gru"),
        (["cell=lstm", "cell.chrono=2"], "cell.chrono must be a whole number >= 3"),
        (["cell=lstm", "cell.forget_bias=.inf"], "cell.forget_bias must be a finite number"),
        (["cell=rnn", "cell.recurrent_scale=-1"], "cell.recurrent_scale must be a finite number >= 0"),
        (["cell=lstm", "data=recall", "data.length=0"], r"data\.length must be a whole number >= 2; got 0"),
        (
            ["cell=lstm", "data=recall"],
            r"depth must be 21 with cell=lstm and data=recall, whose sequences have 20 steps: .*got 9\. Set depth=21 or data\.length=8",
        ),
        (["cell=gru", "data=adding", "loss=mse", "data.length=9"], r"depth must be 10 with cell=gru and data=adding"),
        (["cell=gru", "probe=jacobian"], "cell must be feedforward with probe=jacobian"),
    ],
)
def test_settings_of_cells_are_checked_before_anything_runs(overrides: list[str], line: str) -> None:
    with pytest.raises(ConfigError, match=line):
        gradyn.plan([*overrides, "activation=tanh", "depth=9"])


def test_gates_count_in_memory_and_cost() -> None:
    rnn, lstm = (gradyn.plan([f"cell={cell}", "activation=tanh", "depth=65", "batch_size=128"])[0] for cell in ("rnn", "lstm"))
    assert stack_size(lstm) < stack_size(rnn)
    # All but the readout is done once a gate.
    assert 3.5 < cost((lstm,)) / cost((rnn,)) < 4


def test_a_sweep_over_cells_has_figures_and_a_report(tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["cell=rnn,lstm,gru", "activation=tanh", "depth=5,9", "width=8", "batch_size=32", "steps=3", f"results={tmp_path}", "name=cells", "exec.workers=1"]
    assert main(["sweep", *words]) == 0
    assert main(["report", str(tmp_path / "cells")]) == 0
    runs = gradyn.load(tmp_path / "cells").runs
    assert sorted(runs["cell"].unique()) == ["gru", "lstm", "rnn"]
    assert set(runs["status"]) == {"ok"}
    frames = read(tmp_path / "cells")
    rows = frames.at_start(frames.runs, ["log10_delta_rms", "weight_spectral"])
    for cell, runs in frames.runs[frames.runs["depth"] == 9].groupby("cell"):
        layers, delta = frames.stacked(runs, "log10_delta_rms", rows)
        bound = upper_bound(frames, runs, layers, delta, rows)
        # Gates pass cotangents on beside the matrix; a vanilla net's are held by it, to rounding.
        assert np.isnan(bound).all() if cell != "rnn" else (delta[0, :-1] <= bound + 1e-5).all(), cell
    text = (tmp_path / "cells" / "report" / "report.md").read_text(encoding="utf-8")
    assert "By layer: depth and cell" in text


def test_a_recurrent_net_learns() -> None:
    spec = spec_of(Lstm(), depth=9, width=32, dtype="float32", steps=150, learning_rate=0.5, batch_size=64, loss=CrossEntropy(), norm=NoNorm())
    final = execute([spec], Log(Schedule((0,)), Schedule((0,)))).runs
    # Chance is 0.1; 0.88 was measured.
    assert final["final_accuracy"][0] > 0.7


@pytest.mark.parametrize("cell", [Lstm(recurrent_scale=0.0, input_scale=0.0), Gru(recurrent_scale=0.0, input_scale=0.0)], ids=lambda cell: cell.name)
def test_a_gated_net_of_zero_weights_is_not_called_saturated(cell: AbstractRecurrent) -> None:
    # Its states are 0, and with them the gradients of what multiplies them; the memory's own gradient passes.
    (record,) = execute([spec_of(cell, steps=0, init=Gaussian())], EVERY).runs["status"]
    assert record == "ok"
    dead = spec_of(Rnn(input_scale=1e6), Tanh(), steps=0, init=Gaussian(sigma_w=50.0))
    assert execute([dead], EVERY).runs["status"][0] == "saturated"
