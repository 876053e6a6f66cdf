"""A computation graph as a picture: boxes with values in black and gradients in orange, arrows with what goes along them and comes back.

    graph_figure(gradyn.autodiff.graph_of(loss, module=net)).savefig("graph.png")

Where boxes have no room from left to right they stand from top to bottom, and where not even then, or beyond `READABLE` nodes, they
are dots, of which the shape can be seen and nothing else: collapse the graph first.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path

from gradyn.autodiff import Edge, Graph, Node, forward_name, number_text, shape_text
from gradyn.report.autodiff.graph_layout import Layout, layout
from gradyn.report.style import GREY, INK, Page, styled

BACK = "#C2410C"
READABLE = 80
_FILL = {"leaf": "#DCEBF7", "constant": "#F0F0F0", "operation": "#FFFFFF", "module": "#DDF0E2"}
_EDGE = {"leaf": "#0072B2", "constant": "#AAAAAA", "operation": "#555555", "module": "#009E73"}
# Inches: a line of text, the rim of a box, the least room for an arrow and between rows.
_LINE, _RIM, _ARROW, _GAP = 0.112, 0.05, 0.3, 0.16
# Inches: a box narrower than this holds no words; and the room of a dot.
_NARROW, _DOT = 0.42, 0.06
# Points, for which _LINE is meant; letters shrink to fit their box, and no further than the second.
_TEXT, _SMALLEST = 6.2, 5.0


@dataclass(frozen=True)
class Picture:
    """How a graph is laid on paper, before it is drawn.

    Args:
        graph: what is drawn.
        layout: where its nodes stand.
        size: width and height of the whole, inches.
        box: width and height of a box, inches.
        is_down: whether the value flows down the page instead of to the right.
        numbers: values (arrays and their gradients), norms (of gradients), or none.
        text: size of letters, points.
    """

    graph: Graph
    layout: Layout
    size: tuple[float, float]
    box: tuple[float, float]
    is_down: bool
    numbers: str
    text: float

    @property
    def is_dots(self) -> bool:
        """Whether it is too large for boxes."""
        return self.box[0] == _DOT

    @property
    def pitch(self) -> tuple[float, float]:
        """Inches from column to column and from row to row, as seen on the page: across and down."""
        along = self.layout.columns, self.layout.rows
        across, down = (along[1], along[0]) if self.is_down else along
        return (
            (self.size[0] - self.box[0]) / (across - 1) if across > 1 else 0.0,
            (self.size[1] - self.box[1]) / (down - 1) if down > 1 else 0.0,
        )

    def at(self, place: tuple[float, float]) -> np.ndarray:
        """The middle of a box, inches from the lower left."""
        column, row = place
        across, down = (row, column) if self.is_down else (column, row)
        x = self.box[0] / 2 + across * self.pitch[0] if self.pitch[0] else self.size[0] / 2
        y = self.size[1] - self.box[1] / 2 - down * self.pitch[1]
        return np.array([x, y])


def picture(graph: Graph, width: float, *, numbers: str = "values", is_down: bool | None = None, text: float = _TEXT, most: float = 1.35) -> Picture:
    """Plan the drawing of a graph for a given width.

    Args:
        graph: of any size; where its boxes would be too small to read, it becomes dots.
        width: inches.
        numbers: values, norms or none.
        is_down: top to bottom; None: where the boxes would be too small from left to right.
        text: points.
        most: inches that a box may be wide.
    """
    placed = layout(graph)
    widest = max(len(line) for node in graph.nodes for line, _ in box_lines(node, numbers)) * 0.58 * text / 72 + 2 * _RIM
    sizes = {}
    for down in (False, True) if is_down is None else (is_down,):
        across, room = (placed.rows, _GAP) if down else (placed.columns, _ARROW)
        sizes[down] = min(most, widest, (width - (across - 1) * room) / across)
    down = next((way for way, box in sizes.items() if box >= min(widest, _NARROW)), max(sizes, key=lambda way: sizes[way]))
    box, (across, along) = sizes[down], (placed.rows, placed.columns) if down else (placed.columns, placed.rows)
    if len(graph.nodes) > READABLE or box < min(widest, _NARROW):
        return Picture(graph, placed, (width, min(4.0, 0.35 * along)), (_DOT, _DOT), down, "none", text)
    height = max(len(box_lines(node, numbers)) for node in graph.nodes) * _LINE * text / _TEXT + 2 * _RIM
    total = along * height + (along - 1) * (_ARROW if down else _GAP)
    # Boxes of a wide page keep together: an arrow longer than an inch, or than two boxes, says nothing more.
    used = min(width, across * box + (across - 1) * max(_GAP if down else _ARROW, 2 * box if down else 1.0))
    return Picture(graph, placed, (used, total), (box, height), down, numbers, text)


def box_lines(node: Node, numbers: str) -> list[tuple[str, str]]:
    """What stands in a box: (text, kind) with kind title, value or gradient."""
    word = node.op if node.kind == "module" else {"-": "−", "neg": "−"}.get(node.op) or forward_name(node.op)
    title = {"leaf": node.label or "leaf", "constant": _signed(number_text(node.value)), "module": node.label or word}.get(node.kind, word)
    if node.kind == "operation" and node.label:
        title = f"{node.label} = {word}" if len(node.label + word) < 12 and numbers != "norms" else node.label
    # A parameter's name as two lines: its module, and what it is there.
    found = [(part, "title") for part in title.rsplit(".", 1)] if node.kind == "leaf" else [(title, "title")]
    found += [(word, "value")] if title != word and "=" not in title and node.kind in ("operation", "module") else []
    if numbers == "norms":
        return found + ([(shape_text(node.shape), "value")] if node.shape else [])
    if node.kind == "constant" or numbers == "none":
        return found
    return [*found, *((line, "value") for line in _rows(node.value)), *((line, "gradient") for line in _rows(node.grad))]


def _rows(array: np.ndarray | None) -> list[str]:
    """One line a row of a matrix."""
    rows = [] if array is None else list(array) if np.ndim(array) == 2 else [array]
    return [_signed(number_text(row)) for row in rows]


def _signed(text: str) -> str:
    return text.replace("-", "−")


def draw_graph(ax: Axes, drawn: Picture, offset: tuple[float, float] = (0.0, 0.0)) -> None:
    """Draw a planned graph on axes whose units are inches.

    Args:
        ax: where; its limits are left alone.
        drawn: the plan.
        offset: inches from the axes' lower left to the picture's.
    """
    shift = np.asarray(offset)
    if drawn.is_dots:
        _dots(ax, drawn, shift)
        return
    for edge, route in zip(drawn.graph.edges, drawn.layout.routes, strict=True):
        _arrow(ax, drawn, edge, [drawn.at(place) + shift for place in route])
    for node in drawn.graph.nodes:
        _box(ax, drawn, node, drawn.at(drawn.layout.place[node.name]) + shift)


def _dots(ax: Axes, drawn: Picture, shift: np.ndarray) -> None:
    lines = [[drawn.at(place) + shift for place in route] for route in drawn.layout.routes]
    ax.add_collection(LineCollection(lines, colors=GREY, linewidths=0.3, zorder=1))
    for kind, colour in _EDGE.items():
        points = [drawn.at(drawn.layout.place[node.name]) + shift for node in drawn.graph.nodes if node.kind == kind]
        if points:
            ax.scatter(*np.transpose(points), s=2.0, color=colour, linewidths=0, zorder=2)


def _box(ax: Axes, drawn: Picture, node: Node, middle: np.ndarray) -> None:
    lines = box_lines(node, drawn.numbers)
    step = _LINE * drawn.text / _TEXT
    width, height = drawn.box[0], len(lines) * step + 2 * _RIM
    corner = middle - np.array([width, height]) / 2
    style = f"round,pad=0,rounding_size={0.06 if node.kind in ('operation', 'module') else 0.02}"
    ax.add_patch(
        FancyBboxPatch(corner, width, height, boxstyle=style, facecolor=_FILL[node.kind], edgecolor=_EDGE[node.kind], linewidth=0.7, zorder=3, clip_on=False)
    )
    for number, (text, kind) in enumerate(lines):
        y = middle[1] + height / 2 - _RIM - (number + 0.5) * step
        colour, weight = {"title": (INK, "bold"), "value": (INK, "normal"), "gradient": (BACK, "normal")}[kind]
        room = (width - 0.04) * 72 / ((0.66 if kind == "title" else 0.58) * max(len(text), 1))
        ax.text(middle[0], y, text, size=max(min(drawn.text, room), _SMALLEST), color=colour, weight=weight, ha="center", va="center_baseline", zorder=4)


def _arrow(ax: Axes, drawn: Picture, edge: Edge, points: list[np.ndarray]) -> None:
    """A curve from box to box, flat where it leaves and arrives, with its numbers beside the last stretch."""
    by_name = {node.name: node for node in drawn.graph.nodes}
    along, across = (1, 0) if drawn.is_down else (0, 1)
    forward = -1.0 if drawn.is_down else 1.0
    ends = [point.copy() for point in points]
    ends[0][along] += forward * _half(drawn, by_name[edge.source])[along]
    ends[-1][along] -= forward * _half(drawn, by_name[edge.target])[along]
    # Arrows into one box arrive a little apart, in the order in which they come; so do two of the same value leave.
    uses = sorted((other for other in drawn.graph.edges if other.target == edge.target), key=lambda one: (drawn.layout.place[one.source][1], one.place))
    same = [other for other in uses if other.source == edge.source]
    ends[-1][across] -= forward * _apart(uses, edge, 0.1, drawn.box[across])
    if len(same) > 1:
        ends[0][across] -= forward * _apart(same, edge, 0.2, drawn.box[across])
        ends[-1][across] = ends[0][across]
    vertices, codes = [ends[0]], [Path.MOVETO]
    for start, end in pairwise(ends):
        bend = np.zeros(2)
        bend[along] = 0.5 * (end - start)[along]
        vertices += [start + bend, end - bend, end]
        codes += [Path.CURVE4] * 3
    colour = "#AAAAAA" if by_name[edge.source].kind == "constant" else "#666666"
    ax.add_patch(FancyArrowPatch(path=Path(vertices, codes), arrowstyle="-|>", mutation_scale=5, color=colour, linewidth=0.8, zorder=2, shrinkA=0, shrinkB=0))
    value, back = _words(drawn, edge, by_name[edge.source])
    middle = (ends[-2] + ends[-1]) / 2
    if len(same) == 1:
        # A curve that moves more than half as far across as it goes down lies flat in its middle: numbers left and right of it would read as 3 - 8.
        reach = np.abs(ends[-1] - ends[-2])
        is_flat = not drawn.is_down or bool(reach[across] > reach[along] / 2)
        _beside(ax, drawn, value, middle, 1.0, INK, is_flat)
        _beside(ax, drawn, back, middle, -1.0, BACK, is_flat)
    else:
        # Between two arrows of one value there is no room: both numbers of each on its outer side.
        side = 1.0 if same.index(edge) < len(same) / 2 else -1.0
        step = np.array([0.0, 0.1 if not drawn.is_down else 0.05])
        first, second = (1.0, -1.0) if drawn.is_down else (0.0, -1.0) if side < 0 else (1.0, 0.0)
        _beside(ax, drawn, value, middle + first * step, side, INK, not drawn.is_down)
        _beside(ax, drawn, back, middle + second * step, side, BACK, not drawn.is_down)


def _apart(edges: list[Edge], edge: Edge, step: float, room: float) -> float:
    count = len(edges)
    return (edges.index(edge) - (count - 1) / 2) * min(step, 0.6 * room / max(count, 1))


def _half(drawn: Picture, node: Node) -> tuple[float, float]:
    return drawn.box[0] / 2, (len(box_lines(node, drawn.numbers)) * _LINE * drawn.text / _TEXT + 2 * _RIM) / 2


def _words(drawn: Picture, edge: Edge, source: Node) -> tuple[str, str]:
    """What goes along an edge and what comes back, as text; of arrays the norm."""
    if drawn.numbers == "none" or edge.grad_l2 is None:
        return "", ""
    if drawn.numbers == "norms":
        mantissa, power = f"{edge.grad_l2:.1e}".split("e")
        return "", mantissa + ("" if int(power) == 0 else f"e{_signed(str(int(power)))}")
    value = "" if source.value is None else _number(source.value, float(np.linalg.norm(source.value)))
    return value, _number(edge.grad, edge.grad_l2)


def _number(array: np.ndarray | None, l2: float) -> str:
    return _signed(number_text(array)) if array is not None and np.ndim(array) == 0 else f"‖·‖ {l2:.2g}"


def _beside(ax: Axes, drawn: Picture, text: str, middle: np.ndarray, side: float, colour: str, is_flat: bool) -> None:
    """A number beside an arrow: above it for side 1, below for -1; left and right of one that is not flat."""
    shift = side * np.array([0.0, 0.02] if is_flat else [-0.03, 0.0])
    across, down = ("center", "bottom" if side > 0 else "top") if is_flat else (("right" if side > 0 else "left"), "center")
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.3, "alpha": 0.85}
    if text:
        ax.text(*(middle + shift), text, size=drawn.text - 1.0, color=colour, zorder=5, bbox=box, ha=across, va=down)


def graph_figure(graph: Graph, title: str = "", page: Page | None = None, *, numbers: str = "values") -> Figure:
    """A figure of one graph.

    Args:
        graph: of any size.
        title: above it.
        page: width of the paper; on a narrow one the value flows down.
        numbers: values, norms (of gradients, for nets) or none.

    Returns:
        A matplotlib figure, as wide as the page.
    """
    page = page or Page()
    with styled():
        drawn = picture(graph, page.width - 0.2, numbers=numbers, is_down=page.is_narrow or None)
        figure, axes = page.sheet(1, 1, height=drawn.size[1], title=title, left=0.1, right=0.1, bottom=0.1)
        blank(axes[0, 0], page.width - 0.2, drawn.size[1])
        draw_graph(axes[0, 0], drawn, ((page.width - 0.2 - drawn.size[0]) / 2, 0.0))
    return figure


def blank(ax: Axes, width: float, height: float) -> None:
    """Turn axes into paper whose units are inches."""
    ax.set_axis_off()
    ax.set_xlim(0, width)
    ax.set_ylim(0, height)
