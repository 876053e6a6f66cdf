"""Growth factors of gradients: windows, means of ratios, streams, and claims from one width or two."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from gradyn.report import Frames, claims_curve, growth, stream_growth, wide_claim, wide_profile


def _frames(log10_delta_SL: np.ndarray, gain: float = 0.0) -> Frames:
    seeds, depth = log10_delta_SL.shape
    # Not in order of their seeds: what belongs to a seed has to be found by its run.
    runs = pd.DataFrame({"run_id": [f"r{seed}" for seed in range(seeds)], "seed": range(seeds), "depth": depth, "width": 8, "norm.placement": "pre"})
    rows = [
        {"run_id": f"r{seed}", "step": 0, "layer": layer + 1, "log10_delta_rms": log10_delta_SL[seed, layer], "log10_gain_weight": gain}
        for seed in range(seeds)
        for layer in range(depth)
    ]
    return Frames("made", runs.iloc[::-1], pd.DataFrame(), pd.DataFrame(rows))


def test_growth_is_the_mean_of_ratios_within_its_window() -> None:
    # |delta|^2 by layer 1 ... 6; the readout's and what is skipped must not count.
    squares = np.array([[1e9, 12.0, 4.0, 2.0, 1e-9, 7.0], [1e9, 3.0, 3.0, 1.0, 1e-9, 7.0]])
    frames = _frames(np.log10(squares) / 2)
    found = growth(frames, frames.runs, skip=1)
    assert found.index.tolist() == [0, 1]
    # (12/4 + 4/2) / 2 and (3/3 + 3/1) / 2; a dozen roundings of logarithms.
    assert np.allclose(found, [2.5, 2.0], rtol=64 * np.finfo(float).eps, atol=0)
    assert np.allclose(growth(frames, frames.runs, skip=1, last_skip=0), [(3 + 2 + 2e9) / 3, (1 + 3 + 1e9) / 3], rtol=1e-13, atol=0)


def test_a_window_leaves_two_layers_of_a_shallow_net() -> None:
    frames = _frames(np.log10([[8.0, 4.0, 2.0, 1.0, 5.0]]) / 2)
    assert np.allclose(growth(frames, frames.runs, skip=6), [2.0], rtol=1e-14, atol=0)
    assert growth(frames, frames.runs.iloc[:0]).empty


def test_stream_growth_starts_above_the_readout() -> None:
    frames = _frames(np.log10([[6.0, 1e5, 1.0]]), gain=math.log10(3.0))
    # |delta_1| = 6 over |W^T delta| = 3 * 1.
    assert np.allclose(stream_growth(frames, frames.runs), [4.0], rtol=1e-14, atol=0)


def test_runs_with_takes_dotted_axes_and_returns_none_where_there_are_none() -> None:
    frames = _frames(np.zeros((2, 4)))
    assert len(frames.where(norm__placement="pre", depth=4)) == 2
    assert frames.where(norm__placement="post").empty
    assert frames.where(no_such_axis=1).empty


def test_a_growth_claim_carries_two_widths_to_infinite_width() -> None:
    # Exactly 2 + 8 / N in the mean.
    values = {8: pd.Series([2.5, 3.5]), 16: pd.Series([2.4, 2.6])}
    claim = wide_claim("growth", values, 2.0)
    assert abs(claim.measured - 2.0) < 1e-14
    # Weights -1 and 2; variances of the means 0.25 and 0.01.
    assert abs(claim.standard_error - math.sqrt(0.04 + 0.25)) < 1e-14
    assert "widths 8 and 16" in claim.derivation
    missing = wide_claim("growth", {8: pd.Series(dtype=float)}, 2.0)
    assert missing.verdict == "not tested"
    curve = claims_curve("c", [1.0], [claim])
    assert (curve.measured, curve.theory) == ([claim.measured], [2.0])


def test_a_profile_is_carried_to_infinite_width_layer_by_layer() -> None:
    # log10 |delta_l| is l (1 + 8 / N) at both widths, up to a factor of each run.
    parts = [_frames(np.array([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0]]) * (1 + 8 / width)) for width in (8, 16)]
    runs = [part.runs.assign(width=width, run_id=f"{width}" + part.runs["run_id"]) for part, width in zip(parts, (8, 16), strict=True)]
    layers = [part.layers.assign(run_id=f"{width}" + part.layers["run_id"]) for part, width in zip(parts, (8, 16), strict=True)]
    frames = Frames("made", pd.concat(runs), pd.DataFrame(), pd.concat(layers))
    at, values, errors = wide_profile(frames, frames.runs)
    assert at.tolist() == [1, 2, 3]
    assert np.allclose(values, [-4.0, -2.0, 0.0], rtol=0, atol=1e-13)
    assert np.all(errors < 1e-13)
