"""Numbers that figures and claims about training rest on, from tables whose answer is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from gradyn.report import Frames, changes, clipped_steps, decay_lines, decayed, largest_safe_rate, stability_runs, time_spans, training_speed, width_slopes
from gradyn.report.quantities.trainable_map import normalized_scale, trainable_cells
from gradyn.report.sweeps.trainable import at_best_rate
from gradyn.theory import batch_norm_rate, depth_scales


def frames_of(runs: list[dict[str, Any]], steps: dict[str, list[tuple[int, float]]], layers: pd.DataFrame | None = None) -> Frames:
    """Frames of made-up runs: run_id -> (step, loss)."""
    rows = [(run_id, step, loss) for run_id, pairs in steps.items() for step, loss in pairs]
    return Frames("x", pd.DataFrame(runs), pd.DataFrame(rows, columns=["run_id", "step", "loss"]), pd.DataFrame() if layers is None else layers)


def test_late_sharpness_is_over_the_threshold_of_its_own_rate_and_momentum():
    runs = [
        {"run_id": "a", "seed": 0, "learning_rate": 0.1, "optimizer.momentum": None, "steps": 9},
        {"run_id": "b", "seed": 0, "learning_rate": 0.1, "optimizer.momentum": 0.5, "steps": 9},
    ]
    layers = pd.DataFrame(
        [(run, step, layer, 10.0 + step if layer == 1 else np.nan) for run in "ab" for step in range(9) for layer in (1, 2)],
        columns=["run_id", "step", "layer", "hessian_eigenvalue"],
    )
    # Of the last third, steps 6, 7, 8: one rise of two for a, none for b. The rise before it does not count.
    losses = {"a": [(s, x) for s, x in enumerate([9, 8, 20, 7, 6, 5, 4.0, 4.5, 3])], "b": [(s, 9.0 - s) for s in range(9)]}
    found = stability_runs(frames_of(runs, losses, layers)).set_index("run_id")
    assert found["threshold"].to_dict() == pytest.approx({"a": 20.0, "b": 30.0})
    assert found["initial"].to_dict() == {"a": 10.0, "b": 10.0}
    assert found["late"].to_dict() == {"a": 17.0, "b": 17.0}
    assert found["ratio"].to_dict() == pytest.approx({"a": 17 / 20, "b": 17 / 30})
    assert found["rises"].to_dict() == {"a": 0.5, "b": 0.0}


def run(run_id: str, **columns: Any) -> dict[str, Any]:
    return {"run_id": run_id, "seed": 0, "status": "ok", "final_loss": 1.0, "final_accuracy": 0.5, "test_accuracy": 0.5} | columns


def test_the_best_rate_is_that_of_the_lowest_late_loss_and_never_one_that_diverged():
    runs = [
        run("slow", depth=4, learning_rate=0.01, final_accuracy=0.3),
        run("good", depth=4, learning_rate=0.1, final_accuracy=0.9),
        run("lost", depth=4, learning_rate=1.0, status="diverged", final_accuracy=1.0),
        run("only", depth=8, learning_rate=1.0, status="diverged", final_accuracy=1.0),
    ]
    # The lowest loss before the last tenth is slow's.
    steps = {"slow": [(0, 0.0), (99, 2.0)], "good": [(0, 2.0), (99, 0.5)], "lost": [(0, 0.1), (99, 0.1)], "only": [(0, 0.1), (99, 0.1)]}
    frames = frames_of(runs, steps)
    best = at_best_rate(frames, frames.runs, ("depth",)).set_index("depth")
    assert best.loc[4, "learning_rate"] == 0.1
    assert best.loc[4, "final_accuracy"] == 0.9
    assert np.isinf(best.loc[8, "loss"])
    assert np.isnan(best.loc[8, "final_accuracy"])


def test_cells_of_the_map_stand_at_multiples_of_their_own_depth_scale():
    base = {"learning_rate": 0.1, "activation": "tanh", "init.sigma_b": 0.2, "norm": "none", "batch_size": 128}
    runs = [run(f"{w}-{d}", depth=d, **base, **{"init.sigma_w": w}) for w in (1.0, 2.0) for d in (5, 20)]
    runs.append(run("bn", depth=5, **base | {"activation": "relu", "norm": "batch", "batch_size": 32}, **{"init.sigma_w": 1.4}))
    frames = frames_of(runs, {row["run_id"]: [(0, 1.0)] for row in runs})
    cells = trainable_cells(frames).set_index(["sigma_w", "depth"])
    assert len(cells) == 4
    xi = depth_scales("tanh", sigma_w=2.0, sigma_b=0.2).xi_c
    assert cells.loc[(2.0, 20), "multiple"] == pytest.approx(20 / xi)
    assert normalized_scale(frames) == pytest.approx(1 / np.log(batch_norm_rate("relu", 32)))


def test_half_of_the_loss_of_equal_odds_is_reached_by_the_mean_of_twenty_steps():
    fall = [(step, 2.3 if step < 30 else 0.1) for step in range(100)]
    shared = {"activation": "tanh", "init": "orthogonal", "depth": 4}
    runs = [run("a", **shared, learning_rate=0.1), run("b", **shared | {"init": "small"}, learning_rate=0.1)]
    table = training_speed(frames_of(runs, {"a": fall, "b": [(step, 2.3) for step in range(100)]})).set_index("cure")
    # (20 - k) 2.3 + k 0.1 <= 20 ln(10) / 2 from k = 11 on: eleven steps after the fall, counted from 0.
    assert table.loc["orthogonal", "steps_to_half"] == 40.0
    assert np.isinf(table.loc["small", "steps_to_half"])


def test_a_slope_over_width_is_a_power_and_of_one_seed():
    runs, rows = [], []
    for rates, powers in (("uniform", (0.5, 1.0)), ("mup", (0.0, 0.0))):
        for seed in (0, 1):
            for width in (64, 128, 512):
                name = f"{rates}{seed}{width}"
                runs.append(run(name, rates=rates, width=width) | {"seed": seed})
                rows += [(name, step, layer, 0.0 if step == 0 else (1 + seed) * width**power) for step in (0, 3) for layer, power in enumerate(powers, 1)]
    table = changes(frames_of(runs, {}, pd.DataFrame(rows, columns=["run_id", "step", "layer", "preact_change"])))
    assert width_slopes(table, "uniform", 1).to_dict() == pytest.approx({0: 0.5, 1: 0.5})
    assert width_slopes(table, "uniform", 2).to_dict() == pytest.approx({0: 1.0, 1: 1.0})
    assert width_slopes(table, "mup", 2).to_dict() == pytest.approx({0: 0.0, 1: 0.0})


def test_a_span_in_time_is_from_the_last_step_of_the_sequence_to_the_first():
    # Layer 4 is the readout of a sequence of three steps.
    layers = pd.DataFrame(
        [("a", 0, layer, value) for layer, value in ((1, -7.0), (2, -4.0), (3, -2.0), (4, 5.0))], columns=["run_id", "step", "layer", "log10_delta_rms"]
    )
    table = time_spans(frames_of([run("a", depth=4, **{"penalty.coefficient": 1.0})], {}, layers))
    assert table["span"].tolist() == [-5.0]
    assert table["coefficient"].tolist() == [1.0]


def test_decaying_weights_are_followed_to_the_step_at_which_their_cotangents_neither_grow_nor_shrink():
    # 1 - rate lambda = 0.99; three hidden layers; ln of the factor falls from 0.1 by 0.02 a step, through 0 at step 5.
    factor = {step: 0.1 - 0.02 * step for step in range(4)}
    rows = [
        ("a", step, layer, 3.0 * 0.99**step, -8.0, (3 - layer) * factor[step] / (2 * np.log(10)) if layer < 4 else 0.0)
        for step in factor
        for layer in range(1, 5)
    ]
    layers = pd.DataFrame(rows, columns=["run_id", "step", "layer", "weight_l2", "log10_grad_w_l2", "log10_delta_rms"])
    settings = {"learning_rate": 0.1, "optimizer.weight_decay": 0.1, "init.sigma_w": np.sqrt(2), "width": 8, "depth": 4}
    table = decayed(frames_of([run("a", **settings)], {}, layers))
    assert table["share"].to_numpy() == pytest.approx(0.99 ** np.arange(4))
    assert table["share_said"].to_numpy() == pytest.approx(0.99 ** np.arange(4))
    assert table["pull"].to_numpy() == pytest.approx(1e-9 / (3 * 0.99 ** np.arange(4)))
    assert table["log_factor"].to_numpy() == pytest.approx([0.1, 0.08, 0.06, 0.04])
    assert table["log_factor_said"].to_numpy() == pytest.approx(2 * np.log(0.99) * np.arange(4), abs=1e-15)
    (line,) = decay_lines(table).itertuples()
    assert (line.slope, line.crossing) == pytest.approx((-0.02, 5.0))


def test_the_largest_safe_rate_is_below_the_first_at_which_any_seed_fails():
    def nets(clip: str, shares: dict[float, tuple[float, float]]) -> list[dict[str, Any]]:
        return [
            run(f"{clip}{rate}{seed}", clip=clip, learning_rate=rate, test_accuracy=share) for rate, pair in shares.items() for seed, share in enumerate(pair)
        ]

    # One seed of two fails at 0.3; that both learn at 1 again is luck. A share that is not known is not learnt.
    runs = nets("value", {1.0: (1.0, 1.0), 0.1: (0.95, 1.0), 0.3: (1.0, 0.2), 0.03: (1.0, 1.0)})
    runs += nets("none", {0.1: (1.0, 1.0), 0.03: (0.9, 1.0)}) + nets("adaptive", {0.1: (1.0, 1.0), 0.3: (1.0, 0.91)}) + nets("global_l2", {0.1: (np.nan, 1.0)})
    frames = frames_of(runs, {})
    assert {clip: largest_safe_rate(frames, clip, 0.9) for clip in ("value", "none", "adaptive", "global_l2")} == {
        "value": 0.1,
        "none": 0.0,
        "adaptive": 0.3,
        "global_l2": 0.0,
    }


def test_clipped_steps_say_where_a_clip_binds_and_how_long_the_step_is():
    runs = [run("a", clip="global_l2", learning_rate=0.1), run("b", clip="none", learning_rate=0.3)]
    steps = pd.DataFrame({"run_id": list("aab"), "step": [0, 1, 0], "loss": 1.0, "log10_grad_l2": [2.0, -1.0, 3.0], "clip_scale": [0.01, 1.0, 1.0]})
    found = clipped_steps(Frames("x", pd.DataFrame(runs), steps.assign(clip_cosine=1.0), pd.DataFrame()), 0.1)
    assert found["binds"].tolist() == [1.0, 0.0]
    assert found["length"].tolist() == pytest.approx([1.0, 0.1])
