"""A page's commands as one bash script: `python .ci/readme.py README.md FOLDER` writes FOLDER/readme.sh and what it needs.

Every fenced `sh` block is taken as written, all in one shell and in the order of the page; every `python` block becomes a file that
`python` runs (with `--only sh` they are left out: of a page whose blocks are one program, which the suite runs). A comment in front
of a block speaks to this script, on the line before the fence:

    <!-- ci: skip, <reason> -->        the block is left out, and the log says why
    <!-- ci: instead, <command> -->    the command is run in its place (the same thing at a smaller scale)
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path

FENCE = re.compile(r"^(?:<!-- ci: (?P<rule>skip|instead), (?P<text>.+?) -->\n)?```(?P<language>\w+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block of the page; `rule` is `skip`, `instead` or None, `text` its reason or its command."""

    line: int
    language: str
    body: str
    rule: str | None
    text: str | None


def blocks(page: str) -> list[Block]:
    """The blocks of the languages that can be run, in order."""
    found = [Block(page[: m.start("body")].count("\n") + 1, m["language"], m["body"], m["rule"], m["text"]) for m in FENCE.finditer(page)]
    return [block for block in found if block.language in ("sh", "python")]


def script(page: str, folder: Path, name: str = "README", languages: tuple[str, ...] = ("sh", "python")) -> str:
    """The bash script of a page called `name` in what it says; python blocks are written to `folder`."""
    lines = ["set -euo pipefail"]
    for block in blocks(page):
        if block.language not in languages:
            continue
        if block.rule == "skip":
            lines.append(f"echo {shlex.quote(f'{name} line {block.line}: left out, {block.text}')}")
            continue
        if block.rule == "instead":
            body = f"{block.text}\n"
        elif block.language == "python":
            file = folder / f"line{block.line}.py"
            file.write_text(block.body, encoding="utf-8")
            body = f"python {shlex.quote(str(file))}\n"
        else:
            body = block.body
        lines += [f"echo {shlex.quote(f'{name} line {block.line}: {body.strip()}')}", body]
    return "\n".join(lines)


if __name__ == "__main__":
    page, folder = Path(sys.argv[1]), Path(sys.argv[2])
    languages = ("sh",) if sys.argv[3:] == ["--only", "sh"] else ("sh", "python")
    (folder / f"{page.stem.lower()}.sh").write_text(script(page.read_text(encoding="utf-8"), folder, page.stem, languages), encoding="utf-8")
