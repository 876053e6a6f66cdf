"""The figures of the computation graph: the textbook's expressions with their numbers, one function going three ways, a net collapsed."""

from __future__ import annotations

from dataclasses import dataclass

from gradyn.autodiff import Graph
from gradyn.report.autodiff.graph_figure import blank, draw_graph, picture
from gradyn.report.autodiff.graph_tables import graph_from
from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames
from gradyn.report.style import GREY, INK, Page

_ARROWS = "Along an arrow: what goes forward (black) and what comes back (orange), of arrays the Euclidean norm."


@dataclass(frozen=True)
class _Part:
    """One graph of a figure, with the line above it."""

    name: str
    heading: str
    line: str
    graph: Graph


def draw_computation_graph(frames: Frames, page: Page) -> list[Drawn]:
    """`autodiff_graph`, `autodiff_graph_dynamic` and `autodiff_graph_module`, from the tables `nodes` and `edges`."""
    graphs = {name: graph_from(frames.tables, name) for name in frames.tables["nodes"]["graph"].unique()}
    return [_expressions(frames, graphs, page), _dynamic(frames, graphs, page), _modules(frames, graphs, page)]


def _expressions(frames: Frames, graphs: dict[str, Graph], page: Page) -> Drawn:
    torch, layer = graphs["torch"], graphs["layer"]
    chain = " → ".join(torch.chain())
    parts = [
        _Part("torch", "$L = (wx + b - 5)^2$, recorded by torch", chain, torch),
        _Part("engine", "The same line, recorded by the engine", "every Value keeps its children and its operation; plain numbers are nodes", graphs["engine"]),
        _Part("layer", "$y = \\sigma(Wx + b)$, recorded by torch", "in W's box dW = δ xᵀ, in b's db = δ, for L = Σ y", layer),
    ]
    claim = "An expression is a graph: values run along its arrows, gradients run back."
    foot = f"In each box the operation, its value (black), and dL by that value (orange). {_ARROWS}"
    return _drawn("autodiff_graph", frames, page, parts, claim, "float64; leaves are blue.", foot, "values")


def _dynamic(frames: Frames, graphs: dict[str, Graph], page: Page) -> Drawn:
    names = [name for name in graphs if name.startswith("x = ")]
    parts = []
    for name in names:
        graph = graphs[name]
        rounds = sum(node.op == "DivBackward0" for node in graph.nodes)
        way = "then the sine" if any(node.op == "SinBackward0" for node in graph.nodes) else "then the square"
        parts.append(_Part(name, f"${name}$", f"{rounds} round{'s' * (rounds != 1)} of halving, {way}", graph))
    claim = f"One function, {len(names)} numbers, {len(names)} graphs: what did not happen has no node."
    foot = f"The function halves while |x| > 1, then takes the sine of a positive number and the square of any other. {_ARROWS}"
    return _drawn("autodiff_graph_dynamic", frames, page, parts, claim, "Recorded by torch as it runs.", foot, "values", beside=page.is_narrow)


def _modules(frames: Frames, graphs: dict[str, Graph], page: Page) -> Drawn:
    whole, small = graphs["net"], graphs["modules"]
    ends = [node.grad_l2 or 0.0 for node in small.nodes if node.kind == "module"]
    falls = f"on its way back the gradient goes from {ends[-1]:.2g} to {ends[0]:.2g}"
    claim = f"Drawn together by module, {len(whole.nodes)} nodes are {len(small.nodes)}; {falls}."
    sizes = " → ".join(map(str, frames.settings["sizes"]))
    parts = [
        _Part("net", "Every operation and parameter", "names from the module, shapes from torch", whole),
        _Part("modules", "One node for each call of a module", "with what it hands on, and the gradient of that", small),
    ]
    foot = "Beside each arrow the Euclidean norm of the gradient that comes back along it; in each box the shape of the value."
    return _drawn(
        "autodiff_graph_module", frames, page, parts, claim, f"Sigmoid net {sizes}, PyTorch's initialization, mean square of the output.", foot, "norms"
    )


def _drawn(stem: str, frames: Frames, page: Page, parts: list[_Part], claim: str, setting: str, foot: str, numbers: str, *, beside: bool = False) -> Drawn:
    room = page.width - 0.2
    share = room / len(parts) if beside else room
    pictures = [picture(part.graph, share - 0.1 * beside, numbers=numbers, is_down=page.is_narrow) for part in parts]
    heads = [0.15 + 0.11 * len(_lines(page, part, share)) for part in parts]
    heights = [head + one.size[1] for head, one in zip(heads, pictures, strict=True)]
    total = max(heights) if beside else sum(heights) + 0.22 * (len(parts) - 1)
    figure, axes = page.sheet(1, 1, height=total + 0.1, title=claim, setting=setting, foot=foot, left=0.1, right=0.1, bottom=0.08)
    ax = axes[0, 0]
    blank(ax, room, total + 0.1)
    top, left = total + 0.1, 0.0
    for part, one, head, height in zip(parts, pictures, heads, heights, strict=True):
        ax.text(left, top, part.heading, size=7.5, color=INK, va="top")
        for number, line in enumerate(_lines(page, part, share)):
            ax.text(left, top - 0.15 - 0.11 * number, line, size=6.3, color=GREY, va="top")
        draw_graph(ax, one, (left + (share - one.size[0]) / 2 if page.is_narrow else 0.0, top - head - one.size[1]))
        top, left = (top, left + share) if beside else (top - height - 0.22, left)
    nodes, edges = (table[table["graph"].isin([part.name for part in parts])] for table in (frames.tables["nodes"], frames.tables["edges"]))
    return Drawn(stem, figure, claim, setting, foot, nodes, (), {f"{stem}_edges": edges})


def _lines(page: Page, part: _Part, share: float) -> list[str]:
    return Page(share + 0.2).wrap(part.line, 6.3)
