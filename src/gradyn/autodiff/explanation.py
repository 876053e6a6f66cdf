"""An explanation is a short function that runs: its body is the code on the page, what it prints is the output on the page.

`gallery.py` lists them in order. A course page shows `code`, `output` and
`why`; a test runs `code` as a script of its own and compares what it prints with `output`, so that no page can drift.

Can't: check that the words in `why` are true. They are prose; whatever can be a number belongs into `output`.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Print = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Explanation:
    """A step of the chapter as code that runs.

    Args:
        title: a sentence, what is to be seen.
        output: what the code prints, line by line.
        steps: a function of `print` whose body is the code; its docstring says why.
    """

    title: str
    output: str
    steps: Callable[[Print], None]

    @property
    def name(self) -> str:
        """The function's name."""
        return self.steps.__name__

    @property
    def why(self) -> str:
        """The reason behind the output, one paragraph."""
        return " ".join((inspect.getdoc(self.steps) or "").split())

    @property
    def code(self) -> str:
        """The body as a script that runs on its own: the imports that it needs, then its lines as they stand in the source."""
        source = textwrap.dedent(inspect.getsource(self.steps))
        body = ast.parse(source).body[0]
        assert isinstance(body, ast.FunctionDef)
        # The first statement is the docstring, which the page shows as `why`.
        first = body.body[1].lineno
        # What is said to the type checker is no business of the page.
        lines = textwrap.dedent("\n".join(line.split("  # type: ignore")[0] for line in source.splitlines()[first - 1 :]))
        words = {node.id for node in ast.walk(ast.parse(lines)) if isinstance(node, ast.Name)}
        own = sorted(word for word in words if getattr(self.steps.__globals__.get(word), "__module__", "").startswith("gradyn."))
        heads = [f"from gradyn.autodiff import {', '.join(own)}"] if own else []
        return "\n".join([*(["import torch"] if "torch" in words else []), *heads, "", lines])

    def run(self) -> str:
        """What the code prints now; the page is right when it equals `output`."""
        lines: list[str] = []

        def collect(*values: Any) -> None:
            lines.append(" ".join(map(str, values)))

        self.steps(collect)
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"# {self.title}\n\n{self.code}\n\n{textwrap.indent(self.run(), '  ')}\n\n{self.why}"


def explains(title: str, output: str) -> Callable[[Callable[[Print], None]], Explanation]:
    """Make an `Explanation` of the function below; `output` is indented as the source is."""

    def wrap(steps: Callable[[Print], None]) -> Explanation:
        return Explanation(title, inspect.cleandoc(output), steps)

    return wrap
