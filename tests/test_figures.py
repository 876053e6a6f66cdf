"""Figures say what the frames say, on any part of a grid, with the same bytes when drawn twice."""

from __future__ import annotations

import math
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from gradyn.core import ConfigError
from gradyn.report import FIGURES, STANDARD, Drawn, Frames, MissingError, Page, draw, drawn, figures, interval, rates, read
from gradyn.report.style import _LOOKS, WIDTHS, seed_lines, styled
from made_frames import GRID, make_folder, make_frames, make_tables, rate

NAMES = [name for name in FIGURES if name != "trainable_depth"]
# A straight line over 64 layers: its slope is exact up to the rounding of sums of 64 squares, about 64 * 64 * eps of the largest value.
ROUNDING = 64 * 64 * np.finfo(float).eps


@pytest.fixture(scope="module")
def frames() -> Frames:
    return make_frames()


@pytest.fixture(scope="module")
def trained() -> Frames:
    runs, steps, layers = make_tables({"norm": ["none"], "clip": ["none"], "init": ["he_normal"], "learning_rate": [0.01, 0.1, 1.0]})
    # The middle rate has the lowest loss, the largest the best accuracy: the loss must decide.
    steps["loss"] -= steps["run_id"].map(runs.set_index("run_id")["learning_rate"]).map({0.01: 0.0, 0.1: 0.5, 1.0: 0.2})
    runs["test_accuracy"] = runs["learning_rate"].map({0.01: 0.3, 0.1: 0.5, 1.0: 0.9})
    return Frames("made_up", runs, steps, layers)


def one(frames: Frames, name: str, width: str = "full") -> Drawn:
    with styled():
        return FIGURES[name](frames, Page(WIDTHS[width]))[0]


def test_rates_of_straight_lines_are_their_slopes(frames: Frames) -> None:
    table = rates(frames)
    deep = table[table["depth"] > 2]
    expected = np.array([rate(row)[0] for row in deep.to_dict("records")])
    error = np.abs(deep["backward_rate"].to_numpy() - expected).max()
    assert error <= ROUNDING * np.abs(expected).max(), f"largest error {error}, allowed {ROUNDING * np.abs(expected).max()}"
    is_flat = (deep["activation"] == "sigmoid") | (deep["norm"] == "batch")
    assert np.abs(deep["forward_rate"] - np.where(is_flat, 0.0, expected)).max() <= ROUNDING * np.abs(expected).max()
    assert np.allclose(deep["backward_span"], expected * (deep["depth"] - 2), rtol=1e-9, atol=0)


def test_a_net_of_one_hidden_layer_has_no_rate(frames: Frames) -> None:
    table = rates(frames)
    assert table[table["depth"] == 2]["backward_rate"].isna().all()
    assert table[table["depth"] == 2]["level"].notna().all()


@pytest.mark.parametrize(
    ("norm", "depth", "outside", "inside"), [("none", 16, [1, 2, 3, 16], [4, 15]), ("none", 4, [4], [1, 3]), ("batch", 64, [1, 6, 58, 63, 64], [7, 57])]
)
def test_rates_look_at_the_fit_window_alone(norm: str, depth: int, outside: list[int], inside: list[int]) -> None:
    runs, steps, layers = make_tables({"depth": [depth], "norm": [norm], "activation": ["relu"], "init": ["he_normal"], "seed": [0], "clip": ["none"]})
    before = rates(Frames("x", runs, steps, layers))["backward_rate"].iloc[0]

    def bent(at: int) -> float:
        moved = layers.assign(log10_delta_rms=layers["log10_delta_rms"] + (layers["layer"] == at))
        return rates(Frames("x", runs, steps, moved))["backward_rate"].iloc[0]

    assert [bent(at) for at in outside] == [before] * len(outside)
    assert all(bent(at) != before for at in inside)


def test_an_exact_zero_is_minus_infinity_and_what_is_not_finite_nan() -> None:
    runs, steps, layers = make_tables({"depth": [16], "activation": ["relu"], "init": ["small"], "seed": [0, 1, 2], "norm": ["none"], "clip": ["none"]})
    numbers = layers["run_id"].map(dict(zip(runs["run_id"], range(3), strict=True)))
    layers.loc[(numbers == 0) & (layers["layer"] < 15), "log10_delta_rms"] = -math.inf
    layers.loc[numbers == 1, "log10_delta_rms"] = math.nan
    table = rates(Frames("x", runs, steps, layers))
    assert table["backward_rate"].tolist()[0] == -math.inf
    assert math.isnan(table["backward_rate"].tolist()[1])
    assert math.isfinite(table["backward_rate"].tolist()[2])
    assert table["backward_zeros"].tolist() == [14, 0, 0]


def test_intervals_cover_the_mean_as_often_as_they_say(rng: np.random.Generator) -> None:
    draws = 4000
    hits = sum((found := interval(rng.standard_normal(3))).low <= 0 <= found.high for _ in range(draws))
    # Binomial(4000, 0.95): 4.9 standard deviations either way, false alarm 1e-6.
    low, high = stats.binom.ppf([5e-7, 1 - 5e-7], draws, 0.95)
    assert low <= hits <= high, f"{hits} of {draws} intervals cover the mean; allowed {low} to {high}"


def test_one_seed_decides_nothing() -> None:
    assert interval(np.array([3.0])).low == -math.inf
    assert interval(np.array([3.0])).high == math.inf
    assert interval(np.array([])).count == 0


@pytest.mark.parametrize("width", list(WIDTHS))
@pytest.mark.parametrize("name", NAMES)
def test_every_figure_comes_with_picture_points_and_caption(name: str, width: str, frames: Frames, tmp_path: Path) -> None:
    files = {path.name for path in draw(frames, tmp_path, lambda f, page: drawn(f, page, name), ["png"], width)}  # type: ignore[arg-type]
    assert {f"{name}.png", f"{name}.csv", f"{name}.md"} <= files
    points = pd.read_csv(tmp_path / f"{name}.csv")
    assert len(points) > 1
    assert "missing" not in points, points
    assert "not drawn" not in (tmp_path / f"{name}.md").read_text(encoding="utf-8")


def test_the_same_frames_give_the_same_bytes_on_another_day(frames: Frames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["maps", "norms_by_init"]
    first = draw(frames, tmp_path / "first", lambda f, page: drawn(f, page, *names))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 86_400 * 3)
    second = draw(frames, tmp_path / "second", lambda f, page: drawn(f, page, *names))
    different = [a.name for a, b in zip(first, second, strict=True) if a.read_bytes() != b.read_bytes()]
    assert not different, f"drawn twice, other bytes: {different}"


def test_fonts_travel_in_the_files(frames: Frames, tmp_path: Path) -> None:
    draw(frames, tmp_path, lambda f, page: drawn(f, page, "maps"), ["pdf", "svg"])
    pdf = (tmp_path / "maps.pdf").read_bytes()
    assert b"/FontFile2" in pdf, "no TrueType font is embedded"
    assert b"/Type3" not in pdf
    assert "<text" not in (tmp_path / "maps.svg").read_text(encoding="utf-8"), "a reader without the font would see another one"


@pytest.mark.parametrize("axis", ["activation", "init", "norm", "clip", "seed", "depth"])
def test_figures_draw_what_a_grid_without_one_axis_allows(axis: str, tmp_path: Path) -> None:
    frames = make_frames({axis: GRID[axis][-1:]})
    with styled():
        for found in drawn(frames, Page(), *STANDARD):
            assert found.claim, found.stem
            assert len(found.points), found.stem


def test_a_figure_without_its_axis_says_so_in_one_line(frames: Frames, tmp_path: Path) -> None:
    runs = frames.runs.drop(columns="init")
    draw(Frames("made_up", runs, frames.steps, frames.layers), tmp_path, lambda f, page: drawn(f, page, "maps"), ["png"])
    assert (tmp_path / "maps.png").stat().st_size > 0
    line = pd.read_csv(tmp_path / "maps.csv")["missing"].item()
    assert "init" in line
    assert "gradyn sweep init=" in line


def test_an_empty_folder_is_named(frames: Frames) -> None:
    with pytest.raises(MissingError, match="no finished run"):
        FIGURES["maps"](Frames("made_up", frames.runs[:0], frames.steps[:0], frames.layers[:0]), Page())


@pytest.mark.parametrize("name", [*NAMES, "trainable_depth"])
def test_a_sweep_that_still_runs_is_marked(name: str, frames: Frames, trained: Frames) -> None:
    full = trained if name == "trainable_depth" else frames
    part = Frames(full.name, full.runs, full.steps, full.layers, 4320)
    mark = f"{len(full.runs):,} of 4,320 runs"
    found = one(part, name)
    assert mark in " ".join(text.get_text() for text in reversed(found.figure.texts)), "the picture hides that runs are missing"
    assert mark in found.text
    assert mark not in one(full, name).text


def test_few_seeds_are_drawn_as_lines_and_many_as_a_band() -> None:
    from matplotlib.figure import Figure

    few, many = Figure().subplots(1, 2)
    x = np.arange(5)
    seed_lines(few, x, np.random.default_rng(0).standard_normal((9, 5)), "k")
    seed_lines(many, x, np.random.default_rng(0).standard_normal((10, 5)), "k")
    assert (len(few.lines), len(few.collections)) == (10, 0)
    assert (len(many.lines), len(many.collections)) == (1, 1)


def test_bounds_are_dashed_above_the_measurement_and_those_of_orthogonal_sigmoid_nets_are_a_quarter_a_layer() -> None:
    found = one(make_frames({"init": ["orthogonal"], "norm": ["none"], "clip": ["none"]}), "norms_by_layer")
    points = found.points
    for _, group in points.groupby(["activation", "depth"]):
        measured = group[group["quantity"] == "log10_delta_rms"].groupby("layer")["value"].median()
        bound = group[group["quantity"] == "bound"].set_index("layer")["value"].dropna().astype(float)
        assert (bound >= measured.loc[bound.index] - ROUNDING * 40).all(), "delta exceeds what the layers above can give"
    sigmoid = points[(points["quantity"] == "bound") & (points["activation"] == "sigmoid") & (points["depth"] == 64)].set_index("layer")["value"]
    # max sigma' = 1/4 is attained at 0 exactly; a step is a difference of two sums of at most 62 terms.
    assert np.abs(np.diff(sigmoid) - math.log10(4)).max() <= 62 * np.finfo(float).eps * 40
    dashed = [line for ax in found.figure.axes for line in ax.lines if line.get_linestyle() not in ("-", "None")]
    assert len(dashed) == 4, "two activations, depths 16 and 64; a net of one hidden layer has no bound"


def test_the_split_of_each_step_adds_up(frames: Frames) -> None:
    points = one(frames, "gain_split").points
    assert np.abs(points["log10_gain_weight"] + points["log10_gain_derivative"] - points["step"]).max() == 0
    expected = [rate({"activation": row["activation"], "init": row["init"], "norm": "none", "residual": "plain", "seed": 1})[0] for _, row in points.iterrows()]
    # Sums of two numbers of order 1 in another order: one rounding each.
    assert np.abs(points["step"] - expected).max() <= 4 * np.finfo(float).eps


def test_the_maps_hold_means_over_seeds(frames: Frames) -> None:
    points = one(frames, "maps").points.set_index(["quantity", "activation", "init"])["value"]
    plain = rates(frames).query("norm == 'none' and clip == 'none' and depth == 64").groupby(["activation", "init"])
    for number in ("backward_rate", "forward_rate", "level"):
        for key, mean in plain[number].mean().items():
            assert points[(number, *key)] == pytest.approx(mean, rel=1e-12)


def test_trainable_depth_takes_the_rate_with_the_lowest_loss(trained: Frames) -> None:
    points = one(trained, "trainable_depth").points
    assert (points["learning_rate"] == 0.1).all()
    assert (points["test_accuracy"] == 0.5).all()


def test_a_rate_at_which_a_run_diverged_is_not_taken(trained: Frames) -> None:
    runs = trained.runs.assign(status=np.where(trained.runs["learning_rate"] == 0.1, "diverged", "ok"))
    points = one(Frames("made_up", runs, trained.steps, trained.layers), "trainable_depth").points
    assert (points["learning_rate"] == 1.0).all()


def test_clipping_shows_the_norm_before_and_after(frames: Frames) -> None:
    points = one(frames, "clipping").points
    before, after = (points[points["quantity"] == name]["value"].to_numpy() for name in ("log10_grad_l2", "after"))
    # The made-up clip scale brings every norm above 1 to 1: 10^t * 10^-t, one rounding of a logarithm of order 60.
    assert np.abs(after - np.minimum(before, 0)).max() <= 1e-13


@pytest.mark.parametrize("axis", list(_LOOKS))
def test_no_two_values_of_an_axis_look_alike(axis: str) -> None:
    looks = list(_LOOKS[axis].values())
    assert len(set(looks)) == len(looks)


def test_figures_are_drawn_from_parquet_alone(tmp_path: Path) -> None:
    folder = make_folder(tmp_path / "mine", {"depth": [4, 16], "seed": [0]})
    written = figures(folder, only=["maps"], formats=["png"])
    assert [path.relative_to(folder).as_posix() for path in written] == ["figures/maps.png", "figures/maps.csv", "figures/maps.md"]
    stored, made = rates(read(folder)).set_index("run_id"), rates(make_frames({"depth": [4, 16], "seed": [0]})).set_index("run_id")
    assert stored["backward_rate"].equals(made["backward_rate"].loc[stored.index])


@pytest.mark.parametrize(("argument", "value"), [("only", ["mops"]), ("formats", ["gif"]), ("width", "wide")])
def test_a_figure_format_or_width_that_there_is_not_is_refused(argument: str, value: object, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{argument} must be among"):
        figures(tmp_path, **{argument: value})  # type: ignore[arg-type]


def test_an_axis_that_a_figure_does_not_show_is_held_and_named() -> None:
    frames = make_frames({"width": [32, 64], "init.std": [0.01, 0.02], "init": ["small"]})
    found = one(frames, "maps")
    assert "width 32" in found.setting
    assert "init.std=0.01" in found.setting
    runs = frames.baseline(("activation", "init"), depth=64)
    assert (runs["width"].nunique(), runs["init.std"].nunique()) == (1, 1)


def test_settings_that_options_bring_along_are_no_axis() -> None:
    frames = make_frames({"init": ["small", "orthogonal"]})
    runs = frames.runs.assign(**{"init.gain": np.where(frames.runs["init"] == "orthogonal", 1.0, np.nan)})
    assert "init.gain" not in one(Frames("x", runs, frames.steps, frames.layers), "maps").setting


def test_a_formula_is_never_cut_by_the_end_of_a_line() -> None:
    text = r"Below one line gradients of tanh nets vanish, above it they explode, and the line is where theory has it: $\chi_1 = 1$ of all."
    for width in (2.0, 3.25, 6.75):
        lines = Page(width).wrap(text, 9.0, bold=True)
        assert all(line.count("$") % 2 == 0 for line in lines), lines
        assert " ".join(lines) == text


def test_a_sweep_none_of_whose_nets_a_cure_is_for_says_so() -> None:
    # One sigmoid net: its initialization is a cure, of other nets.
    frames = make_frames({"depth": [64], "activation": ["sigmoid"], "init": ["he_normal"], "norm": ["none"], "clip": ["none"]})
    with pytest.raises(MissingError, match="has no net that one of its cures is for"):
        FIGURES["cures_by_layer"](frames, Page())
