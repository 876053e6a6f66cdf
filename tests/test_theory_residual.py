"""Growth along residual nets: against the recursion of whole nets, asymptotes, and the product's closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from gradyn import plan
from gradyn.core import ConfigError
from gradyn.theory import batch_norm_moments, batch_norm_rate, batch_norm_residual_growth, moment, net_moments, residual_growth

_NET = ["width=32", "steps=0", "loss=cotangent", "data=gaussian", "data.samples=64", "data.features=32", "data.classes=32", "data.labels=false"]


def _stream(options: list[str], blocks: int, batch: int | None = None) -> float:
    """|g_1|^2 / |g_last|^2 of a net: delta_1 less what layer 1 itself does."""
    (spec,) = plan([*_NET, *options])
    net = net_moments(spec, 1.0, 32, 32, batch=batch)
    return float(net[0].delta_ms[0] / net[-1].pulled_ms[0] / (net[0].slope_ms[0] / net[0].divisor[0]))


@pytest.mark.parametrize("sigma_w", [0.7, 1.5])
def test_growth_of_tanh_blocks_is_that_of_whole_nets(sigma_w: float) -> None:
    found = residual_growth("tanh", float(moment("tanh", sigma_w**2, value=2).value), 12, sigma_w=sigma_w)
    net = _stream(["activation=tanh", "init=gaussian", f"init.sigma_w={sigma_w}", "residual=identity", "depth=14", "batch_size=8"], 12)
    # The splines' relative error in every moment.
    assert abs(found[-1] - math.log(net)) < 1e-8 * found[-1] + 1e-8, (found[-1], math.log(net))


def test_tanh_blocks_grow_as_the_root_of_depth() -> None:
    for sigma_w in (1.0, 2.0):
        found = residual_growth("tanh", 1.0, 40_000, sigma_w=sigma_w)
        slope = (found[-1] - found[9_999]) / (math.sqrt(40_000) - math.sqrt(10_000))
        # The next term of E sech^4 and of log(1 + .) is of relative order 1 / sqrt(q).
        assert abs(slope / (4 / 3 * math.sqrt(2 / math.pi) * sigma_w) - 1) < 2 / math.sqrt(10_000), (sigma_w, slope)


@pytest.mark.parametrize("batch", [8, 64])
def test_batch_norm_blocks_grow_as_whole_nets_do(batch: int) -> None:
    options = ["activation=relu", "init=he_normal", "norm=batch", "norm.affine=false", "norm.eps=0", "residual=identity", "residual.branch=full", "depth=12"]
    found = batch_norm_residual_growth("relu", 5, batch)
    # Layer 1, with a norm of its own, passes on less of what a batch's gradients have in common, one part in `batch` at the top and at the bottom.
    norm = batch_norm_moments("relu", batch)
    passed = found[-1] + (norm.pulled_mean / norm.pulled - 1) / batch
    assert passed == pytest.approx(_stream([*options, f"batch_size={batch}"], 5, batch), rel=1e-12)


def test_batch_norm_blocks_without_the_mean_grow_linearly() -> None:
    # prod (k + 1/2 + r) / (k + 1/2): for large L a power of it, r.
    found = batch_norm_residual_growth("relu", 4000)
    slope = math.log(found[-1] / found[1999]) / math.log(2)
    assert abs(slope - math.pi / (math.pi - 1)) < 1 / 2000, slope
    near = batch_norm_residual_growth("relu", 30, 10**5)
    # d log product / d r < sum 1 / (k + 1/2) < 6; r is off by 1.6 / B.
    assert abs(math.log(near[-1] / batch_norm_residual_growth("relu", 30)[-1])) < 6 * 1.7e-5
    assert np.all(np.diff(near) > 0)
    assert batch_norm_rate("relu", 64) > math.pi / (math.pi - 1)


def test_growth_is_refused_where_it_is_not_defined() -> None:
    with pytest.raises(ConfigError, match="start must be above 0"):
        residual_growth("tanh", 0.0, 3, sigma_w=1.0)
    with pytest.raises(ConfigError, match="blocks must be at least 1"):
        batch_norm_residual_growth("relu", 0, 8)
