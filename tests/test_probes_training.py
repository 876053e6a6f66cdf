"""Probes of training against slow computations through the run's ordinary module."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

import independent
from gradyn.nn import NoDropout
from gradyn.probes import GradientNoise, Moment, Sharpness
from gradyn.sweep import RunSpec
from probe_twins import columns, every_third_net, moment_of, seeds


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
