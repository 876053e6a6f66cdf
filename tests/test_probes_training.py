"""Probes of training against slow computations through the run's ordinary module."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import gradyn
import independent
from gradyn.core import ConfigError
from gradyn.data import Gaussian
from gradyn.nn import NoDropout
from gradyn.optim import LayerL2, Momentum, Mse
from gradyn.probes import ActivationChange, GradientNoise, Moment, Sharpness, Updates
from gradyn.sweep import Log, RunSpec, Schedule, execute
from hydra_plugins.gradyn.compose import plan
from probe_twins import columns, every_third_net, moment_of, seeds, small_spec
from runs import make_spec


def hessian(spec: RunSpec, moment: Moment, run: int) -> np.ndarray:
    """Of one run's loss in all parameters, [P, P], by a second backward pass for every row."""
    values = {name: value[run].clone().requires_grad_() for name, value in moment.parameters.items()}
    output = independent.forward(spec, values, moment.x_RBM[run], 0)[-1].x
    loss = spec.loss.mean(output, moment.y[run])
    flat = torch.cat([one.reshape(-1) for one in torch.autograd.grad(loss, list(values.values()), create_graph=True)])
    rows = [torch.cat([one.reshape(-1) for one in torch.autograd.grad(g, list(values.values()), retain_graph=True, materialize_grads=True)]) for g in flat]
    return torch.stack(rows).numpy()


@pytest.mark.parametrize("spec", every_third_net(), ids=lambda spec: f"{spec.norm.name}-{spec.residual.name}-{spec.activation.name}")
def test_the_largest_eigenvalues_are_those_of_the_whole_hessian(spec: RunSpec) -> None:
    specs = seeds(spec, 2)
    moment = moment_of(specs)
    found = columns(Sharpness(count=3, iterations=1000, tolerance=1e-8), moment)["hessian_eigenvalue"]
    for run in range(2):
        expected = np.linalg.eigvalsh(hessian(specs[run], moment, run))[::-1]
        # Residuals of 1e-8 of the largest bound the distance to an eigenvalue.
        assert np.abs(found[run, :3] - expected[:3]).max() <= 1.1e-8 * np.abs(expected).max(), (found[run], expected[:4])
        assert np.isposinf(found[run, 3:]).all(), "null beyond the third"


@pytest.mark.parametrize("spec", every_third_net(), ids=lambda spec: f"{spec.norm.name}-{spec.residual.name}-{spec.activation.name}")
def test_noise_scale_and_coherence_are_those_of_gradients_of_each_part(spec: RunSpec) -> None:
    # The independent net draws dropout for the batch that it is given: a part would get that of the first rows.
    spec = replace(spec, dropout=NoDropout())
    moment = moment_of(seeds(spec, 2))
    found = columns(GradientNoise(parts=2), moment)
    for run in range(2):
        values = {name: value[run].clone().requires_grad_() for name, value in moment.parameters.items()}
        parts = []
        for rows in (slice(0, 2), slice(2, 4)):
            output = independent.forward(spec, values, moment.x_RBM[run, rows], 0)[-1].x
            loss = spec.loss.mean(output, moment.y[run, rows])
            parts.append(dict(zip(values, torch.autograd.grad(loss, list(values.values()), materialize_grads=True), strict=True)))
        for layer in range(1, spec.depth + 1):
            one, two = (torch.cat([g.reshape(-1) for name, g in part.items() if name.split(".")[1] == str(layer)]) for part in parts)
            # Two parts: |g|^2 - s2 / 2 is their product, s2 half the square of their difference.
            product, cosine = float(one @ two), float(one @ two / (one.norm() * two.norm()))
            noise = float((one - two).square().sum()) / product if product > 0 else np.nan
            assert abs(found["gradient_coherence"][run, layer - 1] - cosine) <= 1e-9, f"layer {layer}"
            # Of a cosine near 0 the product's rounding is relatively larger.
            np.testing.assert_allclose(found["gradient_noise_scale"][run, layer - 1], noise, rtol=1e-9 / abs(cosine))


# name -> [steps, layers], of one run
Table = dict[str, np.ndarray]


def measured(specs: list[RunSpec]) -> list[Table]:
    """The probe's columns of every run, and its loss a step."""
    records = execute(specs, Log(Schedule(None), Schedule(None), (Updates(),)))
    found = []
    for spec in specs:
        is_own = records.layers["run_id"] == spec.run_id
        table = {column.name: np.asarray(records.layers[column.name][is_own]).reshape(spec.steps, spec.depth) for column in Updates.columns}
        found.append(table | {"loss": np.asarray(records.steps["loss"][records.steps["run_id"] == spec.run_id])})
    return found


def plain_descent(spec: RunSpec, velocity: float = 0.9) -> Table:
    """The same columns from a loop over the run's module, with heavy ball by hand."""
    module, batches, loss_of = gradyn.materialize(spec)
    layers: list[list[torch.nn.Parameter]] = [[] for _ in range(spec.depth)]
    for name, parameter in module.named_parameters():
        layers[int(name.split(".")[1]) - 1].append(parameter)

    def vectors(of: str = "data") -> list[torch.Tensor]:
        return [torch.cat([getattr(parameter, of).reshape(-1) for parameter in own]).clone() for own in layers]

    start, speeds, last = vectors(), [torch.zeros_like(own) for own in vectors()], None
    found: dict[str, list[list[float]]] = {column.name: [] for column in Updates.columns}
    for x, y in batches:
        module.zero_grad()
        loss_of(module(x), y).backward()
        here, gradients = vectors(), vectors("grad")
        if spec.clip.name == "layer_l2":
            clipped = [gradient * min(1.0, spec.clip.max_norm / (float(gradient.norm()) + 1e-6)) for gradient in gradients]
        else:
            clipped = gradients
        speeds = [velocity * speed + gradient for speed, gradient in zip(speeds, clipped, strict=True)]
        steps = [-spec.learning_rate * speed for speed in speeds]
        found["distance_from_start"].append([float((now - was).norm() / was.norm()) for now, was in zip(here, start, strict=True)])
        turns = [np.nan] * spec.depth if last is None else [float(a @ b / (a.norm() * b.norm())) for a, b in zip(steps, last, strict=True)]
        found["step_cosine"].append(turns)
        found["loss_decrease"].append([-float(a @ b) for a, b in zip(gradients, steps, strict=True)])
        with torch.no_grad():
            for own, step in zip(layers, steps, strict=True):
                for parameter, part in zip(own, step.split([p.numel() for p in own]), strict=True):
                    parameter += part.reshape(parameter.shape)
        last = steps
    return {name: np.array(rows) for name, rows in found.items()}


@pytest.mark.parametrize("clip", [make_spec().clip, LayerL2(max_norm=0.05)], ids=lambda clip: clip.name)
def test_updates_are_those_of_a_plain_loop(clip: object) -> None:
    spec = small_spec(steps=6, optimizer=Momentum(), learning_rate=0.3, clip=clip)
    for run, table in zip(seeds(spec, 2), measured(seeds(spec, 2)), strict=True):
        expected = plain_descent(run)
        for name, rows in expected.items():
            # Differences of weights near 1 that differ by 1e-3: 1e3 eps of their own size.
            np.testing.assert_allclose(table[name], rows, rtol=1e-9, atol=1e-12, err_msg=name)
        assert not np.allclose(table["step_cosine"][1:], plain_descent(run, velocity=0.8)["step_cosine"][1:], rtol=1e-3), "the twin must be able to fail"


def test_the_decrease_of_all_layers_is_that_of_the_loss_to_first_order() -> None:
    # One batch, the whole training part: the loss of the next step is that after this one. What is left is d . H d / 2, a share in proportion to the rate.
    rates = [1e-3, 5e-4]
    tables = measured([small_spec(steps=2, learning_rate=rate, loss=Mse(), data=Gaussian(samples=4, features=3, classes=2)) for rate in rates])
    shares = [float(table["loss_decrease"][0].sum() / (table["loss"][0] - table["loss"][1]) - 1) for table in tables]
    assert 1e-6 < abs(shares[0]) < 0.05
    # The next order is a share of that share again: at most 0.05 of it.
    assert abs(shares[0] / shares[1] - 2) < 0.05


@pytest.mark.parametrize("spec", every_third_net()[:6], ids=lambda spec: f"{spec.norm.name}-{spec.residual.name}-{spec.activation.name}")
def test_activations_have_moved_as_far_as_two_forward_passes_say(spec: RunSpec) -> None:
    # The independent net draws dropout for the step that it is given; without it both passes are of one net.
    spec = replace(spec, steps=3, learning_rate=0.1, dropout=NoDropout())
    records = execute([spec], Log(Schedule(None), Schedule(None), (ActivationChange(),)))
    found = np.asarray(records.layers["preact_change"]).reshape(3, spec.depth)
    module, batches, loss_of = gradyn.materialize(spec)
    start = {name: value.detach().clone() for name, value in module.state_dict().items()}
    for step, (x, y) in enumerate(batches):
        now = {name: value.detach().clone() for name, value in module.state_dict().items()}
        pairs = zip(independent.forward(spec, now, x, step), independent.forward(spec, start, x, step), strict=True)
        # Numbers of order 1 that differ by 1e-4 and more, after steps whose roundings are of order 1e-15: 1e-11 of the difference, and room.
        np.testing.assert_allclose(found[step], [float((a.h - b.h).abs().mean()) for a, b in pairs], rtol=1e-9, atol=1e-14)
        module.zero_grad()
        loss_of(module(x), y).backward()
        with torch.no_grad():
            for parameter in module.parameters():
                if parameter.grad is not None:
                    parameter -= spec.learning_rate * parameter.grad
    assert not found[0].any()
    assert (found[1:] > 0).all()


def test_a_run_without_steps_has_no_updates() -> None:
    with pytest.raises(ConfigError, match=r"steps must be >= 1 with probe=updates, which looks at updates; got 0. Leave probe=updates out."):
        plan(["probe=updates", "steps=0"])
