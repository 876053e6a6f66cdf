"""The rules of the house as functions of a source tree: each returns one line per breach, `path:line: what`.

They read the syntax tree and import nothing, so that they also judge trees which would not run (`test_architecture.py` has some).
"""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

# `core <- {autodiff, nn, data, optim} <- {probes, theory} <- store <- {sweep, monitor} <- report <- cli`, read as one line:
# imports point left, also inside the braces (`optim` may use `nn`, never the reverse).
ORDER = ("core", "autodiff", "nn", "data", "optim", "probes", "theory", "store", "sweep", "monitor", "report", "cli", "__main__")
# A measurement can't depend on a prediction, nor the reverse, though the line alone would let `sweep` see `theory`.
STRANGERS = ({"sweep", "theory"},)
# Files of a folder that are made of its inner folders, which therefore don't know them.
MADE_LAST = {"report": {"experiment", "write", "script", "page", "tables", "scoreboard", "fresh"}}
# Library -> the folders and files (relative to src/) that may import it.
OWNERS = {
    "hydra": ("hydra_plugins/", "gradyn/cli.py"),
    "pandas": ("gradyn/store/", "gradyn/data/", "gradyn/theory/predict.py", "gradyn/monitor/", "gradyn/report/"),
    "matplotlib": ("gradyn/report/",),
}
# Allowed inside a function only: `gradyn.plan` composes, and `import gradyn` stays cheap.
LAZY_OWNERS = {"hydra": ("gradyn/__init__.py",)}
LONGEST, LONGEST_AUTODIFF = 400, 120
NAMES_OF_NOTHING = {"util", "utils", "helper", "helpers", "misc", "common", "manager", "managers"}


@dataclass(frozen=True)
class Import:
    """One import statement: `from source import name` (one per name), or `import source` with no name."""

    line: int
    source: str
    name: str | None
    is_lazy: bool

    @property
    def target(self) -> str:
        """The dotted path as far as it can be a module: `from gradyn import nn` and `import gradyn.nn` are the same."""
        return f"{self.source}.{self.name}" if self.name else self.source


@dataclass(frozen=True)
class Module:
    """A parsed source file; `path` is relative to src/, with slashes."""

    path: str
    text: str
    tree: ast.Module

    @property
    def is_library(self) -> bool:
        """Part of gradyn itself, not of the Hydra plugin."""
        return self.path.startswith("gradyn/")

    @property
    def folder(self) -> str:
        """The first name below `gradyn`: a folder, or a file such as `cli`; empty for the front door `gradyn/__init__.py`."""
        parts = self.path.removesuffix(".py").split("/")[1:]
        return "" if parts == ["__init__"] else parts[0]

    @cached_property
    def imports(self) -> list[Import]:
        """Every import, also those inside functions; relative ones are resolved."""
        package = self.path.split("/")[:-1]
        lazy = {id(inner) for node in ast.walk(self.tree) if _is_postponed(node) for inner in ast.walk(node)}
        found = []
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found += [Import(node.lineno, alias.name, None, id(node) in lazy) for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                source = ".".join([*base, *([node.module] if node.module else [])])
                found += [Import(node.lineno, source, alias.name, id(node) in lazy) for alias in node.names]
        return found

    @property
    def classes(self) -> Iterator[ast.ClassDef]:
        """Every class in the file."""
        return (node for node in ast.walk(self.tree) if isinstance(node, ast.ClassDef))


def read(src: Path) -> list[Module]:
    """Parse every Python file under `src`."""
    found = []
    for file in sorted(src.rglob("*.py")):
        text = file.read_text(encoding="utf-8")
        found.append(Module(file.relative_to(src).as_posix(), text, ast.parse(text, file.as_posix())))
    return found


def against_the_arrows(modules: list[Module]) -> list[str]:
    """A folder imports what stands left of it, and itself; `sweep` and `theory` never meet; nobody inside uses the front door.

    Inner folders don't know what is made of them (`MADE_LAST`).
    """
    found = []
    for module in modules:
        if not module.is_library or module.folder == "":
            continue
        for item in module.imports:
            here, parts = module.folder, item.target.split(".")
            if parts[0] == "hydra_plugins" and here != "cli":
                found.append(f"{module.path}:{item.line}: only cli.py knows the plugin")
            if parts[0] != "gradyn":
                continue
            there = parts[1] if len(parts) > 1 else ""
            if there == here:
                is_inner = module.path.count("/") > 2
                if is_inner and len(parts) > 2 and parts[2] in MADE_LAST.get(here, ()):
                    found.append(f"{module.path}:{item.line}: {here}/{parts[2]}.py is made of this folder")
                continue
            if there not in ORDER:
                found.append(f"{module.path}:{item.line}: imports the front door ({item.target}); import the folder that has the name")
            elif here not in ORDER:
                found.append(f"{module.path}:{item.line}: {here} has no place in the line")
            elif {here, there} in STRANGERS or ORDER.index(there) > ORDER.index(here):
                found.append(f"{module.path}:{item.line}: {here} imports {there}")
    return found


def libraries_out_of_place(modules: list[Module]) -> list[str]:
    """Hydra, pandas and matplotlib are imported where `OWNERS` says and nowhere else."""
    found = []
    for module in modules:
        for item in module.imports:
            library = item.source.split(".")[0]
            if library not in OWNERS or module.path.startswith(OWNERS[library]):
                continue
            if not (item.is_lazy and module.path in LAZY_OWNERS.get(library, ())):
                found.append(f"{module.path}:{item.line}: imports {library}")
    return found


def heavy_plugins(modules: list[Module]) -> list[str]:
    """Hydra imports every plugin module at every start, but those named `_x.py`: at module level they import Hydra and the standard library only."""
    light = {"hydra", "omegaconf", "hydra_plugins", *sys.stdlib_module_names}
    return [
        f"{module.path}:{item.line}: imports {item.source} at module level; do so inside the method that needs it"
        for module in modules
        if module.path.startswith("hydra_plugins/") and not re.search(r"/_[^_][^/]*$", module.path)
        for item in module.imports
        if not item.is_lazy and item.source.split(".")[0] not in light
    ]


def behind_the_folder(modules: list[Module]) -> list[str]:
    """From another folder, names come from the folder itself (`from gradyn.nn import Relu`), and never one with an underscore."""
    files = {module.path.removesuffix(".py").replace("/", ".") for module in modules}
    folders = {module.path.rsplit("/", 1)[0].replace("/", ".") for module in modules}
    # `clean` may be a file of the folder and the function that the folder offers under the same name.
    offered = {f"{item.source.rsplit('.', 1)[0]}.{item.name}" for module in modules if module.path.endswith("__init__.py") for item in module.imports}
    found = []
    for module in modules:
        for item in module.imports:
            parts = item.source.split(".")
            if parts[0] != "gradyn" or (module.is_library and len(parts) > 1 and parts[1] == module.folder):
                continue
            is_file = len(parts) > 2 or (item.target.count(".") > 1 and item.target in files and item.target not in folders | offered)
            if is_file:
                found.append(f"{module.path}:{item.line}: reaches into {item.target}; import from {'.'.join(parts[:2])}")
            elif item.name and item.name.startswith("_") and not item.name.startswith("__"):
                found.append(f"{module.path}:{item.line}: imports the private {item.target}")
    return found


def long_files(modules: list[Module]) -> list[str]:
    """A file holds one idea: at most 400 lines, 120 in autodiff/."""
    found = []
    for module in modules:
        # A front door is a list of names and no reading matter.
        is_course = module.path.startswith("gradyn/autodiff/") and not module.path.endswith("__init__.py")
        limit = LONGEST_AUTODIFF if is_course else LONGEST
        if (lines := len(module.text.splitlines())) > limit:
            found.append(f"{module.path}:{lines}: {lines} lines, at most {limit}")
    return found


def names_that_say_nothing(modules: list[Module]) -> list[str]:
    """No file, folder or class is called utils, helpers, misc, common or manager."""
    found = [
        f"{m.path}:1: its name says nothing"
        for m in modules
        if NAMES_OF_NOTHING & {w for part in m.path.removesuffix(".py").split("/") for w in part.split("_")}
    ]
    found += [f"{m.path}:{c.lineno}: class {c.name}" for m in modules for c in m.classes if c.name.lower().endswith(tuple(NAMES_OF_NOTHING))]
    return found


def folders_without_a_question(modules: list[Module]) -> list[str]:
    """Each folder of gradyn has an `__init__.py` whose docstring says which question it answers; hydra_plugins/ has none (a namespace)."""
    found = []
    by_path = {module.path: module for module in modules}
    for folder in sorted({module.path.rsplit("/", 1)[0] for module in modules if module.is_library}):
        front = by_path.get(f"{folder}/__init__.py")
        if front is None:
            found.append(f"{folder}:1: has no __init__.py")
        elif not ast.get_docstring(front.tree):
            found.append(f"{front.path}:1: has no docstring")
    if "hydra_plugins/__init__.py" in by_path:
        found.append("hydra_plugins/__init__.py:1: would hide every other Hydra plugin that is installed")
    return found


def neither_abstract_nor_final(modules: list[Module]) -> list[str]:
    """A class of ours that has a subclass begins with `Abstract`; exceptions and protocols may refine each other."""
    ours = {c.name for module in modules for c in module.classes}
    return [
        f"{module.path}:{c.lineno}: {c.name} inherits from the final {base}; compose, or make the base abstract"
        for module in modules
        for c in module.classes
        for base in _bases(c)
        if base in ours and not base.startswith("Abstract") and not base.endswith("Error") and "Protocol" not in _bases(c)
    ]


def mutable_components(modules: list[Module]) -> list[str]:
    """A component (anything that descends from AbstractComponent) is `@dataclass(frozen=True, slots=True)`."""
    bases = {c.name: _bases(c) for module in modules for c in module.classes}

    def is_component(name: str) -> bool:
        return name == "AbstractComponent" or any(is_component(base) for base in bases.get(name, ()) if base != name)

    return [
        f"{module.path}:{c.lineno}: component {c.name} is not @dataclass(frozen=True, slots=True)"
        for module in modules
        for c in module.classes
        if (c.name == "AbstractComponent" or any(map(is_component, _bases(c)))) and not any(_is_frozen_dataclass(decorator) for decorator in c.decorator_list)
    ]


def undocumented_methods(modules: list[Module]) -> list[str]:
    """A public method has a docstring, its own or that of the method it overrides; a protocol's stub needs none."""
    bases = {c.name: _bases(c) for module in modules for c in module.classes}
    documented = {(c.name, f.name) for module in modules for c in module.classes for f in _methods(c) if ast.get_docstring(f)}

    def inherits(name: str, method: str) -> bool:
        return any((base, method) in documented or (base != name and inherits(base, method)) for base in bases.get(name, ()))

    return [
        f"{module.path}:{f.lineno}: {c.name}.{f.name} has no docstring"
        for module in modules
        for c in module.classes
        if not c.name.startswith("_")
        for f in _methods(c)
        if not f.name.startswith("_") and not _is_stub(f) and (c.name, f.name) not in documented and not inherits(c.name, f.name)
    ]


RULES = (
    against_the_arrows,
    libraries_out_of_place,
    heavy_plugins,
    behind_the_folder,
    long_files,
    names_that_say_nothing,
    folders_without_a_question,
    neither_abstract_nor_final,
    mutable_components,
    undocumented_methods,
)


def _is_postponed(node: ast.AST) -> bool:
    # What is below it does not run when the file is imported.
    return isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or (isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"))


def _bases(node: ast.ClassDef) -> list[str]:
    # By plain name only: ours are imported so, and `nn.Module` is somebody else's.
    return [base.id for base in node.bases if isinstance(base, ast.Name)]


def _methods(node: ast.ClassDef) -> list[ast.FunctionDef]:
    return [item for item in node.body if isinstance(item, ast.FunctionDef)]


def _is_stub(node: ast.FunctionDef) -> bool:
    return len(node.body) == 1 and ast.unparse(node.body[0]) == "..."


def _is_frozen_dataclass(decorator: ast.expr) -> bool:
    if not (isinstance(decorator, ast.Call) and ast.unparse(decorator.func).split(".")[-1] == "dataclass"):
        return False
    true = {word.arg for word in decorator.keywords if isinstance(word.value, ast.Constant) and word.value.value is True}
    return {"frozen", "slots"} <= true
