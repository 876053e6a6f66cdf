"""delta of a sigmoid net is one curve: from the value engine, by hand, from torch and from the harness, under both its bounds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch

import gradyn
from gradyn.autodiff import curve, delta_rounding_bounds, deltas_by_hand, deltas_by_value, norm_bounds, preactivations
from gradyn.report import experiments, twin


def draw(rng, depth, width=5, samples=3, outputs=2, scale=1.0):
    sizes = [4, *[width] * (depth - 1), outputs]
    weights = [rng.normal(0, scale / np.sqrt(m), (n, m)) for m, n in pairwise(sizes)]
    return weights, [rng.normal(0, 0.3, n) for n in sizes[1:]], rng.normal(size=(samples, 4)), rng.normal(size=(samples, outputs))


def by_torch(weights, biases, x, v):
    """delta by retain_grad on every preactivation."""
    hs, signal = [], torch.tensor(x)
    for layer, (w, b) in enumerate(zip(weights, biases, strict=True)):
        h = (signal @ torch.tensor(w).T + torch.tensor(b)).requires_grad_()
        h.retain_grad()
        hs.append(h)
        signal = h.sigmoid() if layer + 1 < len(weights) else h
    (signal * torch.tensor(v)).sum().backward()
    return [h.grad.numpy() for h in hs]


def apart(ways, bounds):
    """Largest distance of two ways over both their rounding bounds; the readout's delta is v itself, exactly."""
    one, other = ways
    distances = [np.linalg.norm(a - b) / np.linalg.norm(b) for a, b in zip(one, other, strict=True)]
    assert distances[-1] == 0
    return max(d / (2 * bound) for d, bound in zip(distances[:-1], bounds[:-1], strict=True))


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
@pytest.mark.parametrize("depth", [2, 5, 12])
def test_value_pencil_and_torch_agree_within_the_rounding_bound(depth, scale, rng):
    for _ in range(5):
        net = draw(rng, depth, scale=scale)
        by_hand = deltas_by_hand(*net)
        bounds = delta_rounding_bounds(*net[:3], by_hand)
        for other in (deltas_by_value(*net), by_torch(*net)):
            assert apart((other, by_hand), bounds) < 1.0


def test_a_pencil_that_forgets_one_factor_is_far_outside_the_bound(rng):
    """The law can fail: one derivative off by one part in 10 ** 9 at one layer is seen."""
    net = draw(rng, 8)
    by_hand = deltas_by_hand(*net)
    wrong = [delta * (1 + 1e-9) if layer == 3 else delta for layer, delta in enumerate(by_hand)]
    assert apart((wrong, by_hand), delta_rounding_bounds(*net[:3], by_hand)) > 1.0


def test_the_rounding_bound_is_no_blank_cheque(rng):
    """It says something as long as it is far below one: at depth 64 it is still under a millionth."""
    net = draw(rng, 64)
    assert delta_rounding_bounds(*net[:3], deltas_by_hand(*net)).max() < 1e-6


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
def test_no_delta_exceeds_the_bound_of_its_weights(scale, rng):
    for _ in range(20):
        weights, biases, x, v = draw(rng, 6, scale=scale)
        norms = [np.linalg.norm(delta) for delta in deltas_by_hand(weights, biases, x, v)]
        # The last factor is one: |delta_L| = |v|, up to the rounding of a norm.
        assert (norms <= norm_bounds(weights, v) * (1 + 64 * 2.0**-52)).all()


def test_the_bound_is_met_where_every_factor_is_at_its_largest():
    """W = identity, b chosen so that every preactivation is 0, where sigmoid' is 1/4: |delta_1| = |v| / 4 ** (L - 1)."""
    depth = 6
    weights, biases = [np.eye(3)] * depth, [np.full(3, -0.5)] * depth
    x, v = np.full((2, 3), 0.5), np.arange(6.0).reshape(2, 3)
    assert all((h == 0).all() for h in preactivations(weights, biases, x)[:-1])
    norms = [np.linalg.norm(delta) for delta in deltas_by_hand(weights, biases, x, v)]
    # Powers of two are exact; what is left is the rounding of norms and singular values.
    assert np.allclose(norms, norm_bounds(weights, v), rtol=64 * 2.0**-52, atol=0)


def test_the_curve_is_the_rms_over_batch_and_units(rng):
    net = draw(rng, 4)
    found = curve(*net)
    assert set(found) == {"value", "hand", "rounding", "bound"}
    for way, deltas in (("value", deltas_by_value(*net)), ("hand", deltas_by_hand(*net))):
        assert np.allclose(found[way], [np.sqrt(np.mean(delta**2)) for delta in deltas], rtol=1e-15, atol=0)
    assert (found["hand"][:-1] < found["bound"][:-1]).all()


def test_the_harness_is_on_the_curve_for_any_seed(seed):
    experiment = experiments()["autodiff_one_curve"]
    settings = twin("autodiff_one_curve").settings("smoke") | {"depths": [2, 6], "seeds": [seed % 1000, seed % 1000 + 1]}
    table = experiment.measure(settings)["layers"]
    assert len(table) == 2 * (2 + 6)
    for way in ("harness", "value"):
        assert ((table[way] / table["hand"] - 1).abs() <= table["allowed"]).all(), (way, seed)
    spec = gradyn.plan([*settings["net"], "depth=6", f"seed={seed % 1000}"])[0]
    module, batches, loss = gradyn.materialize(spec)
    x, v = next(batches)
    loss(module(x), v).backward()
    delta_sum = module.get_parameter("layers.6.bias").grad
    # The bias of the readout gathers v / B over the batch: the same loss, cotangent and batch are meant.
    assert torch.allclose(delta_sum, v.mean(0), rtol=8 * 2.0**-52, atol=0)
