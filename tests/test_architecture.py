"""The arrows of the design hold, and each check of them would notice if they did not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import architecture
from architecture import RULES, Module

ROOT = Path(__file__).resolve().parents[1]
Rule = Callable[[list[Module]], list[str]]

COMPONENT = "from dataclasses import dataclass\n\n\n@dataclass(frozen=True, slots=True)\nclass {}:\n    pass\n"
# The smallest tree that keeps every rule; each entry of BROKEN changes or adds one file of it.
GOOD = {
    "gradyn/__init__.py": '"""Front door."""\n\n\ndef plan():\n    import hydra\n    from gradyn.sweep import run\n',
    "gradyn/__main__.py": "from gradyn.cli import main\n",
    "gradyn/cli.py": "import hydra\nimport hydra_plugins.gradyn\nfrom gradyn.report import draw\n\n\ndef main():\n    pass\n",
    "gradyn/core/__init__.py": '"""Core."""\n' + COMPONENT.format("AbstractComponent").replace("pass", 'def check(self):\n        """Refuse."""'),
    "gradyn/nn/__init__.py": '"""What is trained?"""\nfrom gradyn.nn.activations import Relu\n',
    "gradyn/nn/activations.py": "from gradyn.core import AbstractComponent\n"
    + COMPONENT.format("Relu(AbstractComponent)").replace("pass", "def check(self):\n        return"),
    "gradyn/nn/module.py": "from torch import nn\n\n\nclass Module(nn.Module):\n    pass\n",
    "gradyn/store/__init__.py": '"""How is it kept?"""\nfrom gradyn.store.clean import clean\n',
    "gradyn/store/clean.py": "def clean():\n    pass\n",
    "gradyn/autodiff/__init__.py": '"""How are gradients computed?"""\n',
    "gradyn/theory/__init__.py": '"""What is predicted?"""\nfrom gradyn.nn import Relu\n',
    "gradyn/theory/predict.py": "import pandas as pd\n",
    "gradyn/sweep/__init__.py": '"""How does a sweep run?"""\nfrom gradyn.nn import Relu\nfrom gradyn.store import clean\n\n\ndef run():\n    pass\n',
    "gradyn/report/__init__.py": '"""What do we show?"""\nimport matplotlib.pyplot as plt\nfrom gradyn import sweep, theory\n\n\ndef draw():\n    pass\n',
    "gradyn/report/sweeps/__init__.py": '"""What does any sweep show?"""\n',
    "hydra_plugins/gradyn/_planner.py": "from gradyn.sweep import run\n",
    "hydra_plugins/gradyn/sweeper.py": (
        "from typing import TYPE_CHECKING\n\nfrom hydra.plugins.sweeper import Sweeper\n\nif TYPE_CHECKING:\n    from gradyn.sweep import run\n\n\n"
        "def sweep():\n    from gradyn.sweep import run\n"
    ),
}
BROKEN: list[tuple[Rule, str, str]] = [
    (architecture.against_the_arrows, "gradyn/nn/wrong.py", "from gradyn.sweep import run\n"),
    (architecture.against_the_arrows, "gradyn/nn/wrong.py", "def later():\n    import gradyn.sweep\n"),
    (architecture.against_the_arrows, "gradyn/nn/wrong.py", "from gradyn import sweep\n"),
    (architecture.against_the_arrows, "gradyn/nn/wrong.py", "from ..sweep import run\n"),
    (architecture.against_the_arrows, "gradyn/nn/wrong.py", "from gradyn.optim import Sgd\n"),
    (architecture.against_the_arrows, "gradyn/autodiff/wrong.py", "from gradyn.nn import Relu\n"),
    (architecture.against_the_arrows, "gradyn/sweep/wrong.py", "from gradyn.theory import chi_1\n"),
    (architecture.against_the_arrows, "gradyn/theory/wrong.py", "from gradyn.sweep import run\n"),
    (architecture.against_the_arrows, "gradyn/report/wrong.py", "from gradyn import plan\n"),
    (architecture.against_the_arrows, "gradyn/report/wrong.py", "from gradyn.cli import main\n"),
    (architecture.against_the_arrows, "gradyn/report/sweeps/wrong.py", "from gradyn.report.page import report\n"),
    (architecture.against_the_arrows, "gradyn/sweep/wrong.py", "import hydra_plugins.gradyn\n"),
    (architecture.against_the_arrows, "gradyn/elsewhere/__init__.py", '"""Where?"""\nfrom gradyn.core import stream\n'),
    (architecture.libraries_out_of_place, "gradyn/sweep/wrong.py", "from hydra.core import utils\n"),
    (architecture.libraries_out_of_place, "gradyn/sweep/wrong.py", "def later():\n    import pandas as pd\n"),
    (architecture.libraries_out_of_place, "gradyn/theory/wrong.py", "import pandas\n"),
    (architecture.libraries_out_of_place, "gradyn/cli.py", "import matplotlib.pyplot as plt\n"),
    (architecture.libraries_out_of_place, "gradyn/__init__.py", '"""Front door."""\nimport hydra\n'),
    (architecture.heavy_plugins, "hydra_plugins/gradyn/wrong.py", "import torch\n"),
    (architecture.heavy_plugins, "hydra_plugins/gradyn/wrong.py", "from gradyn.sweep import run\n"),
    (architecture.behind_the_folder, "gradyn/sweep/wrong.py", "from gradyn.nn.activations import Relu\n"),
    (architecture.behind_the_folder, "gradyn/sweep/wrong.py", "import gradyn.nn.activations\n"),
    (architecture.behind_the_folder, "gradyn/sweep/wrong.py", "from gradyn.nn import activations\n"),
    (architecture.behind_the_folder, "gradyn/sweep/wrong.py", "from gradyn.nn import _kernel\n"),
    (architecture.behind_the_folder, "hydra_plugins/gradyn/wrong.py", "def later():\n    from gradyn.sweep.execute import run\n"),
    (architecture.long_files, "gradyn/nn/wrong.py", "x = 1\n" * 401),
    (architecture.long_files, "gradyn/autodiff/wrong.py", "x = 1\n" * 121),
    (architecture.names_that_say_nothing, "gradyn/nn/utils.py", ""),
    (architecture.names_that_say_nothing, "gradyn/nn/tensor_helpers.py", ""),
    (architecture.names_that_say_nothing, "gradyn/nn/wrong.py", "class RunManager:\n    pass\n"),
    (architecture.folders_without_a_question, "gradyn/nn/deep/wrong.py", ""),
    (architecture.folders_without_a_question, "gradyn/nn/__init__.py", "from gradyn.nn.activations import Relu\n"),
    (architecture.folders_without_a_question, "hydra_plugins/__init__.py", ""),
    (architecture.neither_abstract_nor_final, "gradyn/theory/wrong.py", "class Map:\n    pass\n\n\nclass LengthMap(Map):\n    pass\n"),
    (architecture.mutable_components, "gradyn/nn/wrong.py", "class Tanh(AbstractComponent):\n    pass\n"),
    (architecture.mutable_components, "gradyn/nn/wrong.py", COMPONENT.format("Tanh(AbstractComponent)").replace("slots=True", "slots=False")),
    (architecture.undocumented_methods, "gradyn/theory/wrong.py", "class Map:\n    def fixed_point(self):\n        return 1\n"),
]


def grow(root: Path, files: dict[str, str]) -> list[Module]:
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
    return architecture.read(root)


@pytest.fixture(scope="module")
def modules() -> list[Module]:
    return architecture.read(ROOT / "src")


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_sources_keep_the_rule(rule: Rule, modules: list[Module]) -> None:
    assert modules, "no sources found: the check would be empty"
    breaches = rule(modules)
    assert not breaches, "\n".join([f"{rule.__doc__}", *breaches])


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_small_good_tree_keeps_the_rule(rule: Rule, tmp_path: Path) -> None:
    assert rule(grow(tmp_path, GOOD)) == []


@pytest.mark.parametrize(("rule", "path", "text"), BROKEN, ids=[f"{rule.__name__}-{i}" for i, (rule, _, _) in enumerate(BROKEN)])
def test_one_wrong_file_breaks_its_rule_and_no_other(rule: Rule, path: str, text: str, tmp_path: Path) -> None:
    grown = grow(tmp_path, {**GOOD, path: text})
    broken = {check.__name__: lines for check in RULES if (lines := check(grown))}
    assert list(broken) == [rule.__name__], broken
    assert path.rsplit("/", 1)[0] in broken[rule.__name__][0]


def test_every_rule_has_a_tree_that_breaks_it() -> None:
    assert {rule for rule, _, _ in BROKEN} == set(RULES)


def test_experiments_do_not_train_or_draw_by_themselves() -> None:
    """An experiment reads frames: it imports neither torch, nor Hydra, nor matplotlib."""
    breaches = []
    for file in sorted((ROOT / "experiments").rglob("*.py")):
        (module,) = [m for m in architecture.read(file.parent) if m.path == file.name]
        breaches += [
            f"{file.name}:{item.line}: imports {item.source}" for item in module.imports if item.source.split(".")[0] in {"torch", "hydra", "matplotlib"}
        ]
    assert not breaches, "\n".join(breaches)


def test_every_yaml_says_first_what_it_is() -> None:
    ours = [file for file in sorted((ROOT / "configs").rglob("*.yaml")) if file.relative_to(ROOT / "configs").parts[0] != "local"]
    silent = [file.relative_to(ROOT).as_posix() for file in ours if not file.read_text(encoding="utf-8").startswith("# ")]
    assert not silent, f"line 1 must be a comment with what it is and its source: {silent}"


@pytest.mark.parametrize("folder", ["tests", "experiments", "docs"])
def test_files_beside_the_library_are_as_short(folder: str) -> None:
    assert architecture.long_files(architecture.read(ROOT / folder)) == []
