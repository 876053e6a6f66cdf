"""Fills the pages of the course: `python docs/course/build.py`; with `--check` it only compares, with `--figures [experiment ...]` it draws the pictures anew.

A page is plain Markdown, the same in each language but for its prose:

* its fenced `python` blocks are one program, run from top to bottom; a `text` or `mermaid` block right after one holds what it prints;
* a number in the prose stands as `<!--=name-->4<!--/-->`, and is what facts.py has under that name.
"""

from __future__ import annotations

import contextlib
import functools
import io
import re
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from facts import facts

HERE = Path(__file__).resolve().parent
# Every language has every page, and says what its answers are called.
LANGUAGES = {"en": "Answer", "ko": "답"}
PAGES = (
    "1-computation-graph",
    "2-chain-rule",
    "3-backprop-by-hand",
    "4-numeric-symbolic-automatic",
    "5-autograd-inside",
    "6-scalar-engine",
    "7-functions-and-gradcheck",
    "8-one-curve",
)
# Experiment -> the figures of it that a page shows.
FIGURES = {
    "autodiff_graph": ("autodiff_graph", "autodiff_graph_dynamic"),
    "autodiff_jacobians": ("autodiff_jacobians",),
    "autodiff_by_hand": ("autodiff_by_hand",),
    "autodiff_numeric": ("autodiff_numeric",),
    "autodiff_inside": ("autodiff_inside",),
    "autodiff_engine": ("autodiff_engine",),
    "autodiff_functions": ("autodiff_functions",),
    "autodiff_one_curve": ("autodiff_one_curve",),
}
# Enough for lines, boxes and the edges of letters; a third of the bytes.
COLOURS = 48

PROGRAM = re.compile(r"^```python\n(?P<code>.*?)^```$(?:\n\n```(?P<fence>text|mermaid)\n(?P<said>.*?)^```$)?", re.MULTILINE | re.DOTALL)
NUMBER = re.compile(r"<!--=(?P<name>\w+)-->(?P<value>[^\n]*?)<!--/-->")


@functools.cache
def printed(codes: tuple[str, ...]) -> tuple[str, ...]:
    """What each block prints when they run one after the other in one namespace, in the state of a fresh Python; twins run once."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    said, dtype = [], torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        for number, code in enumerate(codes, start=1):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                try:
                    exec(compile(code, f"<python block {number}>", "exec"), namespace)
                except Exception as error:
                    error.add_note(f"in python block {number}:\n{code}")
                    raise
            said.append(out.getvalue())
    finally:
        torch.set_default_dtype(dtype)
    return tuple(said)


def filled(page: str, known: Mapping[str, str]) -> str:
    """The page with what its blocks print and with every number of its prose.

    Args:
        page: Markdown.
        known: name -> number as it is written.

    Raises:
        ValueError: a marker is not closed, begins a line (which makes the line raw HTML), or has a name that nobody knows.
    """
    if wrong := re.search(r"^[ >*+\-\d.]*<!--=.*$", page, re.MULTILINE):
        raise ValueError(f"a marker must not begin a line, which Markdown then takes for HTML; got {wrong[0]!r}. Put a word before it.")
    names = [found["name"] for found in NUMBER.finditer(page)]
    if len(names) != page.count("<!--=") or len(names) != page.count("<!--/-->"):
        raise ValueError(f"a marker must be <!--=name-->number<!--/-->, on one line; got one after {names[-1:]} that is not.")
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"a marker must have a name of facts.py; got {', '.join(unknown)}.")
    said = iter(printed(tuple(found["code"] for found in PROGRAM.finditer(page))))

    def block(found: re.Match[str]) -> str:
        output, code = next(said), f"```python\n{found['code']}```"
        return f"{code}\n\n```{found['fence'] or 'text'}\n{output}```" if output else code

    page = PROGRAM.sub(block, page)
    return NUMBER.sub(lambda found: f"<!--={found['name']}-->{known[found['name']]}<!--/-->", page)


def draw(asked: list[str]) -> None:
    """Carry out the experiments of FIGURES at full scale, or those that are asked for, and keep their pictures."""
    from PIL import Image

    from gradyn.report import experiments, main

    known = experiments()
    with tempfile.TemporaryDirectory() as results:
        for name in asked or FIGURES:
            main(known[name], ["--run", "--results", results, "--format", "png"])
            for stem in FIGURES[name]:
                picture = Image.open(Path(results) / name / "figures" / f"{stem}.png").convert("RGB")
                picture.quantize(COLOURS, dither=Image.Dither.NONE).save(HERE / "figures" / f"{stem}.png", optimize=True)


def fill(arguments: list[str]) -> int:
    """Fill every page that is there; with `--check` name those that are not as they should be, and return 1 if there is one."""
    if "--figures" in arguments:
        draw([argument for argument in arguments if not argument.startswith("--")])
    stale = []
    for path in sorted(HERE / language / f"{page}.md" for language in LANGUAGES for page in PAGES):
        if not path.exists():
            continue
        before = path.read_text(encoding="utf-8")
        try:
            after = filled(before, facts())
        except Exception as error:
            error.add_note(f"on {path.relative_to(HERE)}")
            raise
        if before != after:
            stale.append(path)
            if "--check" not in arguments:
                path.write_text(after, encoding="utf-8")
    if "--check" in arguments and stale:
        sys.stderr.write(f"{', '.join(str(path.relative_to(HERE)) for path in stale)}: not what the code says; run `make docs`.\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(fill(sys.argv[1:]))
