"""Decays over layers, rates at the edge of chaos, and crossings of the phase boundary, on numbers whose answers are known."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
import pytest

from gradyn.report import Frames, boundary_crossings, decay_claim, differences, logarithms
from gradyn.report.quantities.decays import decay_curve
from gradyn.report.quantities.edge_rates import edge_gaps, map_lines
from gradyn.theory import edge_of_chaos_rate

DEPTH = 6


def rows(value):
    """Layers of two inputs' nets, three seeds at two widths; `value(width, seed, length, layer)` as log10 in `column`."""
    return pd.DataFrame(
        {"width": width, "seed": seed + width, "data.length": length, "layer": layer, "depth": DEPTH, "column": value(width, seed, length, layer)}
        for width in (8, 16)
        for seed in range(3)
        for length in (0.5, 2.0)
        for layer in range(1, DEPTH + 1)
    )


def test_a_difference_that_halves_in_every_layer_is_found_whatever_it_is_a_difference_from() -> None:
    # q = q* + length 2^-l + a number of the seed that both inputs share: it cancels, and so does the readout, which is left out.
    table = differences(rows(lambda width, seed, length, layer: math.log10(3 + seed + length * 2.0**-layer if layer < DEPTH else 99)), "data.length", "column")
    assert table.columns.tolist() == [1, 2, 3, 4, 5]
    # Differences of numbers near 5 of which the smallest is 0.05: a hundred roundings.
    assert np.allclose(table.to_numpy(), -math.log(2) * np.arange(5), rtol=0, atol=200 * np.finfo(float).eps * 5)
    assert differences(rows(lambda *_: 0.0).iloc[:0], "data.length", "column").empty


def test_logarithms_are_means_over_a_seeds_runs_less_layer_1() -> None:
    table = logarithms(rows(lambda width, seed, length, layer: seed - 0.1 * layer * length), "column", 2.0)
    assert np.allclose(table.to_numpy(), -2 * 0.1 * 1.25 * np.arange(5), rtol=0, atol=1e-14)


def test_the_factor_per_layer_is_taken_to_infinite_width() -> None:
    # ln = -(l - 1) (0.3 + 1.6 / N): the limit is exp(-0.3), each width alone is off by 0.2 and 0.1.
    table = logarithms(rows(lambda width, seed, length, layer: -(layer - 1) * (0.3 + 1.6 / width) + 1e-6 * (seed - 1) * layer), "column", 1.0)
    claim = decay_claim("made", table, 4, -0.3)
    assert claim.measured == pytest.approx(math.exp(-0.3), rel=1e-9)
    assert claim.verdict == "holds"
    assert decay_claim("made", table, 4, -0.4).verdict == "fails"
    # Fewer layers than asked for: as far as there are.
    assert decay_claim("made", table, 40, -0.3).measured == pytest.approx(math.exp(-0.3), rel=1e-9)
    assert decay_claim("none", pd.DataFrame(), 4, -0.3).verdict == "not tested"
    curve = decay_curve("made", table, -0.3, last=3)
    assert list(curve.x) == [1, 2, 3]
    assert np.allclose(curve.measured, np.exp(-0.3 * np.arange(3)), rtol=1e-9)
    assert np.allclose(curve.theory, curve.measured, rtol=1e-9)


def test_a_maps_line_nears_the_asymptote_as_the_root_of_the_gap_at_a_kink_and_as_the_gap_without() -> None:
    near, far = (map_lines(["relu", "tanh"], gap, 4, 0.05**0.5).set_index("activation")["off"].abs() for gap in (1e-6, 1e-4))
    # 10 and 100 times farther from the line; what lies between is of the next order.
    assert far["relu"] / near["relu"] == pytest.approx(10, rel=0.2)
    assert far["tanh"] / near["tanh"] == pytest.approx(100, rel=0.2)


def test_nets_are_held_to_the_map_from_their_own_start() -> None:
    run = {"run_id": "r", "seed": 0, "width": 8, "depth": 4, "activation": "relu", "data.correlation": 0.0, "data.length": 1.0}
    layers = pd.DataFrame({"run_id": "r", "step": 0, "layer": [1, 2, 3, 4], "log10_one_minus_pair_correlation": [0.0, -0.2, -0.4, -9.0]})
    found, said, rate = edge_gaps(Frames("made", pd.DataFrame([run]), pd.DataFrame(), layers), "relu", 0.0)
    assert np.allclose(found["gap"], [1.0, 10**-0.2, 10**-0.4])
    assert np.allclose(found["line"], found["gap"] ** -0.5)
    # Layer 1 sees the inputs; behind it He's arc-cosine kernel takes c = 0 to 1 / pi.
    assert np.allclose(said[:2], [1.0, 1 - 1 / math.pi], rtol=1e-12)
    assert (rate.power, rate.sigma_w) == (2, pytest.approx(2**0.5))
    assert edge_of_chaos_rate("relu", 0.0).coefficient == pytest.approx(9 * math.pi**2 / 2)


def test_a_crossing_is_where_the_rate_of_a_seed_is_zero() -> None:
    scales, depth = (1.2, 1.4, 1.6), 5
    runs, layers = [], []
    for width in (8, 16):
        for seed in range(3):
            for scale in scales:
                run_id = f"{width} {seed} {scale}"
                runs.append({"run_id": run_id, "seed": 100 * width + seed, "width": width, "depth": depth, "init.sigma_w": scale})
                # ln of the factor per layer is scale - 1.35 - 0.01 seed: delta grows by it towards the input.
                rate = (scale - 1.35 - 0.01 * seed) / (2 * math.log(10))
                layers += [{"run_id": run_id, "step": 0, "layer": layer, "log10_delta_rms": -rate * layer} for layer in range(1, depth + 1)]
    frames = Frames("made", pd.DataFrame(runs[::-1]), pd.DataFrame(), pd.DataFrame(layers))
    found = boundary_crossings(frames, frames.runs, first=1)
    assert sorted(found) == [8, 16]
    for values in found.values():
        assert np.allclose(values, [1.35, 1.36, 1.37], atol=1e-9)
