"""A graph on paper: columns in the order of the computation, no box on another, no letter outside, and the same graph back from Parquet."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch

from gradyn.autodiff import Graph, deep_graph, dynamic_graph, layer_graph, net_graph, textbook_graph, wide_graph
from gradyn.report import Frames, Page, draw_computation_graph, experiments, graph_figure, graph_from, graph_tables, kept, measure_once, twin
from gradyn.report.autodiff.graph_layout import _spread, layout
from gradyn.report.frames import read
from gradyn.report.style import WIDTHS, styled

NET = net_graph([4, 8, 8, 1], 0)
GRAPHS = {
    "torch": textbook_graph("torch"),
    "engine": textbook_graph("engine"),
    "layer": layer_graph(1),
    "twice": dynamic_graph(-6.0),
    "net": NET,
    "modules": NET.collapsed(),
}


@pytest.fixture(scope="module")
def frames(tmp_path_factory: pytest.TempPathFactory) -> Frames:
    folder = tmp_path_factory.mktemp("results") / "autodiff_graph"
    experiment = experiments()["autodiff_graph"]
    assert experiment.measure is not None
    measure_once(experiment.measure, folder, twin("autodiff_graph").settings("smoke"))
    return read(folder)


def overlaps(figure: Figure) -> list[str]:
    """Boxes that lie on another, and boxes or letters that stand out of the figure."""
    figure.set_dpi(200)  # as it is saved: letters are fitted to pixels
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    whole = figure.bbox
    (ax,) = figure.axes
    boxes = [patch.get_window_extent() for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    texts = [text for text in [*figure.texts, *ax.texts] if text.get_text()]
    found = [f"boxes {i}, {j}" for (i, one), (j, two) in itertools.combinations(enumerate(boxes), 2) if one.padded(-0.5).overlaps(two.padded(-0.5))]
    for thing, extent in [*((text.get_text(), text.get_window_extent()) for text in texts), *(("box", box) for box in boxes)]:
        inside = whole.padded(0.5)
        if not (inside.x0 <= extent.x0 and extent.x1 <= inside.x1 and inside.y0 <= extent.y0 and extent.y1 <= inside.y1):
            found.append(f"{thing!r} stands out")
    # Letters of a box stay in it: a box's lines are drawn in its middle.
    for text in ax.texts:
        if text.get_zorder() == 4:
            extent = text.get_window_extent()
            centre = (extent.x0 + extent.x1) / 2, (extent.y0 + extent.y1) / 2
            box = next(box for box in boxes if box.contains(*centre))
            if extent.width > box.width + 1:
                found.append(f"{text.get_text()!r} is wider than its box")
    return found


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", GRAPHS)
def test_nothing_overlaps_or_stands_out(name: str, width: str) -> None:
    numbers = "norms" if name in ("net", "modules") else "values"
    figure = graph_figure(GRAPHS[name], "A claim.", Page(WIDTHS[width]), numbers=numbers)
    assert figure.get_figwidth() == WIDTHS[width]
    assert overlaps(figure) == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_figures_of_the_experiment_fit_their_pages(width: str, frames: Frames) -> None:
    with styled():
        drawn = draw_computation_graph(frames, Page(WIDTHS[width]))
    assert [one.stem for one in drawn] == ["autodiff_graph", "autodiff_graph_dynamic", "autodiff_graph_module"]
    for one in drawn:
        assert overlaps(one.figure) == []
        boxes = [patch for patch in one.figure.axes[0].patches if isinstance(patch, FancyBboxPatch)]
        assert len(boxes) == len(one.points), "a box for every node, none became a dot"
        assert set(one.points["graph"]) <= set(frames.tables["nodes"]["graph"])


def test_the_check_of_overlaps_sees_one() -> None:
    figure = graph_figure(GRAPHS["torch"], "A claim.")
    (ax,) = figure.axes
    ax.text(6.6, 0.1, "out of the figure to the right")
    box = next(patch for patch in ax.patches if isinstance(patch, FancyBboxPatch))
    box.set_width(3.0)
    found = overlaps(figure)
    assert any("stands out" in line for line in found)
    assert any("boxes" in line for line in found)


@pytest.mark.parametrize("graph", [*GRAPHS.values(), deep_graph(40), wide_graph(30)], ids=[*GRAPHS, "deep", "wide"])
def test_every_arrow_leads_to_a_later_column_and_rows_stay_apart(graph: Graph) -> None:
    placed = layout(graph)
    assert set(placed.place) == {node.name for node in graph.nodes}
    for edge, route in zip(graph.edges, placed.routes, strict=True):
        assert (route[0], route[-1]) == (placed.place[edge.source], placed.place[edge.target])
        assert all(after[0] - before[0] == 1 for before, after in itertools.pairwise(route))
    for column in {at for at, _ in placed.place.values()}:
        rows = sorted(row for at, row in placed.place.values() if at == column)
        assert all(after - before > 1 - 1e-9 for before, after in itertools.pairwise(rows))
    assert min(row for _, row in placed.place.values()) >= 0
    assert max(row for _, row in placed.place.values()) <= placed.rows - 1


def test_a_graph_too_long_for_the_page_runs_down_and_one_too_wide_for_both_is_dots() -> None:
    long = graph_figure(deep_graph(30), "Long.")
    assert long.get_figheight() > long.get_figwidth()
    assert overlaps(long) == []
    both = graph_figure(wide_graph(40), "Wide: 43 nodes, 40 of them side by side.", Page(WIDTHS["column"]))
    assert not [patch for patch in both.axes[0].patches if isinstance(patch, FancyBboxPatch)]


def test_the_first_input_stands_above_the_second() -> None:
    placed = layout(GRAPHS["torch"]).place
    rows = {node.label: placed[node.name][1] for node in GRAPHS["torch"].nodes if node.label}
    assert rows["w"] < rows["x"]


def test_rows_are_spread_as_little_as_need_be(rng: np.random.Generator) -> None:
    for _ in range(20):
        wishes = np.sort(rng.normal(scale=3.0, size=6))
        found = np.array(_spread(wishes.tolist()))
        assert (np.diff(found) > 1 - 1e-12).all()
        # No feasible neighbour is nearer to the wishes: moving one row, or all from one row on, never helps.
        best = ((found - wishes) ** 2).sum()
        for start, step in itertools.product(range(6), (-0.01, 0.01)):
            for end in range(start + 1, 7):
                moved = found.copy()
                moved[start:end] += step
                assert (np.diff(moved) < 1 - 1e-12).any() or ((moved - wishes) ** 2).sum() >= best - 1e-9
    assert _spread([0.0, 5.0]) == [0.0, 5.0]
    assert _spread([1.0, 1.0]) == [0.5, 1.5]


@pytest.mark.parametrize("graph", [deep_graph(5000), wide_graph(10000)], ids=["deep", "wide"])
def test_a_large_graph_is_drawn_as_dots(graph: Graph) -> None:
    figure = graph_figure(graph, "Large.")
    (ax,) = figure.axes
    assert not [patch for patch in ax.patches if isinstance(patch, FancyBboxPatch)]
    dots = sum(len(found.get_offsets()) for found in ax.collections if hasattr(found, "get_sizes"))
    assert dots == len(graph.nodes)
    assert figure.get_figheight() < 6


def test_a_graph_comes_back_from_its_tables_with_every_number(tmp_path: Path) -> None:
    measure_once(lambda _: graph_tables(GRAPHS), tmp_path, {})
    tables = kept(tmp_path).tables
    for name, graph in GRAPHS.items():
        back = graph_from(tables, name)
        assert (back.nodes, back.edges, back.output) == (graph.nodes, graph.edges, graph.output)
        for one, two in [*zip(back.nodes, graph.nodes, strict=True), *zip(back.edges, graph.edges, strict=True)]:
            assert (one.grad is None) == (two.grad is None)
            assert one.grad is None or np.array_equal(one.grad, two.grad)
            assert one.grad_l2 == two.grad_l2
    with pytest.raises(KeyError, match=r"name must be a graph of the tables \(torch, .*\); got 'nett'"):
        graph_from(tables, "nett")


def test_a_graph_drawn_twice_is_the_same_picture() -> None:
    made = []
    for _ in range(2):
        file = io.BytesIO()
        with styled():
            graph_figure(GRAPHS["layer"], "A claim.").savefig(file, format="svg", metadata={"Date": None, "Creator": None})
        made.append(file.getvalue())
    assert made[0] == made[1]


def test_the_numbers_on_the_picture_are_those_of_the_graph() -> None:
    (ax,) = graph_figure(GRAPHS["torch"], "A claim.").axes
    words = [text.get_text() for text in ax.texts]
    assert words.count("12") == 2, "dL/dx in its box and on its arrow"
    assert words.count("8") == 2
    assert {"w", "x", "b", "mul", "add", "sub", "L = pow"} <= set(words)


def test_numbers_of_a_slanted_arrow_do_not_stand_left_and_right_of_it() -> None:
    """Down a narrow page the arrow from w to mul lies flat in its middle: "3" and "8" beside it would be read as 3 - 8."""
    page = Page(WIDTHS["column"])
    figure = graph_figure(textbook_graph("torch"), page=page)
    beside = [text for text in figure.axes[0].texts if text.get_zorder() == 5]
    pairs = list(itertools.pairwise(beside))[::2]
    placed = {(one.get_text(), other.get_text()): np.subtract(one.get_position(), other.get_position()) for one, other in pairs}
    assert set(placed) == {("3", "8"), ("2", "12"), ("6", "4"), ("1", "4"), ("7", "4"), ("2", "4")}
    for pair in [("3", "8"), ("2", "12"), ("6", "4"), ("1", "4")]:
        assert placed[pair] == pytest.approx((0.0, 0.04))
    for pair in [("7", "4"), ("2", "4")]:
        assert placed[pair] == pytest.approx((-0.06, 0.0))
