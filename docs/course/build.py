"""Fills the pages of the course: `python docs/course/build.py`.

With `--check` it only compares, with `--program 3` it prints the code of page 3 as a script, with `--figures 3` it draws the pictures of page 3 anew.

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
# Page -> its figures; the first bears the name of the experiment that draws them all.
PAGES = {
    "1-computation-graph": ("autodiff_graph", "autodiff_graph_dynamic"),
    "2-chain-rule": ("autodiff_jacobians",),
    "3-backprop-by-hand": ("autodiff_by_hand",),
    "4-numeric-symbolic-automatic": ("autodiff_numeric",),
    "5-autograd-inside": ("autodiff_inside",),
    "6-scalar-engine": ("autodiff_engine",),
    "7-functions-and-gradcheck": ("autodiff_functions",),
    "8-one-curve": ("autodiff_one_curve",),
}
# A palette: a third of the bytes. Fewer colours than a palette can have would mix a thin line with its neighbours.
COLOURS = 256

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


def program(page: str) -> str:
    """The Python blocks of a page as one script."""
    return "\n\n".join(found["code"] for found in PROGRAM.finditer((HERE / "en" / f"{page}.md").read_text(encoding="utf-8")))


def draw(page: str) -> None:
    """Carry out the experiment of a page at full scale, and keep the pictures that it shows."""
    from PIL import Image

    from gradyn.report import experiments, main

    name, *_ = PAGES[page]
    with tempfile.TemporaryDirectory() as results:
        main(experiments()[name], ["--run", "--results", results, "--format", "png"])
        for stem in PAGES[page]:
            picture = Image.open(Path(results) / name / "figures" / f"{stem}.png").convert("RGB")
            picture.quantize(COLOURS, dither=Image.Dither.NONE).save(HERE / "figures" / f"{stem}.png", optimize=True)


def stale() -> dict[Path, str]:
    """Every page that is not as the code says, with what it should be."""
    found = {}
    for path in [HERE / language / f"{page}.md" for language in LANGUAGES for page in PAGES]:
        if path.exists():
            before = path.read_text(encoding="utf-8")
            try:
                after = filled(before, facts())
            except Exception as error:
                error.add_note(f"on {path.relative_to(HERE)}")
                raise
            found |= {path: after} if after != before else {}
    return found


def main(arguments: list[str]) -> int:
    """What the module's docstring says; with `--check` returns 1 where a page is not as the code says."""
    option = next(iter(arguments), "")
    if unknown := sorted(set(arguments[1:]) - {page.split("-")[0] for page in PAGES}):
        sys.stderr.write(f"The page must be one of 1 to {len(PAGES)}; got {', '.join(unknown)}.\n")
        return 2
    pages = [page for page in PAGES if not arguments[1:] or page.split("-")[0] in arguments[1:]]
    if option == "--program":
        sys.stdout.write("\n\n".join(map(program, pages)))
    elif option == "--figures":
        for page in pages:
            draw(page)
    elif option == "--check":
        names = ", ".join(str(path.relative_to(HERE)) for path in stale())
        sys.stderr.write(f"{names}: not what the code says; run `make docs`.\n" if names else "")
        return int(bool(names))
    else:
        for path, text in stale().items():
            path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
