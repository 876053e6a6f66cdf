"""Tables as Markdown, LaTeX (booktabs) and CSV, every cell inert in each; and the table that any sweep has: rates by setting."""

from __future__ import annotations

import math
import unicodedata
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gradyn.report.frames import Frames
from gradyn.report.rates import Interval, interval, rates
from gradyn.report.sweeps.default_figures import NUMBERS, swept
from gradyn.report.sweeps.trainable import TRAINED, best_rates

_LATEX = {
    "\\": r"\textbackslash{}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "−": "$-$",
    "±": r"$\pm$",
    "×": r"$\times$",
    "∞": r"$\infty$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "→": r"$\to$",
    "‖": r"$\|$",
    "∂": r"$\partial$",
    "√": r"$\surd$",
    "∇": r"$\nabla$",
    "∓": r"$\mp$",
    "⋅": r"$\cdot$",
    "′": r"$'$",
    "φ": r"$\varphi$",
    "ε": r"$\varepsilon$",
    **{letter: rf"$\{unicodedata.name(letter).split()[-1].lower()}$" for letter in "αβγδζηθικλμνξπρστυχψω"},
    **{letter: rf"$\{unicodedata.name(letter).split()[-1].capitalize()}$" for letter in "ΓΔΘΛΞΠΣΦΨΩ"},
    **{letter: f"$_{digit}$" for digit, letter in enumerate("₀₁₂₃₄₅₆₇₈₉")},
    **{letter: f"$^{digit}$" for digit, letter in enumerate("⁰¹²³⁴⁵⁶⁷⁸⁹")},
}

# Unicode's name of it lacks the b.
_LATEX |= {"λ": r"$\lambda$", "Λ": r"$\Lambda$"}

# Letters from which on a column of a LaTeX table wraps.
_LONG = 40
# Rows beyond which a LaTeX table is broken over pages.
_PAGE = 40


@dataclass(frozen=True, slots=True)
class Table:
    """A table for people, and its numbers.

    Args:
        stem: name of its files.
        title: above it.
        head: names of the columns.
        rows: cells as text.
        data: as numbers, for the CSV.
    """

    stem: str
    title: str
    head: list[str]
    rows: list[list[str]]
    data: pd.DataFrame

    def markdown(self, most: int | None = None) -> str:
        """A pipe table; at most so many rows."""
        lines = [self.head, ["---"] * len(self.head), *self.rows[:most]]
        return "\n".join("| " + " | ".join(cell if cell == "---" else markdown(cell) for cell in line) + " |" for line in lines)

    def latex(self) -> str:
        r"""A table with booktabs' rules, for `\input`: a tabular, or where it is longer than a page a longtable. Columns of long texts wrap."""
        head, *lines = [" & ".join(map(latex, line)) + r" \\" for line in (self.head, *self.rows)]
        widest = [max((len(row[i]) for row in self.rows), default=0) for i in range(len(self.head))]
        kinds = "".join(r"p{0.28\linewidth}" if width > _LONG else "l" for width in widest)
        is_long = len(lines) > _PAGE
        name = "longtable" if is_long else "tabular"
        top = [rf"\begin{{{name}}}{{{kinds}}}", r"\toprule", head, r"\midrule", *([r"\endhead", r"\bottomrule", r"\endfoot"] if is_long else [])]
        bottom = [*([] if is_long else [r"\bottomrule"]), rf"\end{{{name}}}"]
        packages = r"\usepackage{booktabs,longtable}" if is_long else r"\usepackage{booktabs}"
        return "\n".join([f"% {latex(self.title)}; {packages}", *top, *lines, *bottom]) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """`<stem>.md`, `.tex` and `.csv` in the folder."""
        paths = [folder / f"{self.stem}.{form}" for form in ("md", "tex", "csv")]
        for path, text in zip(paths[:2], (self.markdown() + "\n", self.latex()), strict=True):
            path.write_text(text, encoding="utf-8")
        self.data.to_csv(paths[2], index=False, float_format="%.9g", lineterminator="\n")
        return paths


def markdown(text: object) -> str:
    """Text that Markdown, and the HTML it becomes, shows as it is."""
    flat = " ".join(str(text).split()).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"\\{letter}" if letter in "\\`*_[]|{}$~#" else letter for letter in flat)


def latex(text: object) -> str:
    """Text that LaTeX shows as it is; a letter beyond Latin-1 that has no command is written by its name."""
    return "".join(
        _LATEX.get(letter) or (letter if ord(letter) < 256 else f"[{unicodedata.name(letter, 'unnamed').lower()}]") for letter in " ".join(str(text).split())
    )


def rates_table(frames: Frames) -> Table:
    """Backward rate, forward rate and level with 95 % intervals over seeds, one row a setting of the axes that vary."""
    axes, table = swept(frames), rates(frames)
    groups = table.groupby(axes, observed=True, dropna=False, sort=True) if axes else [((), table)]
    rows, data = [], []
    for key, group in groups:
        numbers = {name: interval(group[name].to_numpy()) for name in NUMBERS}
        accuracy = group["final_accuracy"].mean() if "final_accuracy" in group else math.nan
        status = ", ".join(f"{count} {name}" for name, count in sorted(group["status"].value_counts().items())) if "status" in group else ""
        cells = [_value(value) for value in key]
        rows.append([*cells, str(len(group)), *(_interval(n) for n in numbers.values()), "" if math.isnan(accuracy) else f"{accuracy:.3f}", status])
        spread = {f"{name}{end}": value for name, n in numbers.items() for end, value in (("", n.mean), ("_low", n.low), ("_high", n.high))}
        data.append({**dict(zip(axes, key, strict=True)), "runs": len(group), **spread, "final_accuracy": accuracy, "status": status})
    head = [*axes, "runs", "backward rate", "forward rate", "level", "accuracy", "status"]
    return Table("rates", "Rates [decades per layer] and level [decades], mean and 95 % interval over seeds", head, rows, pd.DataFrame(data))


def trainable_table(frames: Frames) -> Table:
    """Accuracy at the best learning rate by cure and depth, and the greatest depth at which the cure trains."""
    best = best_rates(frames)
    accuracy = "test_accuracy" if best["test_accuracy"].notna().any() else "final_accuracy"
    depths = sorted(best["depth"].unique())
    rows, data = [], []
    for cure, group in reversed(list(best.groupby("cure", sort=False))):
        by_depth = group.set_index("depth")
        deepest = max((depth for depth in by_depth.index if by_depth[accuracy][depth] >= TRAINED), default=0)
        cells = [
            f"{by_depth[accuracy][d]:.3f} at {by_depth['learning_rate'][d]:g}" if d in by_depth.index and by_depth["loss"][d] < math.inf else "none"
            for d in depths
        ]
        rows.append([str(cure), str(deepest or "none"), *cells])
        data.append(group.drop(columns="seeds").assign(trains_to_depth=deepest))
    head = ["cure", "trains to depth", *(f"depth {depth}" for depth in depths)]
    title = f"Trainable depth: {accuracy.replace('_', ' ')} at the learning rate with the lowest training loss; a net trains from {TRAINED:g} on"
    return Table("trainable_depth", title, head, rows, pd.concat(data, ignore_index=True))


def frame_table(stem: str, title: str, data: pd.DataFrame) -> Table:
    """A table of a frame's columns as they are."""
    return Table(stem, title, [str(name) for name in data], [[_value(v) for v in row] for row in data.itertuples(index=False)], data)


def _value(value: object) -> str:
    if isinstance(value, float):
        return "" if math.isnan(value) else f"{value:.4g}"
    return "" if value is None else str(value)


def _interval(n: Interval) -> str:
    if n.count == 0:
        return "no number"
    if n.mean == -math.inf:
        return "zero"
    return f"{n.mean:+.3f}" + (f" [{n.low:+.3f}, {n.high:+.3f}]" if n.count > 1 else " (one seed)")
