"""Figures as files: PNG, PDF, SVG, the points as CSV and the caption, the same bytes when drawn twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import pandas as pd

from gradyn.core import require
from gradyn.report.experiment import experiments
from gradyn.report.figure import Draw, Drawn, column
from gradyn.report.frames import Frames, MissingError, read
from gradyn.report.style import WIDTHS, Page, styled
from gradyn.report.sweeps import by_init, by_layer, clipping, cures_figure, first_look, gain_split, maps, over_training, trainable

FIGURES: dict[str, Draw] = {
    "norms_by_layer": by_layer.draw,
    "norms_by_init": by_init.draw,
    "gain_split": gain_split.draw,
    "cures_by_layer": cures_figure.draw,
    "cures": cures_figure.draw_table,
    "clipping": clipping.draw,
    "maps": maps.draw,
    "over_training": over_training.draw,
    "trainable_depth": trainable.draw,
    "quick": first_look.draw,
}

# What a folder gets that no experiment claims: all that its axes allow.
STANDARD = ("norms_by_layer", "norms_by_init", "gain_split", "cures_by_layer", "cures", "clipping", "maps")
_MADE = ("commit", "engine", "device", "versions", "hardware")
# No dates and no program versions in the files: the same points give the same bytes.
_METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None},
    "pdf": {"CreationDate": None, "Producer": None, "Creator": None},
    "svg": {"Date": None, "Creator": None},
}


def figures(
    folder: str | Path,
    only: Sequence[str] | None = None,
    formats: Sequence[str] = ("png", "pdf", "svg"),
    width: Literal["full", "column"] = "full",
    planned: int | None = None,
    show: str | None = None,
) -> list[Path]:
    """Draw a sweep's figures into `<folder>/figures/`, with their points (CSV) and captions (Markdown) beside them.

    Args:
        folder: `results/<name>`.
        only: names of figures; None: those of the experiment that the folder is named after, else STANDARD.
        formats: png, pdf, svg.
        width: full text block or one column of a paper.
        planned: how many runs the plan has; figures of an incomplete sweep are marked with it.
        show: column of `layers` that `over_training` shows; None: the gradient.

    Returns:
        The files, in the order in which they were written.

    Raises:
        ConfigError: no such folder, no finished run in it, or a figure, format or width that there isn't.
    """
    for key, given, there in (("only", only or (), list(FIGURES)), ("formats", formats, list(_METADATA)), ("width", (width,), list(WIDTHS))):
        for value in given:
            require(value in there, key, f"be among {', '.join(there)}", value)
    frames, scripts = read(folder, planned), experiments()
    if only is None and frames.name in scripts:
        figure = scripts[frames.name].figure
    else:
        names = tuple(only or STANDARD)
        if only is None and frames.runs["learning_rate"].nunique() > 1:
            names = (*names, "trainable_depth")

        def figure(frames: Frames, page: Page) -> list[Drawn]:
            return drawn(frames, page, *names, show=show)

    return draw(frames, Path(folder) / "figures", figure, formats, width)


def drawn(frames: Frames, page: Page, *names: str, show: str | None = None) -> list[Drawn]:
    """The named figures; one whose axes are missing becomes a line of text, in its picture and its caption: never nothing."""
    found: list[Drawn] = []
    for name in names:
        try:
            found += over_training.draw(frames, page, show) if show and name == "over_training" else FIGURES[name](frames, page)
        except MissingError as missing:
            found.append(_notice(name, str(missing), page))
    return found


def draw(frames: Frames, folder: Path, figure: Draw, formats: Sequence[str] = ("png", "pdf", "svg"), width: Literal["full", "column"] = "full") -> list[Path]:
    """Draw frames into `folder`; returns the files in the order in which they were written."""
    folder.mkdir(parents=True, exist_ok=True)
    with styled():
        return [path for one in figure(frames, Page(WIDTHS[width])) for path in _write(one, folder, formats, frames)]


def _notice(name: str, line: str, page: Page) -> Drawn:
    figure, axes = page.sheet(1, 1, height=0.05, title=f"{name}: not drawn", setting=line, bottom=0.05)
    axes[0, 0].set_axis_off()
    return Drawn(name, figure, f"{name}: not drawn", "", line, pd.DataFrame({"missing": [line]}))


def _write(drawn: Drawn, folder: Path, formats: Sequence[str], frames: Frames) -> list[Path]:
    files = []
    for form in formats:
        path = folder / f"{drawn.stem}.{form}"
        drawn.figure.savefig(path, format=form, metadata=_METADATA.get(form))
        files.append(path)
    for stem, table in {drawn.stem: drawn.points, **drawn.tables}.items():
        path = folder / f"{stem}.csv"
        table.to_csv(path, index=False, float_format="%.9g", lineterminator="\n")
        files.append(path)
    path = folder / f"{drawn.stem}.md"
    path.write_text(_caption(drawn, frames), encoding="utf-8")
    return [*files, path]


def _caption(drawn: Drawn, frames: Frames) -> str:
    lines = [f"**{drawn.claim}**", drawn.setting, drawn.text]
    lines += [f"`{name}`: {column(name).definition} [{column(name).unit}]" for name in drawn.columns]
    made = [
        f"{name} {', '.join(map(str, sorted(frames.runs[name].dropna().unique())))}"
        for name in _MADE
        if name in frames.runs and frames.runs[name].notna().any()
    ]
    count = [f"{len(frames.runs):,} runs"] if len(frames.runs) or not frames.tables else []
    count += [f"the tables {', '.join(frames.tables)}"] if frames.tables else []
    made = made or [f"{name} {frames.made[name]}" for name in _MADE if frames.made.get(name)]
    lines.append(f"From {frames.name}: {', '.join(count)}; " + "; ".join(made) + ".")
    return "\n\n".join(line.strip() for line in lines if line.strip()) + "\n"
