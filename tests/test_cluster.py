"""Slurm without a Slurm: what is asked of it, how work is cut and handed over, the ledger, and drivers against commands that only pretend."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import gradyn
from gradyn.cli import main
from gradyn.core import ConfigError
from gradyn.nn import Tanh
from gradyn.probes import AbstractProbe, FloatCounts
from gradyn.store import done, open_folder, shard_id
from gradyn.sweep import Execution, Log, Plan, RunSpec, Schedule, Site, SlurmError, in_flight, launch, launch_on_slurm, ledger, pack, slurm
from gradyn.sweep.node import Task
from gradyn.sweep.tasks import Work, ids, seconds, tasks
from runs import make_spec

LOG = Log(Schedule((0, 2)), Schedule(None))
# Answers of Slurm's commands; the queue is a file that a test writes.
FAKES = {
    "sbatch": 'cp "$1" "{0}/script.sh"; n=$(($(cat "{0}/count") + 1)); echo $n > "{0}/count"; echo "Submitted batch job $n"',
    "squeue": 'cat "{0}/queue"',
    "scancel": 'echo "$1" >> "{0}/cancelled"; : > "{0}/queue"',
    "scontrol": 'echo "MaxArraySize            = 3"',
    "srun": "exit 1",
}


def make_plan(folder: Path, specs: list[RunSpec], **execution: Any) -> Plan:
    return Plan(tuple(specs), folder.name, folder, LOG, Execution(**({"workers": 1, "pack_size": 2} | execution)))


def specs(count: int) -> list[RunSpec]:
    return [make_spec(seed=seed) for seed in range(count)]


@pytest.fixture
def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder in which pretended commands of Slurm's keep what they are told; it comes first on the PATH."""
    pytest.importorskip("submitit")
    folder = tmp_path / "fake"
    folder.mkdir()
    for name, text in FAKES.items():
        (folder / name).write_text(f"#!/bin/sh\n{text.format(folder)}\n", encoding="utf-8")
        (folder / name).chmod(0o755)
    (folder / "queue").write_text("", encoding="utf-8")
    (folder / "count").write_text("100", encoding="utf-8")
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def enqueue(fake: Path, *lines: str) -> None:
    (fake / "queue").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def site(**changes: Any) -> Site:
    return Site(**({"wait": False, "shard_minutes": 1e-6, "poll_seconds": 0.01} | changes))


# ---- what is asked


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        ({"time": 1}, "hydra.launcher.time must be a whole number of minutes >= 2; got 1."),
        ({"time": "1:00:00"}, "hydra.launcher.time must be a whole number of minutes >= 2; got '1:00:00'."),
        ({"cpus": 0}, "hydra.launcher.cpus must be a whole number >= 1; got 0."),
        ({"memory": "4 GB"}, "hydra.launcher.memory must be a size such as 4G or 800M, or null; got '4 GB'."),
        ({"partition": "a\nb"}, "hydra.launcher.partition must be one word as sbatch takes it, or null; got 'a\\nb'."),
        ({"account": ""}, "hydra.launcher.account must be one word as sbatch takes it, or null; got ''."),
        ({"max_in_flight": 0}, "hydra.launcher.max_in_flight must be a whole number >= 1, or null; got 0."),
        ({"shard_minutes": 0}, "hydra.launcher.shard_minutes must be a number > 0; got 0."),
        ({"poll_seconds": float("nan")}, "hydra.launcher.poll_seconds must be a number > 0; got nan."),
        ({"wait": "no"}, "hydra.launcher.wait must be true or false; got 'no'."),
        ({"setup": "module load x"}, "hydra.launcher.setup must be a list of lines; got 'module load x'."),
        ({"setup": ["a\nb"]}, "hydra.launcher.setup must be a list of lines; got ('a\\nb',)."),
        ({"sbatch": ["gres=gpu:1"]}, "hydra.launcher.sbatch must be lines such as --gres=gpu:1; got 'gres=gpu:1'."),
        ({"sbatch": ["--array=0-3"]}, "hydra.launcher.sbatch must leave array, job-name"),
        ({"partitoin": "x"}, "hydra.launcher.partitoin must be one of partition, account, time"),
    ],
)
def test_a_wrong_site_is_refused_in_one_line(settings: dict[str, Any], line: str) -> None:
    with pytest.raises(ConfigError) as refused:
        Site.of(settings)
    assert line in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1


def test_the_yaml_has_every_field_with_its_default(capsys: pytest.CaptureFixture[str]) -> None:
    from omegaconf import OmegaConf

    from gradyn.core import packaged

    kept = OmegaConf.to_container(OmegaConf.load(packaged("configs") / "hydra" / "launcher" / "slurm.yaml"))
    assert kept.pop("_target_") == "hydra_plugins.gradyn.launcher.SlurmLauncher"
    assert Site.of(kept) == Site()
    assert list(kept) == list(Site.__dataclass_fields__)


def test_a_dry_run_prints_the_script_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("submitit")
    monkeypatch.chdir(tmp_path)
    # No Slurm on this machine is no reason to refuse.
    monkeypatch.setenv("PATH", "/nowhere")
    own = tmp_path / "own" / "hydra" / "launcher"
    own.mkdir(parents=True)
    (own / "site.yaml").write_text("# Mine.\ndefaults:\n  - slurm\npartition: fast\naccount: me\nsbatch: ['--gres=gpu:1']\nsetup: ['module load x']\n")
    words = ["name=dry", "depth=2,4", "--config-dir", "own", "hydra/launcher=site", "hydra.launcher.time=30", "hydra.launcher.shard_minutes=1e-4", "--dry-run"]
    assert main(["sweep", *words]) == 0
    said = capsys.readouterr().out.splitlines()
    given = "--partition=fast --account=me --gres=gpu:1 --time=30"
    for line in f"{given} --requeue --signal=USR2@90 --mem=4G --array=0-1%2 --cpus-per-task=1".split():
        assert f"#SBATCH {line}" in said
    assert said.index("module load x") < next(index for index, line in enumerate(said) if line.startswith("srun"))
    assert said[-1].startswith("# 2 tasks")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["--dry-run"], "gradyn: --dry-run must come with a launcher that submits; got 'hydra/launcher=local'. gradyn plan prints what would run here.\n"),
        (["hydra/launcher=slurm", "hydra.launcher.cpus=none"], "gradyn: hydra.launcher.cpus must be a whole number >= 1; got 'none'.\n"),
        (["hydra/launcher=slrum"], "Did you mean slurm?\n"),
    ],
)
def test_the_command_refuses_before_it_plans(words: list[str], line: str, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", "depth=2", *words]) == 2
    said = capsys.readouterr()
    assert line in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_a_machine_without_slurm_or_submitit_says_so(tmp_path: Path, fake: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = make_plan(tmp_path / "s", specs(1))
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(ConfigError, match=r"hydra/launcher must find Slurm's commands on the PATH; got 'no sbatch, squeue, scancel, scontrol, srun'"):
        launch_on_slurm(plan, site())
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ConfigError, match=r"hydra/launcher must have submitit to submit with; got 'none'. pip install 'gradyn\[slurm\]'"):
        launch_on_slurm(plan, site())
    assert not (tmp_path / "s").exists()


# ---- how it is cut and handed over


def test_tasks_hold_every_run_once_and_about_so_many_minutes() -> None:
    packs = pack([make_spec(seed=seed, depth=depth, width=64, steps=5000) for seed in range(64) for depth in (4, 16, 32)], 1)
    total = sum(map(seconds, packs))
    for minutes, cpus in ((0.5, 1), (2.0, 1), (0.5, 4)):
        cut = tasks(packs, minutes, cpus)
        assert [spec for task in cut for part in task for one in part for spec in one] == [spec for one in packs for spec in one]
        lengths = [sum(seconds(one) for part in task for one in part) for task in cut]
        longest = max(map(seconds, packs))
        assert max(lengths) <= max(minutes * 60 * cpus, longest)
        # All but the last are full: the next part, of half a minute at most, found no room.
        assert min(lengths[:-1], default=total) > minutes * 60 * cpus - max(30, longest)
        assert max(sum(map(seconds, part)) for task in cut for part in task) <= max(30, longest)
    assert max(len(part) for task in tasks(pack(specs(1000), 1), 1e9) for part in task) == 192
    assert tasks([], 1.0) == []


def test_work_goes_through_json_to_the_same_runs_and_is_held_to_their_ids(tmp_path: Path) -> None:
    runs = [make_spec(seed=seed, activation=Tanh(), learning_rate=0.1 + seed / 3) for seed in range(3)]
    log = Log(Schedule((0,)), Schedule(None), (FloatCounts(),))
    work = Work(tmp_path, log, "cpu", 2, ((tuple(pack(runs, 2)),)))
    work.write(tmp_path / "work.json")
    assert Work.read(tmp_path / "work.json") == work
    kept = json.loads((tmp_path / "work.json").read_text())
    kept["parts"][0][0][0]["learning_rate"] = 0.2
    (tmp_path / "work.json").write_text(json.dumps(kept))
    with pytest.raises(ConfigError, match=f"run {runs[0].run_id} must have the same id on the node"):
        Work.read(tmp_path / "work.json")
    assert issubclass(FloatCounts, AbstractProbe)


def test_a_task_that_comes_back_goes_on_behind_its_last_part_and_gives_up_at_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    open_folder(tmp_path / "s", LOG.settings)
    parts = tuple((one,) for one in pack(specs(4), 2))
    for name, task in (("half", parts[:1]), ("whole", parts)):
        Work(tmp_path / "s", LOG, "cpu", 1, task).write(tmp_path / f"{name}.json")
    Task(tmp_path / "half.json")()
    again = Task(tmp_path / "whole.json")
    again()
    assert "1 of 2 parts to do" in capsys.readouterr().out
    assert done(tmp_path / "s") == {spec.run_id for spec in specs(4)}
    assert {path.stem for path in (tmp_path / "s" / "runs").iterdir()} == {shard_id(part) for part in ids(parts)}
    pytest.importorskip("submitit")
    for _ in range(20):
        again = again.checkpoint().function
    assert again.checkpoint() is None


# ---- who does what


def test_the_ledger_keeps_what_it_was_told_and_refuses_what_it_did_not_write(tmp_path: Path) -> None:
    ledger.begin(tmp_path)
    entry = ledger.write(tmp_path, 7, [[("a" * 16, "b" * 16)], [("c" * 16,)]], "0" * 32)
    assert ledger.read(tmp_path) == [entry]
    assert entry.runs(1) == {"c" * 16}
    assert entry.runs(2) == frozenset()
    assert entry.shards(0) == {shard_id(["a" * 16, "b" * 16])}
    strange = '{"array": %d, "since": "", "place": "%s", "tasks": []}'
    for place, text in (("7", strange % (8, "0" * 32)), ("9", strange % (9, "../x")), ("9", "{")):
        path = tmp_path / "slurm" / f"{place}.json"
        path.write_text(text)
        with pytest.raises(ConfigError, match="must be a ledger that gradyn wrote"):
            ledger.read(tmp_path)
        path.unlink()


def test_two_folders_of_one_name_have_jobs_of_two_names(tmp_path: Path) -> None:
    names = [ledger.job_name(tmp_path / results / "mine") for results in ("a", "b")]
    assert names[0] != names[1]
    assert all(name.startswith("gradyn-mine-") for name in names)


def test_the_queue_is_read_with_arrays_and_without(fake: Path) -> None:
    enqueue(fake, "7|0|RUNNING|None", "7|3|PENDING|JobHeldUser", "8|N/A|COMPLETING|None")
    jobs = slurm.queue("any")
    assert [(job.key, job.state, job.is_held) for job in jobs] == [("7_0", "RUNNING", False), ("7_3", "PENDING", True), ("8_0", "COMPLETING", False)]
    assert slurm.largest_array() == 2
    enqueue(fake, "slurm_load_jobs error")
    with pytest.raises(SlurmError, match="is no line of a queue"):
        slurm.queue("any")


def test_what_is_in_flight_is_what_the_ledger_and_the_queue_agree_on(fake: Path, tmp_path: Path) -> None:
    assert in_flight(tmp_path) == {}
    ledger.begin(tmp_path)
    ledger.write(tmp_path, 7, [[("a" * 16,)], [("b" * 16,)]], "0" * 32)
    ledger.write(tmp_path, 8, [[("c" * 16,)]], "1" * 32)
    enqueue(fake, "7|1|RUNNING|None", "9|0|RUNNING|None")
    assert in_flight(tmp_path) == {"7_1": {"b" * 16}}
    (fake / "squeue").write_text("#!/bin/sh\necho 'squeue: error: no controller' >&2\nexit 1\n")
    with pytest.raises(SlurmError, match="squeue: error: no controller"):
        in_flight(tmp_path)


# ---- drivers


def works(plan: Plan) -> list[Path]:
    """The tasks that were handed over."""
    return sorted(ledger.private_folder(plan.folder).glob("*/*.json"))


def test_arrays_stay_below_the_largest_and_the_script_is_the_one_shown(fake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(tmp_path / "s", specs(7))
    assert launch_on_slurm(plan, site(dry_run=True)) == 0
    shown = capsys.readouterr().out
    assert not plan.folder.exists()
    assert launch_on_slurm(plan, site()) == 0
    entries = ledger.read(plan.folder)
    assert [(entry.array, len(entry.tasks)) for entry in entries] == [(101, 2), (102, 2)]
    assert frozenset().union(*(entry.all_runs() for entry in entries)) == {spec.run_id for spec in plan.specs}
    assert "7 runs are on their way. The jobs go on without this command. Attach: the same command again. Cancel: scancel 101 102" in capsys.readouterr().out
    submitted = (fake / "script.sh").read_text().replace(entries[-1].place, "<submission>")
    assert "'" not in submitted
    assert shown.replace("'", "").replace("0-3%4", "0-1%2").startswith(submitted)
    # What submitit pickles lies apart, and nobody else may look at it.
    assert not list(plan.folder.rglob("*.pkl"))
    for entry in entries:
        assert (ledger.private_folder(plan.folder) / entry.place).stat().st_mode & 0o777 == 0o700


def test_the_same_command_attaches_and_does_only_what_nobody_does(fake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(tmp_path / "s", specs(4))
    assert launch_on_slurm(plan, site()) == 0
    enqueue(fake, "101|0|RUNNING|None", "101|1|PENDING|Resources")
    wider = make_plan(tmp_path / "s", specs(6))
    assert launch_on_slurm(wider, site()) == 0
    said = capsys.readouterr().out
    assert "Submitted 2 runs as array 102, 1 task; logs in" in said
    with pytest.raises(ConfigError, match=r"must have no Slurm jobs in flight; got 'jobs 101'. Attach to them with hydra/launcher=slurm, or: scancel 101"):
        launch(wider)
    seen: list[tuple[int, int]] = []
    for path in works(plan):
        Task(path)()
    enqueue(fake)
    assert launch_on_slurm(wider, site(wait=True), lambda now, total: seen.append((now, total))) == 0
    assert "Submitted" not in capsys.readouterr().out
    assert not works(plan), "what is over is forgotten"
    assert launch(wider) == 0


def test_runs_that_nobody_does_any_more_are_named_and_make_it_fail(fake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(tmp_path / "s", specs(4))
    # sbatch takes the tasks, and no queue ever has them.
    assert launch_on_slurm(plan, site(wait=True)) == 1
    said = capsys.readouterr().out
    assert "Task 101_0 is over and left 2 of 2 runs undone; its log: " in said
    assert "Task 101_1 is over and left 2 of 2 runs undone; its log: " in said
    assert "0 of 4 runs in" in said


def test_an_array_without_a_ledger_is_cancelled_before_anything_is_counted(fake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(tmp_path / "s", specs(2))
    enqueue(fake, "55|0|RUNNING|None")
    assert launch_on_slurm(plan, site()) == 0
    assert (fake / "cancelled").read_text() == "55\n"
    assert "Array 55 is of this sweep, but its driver died" in capsys.readouterr().out


def test_what_died_while_it_submitted_is_tidied_and_logs_are_kept(fake: Path, tmp_path: Path) -> None:
    plan = make_plan(tmp_path / "s", specs(2))
    left, logs = (ledger.private_folder(plan.folder) / name for name in ("left", "logs"))
    for place, name in ((left, "0.json"), (logs, "1_0_log.out")):
        place.mkdir(parents=True)
        (place / name).write_text("")
    assert launch_on_slurm(plan, site()) == 0
    assert not left.exists()
    assert logs.exists()


def test_a_refusal_in_the_middle_keeps_what_was_accepted(fake: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    accepts = FAKES["sbatch"].format(fake)
    refuses = f'[ "$(cat {fake}/count)" = 101 ] && echo "sbatch: error: QOSMaxSubmitJobPerUserLimit" >&2 && exit 1'
    (fake / "sbatch").write_text(f"#!/bin/sh\n{refuses}\n{accepts}\n")
    plan = make_plan(tmp_path / "s", specs(7))
    assert launch_on_slurm(plan, site()) == 1
    said = capsys.readouterr().out
    assert "2 of 4 tasks are not submitted: sbatch: QOSMaxSubmitJobPerUserLimit. The same command again submits them." in said
    assert [entry.array for entry in ledger.read(plan.folder)] == [101]


def test_a_run_that_raised_on_a_node_is_no_longer_waited_for(fake: Path, tmp_path: Path, monkeypatch: Any, capsys: pytest.CaptureFixture[str]) -> None:
    plan = make_plan(tmp_path / "s", specs(2), pack_size=1)
    assert launch_on_slurm(plan, site()) == 0
    enqueue(fake, "101|0|RUNNING|None", "101|1|RUNNING|None")
    first, second = works(plan)
    answer: Callable[..., Any] = slurm.queue

    def works_on(name: str) -> list[slurm.Job]:
        # Between two looks of the driver: one task commits, the other raises.
        if len(calls) == 4:
            Task(first)()
            with monkeypatch.context() as patch:
                patch.setattr("gradyn.sweep.shard.execute", lambda *_: (_ for _ in ()).throw(RuntimeError("a defect on purpose")))
                Task(second)()
            enqueue(fake)
        calls.append(name)
        return answer(name)

    calls: list[str] = []
    monkeypatch.setattr(slurm, "queue", works_on)
    assert launch_on_slurm(plan, site(wait=True)) == 1
    said = capsys.readouterr().out
    assert f"run {plan.specs[1].run_id} raised RuntimeError: a defect on purpose" in said
    assert "1 of 2 runs in" in said
    assert set(gradyn.load(plan.folder).runs["run_id"]) == {plan.specs[0].run_id}
