"""Overlays: every point of a figure is in its table, dashes are theory, and the foot says what occurs and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_hex

from gradyn.report import Curve, Page, Panel, overlay
from gradyn.report.style import GREY, WIDTHS, look, styled

X = np.arange(1.0, 6.0)
LINES = Panel("lines", "x", "y", [Curve("a", X, X, X / 10, theory=2 * X, rival=3 * X), Curve("b", X, -X)], rival="thrice")
BARS = Panel("bars", "k", "share", [Curve("c", X, X / 15, theory=np.full(5, 0.2), is_bars=True)])
NAMED = Panel("named", "", "y", [Curve("", [0.0], [1.0], [0.1], theory=1.1)], ticks=[(0.0, "a long name of a tick")])


def _drawn(*panels: Panel, width: str = "full"):
    with styled():
        return overlay(Page(WIDTHS[width]), "stem", "A claim.", "A setting.", "A source.", panels)


def _dashes(ax: Axes) -> list[np.ndarray]:
    return [np.asarray(line.get_ydata()) for line in ax.lines if line.get_linestyle() == "--"]


def test_every_point_is_in_the_table_beside_its_theory() -> None:
    points = _drawn(LINES, BARS).points
    rows = points[points["curve"] == "a"]
    assert (rows["measured"] == rows["x"]).all()
    assert (rows["theory"] == 2 * rows["x"]).all()
    assert (rows["rival"] == 3 * rows["x"]).all()
    assert points[points["curve"] == "b"]["theory"].isna().all()
    assert len(points) == 15


def test_theory_at_places_of_its_own_has_rows_of_its_own() -> None:
    panel = Panel("lines", "x", "y", [Curve("a", X, X, theory=[0.0, 1.0, 2.0], theory_x=[0.0, 0.5, 1.0])])
    points = _drawn(panel).points
    assert sorted(points["x"]) == [0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0]
    assert points.set_index("x").loc[1.0, ["measured", "theory"]].tolist() == [1.0, 2.0]


def test_dashes_are_the_theory_and_dots_the_rival() -> None:
    ax = _drawn(LINES).figure.axes[0]
    (theory,) = _dashes(ax)
    assert (theory == 2 * X).all()
    (rival,) = [line for line in ax.lines if line.get_linestyle() == ":"]
    assert (np.asarray(rival.get_ydata()) == 3 * X).all()


def test_the_foot_says_what_occurs() -> None:
    assert _drawn(LINES).text == "Points: measured, with one standard error; dashed: theory; dotted: thrice. A source."
    assert _drawn(BARS).text == "Bars: measured; dashed: theory. A source."
    assert _drawn(Panel("p", "x", "y", [Curve("a", X, X)])).text == "Points: measured. A source."


@pytest.mark.parametrize("width", list(WIDTHS))
def test_names_of_ticks_stand_above_the_foot(width: str) -> None:
    figure = _drawn(LINES, BARS, NAMED, width=width).figure
    figure.canvas.draw()
    names = [tick.get_window_extent() for ax in figure.axes for tick in ax.get_xticklabels() if tick.get_text().startswith("a long")]
    feet = [text.get_window_extent() for text in figure.texts if text.get_text().startswith(("Points", "standard", "A source"))]
    assert names
    assert feet
    assert min(box.y0 for box in names) > max(box.y1 for box in feet)


def test_panels_stand_below_each_other_in_a_column() -> None:
    full, column = (_drawn(LINES, BARS, NAMED, width=width).figure for width in ("full", "column"))
    assert len({round(ax.get_position().y0, 6) for ax in full.axes}) == 1
    assert len({round(ax.get_position().x0, 6) for ax in column.axes}) == 1


def test_one_rival_is_grey_and_several_have_their_curves_colours() -> None:
    def dots(*curves: Curve) -> list[str]:
        ax = _drawn(Panel("p", "x", "y", list(curves), rival="others")).figure.axes[0]
        return [to_hex(line.get_color()) for line in ax.lines if line.get_linestyle() == ":"]

    both = [Curve("a", X, X, rival=2 * X), Curve("b", X, X, rival=3 * X)]
    assert dots(both[0], Curve("b", X, X)) == [to_hex(GREY)]
    assert dots(both[0], Curve("b", X, X, rival=2 * X)) == [to_hex(GREY)] * 2
    assert dots(*both) == [to_hex(look("", name, ["a", "b"])[0]) for name in "ab"]
