"""A column by layer and step: the medians that the frames have, as a map and as a film."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from gradyn.cli import main
from gradyn.core import ConfigError
from gradyn.report import Page, animate, figures, read
from gradyn.report.frames import MissingError
from gradyn.report.sweeps.over_training import draw
from made_frames import STEPS, make_folder

GRID = {"depth": [4, 16], "activation": ["sigmoid", "relu"], "init": ["he_normal"], "norm": ["none"], "clip": ["none"], "seed": [0, 1, 2]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return make_folder(tmp_path_factory.mktemp("over") / "time", GRID)


@pytest.mark.parametrize("column", ["log10_delta_rms", "log10_update_ratio"])
def test_the_map_has_the_medians_of_the_deepest_nets(folder, column):
    frames = read(folder)
    (one,) = draw(frames, Page(), column)
    table = frames.layers.merge(frames.runs[["run_id", "depth", "activation"]], on="run_id").query("depth == 16")
    expected = table.groupby(["activation", "layer", "step"])[column].median()
    found = one.points.set_index(["activation", "layer", "step"])[column]
    assert len(found) == 2 * 16 * len(STEPS)
    assert np.array_equal(found.sort_index().to_numpy(), expected.sort_index().to_numpy())
    assert one.columns == (column,)


def test_the_film_has_a_frame_a_logged_step_and_the_same_bytes_twice(folder):
    path = animate(folder)
    first = path.read_bytes()
    with Image.open(path) as film:
        assert film.n_frames == len(STEPS)
    assert animate(folder).read_bytes() == first


def test_the_commands_write_them(folder, capsys):
    assert main(["figures", str(folder), "--only", "over_training", "--show", "log10_act_rms", "--format", "png", "--width", "column"]) == 0
    assert main(["figures", str(folder), "--only", "over_training", "--format", "png"]) == 0
    assert main(["animate", str(folder)]) == 0
    assert capsys.readouterr().out.rstrip().endswith("over_training.gif")


def test_what_can_not_be_shown_is_said(folder, tmp_path):
    with pytest.raises(ConfigError, match=r"show must be a column of layers: .*; got 'nonsense'"):
        figures(folder, only=["over_training"], show="nonsense")
    frames = read(folder)
    at_start = type(frames)(frames.name, frames.runs, frames.steps, frames.initial)
    with pytest.raises(MissingError, match="at one step only"):
        draw(at_start, Page())
