"""What every test stands on: one thread, float64, a seed by name, and a last word on which laws exclude which components."""

from __future__ import annotations

import importlib.util
import os
import pkgutil
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

# Before matplotlib is first imported: no test may need a display.
os.environ["MPLBACKEND"] = "agg"

import numpy as np
import pytest
import torch

import gradyn
from gradyn.core import groups, options

torch.set_num_threads(1)
CHECKOUT = Path(__file__).resolve().parents[1]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--device`."""
    parser.addoption("--device", default="cpu", help="torch device on which the laws run (cpu, cuda, cuda:1, mps)")


@pytest.fixture(scope="session")
def device(request: pytest.FixtureRequest) -> torch.device:
    """The device named on the command line."""
    return torch.device(request.config.getoption("--device"))


@pytest.fixture(autouse=True)
def _float64() -> Iterator[None]:
    """Every test begins in float64 with torch's generator seeded, and leaves the default dtype as it was."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    yield
    torch.set_default_dtype(before)


@pytest.fixture
def seed(request: pytest.FixtureRequest) -> int:
    """A seed made from the test's own name: the same on every machine, another one for each case."""
    return zlib.crc32(request.node.name.encode())


@pytest.fixture
def rng(seed: int) -> np.random.Generator:
    """A numpy generator of this test alone."""
    return np.random.default_rng(seed)


@pytest.fixture(scope="session")
def reader() -> ModuleType:
    """.ci/readme.py, which is no package."""
    if not (CHECKOUT / ".ci" / "readme.py").exists():
        pytest.skip("the sdist leaves .ci/ out")
    spec = importlib.util.spec_from_file_location("readme", CHECKOUT / ".ci" / "readme.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # A dataclass with postponed annotations looks its module up.
    sys.modules["readme"] = module
    spec.loader.exec_module(module)
    return module


def exclusions() -> list[str]:
    """`group=option: law (reason)` for every law that a component is excluded from."""
    for module in pkgutil.iter_modules(gradyn.__path__):
        # The folders hold the components; cli.py and __main__.py would parse a command line.
        if module.ispkg:
            importlib.import_module(f"gradyn.{module.name}")
    found = []
    for group, abstract in groups().items():
        for option, cls in options(abstract).items():
            found += [f"{group}={option}: {law} ({reason})" for law, reason in cls.excluded.items()]
    return found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """List the exclusions right above the counts, so that a law which no longer holds for somebody is seen at every run."""
    laws = exclusions()
    terminalreporter.write_line(f"{len(laws)} exclusions from laws" + (": " + "; ".join(laws) if laws else ""))
