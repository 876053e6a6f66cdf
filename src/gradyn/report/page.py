"""A sweep as one page: what was swept, figures, claims, tables, settings, provenance, commands; Markdown and one HTML file."""

from __future__ import annotations

import base64
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jinja2
import yaml  # type: ignore[import-untyped]

from gradyn.core import ConfigError
from gradyn.report.experiment import claims_table, experiments
from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames, MissingError, read
from gradyn.report.style import Page
from gradyn.report.sweeps.cures import cure_nets, cure_table
from gradyn.report.sweeps.default_figures import draw_defaults_of, pairs, swept
from gradyn.report.tables import Table, frame_table, markdown, rates_table, trainable_table
from gradyn.report.write import draw
from gradyn.store import RUN_COLUMNS, done, failures

# Rows of a table on the page; the files have all.
_MOST = 60
_MADE = ("commit", "dirty", "engine", "device", "versions", "hardware")
_CLAIM = ("claim", "verdict", "measured", "side", "predicted", "z", "source")


def report(folder: str | Path, axes: Sequence[str] | None = None) -> list[Path]:
    """Write `<folder>/report/`: report.html (one file, images within), report.md, figures as PNG with their points, tables.

    Args:
        folder: `results/<name>`, or a copy of one; only its tables are read.
        axes: those whose pairs are drawn; None: all that vary, but no more than six pairs.

    Returns:
        The files; the page comes first.

    Raises:
        ConfigError: no such folder, nothing finished in it, another schema version, a table lacks a column, or an axis does not
            vary.
    """
    folder = Path(folder)
    try:
        frames = read(folder)
    except (KeyError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(
            "folder", "hold the columns of this version of gradyn", str(folder), f"{error} Sweep again, or use the version that wrote it."
        ) from error
    out, drawn = folder / "report", list[Drawn]()

    def every(frames: Frames, page: Page) -> list[Drawn]:
        drawn.extend(_figures(frames, page, axes))
        return drawn

    try:
        files, tables = draw(frames, out, every, ["png"]), _tables(frames)
    except (MissingError, KeyError) as error:
        raise ConfigError("folder", "hold the axes and columns that a report is made from", str(folder), f"Missing: {' '.join(str(error).split())}") from error
    for table in tables:
        files += table.write(out)
    about = _about(frames, folder, axes)
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, loader=jinja2.FileSystemLoader(Path(__file__).parent))
    pictures = [
        {"claim": one.claim, "setting": one.setting, "text": one.text, "data": base64.b64encode((out / f"{one.stem}.png").read_bytes()).decode()}
        for one in drawn
    ]
    pages = [out / "report.html", out / "report.md"]
    pages[0].write_text(template.get_template("page.html.jinja").render(figures=pictures, tables=tables, most=_MOST, **about), encoding="utf-8")
    pages[1].write_text(_markdown(drawn, tables, **about), encoding="utf-8")
    return [*pages, *files]


def _figures(frames: Frames, page: Page, axes: Sequence[str] | None) -> list[Drawn]:
    known = experiments()
    found = []
    if frames.name in known:
        try:
            found = known[frames.name].figure(frames, page)
        except (MissingError, KeyError):
            # A folder that was cut down, or only bears the name: what any sweep gets is still there.
            found = []
    return found + (draw_defaults_of(frames, page, axes) if len(frames.runs) else [])


def _tables(frames: Frames) -> list[Table]:
    tables, known = [], experiments()
    if frames.name in known:
        try:
            claims = claims_table(known[frames.name], frames)
        except (MissingError, KeyError, ValueError):
            claims = None
        if claims is not None and len(claims):
            tables.append(frame_table("claims", "Claims", claims[[name for name in _CLAIM if name in claims]]))
    if len(frames.runs):
        tables.append(rates_table(frames))
        if frames.runs["learning_rate"].nunique() > 1 and frames.runs["final_accuracy"].notna().any():
            tables.append(trainable_table(frames))
        try:
            nets = cure_nets(frames)
        except (MissingError, KeyError):
            return tables
        if len(nets):
            cures = cure_table(nets)
            columns = ["cure", "illness", "verdict", "nets", "textbook", "agrees", "backward_rate_sick", "backward_rate_cured", "level_sick", "level_cured"]
            tables.append(frame_table("cures", "Cures", cures[columns]))
    return tables


def _about(frames: Frames, folder: Path, chosen: Sequence[str] | None) -> dict[str, Any]:
    runs, axes = frames.runs, swept(frames) if len(frames.runs) else []
    notes = [f"This sweep is not finished: {frames.progress} The page shows what is there."] if frames.progress else []
    lost = len(failures(folder).keys() - done(folder)) if len(runs) else 0
    if lost:
        notes.append(f"{lost} runs failed with an error; see failures/.")
    if len(runs) and (drawn := pairs(frames, chosen))[1] > len(drawn[0]):
        notes.append(f"{len(drawn[0])} of {drawn[1]} pairs of axes are drawn. For others: gradyn report FOLDER --axes {','.join(axes[-2:])}.")
    counts = ", ".join(f"{count:,} {name}" for name, count in sorted(runs["status"].value_counts().items())) if "status" in runs else ""
    summary = f"{len(runs):,} runs ({counts})." if len(runs) else f"A measurement: the tables {', '.join(frames.tables)}."
    held = [axis for axis in frames.axes if axis not in axes and axis != "seed" and runs[axis].nunique() == 1] if len(runs) else []
    made = [(name, ", ".join(sorted(map(str, runs[name].dropna().unique())))) for name in _MADE if name in runs]
    settings = [(axis, _word(runs[axis].dropna().iloc[0])) for axis in held] or [(str(key), str(value)) for key, value in frames.settings.items()]
    made = made or [(name, str(frames.made[name])) for name in _MADE if name in frames.made]
    return {
        "name": frames.name,
        "summary": summary,
        "notes": notes,
        "axes": [(axis, ", ".join(map(_word, frames.values(axis)))) for axis in (*axes, *(["seed"] if "seed" in runs else []))],
        "lists": [("Settings", settings), ("Provenance", made)],
        "commands": _commands(frames, folder),
    }


def _commands(frames: Frames, folder: Path) -> list[str]:
    """The sweep's own command, from its kept axes and from what its runs have in common; and that of this page."""
    again = f"gradyn report {shlex.quote(f'results/{frames.name}')}"
    if frames.name in experiments():
        return [f"gradyn reproduce --only {shlex.quote(frames.name)}", again]
    try:
        axes = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))["axes"]
        words = {str(axis): ",".join(map(_word, values)) for axis, values in axes.items()}
    except (OSError, yaml.YAMLError, KeyError, TypeError, AttributeError):
        return ["# No config.yaml in the folder: the axes and settings above are those of its runs.", again]
    is_axis, runs, not_words = set(words), frames.runs, {"seed", "backward", *(column.name for column in RUN_COLUMNS)}
    for axis in frames.axes:
        parent = axis.split(".")[0]
        if axis in words or axis in not_words or runs[axis].nunique() != 1 or (parent != axis and (parent in is_axis or runs[parent].nunique() > 1)):
            continue
        words[axis] = _word(runs[axis].dropna().iloc[0])
    if "backward" in runs and runs["backward"].nunique() == 1 and "exec.backward" not in words:
        words["exec.backward"] = _word(runs["backward"].iloc[0])
    said = " ".join(shlex.quote(" ".join(f"{axis}={value}".split())) for axis, value in {"name": frames.name, **words}.items())
    return [f"gradyn sweep {said}", again]


def _markdown(drawn: list[Drawn], tables: list[Table], **about: Any) -> str:
    parts = [f"# {markdown(about['name'])}", markdown(about["summary"]), *(f"**{markdown(note)}**" for note in about["notes"])]
    parts += ["## What was swept", _pairs("axis", "values", about["axes"])] if about["axes"] else []
    parts.append("## Figures")
    for one in drawn:
        parts += [f"![{markdown(one.claim)}]({one.stem}.png)", f"**{markdown(one.claim)}** {markdown(one.setting)} {markdown(one.text)}"]
    for table in tables:
        parts += [f"## {markdown(table.title)}", table.markdown(_MOST)]
        parts += [f"{_MOST} of {len(table.rows)} rows; all in {table.stem}.csv."] if len(table.rows) > _MOST else []
    for title, listed in about["lists"]:
        parts += [f"## {title}", _pairs("name", "value", listed)]
    return "\n\n".join([*parts, "## To repeat", "\n".join(f"    {line}" for line in about["commands"])]) + "\n"


def _pairs(left: str, right: str, pairs: list[tuple[str, str]]) -> str:
    return "\n".join([f"| {left} | {right} |", "|---|---|", *(f"| {markdown(key)} | {markdown(value)} |" for key, value in pairs)])


def _word(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)
