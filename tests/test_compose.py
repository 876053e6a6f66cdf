"""Composing: both ways of ours give what Hydra gives job by job, and how long planning takes."""

from __future__ import annotations

import itertools
import time
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra._internal.utils import create_config_search_path
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gradyn.core import ConfigError
from hydra_plugins.gradyn._arithmetic import lower
from hydra_plugins.gradyn._jobs import Jobs
from hydra_plugins.gradyn._mentions import EVERYTHING, closure, mentions
from hydra_plugins.gradyn._parts import Parts
from hydra_plugins.gradyn._planner import jobs_from
from hydra_plugins.gradyn._session import hydra_ready
from hydra_plugins.gradyn.compose import plan

# What either side raises for a config that can't be composed or resolved.
Unresolvable = (HydraException, OmegaConfBaseException, ConfigError, ValueError)


# ---- Hydra itself as the oracle


def hydra_jobs(loader: ConfigLoaderImpl, arguments: list[str]) -> list[dict[str, Any]]:
    """Every job's resolved config, by stock Hydra: its sweeper splits, its loader composes each job from nothing."""
    overrides = OverridesParser.create(config_loader=loader).parse_overrides(arguments)
    (jobs,) = BasicSweeper.split_arguments(overrides, max_batch_size=None)
    found = []
    for job in jobs:
        # The stock sweeper writes `~key` as `~key=null`, which Hydra 1.4 takes for "only if it holds null".
        lines = [line.removesuffix("=null") if line.removesuffix("=null") in arguments else line for line in job]
        config = loader.load_configuration("config", lines, run_mode=RunMode.RUN)
        OmegaConf.set_struct(config, False)
        del config["hydra"]
        found.append(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
    return found


def our_jobs(loader: ConfigLoaderImpl, arguments: list[str], by_option: bool | None) -> tuple[list[dict[str, Any]], str]:
    """The same by ours, and the note on the way."""
    jobs, _, note = jobs_from(loader, "config", [], arguments, None, None, by_option)
    return list(jobs.values(lambda _, value: value)), note


def outcome(compose: Any) -> Any:
    """What comes out, or that it can't be composed."""
    try:
        return compose()
    except Unresolvable:
        return "refused"


# ---- configs at random

GROUPS = ("a", "b", "c")
OPTIONS = (0, 1, 2)


@st.composite
def option_files(draw: st.DrawFn, group: str) -> dict[str, str]:
    """The YAML files of one group; now and then with a package, a defaults list or an interpolation of every kind."""
    kind = draw(st.sampled_from(["plain", "plain", "plain", "global", "package", "override", "nested"]))
    odd = draw(st.integers(0, 2))
    others = [other for other in GROUPS if other != group]
    other = draw(st.sampled_from(others))
    files = {}
    for option in OPTIONS:
        value = draw(st.sampled_from(["1", "2.5", "text", "${p}", f"${{{other}.x}}", "${.y}", "[1, '${q}']", "{m: 1, n: '${p}'}", "null"]))
        lines = [f"x: {value}" if value[:1] in "[{" else f"x: '{value}'" if "$" in value else f"x: {value}", f"y: {option}"]
        if draw(st.booleans()):
            lines.append(f"only_{option}: {draw(st.integers(0, 9))}")
        if kind == "global" and option == odd:
            lines = ["# @package _global_", f"{group}:", *(f"  {line}" for line in lines), f"{other}:", "  x: from_afar", "p: 77"]
        elif kind == "package" and option == odd:
            lines = [f"# @package {draw(st.sampled_from([other, 'elsewhere', group + '.deep']))}", *lines]
        elif kind == "override" and option == odd:
            lines = ["# @package _global_", "defaults:", f"  - override /{other}: {other}2", f"{group}:", *(f"  {line}" for line in lines)]
        elif kind == "nested" and option == odd:
            lines = ["defaults:", "  - /extra: e1", *lines]
        files[f"{group}/{group}{option}.yaml"] = "\n".join(lines) + "\n"
    return files


@st.composite
def config_folders(draw: st.DrawFn) -> dict[str, str]:
    """A whole config folder: file name -> text."""
    files: dict[str, str] = {"extra/e1.yaml": "z: 1\n", "extra/e2.yaml": "z: '${p}'\n"}
    for group in GROUPS:
        files |= draw(option_files(group))
    for first, second in itertools.product(OPTIONS, OPTIONS):
        files[f"pair/a{first}_b{second}.yaml"] = f"product: {first * second}\n"
    order = list(draw(st.permutations(GROUPS)))
    defaults = [f"  - {group}: {group}{draw(st.sampled_from(OPTIONS))}" for group in order]
    own = draw(st.sampled_from([[], ["a:", "  x: written_by_self"], ["b:", "  y: '${a.y}'"], ["c: {x: '${r}'}"]]))
    if draw(st.booleans()):
        defaults.append("  - pair: ${a}_${b}")
    defaults.insert(draw(st.sampled_from([len(defaults), len(defaults) - 1])), "  - _self_")
    defaults.append("  - experiment: null")
    values = ["p: 1", "q: 2", f"r: {draw(st.sampled_from(['3', chr(36) + '{p}', chr(36) + '{q}_' + chr(36) + '{p}', '[4, 5]']))}"]
    files["config.yaml"] = "\n".join(["defaults:", *defaults, *values, *own]) + "\n"
    files["experiment/e.yaml"] = "\n".join(["# @package _global_", "defaults:", "  - override /b: b1", "p: 9", "a:", "  y: 8", "new: '${q}'"]) + "\n"
    return files


@st.composite
def argument_lists(draw: st.DrawFn) -> list[str]:
    """A command line: sweeps over one to three keys, some fixed values, each kind of override."""
    some = [
        "a=a0,a1", "b=b1,b2", "c=c2,c0,c1", "a=a1", "b=b0", "p=1,5", "p=range(3)", "q=7", "q=${p}", "r=[1,2]", "r=x,y", "experiment=e",
        "a.x=3,4", "a.y=6", "b.y=${q}", "c.x='quoted, text'", "+a.added=1,2", "++a.forced=${p}", "+fresh=1,2", "~a.y", "~c", "~r", "a.only_1=3",
        "b={y:3}", "p=null", "q=true,false", "c=glob(c*)", "+extra=e1,e2", "p=1.5e-3,2", "r=${a.y}",
    ]  # fmt: skip
    chosen = draw(st.lists(st.sampled_from(some), min_size=1, max_size=5))
    return list({line.partition("=")[0]: line for line in chosen}.values())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A place for config folders, one a drawing."""
    with hydra_ready():
        yield tmp_path_factory.mktemp("configs")


COUNT = itertools.count()


def written(folder: Path, files: dict[str, str]) -> ConfigLoaderImpl:
    """A loader of freshly written files."""
    root = folder / str(next(COUNT))
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return ConfigLoaderImpl(create_config_search_path(f"file://{root}"))


@settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(files=config_folders(), arguments=argument_lists())
def test_both_ways_of_composing_give_what_hydra_gives(folder: Path, files: dict[str, str], arguments: list[str]) -> None:
    loader = written(folder, files)
    theirs = outcome(lambda: hydra_jobs(loader, arguments))
    for by_option in (None, False):
        ours = outcome(lambda way=by_option: our_jobs(loader, [lower(line) for line in arguments], way)[0])
        assert ours == theirs, (by_option, arguments)


def test_plain_groups_are_composed_by_option_and_anything_else_by_combination(folder: Path) -> None:
    option = "x: 1\ny: '${p}'\n"
    files = {"config.yaml": "defaults:\n  - a: a0\n  - b: b0\n  - _self_\n  - pair: ${a}\np: 1\n"}
    files |= {f"{group}/{group}{number}.yaml": option for group in "ab" for number in range(4)}
    files |= {f"pair/a{number}.yaml": "z: 1\n" for number in range(4)}
    arguments = ["a=a0,a1,a2", "b=b0,b1,b2,b3"]

    _, note = our_jobs(written(folder, files), arguments, None)
    assert note == "composed by combination of options (12 compositions by Hydra for 12), because a defaults list chooses by another option"

    files["config.yaml"] = files["config.yaml"].replace("${a}", "a0")
    _, note = our_jobs(written(folder, files), arguments, None)
    assert note == "composed by option (4 compositions by Hydra)"

    for text, reason in (
        ("# @package _global_\nx: 1\n", "a=a2 writes outside its own group"),
        ("# @package _global_\ndefaults:\n  - override /b: b1\n", "a=a2 has a defaults list of its own"),
    ):
        _, note = our_jobs(written(folder, files | {"a/a2.yaml": text}), arguments, None)
        assert note.endswith(f"because {reason}")


PAIRED = "defaults: [b: b0, a: a0, _self_, 'pair@_global_': '${a}']\np: 1\n"


@pytest.mark.parametrize(
    ("broken", "files", "arguments"),
    [
        # The obstacle to composing by option goes unseen.
        ("Parts._obstacle", {"a/a1.yaml": "# @package _global_\na: {x: 1}\nb: {x: 9}\n"}, ["a=a0,a1", "b=b0,b1"]),
        ("Parts._obstacle", {"a/a1.yaml": "# @package _global_\ndefaults:\n  - override /b: b1\n"}, ["a=a0,a1"]),
        ("Parts._obstacle", {"pair/a0.yaml": "{}", "pair/a1.yaml": "b: {x: 5}\n", "config.yaml": PAIRED}, ["a=a0,a1", "b=b0,b1"]),
        # What a value reads goes unseen.
        ("Jobs._reads", {"a/a0.yaml": "x: ${b.x}\n"}, ["b=b0,b1"]),
        ("Jobs._reads", {"a/a0.yaml": "x: ${p}\n"}, ["p=1,2"]),
        # Values are set in another order than given.
        ("Jobs._order", {}, ["+a.new={x:1}", "a.new.x=2"]),
    ],
)
def test_a_broken_way_of_composing_is_told_from_hydras(
    folder: Path, monkeypatch: pytest.MonkeyPatch, broken: str, files: dict[str, str], arguments: list[str]
) -> None:
    plain = {"config.yaml": "defaults: [b: b0, a: a0, _self_]\np: 1\n"} | {f"{g}/{g}{n}.yaml": f"x: {n}\n" for g in "ab" for n in (0, 1)}
    loader = written(folder, plain | files)
    theirs = outcome(lambda: hydra_jobs(loader, arguments))

    def ours() -> Any:
        return outcome(lambda: our_jobs(loader, [lower(line) for line in arguments], None)[0])

    assert theirs != "refused"
    assert ours() == theirs
    if broken == "Parts._obstacle":
        monkeypatch.setattr(Parts, "_obstacle", lambda self: None)
    elif broken == "Jobs._reads":
        reads = Jobs._reads
        monkeypatch.setattr(Jobs, "_reads", lambda self: {key: set() for key in reads(self)})
    else:
        begin = Jobs.__init__
        monkeypatch.setattr(Jobs, "__init__", lambda self, *given: (begin(self, *given), self._settings.reverse())[0])
    assert ours() != theirs


# ---- what reads what


@pytest.mark.parametrize(
    ("value", "reads"),
    [
        (3, set()),
        ("${depth}", {"depth"}),
        ("${ init.gain }/${width}", {"init", "width"}),
        ({"a": "${.b}", "b": 1}, set()),
        ("${.b}", {EVERYTHING}),
        ({"a": "${..depth}"}, {EVERYTHING}),
        (["${depth}", "${f:${width}}"], {"depth", "width", EVERYTHING}),
        ("${oc.env:HOME}", set()),
    ],
)
def test_what_a_value_reads_is_told_from_its_text_or_taken_to_be_everything(value: Any, reads: set[str]) -> None:
    assert mentions(value) == reads


def test_reading_goes_through_others() -> None:
    closed = closure({"a": {"b"}, "b": {"c"}, "c": set(), "d": {EVERYTHING}})
    assert closed == {"a": {"a", "b", "c"}, "b": {"b", "c"}, "c": {"c"}, "d": {"a", "b", "c", "d"}}


# ---- speed


def test_the_default_experiment_is_composed_once_an_option_and_not_once_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from hydra._internal.config_loader_impl import ConfigLoaderImpl

    composed = []
    compose = ConfigLoaderImpl._load_configuration_impl
    monkeypatch.setattr(ConfigLoaderImpl, "_load_configuration_impl", lambda *given, **named: composed.append(1) or compose(*given, **named))
    made = plan(["experiment=vanishing_exploding"])
    assert len({spec.run_id for spec in made.specs}) == 4320
    # What Hydra takes some tenths of a second for: once in all, and once for the longest list of options, whose others come along.
    assert 1 <= len(composed) <= 10, f"Hydra composed {len(composed)} times"


def test_planning_grows_no_faster_than_the_grid() -> None:
    def seconds(runs: int) -> float:
        # The least of three: a collection of garbage or a neighbour on the core only adds.
        found = []
        for _ in range(3):
            before = time.process_time()
            assert len(plan([f"seed=range({runs // 10})", "depth=2,4,8,16,32", "learning_rate=0.1,0.2"]).specs) == runs
            found.append(time.process_time() - before)
        return min(found)

    seconds(10)
    fixed = seconds(10)
    small, large = seconds(2_000) - fixed, seconds(20_000) - fixed
    # Ten times the runs; a quadratic step would take a hundred times as long.
    assert large < 25 * small


def test_a_planned_run_takes_a_few_hundred_bytes() -> None:
    def peak(runs: int) -> int:
        tracemalloc.start()
        try:
            kept = plan([f"seed=range({runs // 10})", "depth=2,4,8,16,32", "init=gaussian", "init.sigma_w=1,2"])
            assert len(kept.specs) == runs
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    peak(10)
    # A spec has 19 slots and a header (184 B), its id 16 letters (65 B), both an entry of the table that finds twins (104 B while it
    # doubles: 156 B) and of the plan's tuples (16 B): 421 B. Nothing else may be kept of a run.
    assert (peak(20_000) - peak(1_000)) / 19_000 < 450


@pytest.mark.bench
def test_a_hundred_thousand_runs_are_planned(capsys: pytest.CaptureFixture[str]) -> None:
    before = time.process_time()
    assert len(plan(["seed=range(1000)", "depth=2,4,8,16,32", "init=gaussian", "init.sigma_w=linspace(0.5,3,20)"]).specs) == 100_000
    with capsys.disabled():
        print(f"\nplanning 100,000 runs: {time.process_time() - before:.1f} s of processor time (goal 10)")
