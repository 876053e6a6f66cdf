"""What travels in the wheel, that pins and versions agree, and that the make targets hold on machines unlike this one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NEEDS_MAKE = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


def pins() -> dict[str, Version]:
    """constraints.txt: canonical name -> version."""
    lines = [line for line in (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==\S+", line) for line in lines), "constraints.txt must hold `name==version` only, one a line"
    return {canonicalize_name(line.split("==")[0]): Version(line.split("==")[1]) for line in lines}


def declared() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    return [Requirement(text) for text in [*PROJECT["dependencies"], *(text for texts in extras.values() for text in texts)]]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what a build reads, in a folder whose name has a space."""
    copy = tmp_path_factory.mktemp("a folder")
    for name in ("src", "configs", "experiments", "docs", "tests"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "CITATION.cff", "CONTRIBUTING.md", "Makefile", "constraints.txt"):
        shutil.copy(ROOT / name, copy / name)
    (copy / "configs" / "local").mkdir(exist_ok=True)
    (copy / "configs" / "local" / "own.yaml").write_text("# Nobody else's business.\n")
    return copy


def build(source: Path, target: str, out: Path) -> Path:
    subprocess.run([sys.executable, "-m", "hatchling", "build", "-t", target, "-d", str(out)], cwd=source, check=True, capture_output=True)
    (built,) = out.iterdir()
    return built


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(checkout, "wheel", tmp_path_factory.mktemp("wheel"))


@pytest.mark.parametrize(("folder", "inside"), [("src", ""), ("configs", "gradyn/configs/"), ("experiments", "gradyn/experiments/")])
def test_the_wheel_carries_every_file_of(folder: str, inside: str, wheel: Path, checkout: Path) -> None:
    files = {inside + file.relative_to(checkout / folder).as_posix() for file in (checkout / folder).rglob("*") if file.is_file()}
    # A site's own: git ignores it, and no wheel may carry it.
    own = {name for name in files if name.startswith("gradyn/configs/local/")}
    assert files - own
    assert files - names_in(wheel) == own


def test_the_wheel_carries_nothing_else(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in names_in(wheel)}
    assert tops == {"gradyn", "hydra_plugins", f"gradyn-{PROJECT['version']}.dist-info"}
    assert "hydra_plugins/__init__.py" not in names_in(wheel), "hydra_plugins is a namespace; a file there hides other plugins"


def test_the_wheel_has_the_console_script_and_the_licence(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        info = f"gradyn-{PROJECT['version']}.dist-info"
        assert "gradyn = gradyn.cli:main" in archive.read(f"{info}/entry_points.txt").decode()
        assert b"Apache License" in archive.read(f"{info}/licenses/LICENSE")


def test_a_wheel_built_from_the_sdist_is_the_same_wheel(wheel: Path, checkout: Path, tmp_path: Path) -> None:
    sdist = build(checkout, "sdist", tmp_path / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "source", filter="data")
    (source,) = (tmp_path / "source").iterdir()
    again = build(source, "wheel", tmp_path / "wheel")
    assert names_in(again) == names_in(wheel)
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        differing = [name for name in first.namelist() if first.read(name) != second.read(name)]
    assert not differing


def test_the_version_is_the_same_everywhere() -> None:
    version = PROJECT["version"]
    citation = re.search(r"^version: (\S+)$", (ROOT / "CITATION.cff").read_text(encoding="utf-8"), re.MULTILINE)
    assert citation is not None
    assert citation[1] == version
    headings = re.findall(r"^## \[([^\]]+)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    released = [heading for heading in headings if heading != "Unreleased"]
    assert headings[0] == "Unreleased"
    assert not released or Version(released[0]) <= Version(version)


@pytest.mark.parametrize("requirement", declared(), ids=lambda r: r.name)
def test_every_requirement_is_pinned_to_a_version_in_its_range(requirement: Requirement) -> None:
    pinned = pins()
    name = canonicalize_name(requirement.name)
    assert name in pinned, f"constraints.txt must pin {name}"
    assert pinned[name] in requirement.specifier


def test_what_the_requirements_require_is_pinned_too() -> None:
    """Otherwise `make setup` installs another set of versions next month."""
    pinned, seen, queue = pins(), set(), [canonicalize_name(r.name) for r in declared()]
    while queue:
        name = queue.pop()
        if name in seen:
            continue
        seen.add(name)
        try:
            needed = [Requirement(text) for text in requires(name) or []]
        except PackageNotFoundError:
            continue
        queue += [canonicalize_name(r.name) for r in needed if r.marker is None or r.marker.evaluate({"extra": ""})]
    # A build of torch for an accelerator pins the vendor's libraries itself, and only it knows which.
    loose = {name for name in seen if name not in pinned and not re.match(r"nvidia-|cuda-|triton|pytorch-triton", name)}
    assert not loose, f"constraints.txt must pin {sorted(loose)}"


def test_the_python_range_is_the_same_in_pyproject_and_makefile() -> None:
    assert PROJECT["requires-python"] == ">=3.11,<3.14"
    assert "(3, 11) <= sys.version_info[:2] <= (3, 13)" in (ROOT / "Makefile").read_text(encoding="utf-8")


def make(folder: Path, *arguments: str, path: Path | None = None) -> subprocess.CompletedProcess[str]:
    """`make` in `folder`, with the programs in `path` found first."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    if path is not None:
        environment["PATH"] = f"{path}{os.pathsep}{environment['PATH']}"
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False)


def script(folder: Path, name: str, body: str) -> None:
    file = folder / name
    file.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
    file.chmod(0o755)


@NEEDS_MAKE
def test_make_alone_lists_every_target(checkout: Path) -> None:
    phony = re.search(r"^\.PHONY: (.*)$", (checkout / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert phony is not None
    listed = re.findall(r"^  make (\S+) +\S", make(checkout).stdout, re.MULTILINE)
    assert listed == phony[1].split()


@NEEDS_MAKE
def test_setup_is_done_once_and_again_when_the_pins_change(checkout: Path) -> None:
    stamp = checkout / ".venv" / ".installed"
    stamp.parent.mkdir()
    stamp.touch()
    try:
        assert make(checkout, "-q", "setup").returncode == 0
        later = stamp.stat().st_mtime + 10
        os.utime(checkout / "constraints.txt", (later, later))
        assert make(checkout, "-q", "setup").returncode == 1
    finally:
        shutil.rmtree(stamp.parent)


@NEEDS_MAKE
def test_setup_passes_over_a_python_that_does_not_run(checkout: Path, tmp_path: Path) -> None:
    """A version manager puts stubs on the PATH which only print an error."""
    for name in ("python3", "python3.13", "python3.12", "python3.11"):
        script(tmp_path, name, "echo 'command not found' >&2; exit 127")
    script(tmp_path, "python", f'exec "{sys.executable}" "$@"')
    planned = make(checkout, "-n", "setup", path=tmp_path).stdout
    assert 'test -n "python"' in planned


@NEEDS_MAKE
@pytest.mark.parametrize("version", ["(3, 10)", "(3, 14)"])
def test_setup_refuses_another_python_in_one_line(version: str, checkout: Path, tmp_path: Path) -> None:
    fake = f"import sys; sys.version_info = (*{version}, 0); exec(sys.argv.pop(2))"
    script(tmp_path, "other", f'exec "{sys.executable}" -c "{fake}" "$@"')
    refused = make(checkout, "setup", f"PYTHON={tmp_path / 'other'}")
    assert refused.returncode != 0
    assert "PYTHON must be a Python 3.11, 3.12 or 3.13" in refused.stderr
    assert not (checkout / ".venv").exists()


@NEEDS_MAKE
def test_setup_says_what_to_do_where_there_is_no_python(checkout: Path) -> None:
    refused = make(checkout, "setup", "PYTHON=")
    assert refused.returncode != 0
    assert "Name one: make setup PYTHON=" in refused.stderr
