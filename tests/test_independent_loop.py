"""Every stored column equals that of a second implementation, on nets that nobody chose.

`independent.py` is written from the design's text with torch.nn.functional and autograd alone. The configurations are dealt from
decks, one a group, each shuffled by a fixed seed: 28 deals show every option that the second implementation knows. An option that
is added later joins when it is written there too.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import cache
from itertools import cycle
from typing import Any

import numpy as np
import pytest
import torch

import catalogue
import independent
from gradyn.data import Digits, Gaussian, Teacher
from gradyn.nn import Feedforward
from gradyn.sweep import Log, RunSpec, Schedule, execute

DEALS = 28
EVERY_STEP = Log(Schedule(None), Schedule(None))
EPS = 2.0**-52
# Two float64 programs that order their sums differently: a pass through 12 layers adds some hundreds of roundings, 2**10 eps.
# A step then multiplies a difference by its local slope, up to 16 at these rates (2**4): 2**4 * 2**4 after the third.
BOUND = [2**10 * EPS, 2**14 * EPS, 2**18 * EPS]
# Of a count, nothing but the order of one mean's additions.
COUNTED = 8 * EPS
SHARES = ("saturated_fraction", "zero_fraction", "zero_derivative_fraction", "accuracy", "final_accuracy", "test_accuracy")


class _Dealer:
    """Random numbers of one seed, and a shuffled deck for every group."""

    def __init__(self, seed: int) -> None:
        self._rng, self._decks = np.random.default_rng(seed), dict[str, Iterator[Any]]()

    def next(self, name: str, cards: list[Any]) -> Any:
        """The next card of a deck that goes round and round."""
        if name not in self._decks:
            self._decks[name] = cycle([cards[i] for i in self._rng.permutation(len(cards))])
        return next(self._decks[name])

    def between(self, low: float, high: float) -> float:
        """A uniform number."""
        return float(self._rng.uniform(low, high))

    def whole(self, low: int, high: int) -> int:
        """A uniform whole number below `high`."""
        return int(self._rng.integers(low, high))


def _deal(dealer: _Dealer) -> RunSpec:
    parts = {group: dealer.next(group, [catalogue.shipped(group)[name] for name in names]) for group, names in independent.KNOWN.items()}
    option = {group: cls().name for group, cls in parts.items()}
    fields: dict[str, dict[str, Any]] = {group: {} for group in parts}
    # Settings for which a net neither dies nor explodes within three steps: there both programs would measure noise.
    for key in fields["init"].keys() | parts["init"]().settings:
        if key in ("gain", "sigma_w", "std"):
            fields["init"][key] = dealer.between(0.1, 0.3) if key == "std" else dealer.between(0.7, 1.3)
    if option["norm"] in ("batch", "layer", "rms"):
        placements = ["pre", "post"] if option["residual"] == "plain" else ["pre", "post", "branch"]
        placement = placements[dealer.whole(0, len(placements))]
        fields["norm"] = {"placement": placement, "affine": dealer.next("affine", [True, True, False]), "eps": 1e-3}
    elif option["norm"] == "weight_standardized":
        fields["norm"] = {"gain": dealer.between(0.8, 1.5), "eps": 1e-5}
    if option["residual"] == "fixup":
        fields["residual"] = {"zero_readout": False}
    elif option["residual"] != "plain":
        fields["residual"] = {"branch": dealer.next("branch", ["reduced", "full"])}
    if option["dropout"] == "inverted":
        fields["dropout"] = {"keep": dealer.between(0.6, 1)}
    if option["clip"] in ("global_l2", "layer_l2"):
        fields["clip"] = {"max_norm": 10 ** dealer.between(-2, 0), "eps": dealer.next("eps", [1e-6, 1e-2])}
    elif option["clip"] in ("value", "adaptive"):
        fields["clip"] = {"value": {"max_value": 0.01}, "adaptive": {"max_ratio": 0.02}}[option["clip"]]
    if option["penalty"] != "none":
        fields["penalty"] = {"coefficient": 10 ** dealer.between(-4, -2)}
    if option["rates"] == "discriminative":
        # Further down an update is no more than the rounding of the weight that it is measured by.
        fields["rates"] = {"decay": 0.8}
    fields["optimizer"] = {"weight_decay": dealer.next("weight_decay", [0.0, 0.1])}
    data_seed = dealer.whole(0, 1000)
    sets = [Digits(seed=data_seed), Teacher(seed=data_seed, samples=210, features=9, classes=4), Gaussian(seed=data_seed, samples=160, features=5)]
    width = dealer.next("width", [3, 7, 8, 13, 20, 33, 50, 64])
    return RunSpec(
        depth=dealer.next("depth", list(range(2, 13))),
        width=width + width % 2 if option["init"] == "looks_linear" else width,
        batch_size=dealer.next("batch_size", [5, 17, 32, 100, 127]),
        steps=dealer.next("steps", [3, 3, 3, 0]),
        learning_rate=10 ** dealer.between(-3, -1.5),
        seed=dealer.whole(0, 2**31),
        dtype="float64",
        loss_scale=1.0,
        backward="tracked",
        data=sets[dealer.next("data", [0, 0, 1, 2])],
        cell=Feedforward(),
        **{group: cls(**fields[group]) for group, cls in parts.items()},
    )


@cache
def _dealt() -> tuple[RunSpec, ...]:
    dealer = _Dealer(20261123)
    return tuple(_deal(dealer) for _ in range(DEALS))


def _differs(found: Any, expected: float | None, bound: float) -> bool:
    is_null = found is None or found is np.ma.masked
    if is_null or expected is None:
        return is_null != (expected is None)
    if math.isnan(expected) or math.isinf(expected):
        return not (found == expected or (math.isnan(found) and math.isnan(expected)))
    return not abs(found - expected) <= bound * max(1.0, abs(expected))


def _disagreements(spec: RunSpec) -> list[str]:
    records, seen = execute([spec], EVERY_STEP), independent.run(spec)
    steps = max(spec.steps, 1)
    found = []
    for row, expected in enumerate(seen.layers):
        step, layer = divmod(row, spec.depth)
        total = seen.steps[step]["log10_grad_l2"]
        assert total is not None
        for name, value in expected.items():
            stored = np.ma.asarray(records.layers[name])[row] if name in records.layers else None
            bound = COUNTED if name in SHARES else BOUND[step]
            # A bias before a batch norm has a gradient of 0 that both programs compute as a sum of cancelling terms.
            is_noise = name == "log10_grad_b_l2" and value is not None and max(value, float(stored)) < total + math.log10(BOUND[step])
            if not is_noise and _differs(stored, value, bound):
                found.append(f"{name} of layer {layer + 1} at step {step}: {stored!r}, independently {value!r}")
    for step, expected in enumerate(seen.steps):
        for name, value in expected.items():
            stored = records.steps[name][step] if name in records.steps else None
            if _differs(stored, value, COUNTED if name in SHARES else BOUND[step]):
                found.append(f"{name} at step {step}: {stored!r}, independently {value!r}")
    for name, value in seen.run.items():
        stored = records.runs[name][0] if name in records.runs else None
        if _differs(stored, value, COUNTED if name in SHARES else BOUND[steps - 1]):
            found.append(f"{name}: {stored!r}, independently {value!r}")
    return found


@pytest.mark.parametrize("deal", range(DEALS))
def test_every_column_is_that_of_the_independent_loop(deal):
    spec = _dealt()[deal]
    found = _disagreements(spec)
    assert not found, f"{spec}: " + "; ".join(found[:5])


def test_the_deals_show_every_option_that_the_independent_loop_knows():
    for group, names in independent.KNOWN.items():
        assert {getattr(spec, group).name for spec in _dealt()} == set(names), group
    placements = {(spec.norm.settings.get("placement"), spec.residual.settings.get("branch")) for spec in _dealt()}
    assert {placement for placement, _ in placements} >= {"pre", "post", "branch"}
    assert {branch for _, branch in placements} == {None, "reduced", "full"}


def test_a_probe_that_changes_what_others_read_is_noticed(monkeypatch):
    """The twin that must fail: a probe that leaves its squares behind in the tensors that others read."""
    from gradyn.probes import layers

    whole = layers._moments

    def leaves_squares(t: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        found = whole(t)
        t.square_()
        return found

    monkeypatch.setattr(layers, "_moments", leaves_squares)
    columns = {line.split(" ")[0] for spec in _dealt()[:6] for line in _disagreements(spec)}
    assert {"saturated_fraction", "accuracy", "preact_std"} <= columns
