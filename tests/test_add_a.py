"""docs/add-a.md, performed: one of each is added to a copy of the tree, and a sweep over all of them runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import architecture

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "add-a.md").read_text(encoding="utf-8")
FROZEN = "\n\n@dataclass(frozen=True, slots=True)"

# group -> (file, option, source); the activation comes from the page itself.
ADDITIONS = {
    "init": (
        "nn/initializers.py",
        "quarter",
        '''
class Quarter(AbstractNormal):
    """W ~ N(0, 1 / (4 fan_in))."""

    def variance(self, fan_out: int, fan_in: int) -> float:
        return 0.25 / fan_in
''',
    ),
    "norm": (
        "nn/normalizations.py",
        "mean_size",
        '''
class MeanSize(AbstractNorm):
    """t over its mean absolute value."""

    @property
    def where(self) -> str:
        return "pre"

    def normalize(self, t: Tensor) -> Tensor:
        return t / t.abs().mean(2, keepdim=True)
''',
    ),
    "residual": (
        "nn/residuals.py",
        "halved",
        '''
class Halved(AbstractBranched):
    """a = 1/2."""

    def branch_scale(self, blocks: int) -> float:
        return 0.5
''',
    ),
    "clip": (
        "optim/clips.py",
        "half",
        '''
class Half(AbstractClip):
    """Half of every gradient."""

    def log2_factors(self, log2_l2_RP: Floats, layer_of: Sequence[int]) -> Floats:
        return np.full_like(log2_l2_RP, -1.0)
''',
    ),
    "penalty": (
        "optim/penalties.py",
        "l4",
        '''
class L4(AbstractWeighted):
    """coefficient * sum W_ij^4."""

    def value(self, w_RNM: Tensor) -> Tensor:
        return self.coefficient * w_RNM.pow(4).sum((1, 2))
''',
    ),
    "rates": (
        "optim/rates.py",
        "slow_readout",
        '''
class SlowReadout(AbstractRates):
    """The readout learns at half of the rate."""

    def factor(self, parameter: Parameter, *, depth: int, width: int, is_adaptive: bool) -> float:
        return 0.5 if parameter.layer == depth else 1.0
''',
    ),
    "optimizer": (
        "optim/optimizers.py",
        "sign_sgd",
        '''
class SignSgd(AbstractOptimizer):
    """w -> w - rate sign(g)."""

    def direction(self, gradients_RP: Tensor, state: State, count: int) -> Tensor:
        return gradients_RP.sign_()
''',
    ),
    "loss": (
        "optim/losses.py",
        "brier",
        '''
class Brier(AbstractLoss):
    """loss_b = ||softmax(output_b) - y_b||^2."""

    target: ClassVar[Target] = "values"

    def per_sample(self, output: Tensor, y: Tensor) -> Tensor:
        return (torch.softmax(output, -1) - y).square().sum(-1)
''',
    ),
    "data": (
        "data/corners.py",
        "corners",
        '''
class Corners(AbstractData):
    """Two signs, labelled by their product."""

    seed: int = 0
    samples: int = 32
    features: int = 2
    classes: int = 2

    def load(self) -> Dataset:
        x = stream(self.seed, "corners").choice([-1.0, 1.0], size=(self.samples, 2))
        return self.parted(x, (x.prod(1) > 0).astype("int64"), None, all_rows(self.samples))
''',
    ),
}
NEW_DATA_FILE = '''"""Corners of a square."""

from __future__ import annotations

from dataclasses import dataclass

from gradyn.core import stream
from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import Dataset, all_rows
'''


def add(tree: Path, group: str, file: str, option: str, text: str, yaml: str | None = None) -> None:
    """What the page asks for: the class in its file, its name in the folder's front door, its YAML."""
    path = tree / "src" / "gradyn" / file
    before = path.read_text(encoding="utf-8") if path.exists() else NEW_DATA_FILE
    path.write_text(before + FROZEN + text, encoding="utf-8")
    name = re.findall(r"^class (\w+)", text, re.MULTILINE)[-1]
    folder = path.parent.name
    with (path.parent / "__init__.py").open("a", encoding="utf-8") as front:
        front.write(f"\nfrom gradyn.{folder}.{path.stem} import {name}  # noqa: E402, F401\n")
    (tree / "configs" / group / f"{option}.yaml").write_text(yaml or f"# Added by a test.\n_target_: gradyn.{folder}.{name}\n", encoding="utf-8")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("copy")
    for name in ("src", "configs", "experiments"):
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    blocks = re.findall(r"^```text\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    add(copy, "activation", "nn/activations.py", "mish", blocks[0].removeprefix(FROZEN.strip()), blocks[1])
    for group, (file, option, text) in ADDITIONS.items():
        add(copy, group, file, option, text)
    return copy


def test_the_copy_still_keeps_the_rules_of_the_house(tree: Path) -> None:
    grown = architecture.read(tree / "src")
    rules = [rule for rule in architecture.RULES if rule is not architecture.long_files]
    sources = architecture.read(ROOT / "src")
    before = {rule.__name__: rule(sources) for rule in rules}
    assert {rule.__name__: rule(grown) for rule in rules} == before


def test_one_of_each_is_added_by_one_class_and_one_yaml_and_runs(tree: Path) -> None:
    options = {"activation": "mish", **{group: option for group, (_, option, _) in ADDITIONS.items()}}
    overrides = ["name=added", "depth=4,6", "width=5", "batch_size=7", "steps=3", "exec.workers=1", *(f"{group}={option}" for group, option in options.items())]
    environment = {**os.environ, "PYTHONPATH": str(tree / "src")}
    swept = subprocess.run(
        [sys.executable, "-m", "gradyn", "sweep", *overrides], cwd=tree, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    assert swept.returncode == 0, swept.stdout + swept.stderr
    read = "import gradyn, json; print(gradyn.load('results/added').runs.to_json(orient='records'))"
    runs = json.loads(subprocess.run([sys.executable, "-c", read], cwd=tree, env=environment, capture_output=True, text=True, check=True).stdout)
    assert [run["depth"] for run in sorted(runs, key=lambda run: run["depth"])] == [4, 6]
    for run in runs:
        assert run["status"] == "ok"
        assert {group: run[group] for group in options} == options
        # Its setting has a column of its own, without a line of schema.
        assert run["penalty.coefficient"] == 1e-4
