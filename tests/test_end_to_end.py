"""Gradients with the forward pass included: a float's net against the same net with 40 digits, where a float's forward pass can be right."""

from __future__ import annotations

import copy
import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from torch import Tensor

from exact_backward import DIGITS, NOISE, Exact
from exact_forward import EndToEnd, Forward
from gradyn.core import flushing
from gradyn.nn import Gaussian, LayerPass, Sin, Tanh
from gradyn.sweep import RunSpec
from runs import make_spec
from test_exact_backward import Passes, disagreement, draw, reference

# In decades. A float's own roundings, of at most u = 2**-53 or 2**-24 each, move a log norm by its condition number times u log10(e).
# That number is measured, with 40 digits: every result is disturbed by 2**10 roundings of float64, and what moves is divided by what
# moved it. One draw of signs may fall short of another's by chance, and some ten roundings stand for one in an activation or a dot
# product: 30 times as much is allowed. So a bound holds where the condition number is below bound / (30 u log10(e)): 7e5 and 129.
BOUND = {"float64": 1e-9, "float32": 1e-4}
ROUNDING = {"float64": 2.0**-53, "float32": 2.0**-24}
CONDITION = {dtype: BOUND[dtype] / (30 * ROUNDING[dtype] * math.log10(math.e)) for dtype in BOUND}
# phi' falls off like exp(-|h|) or faster, so that its relative error is |h| times that of h: beyond 87 it leaves float32 altogether.
SATURATED = 50.0


def in_float64(run: Passes) -> Passes:
    """The same weights, inputs and dropout, computed in float64."""
    other = copy.copy(run)
    with torch.no_grad(), flushing(True):
        other.net = run.net.in_format("float64")
        other.parameters = {name: value.double() for name, value in run.parameters.items()}
        other.factors = None if run.factors is None else {layer: factor.double() for layer, factor in run.factors.items()}
        other.passes = other.net.forward(other.parameters, run.x_RBM.double(), other.factors)
        other.cotangent = run.cotangent.double()
        other.gradients, other.kept = other.backward(True)
    return other


@dataclass
class Conditioned:
    """Log norms with 40 digits, and how they answer to roundings; in multiples of those roundings.

    growth: the largest relative change of any layer's output; saturation: that of any layer's phi' over that of its argument;
    condition: the change of each norm.
    """

    log10: dict[str, float]
    growth: float
    saturation: float
    condition: dict[str, float]

    def outside(self, dtype: str) -> str | None:
        """Why the net has no right forward pass in the dtype, or None."""
        if not self.growth <= CONDITION[dtype]:
            return "expanding"
        return None if self.saturation <= SATURATED else "saturated"


def conditioned(run: Passes) -> Conditioned:
    """The net of a run from end to end, twice: as it is, and disturbed."""
    found: list[tuple[list[LayerPass], Exact, EndToEnd]] = []
    for noise in (None, np.random.default_rng(0)):
        passes = Forward(run.net, run.parameters, noise).run(run.x_RBM[0], run.factors)
        recursion = EndToEnd(run.net, run.parameters, passes, noise)
        found.append((passes, recursion.run(run.cotangent), recursion))
    (plain, exact, recursion), (noisy, disturbed, _) = found
    log10, moved = reference(exact), reference(disturbed)
    with mpmath.workdps(DIGITS):
        growth = max(_relative(one.x[0], other.x[0]) for one, other in zip(plain, noisy, strict=True))
        saturation = 0.0
        for layer, one, other in zip(run.net.layers, plain, noisy, strict=True):
            change = _relative(recursion._slope(layer, one), recursion._slope(layer, other))
            saturation = max(saturation, change / max(_relative(one.z[0], other.z[0]), 1.0))
    return Conditioned(log10, growth, saturation, {name: _apart(log10[name], moved[name]) / (NOISE * math.log10(math.e)) for name in log10})


def _relative(values: Any, others: Any) -> float:
    size = mpmath.sqrt(mpmath.fsum(value * value for value in values.ravel()))
    return float(mpmath.sqrt(mpmath.fsum(d * d for d in (values - others).ravel())) / size / NOISE) if size else 0.0


def _apart(one: float, other: float) -> float:
    # Two zeros have the same logarithm, -inf.
    return 0.0 if one == other else abs(one - other)


def draw_calm(seed: int) -> RunSpec:
    """A net of the whole catalogue whose weights mostly contract: standard deviation 0.01 to 6 over the root of fan_in."""
    spec = draw(seed, "float32", deepest=16)
    return replace(spec, init=replace(spec.init, sigma_w=float(10 ** np.random.default_rng([seed, 1]).uniform(-2, 0.8))))


def judge(seed: int, met: Counter[str]) -> None:
    """One drawn net in both dtypes; counts what fell outside."""
    spec = draw_calm(seed)
    single = Passes(spec)
    exact = conditioned(single)
    for dtype, run in (("float32", single), ("float64", in_float64(single))):
        why = exact.outside(dtype)
        met[f"{dtype}: {why or 'judged'}"] += 1
        if why:
            continue
        ours = run.log10()
        held = [name for name in ours if exact.condition[name] <= CONDITION[dtype]]
        met[f"{dtype}: norms"] += len(held)
        met[f"{dtype}: norms left out"] += len(ours) - len(held)
        for name in held:
            off = _apart(ours[name], exact.log10[name])
            assert off <= BOUND[dtype], f"{name}: ours {ours[name]!r}, 40 digits {exact.log10[name]!r}, off by {off:.1e}; {dtype}, seed {seed}, {spec}"


@pytest.mark.parametrize("block", [0, 1, 3])
def test_a_net_is_its_own_twin_of_40_digits_from_end_to_end(block: int, capsys: pytest.CaptureFixture[str]) -> None:
    met: Counter[str] = Counter()
    for seed in range(100 * block, 100 * block + 7):
        judge(seed, met)
    with capsys.disabled():
        print(f" [of 7 drawn nets, {', '.join(f'{key} {count}' for key, count in sorted(met.items()))}]", end="")
    for dtype in BOUND:
        assert met[f"{dtype}: judged"] > 3
        # The bias before a batch norm, whose gradient is 0 up to rounding, and a net at the domain's edge now and then.
        assert met[f"{dtype}: norms left out"] < met[f"{dtype}: norms"] / 3


def test_a_forward_pass_off_by_1e_7_is_seen_from_end_to_end_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The recursion takes the run's own forward pass, so it must not see this, and this law must."""

    def off(self: Tanh, h: Tensor) -> Tensor:
        return torch.tanh(h * (1 + 1e-7))

    monkeypatch.setattr(Tanh, "forward", off)
    spec = make_spec(activation=Tanh(), depth=6, width=5, batch_size=3, steps=0, dtype="float64")
    run = Passes(spec)
    exact = conditioned(run)
    ours = run.log10()
    assert exact.outside("float64") is None
    assert max(_apart(ours[name], exact.log10[name]) for name in ours) > 10 * BOUND["float64"]
    found = disagreement(spec)
    assert found is not None
    assert found[0] <= 1e-9


@pytest.mark.parametrize(("activation", "sigma_w", "why"), [(Tanh(), 300.0, "saturated"), (Sin(), 3.0, "expanding"), (Tanh(), 0.5, None)])
def test_saturated_and_expanding_nets_are_told_apart(activation: Any, sigma_w: float, why: str | None) -> None:
    spec = make_spec(activation=activation, init=Gaussian(sigma_w=sigma_w), depth=16, width=8, batch_size=2, steps=0, dtype="float32")
    assert conditioned(Passes(spec)).outside("float32") == why
