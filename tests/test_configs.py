"""The YAML files: each is an option with its class, each class is an option, each option is reached by a plan."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
import yaml

import gradyn.sweep  # noqa: F401  (every group is loaded with it)
from catalogue import shipped
from gradyn.core import groups, packaged
from hydra_plugins.gradyn._session import hydra_ready, loader
from hydra_plugins.gradyn._specs import Specs
from hydra_plugins.gradyn.compose import plan
from idx_files import arrays, write_folder

CONFIGS = packaged("configs")
OPTIONS = [(group, path.stem) for group in groups() for path in sorted((CONFIGS / group).glob("*.yaml"))]
# Those that sweep; the others only measure, and a plan of one is refused (test_measured.py).
EXPERIMENTS = [path.stem for path in sorted((CONFIGS / "experiment").glob("*.yaml")) if "hydra" in yaml.safe_load(path.read_text(encoding="utf-8"))]
CURES = [path.stem for path in sorted((CONFIGS / "cure").glob("*.yaml"))]
FILES = sorted(CONFIGS.rglob("*.yaml"))
# What a data set asks of the rest of a run.
NEEDS = {
    "pair": ["batch_size=2", "loss=cotangent"],
    **{curve: ["loss=cotangent"] for curve in ("circle", "arc", "line")},
    "idx": ["batch_size=5"],
    "adding": ["loss=mse"],
}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(CONFIGS)))
def test_the_first_lines_say_what_a_file_is(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    # Hydra reads a package only from the first line; what the file is comes right after.
    first = lines[1] if lines[0].startswith("# @package") else lines[0]
    assert first.startswith("# ")
    assert len(first) > 20
    assert first.endswith((".", ".)", "two dollar signs are one)."))


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_an_option_is_the_class_of_its_name_with_the_defaults_of_its_fields(group: str, option: str) -> None:
    values = yaml.safe_load((CONFIGS / group / f"{option}.yaml").read_text(encoding="utf-8"))
    cls = shipped(group)[option]
    assert values.pop("_target_") == f"{cls.__module__.rsplit('.', 1)[0]}.{cls.__name__}"
    assert values == {field.name: field.default for field in dataclasses.fields(cls)}


@pytest.mark.parametrize("group", groups())
def test_every_final_class_is_an_option(group: str) -> None:
    assert {option for other, option in OPTIONS if other == group} == set(shipped(group))


@pytest.mark.parametrize("option", [option for group, option in OPTIONS if group == "data"])
def test_every_data_set_is_reached_by_a_plan(option: str, tmp_path: Path) -> None:
    needs = list(NEEDS.get(option, []))
    if option == "idx":
        needs.append(f"data.path={write_folder(tmp_path / 'idx', arrays())}")
    (spec,) = plan([f"data={option}", *needs]).specs
    assert spec.data.name == option


@pytest.mark.parametrize("group", [group for group in groups() if group != "data"])
def test_every_option_of_a_group_is_reached_by_one_sweep(group: str) -> None:
    # What all cells can do: digits row by row, with the gates' own nonlinearity; and a cell that all penalties are for.
    fitting = {"cell": ["activation=tanh", "depth=9"], "penalty": ["cell=rnn", "depth=9"]}
    made = plan([f"{group}=glob(*)", *fitting.get(group, [])])
    assert [spec.components[group].name for spec in made.specs] == sorted(shipped(group))


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_is_planned_into_a_folder_of_its_own_name(experiment: str) -> None:
    made = plan([f"experiment={experiment}"])
    assert len(made.specs) > 1
    assert made.folder == Path("results") / experiment
    # What is measured after the last step of the longest run would never be measured.
    assert max(made.log.layers.steps or (0,)) < max(1, *(spec.steps for spec in made.specs))


def test_the_default_experiment_is_the_grid_that_it_is_said_to_be() -> None:
    made = plan(["experiment=vanishing_exploding"])
    assert len(made.specs) == 4320
    assert {key: len(values) for key, values in made.axes.items()} == {"depth": 6, "activation": 4, "init": 5, "norm": 3, "residual": 2, "clip": 2, "seed": 3}
    assert made.log.settings == {"layers": [0, 1, 2, 5, 10, 20, 49], "steps": "all"}
    assert {(spec.width, spec.batch_size, spec.steps, spec.data.name) for spec in made.specs} == {(64, 128, 50, "digits")}


def test_the_first_look_is_what_the_default_experiment_takes_first() -> None:
    default, quick = plan(["experiment=vanishing_exploding"]), plan(["experiment=quick"])
    first = {spec.run_id for spec in default.specs if default.is_first(spec)}
    assert first == {spec.run_id for spec in quick.specs}
    assert default.log == quick.log


@pytest.mark.parametrize("cure", CURES)
def test_a_cure_changes_the_ill_net_in_one_thing(cure: str) -> None:
    (ill,), (cured,) = plan(["cure=sick"]).specs, plan([f"cure={cure}"]).specs
    changed = {group for group in ill.components if ill.components[group] != cured.components[group]}
    expected = {"sick": set(), "relu_he": {"activation", "init"}, "orthogonal_tanh": {"activation", "init"}}
    assert changed == expected.get(cure, changed)
    assert len(changed) == len(expected.get(cure, {"one"}))


def test_trainable_depth_chooses_among_five_rates_for_every_cure() -> None:
    made = plan(["experiment=trainable_depth"])
    assert set(made.axes["cure"]) == set(CURES)
    assert made.axes["learning_rate"] == (0.003, 0.01, 0.03, 0.1, 0.3)
    assert {spec.steps for spec in made.specs} == {400}
    assert len(made.specs) == 6 * len(CURES) * 5


def test_a_folder_of_ones_own_adds_options(tmp_path: Path) -> None:
    (tmp_path / "init").mkdir()
    (tmp_path / "init" / "mine.yaml").write_text("# Mine.\n_target_: gradyn.nn.Gaussian\nsigma_w: 1.3\nsigma_b: 0.1\n")
    made = plan(["init=mine,he_normal"], config_dir=tmp_path)
    assert [(spec.init.name, spec.init.settings) for spec in made.specs] == [("gaussian", {"sigma_w": 1.3, "sigma_b": 0.1}), ("he_normal", {})]


def test_every_key_of_the_config_is_read() -> None:
    with hydra_ready():
        config = loader().load_configuration("config", [], run_mode=None)
    assert set(config) - {"hydra"} == Specs().keys | {"name", "results", "device", "log", "first"}
