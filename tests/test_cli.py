"""The command: what it prints, what it refuses and how, what it leaves behind, and completion in a real bash."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hydra import compose, initialize_config_dir

import gradyn
from gradyn.cli import main
from gradyn.core import ConfigError
from gradyn.sweep import Plan
from hydra_plugins.gradyn._session import hydra_ready

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """`gradyn <words>` in this process, in an empty folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def call(*words: str) -> tuple[int, str, str]:
        code = main(words)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


# Overrides, what the line must say.
REFUSED = [
    (["dept=3"], "dept must be a key of the config; got '3'. Did you mean depth?"),
    (["exec.wokers=2"], "exec.wokers must be a key of the config; got '2'. Did you mean exec.workers?"),
    (["activation=rellu"], "got 'rellu'. Did you mean relu?"),
    (["activation=relu,tahn"], "got 'tahn'. Did you mean tanh?"),
    (["experiment=quik"], "width_over_depth; got 'quik'. Did you mean quick?"),
    (["norm=null"], "got None. Did you mean none?"),
    (["depth="], "depth must have at least one value; got ''."),
    (["seed=range(0)"], "seed must have at least one value; got 'range(0)'."),
    (["activation=glob(zz*)"], "activation must have at least one value; got 'glob(zz*)'."),
    (["depth=2,"], "depth must follow Hydra's grammar"),
    (["depth=interval(1,2)"], "Write linspace(first,last,count)."),
    (["depth=1"], "depth must be a whole number >= 2; got 1."),
    (["depth=abc"], "depth must be a whole number >= 2; got 'abc'."),
    (["depth=[2,4]"], "depth must be a whole number >= 2; got [2, 4]."),
    (["depth=2.5"], "depth must be a whole number >= 2; got 2.5."),
    (["depth=linspace(2,10,4)"], "depth must be a whole number; got 4.666666666666666. Write round(linspace(2,10,4))."),
    (["depth=linspace(2,10)"], "depth must have three numbers in linspace(first,last,count); got 'linspace(2,10)'."),
    (["learning_rate=-1"], "learning_rate must be a finite number >= 0; got -1.0."),
    (["learning_rate=nan"], "learning_rate must be a finite number >= 0; got nan."),
    (["learning_rate=1/0"], "learning_rate must be a finite number; got '1/0'."),
    (["init=gaussian", "init.sigma_w=inf"], "init.sigma_w must be a finite number >= 0; got inf."),
    (["init=gaussian", "init.sigma=2"], "init.sigma must be a field of init=gaussian (it has sigma_b, sigma_w); got '2'. Did you mean init.sigma_w?"),
    (["init=gaussian", "+init.sigma=2"], "Did you mean init.sigma_w?"),
    (["init.sigma_w=2"], "init.sigma_w must be a field of init=he_normal (it has none); got '2'. Options that have it: gaussian."),
    (
        ["init=gaussian,orthogonal", "init.sigma_w=1,2"],
        "orthogonal has no sigma_w; got '1,2'. Use two commands: one with init=gaussian 'init.sigma_w=1,2', one with init=orthogonal.",
    ),
    (["init=looks_linear", "width=63"], "width must be even with init=looks_linear; got 63."),
    (["norm=batch", "batch_size=1"], "batch_size must be at least 2 with norm=batch; got 1."),
    (["norm=layer", "norm.placement=inside"], "norm.placement must be one of pre, post, branch; got 'inside'."),
    (["dtype=float8"], "dtype must be one of float16, bfloat16, float32, float64; got 'float8'."),
    (["exec.backward=magic"], "exec.backward must be one of tracked, plain, flushed; got 'magic'."),
    (["exec.workers=0"], "exec.workers must be a whole number >= 1, or null; got 0."),
    (["exec.workers=1,2"], "exec.workers must be one value a command"),
    (["name=a,b"], "name must be one value a command"),
    (["name=../escape"], "name must be a folder's name"),
    (["device=nowhere"], "device must be a device of this machine; got 'nowhere'."),
    (["data=idx", "data.path=missing"], "data.path must be a folder that exists; got 'missing'."),
    (["log.layers=5"], "log.layers must be all or a list of steps >= 0; got 5."),
    (["log.spectral=maybe"], "log.spectral must be true or false; got 'maybe'."),
    (["log=1"], "log must be a section of log.layers, log.steps, log.probes, log.spectral; got 1. Set one of its keys: log.layers=<value>."),
    (["exec=null"], "exec must be a section of keys; got None. Set one of its keys: exec.backward=<value>."),
    (["exec=1"], "exec must be a section of keys; got 1."),
    (["init=lsuv", "init.max_iterations=2.5"], "init.max_iterations must be a whole number >= 1; got 2.5."),
    (["first={depht:[4]}"], "first.depht must be a setting of a run; got [4]. Did you mean depth?"),
    (["first=3"], "first must be lists of values by key; got 3."),
    (["experiment=vanishing_exploding", "first={width:[4]}"], "first.width must be a key that is there"),
    (["+foo=3"], "foo must be a key that a run reads; got 3."),
    (["~clip"], "clip must be given; got None."),
    (["width=4*dept"], "width must read keys that exist, and dept does not; got '4*dept'. Did you mean depth?"),
    (["width=dtype*2"], "and dtype holds 'float32'"),
    (["width=2*depth", "depth=2*width"], "must not be tied in a circle or to null"),
    (["learning_rate=${rate}"], "learning_rate must resolve to a value; got '${rate}'. Interpolation key 'rate' not found."),
    (["width=${hydra:job.name}"], "width must not depend on how Hydra was started; got '${hydra:job.name}'."),
    (["experiment=quick,trainable_depth"], "experiment must be one option a command"),
    (
        ["depth=2,4", "width=8,16,32", "hydra.sweeper.zip=[[depth,width]]"],
        "hydra.sweeper.zip must join keys of equally many values; got {'depth': 2, 'width': 3}.",
    ),
    (["depth=2,4", "hydra.sweeper.zip=[[depth,width]]"], "hydra.sweeper.zip must name swept keys; got 'width'."),
    (["hydra.sweeper.zip=depth"], "hydra.sweeper.zip must be lists of two or more swept keys; got 'depth'."),
    (["--bogus"], "gradyn plan must be given flags that it knows; got 'unrecognized arguments: --bogus'."),
    (["--config-dir", "missing"], "--config-dir must be an existing folder; got 'missing'."),
    (["--config-name", "missing"], "--config-name must name a YAML file on the search path; got 'missing'."),
]


@pytest.mark.parametrize(("words", "line"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else "")
def test_bad_input_is_refused_in_one_line_with_exit_code_2(run: Run, words: list[str], line: str) -> None:
    code, out, err = run("plan", *words)
    assert code == 2
    assert line in err
    assert err.startswith("gradyn: ")
    assert err.count("\n") == 1
    assert out == ""
    assert "HYDRA_FULL_ERROR" not in err
    assert list(Path.cwd().iterdir()) == []


@pytest.mark.parametrize(
    "words", [["dept=3"], ["activation=rellu"], ["depth="], ["init=gaussian,orthogonal", "init.sigma_w=1,2"], ["width=4*dept"], ["learning_rate=${rate}"]]
)
def test_sweep_refuses_as_plan_does_and_so_does_python(run: Run, words: list[str]) -> None:
    planned, swept = run("plan", *words), run("sweep", *words)
    assert swept == planned
    with pytest.raises(ConfigError) as refused:
        gradyn.plan(words)
    assert planned[2] == f"gradyn: {refused.value}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("# Mine.\n_target_: gradyn.nn.Gaussian\nsigma_w: [1\n", "must be valid YAML"),
        ("# Mine.\n_target_: gradyn.nn.Gausian\n", "init._target_ must be a class that can be imported; got 'gradyn.nn.Gausian'."),
        ("# Mine.\n_target_: gradyn.nn.Relu\n", "init._target_ must be a class of the group init; got 'gradyn.nn.Relu'."),
        ("# Mine.\nsigma_w: 1\n", "init must be an option of its group; got {'sigma_w': 1}."),
        ("# Mine.\n_target_: gradyn.nn.Gaussian\nsigma_w: ???\n", "init.sigma_w must be given; got '???'. Add init.sigma_w=<value>."),
        ("# Mine.\n_target_: gradyn.nn.Gaussian\nsigma_w: ${nothing}\n", "init.sigma_w must resolve to a value; got '${nothing}'."),
        ("# Mine.\ndefaults:\n  - /init: missing\n", "init must be one of"),
    ],
)
def test_a_wrong_file_of_ones_own_is_refused_in_one_line(run: Run, tmp_path: Path, text: str, line: str) -> None:
    (tmp_path / "own" / "init").mkdir(parents=True)
    (tmp_path / "own" / "init" / "mine.yaml").write_text(text)
    code, out, err = run("plan", "--config-dir", "own", "init=mine")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert line in err


def test_an_unknown_command_names_the_nearest(run: Run) -> None:
    assert run("swep")[::2] == (
        2,
        "gradyn: the command must be one of sweep, plan, status, figures, animate, report, reproduce, completion; got 'swep'. Did you mean gradyn sweep?\n",
    )
    assert "Write gradyn sweep depth=3." in run("depth=3")[2]


def test_no_arguments_show_where_to_begin(run: Run) -> None:
    code, out, _ = run()
    assert code == 0
    assert "gradyn sweep experiment=quick" in out
    assert run("--help")[1] == out


def test_the_version_is_the_packages(run: Run) -> None:
    assert run("--version")[1].startswith("gradyn ")


def test_help_lists_groups_options_and_ranges(run: Run) -> None:
    code, out, _ = run("sweep", "--help")
    assert code == 0
    for text in (
        "activation: elu, erf, gelu",
        "linspace(a,b,n)",
        "logspace(p,q,n)",
        "hydra.sweeper.zip",
        "learning_rate: 0.1",
        'eval "$(gradyn completion bash)"',
    ):
        assert text in out
    assert run("plan", "--help")[1] == out
    assert "Hydra" in run("sweep", "--hydra-help")[1]


def test_cfg_prints_the_configuration(run: Run) -> None:
    code, out, _ = run("sweep", "--cfg", "job", "depth=3", "init=gaussian", "init.sigma_w=1.5")
    assert code == 0
    assert "depth: 3" in out
    assert "sigma_w: 1.5" in out
    assert "hydra" not in out
    assert run("plan", "depth=3", "--cfg", "job", "init=gaussian", "init.sigma_w=1.5")[1] == out
    assert "depth must be one value here; got '3,4'." in run("sweep", "--cfg", "job", "depth=3,4")[2]


def test_plan_prints_axes_counts_and_how_it_was_composed(run: Run) -> None:
    code, out, _ = run("plan", "name=mine", "depth=2,4", "init=gaussian", "init.sigma_w=linspace(1,2,3)")
    assert code == 0
    assert out.splitlines() == [
        "mine: 6 runs, 0 already done, 6 to do, in results/mine",
        "  depth            2  2, 4",
        "  init.sigma_w     3  1, 1.5, 2",
        "  composed by option (1 composition by Hydra)",
    ]


def test_plan_lists_runs_with_the_ids_that_python_has(run: Run) -> None:
    words = ["depth=2,4", "seed=0,1"]
    _, out, _ = run("plan", *words, "--runs")
    listed = [line.split() for line in out.splitlines()[-4:]]
    specs = gradyn.plan(words)
    assert [line[0] for line in listed] == [spec.run_id for spec in specs]
    assert listed[-1][1:] == ["to", "do", "depth=4", "seed=1"]


def test_a_sweep_runs_its_plan_and_the_next_plan_knows(run: Run, tmp_path: Path) -> None:
    words = ["name=small", "depth=2,3", "width=8", "steps=1", "batch_size=16", "exec.workers=1"]
    code, out, err = run("sweep", *words)
    assert (code, err) == (0, "")
    assert out.startswith("small: 2 runs, 0 already done, 2 to do, in results/small\n")
    assert run("plan", *words, "seed=0,1")[1].startswith("small: 4 runs, 2 already done, 2 to do, in results/small\n")
    # No outputs/, no multirun/, no .hydra.
    assert [path.name for path in tmp_path.iterdir()] == ["results"]
    assert set(gradyn.load("results/small").runs["run_id"]) == {spec.run_id for spec in gradyn.plan(words)}
    assert "log.layers must be as in results/small" in run("plan", *words, "log.layers=[0]")[2]


def test_a_sweep_leaves_spectral_norms_out_on_request(run: Run, tmp_path: Path) -> None:
    words = ["name=small", "width=8", "steps=1", "batch_size=16", "exec.workers=1"]
    assert run("sweep", *words, "depth=2", "log.spectral=false")[0] == 0
    assert "log.spectral must be as in results/small; got None. One folder has one log specification" in run("plan", *words, "depth=3")[2]
    assert run("sweep", *words, "depth=3", "log.spectral=false")[0] == 0
    # The other way round nothing is missing: a folder that has them takes runs without.
    assert run("sweep", *words, "depth=2", "name=full")[0] == 0
    assert run("sweep", *words, "depth=3", "name=full", "log.spectral=false")[0] == 0
    assert run("sweep", *words, "depth=2", "name=normed", "norm=batch")[0] == 0
    # What a figure says of a bound follows what it has; with a norm there is none.
    captions = [Path(f"results/{name}/figures/norms_by_layer.md").read_text(encoding="utf-8") for name in ("small", "full", "normed")]
    assert ["Dashed: the most" in caption for caption in captions] == [False, True, False]
    layers = gradyn.load("results/full").layers
    assert layers.groupby("run_id")["weight_spectral"].count().sort_values().tolist() == [0, 2]
    bare = gradyn.load("results/small").layers
    assert bare["weight_spectral"].isna().all()
    pd.testing.assert_frame_equal(layers.drop(columns="weight_spectral"), bare.drop(columns="weight_spectral"))


def test_failed_runs_are_retried_on_request(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    launched: list[Plan] = []
    with hydra_ready():
        from hydra_plugins.gradyn.launcher import LocalLauncher
    monkeypatch.setattr(LocalLauncher, "launch_plan", lambda self, plan: launched.append(plan) or 1)
    assert run("sweep", "depth=3")[0] == 1
    assert run("sweep", "--retry-failed", "depth=3")[0] == 1
    assert [plan.execution.retry_failed for plan in launched] == [False, True]


def test_figures_are_drawn_of_the_folder_named(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr("gradyn.report.figures", lambda folder, **settings: asked.append((folder, settings)) or [Path("a.png")])
    assert run("figures", "results/quick", "--only", "maps", "--format", "png,svg") == (0, "a.png\n", "")
    assert asked == [("results/quick", {"only": ["maps"], "formats": ("png", "svg"), "width": "full", "show": None})]
    assert run("figures")[::2] == (2, "gradyn figures: the following arguments are required: FOLDER. gradyn figures --help says more.\n")


def test_planning_inside_another_hydra_application_leaves_it_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("x: 1\n")
    with initialize_config_dir(str(tmp_path), version_base="1.3"):
        assert len(gradyn.plan(["depth=2,4"])) == 2
        assert compose("config", ["x=2"]) == {"x": 2}


def test_the_module_is_the_command(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "gradyn", "plan", "dept=3"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "gradyn: dept must be a key of the config; got '3'. Did you mean depth?\n"
    assert list(tmp_path.iterdir()) == []


# ---- completion

_BASH = """
set -u
export _HYDRA_OLD_COMP=""
eval "$(gradyn completion bash)"
complete -p gradyn > /dev/null || exit 3
for line in "$@"; do
    COMP_LINE="$line"
    COMP_POINT=${#COMP_LINE}
    COMP_WORDS=($COMP_LINE)
    [[ "$COMP_LINE" == *" " ]] && COMP_WORDS+=("")
    COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
    COMPREPLY=()
    set +u
    hydra_bash_completion
    set -u
    echo "${COMPREPLY[*]}"
done
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash on this machine")
def test_bash_completes_commands_groups_options_keys_and_lists(tmp_path: Path) -> None:
    command = tmp_path / "bin" / "gradyn"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "import sys; sys.argv[0] = \'gradyn\'; from gradyn.cli import main; sys.exit(main())" "$@"\n')
    command.chmod(0o755)
    lines = ["gradyn sw", "gradyn sweep activation=si", "gradyn plan depth=2,4 activation=relu,ta", "gradyn sweep init=gaussian init.sig", "gradyn sweep learn"]
    path = f"{command.parent}{os.pathsep}{os.environ['PATH']}"
    bash = subprocess.run(["bash", "-c", _BASH, "bash", *lines], cwd=tmp_path, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False)
    assert bash.stderr == ""
    assert bash.stdout.splitlines() == [
        "sweep",
        "activation=sigmoid activation=silu activation=sin",
        "activation=relu,tanh",
        "init.sigma_b= init.sigma_w=",
        "learning_rate=",
    ]


def test_completion_of_nonsense_is_empty(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for line in ("gradyn nonsense x", "gradyn figures nowhere", "gradyn sweep zzz"):
        monkeypatch.setenv("COMP_LINE", line)
        assert run("-sc", "query=bash") == (0, "\n", "")
