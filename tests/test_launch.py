"""Launch: what is missing is run, once; failures are isolated; the same command goes on."""

from __future__ import annotations

import importlib
import json
import multiprocessing
import os
import signal
import threading
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from torch import Tensor

import gradyn
from gradyn.core import ConfigError
from gradyn.nn import AbstractActivation, HeNormal, Relu, Rezero, Small, Tanh
from gradyn.store import write_failure
from gradyn.sweep import Log, Schedule, launch, run_shard
from gradyn.sweep.launch import queue
from runs import make_plan, make_spec


@dataclass(frozen=True, slots=True)
class Raising(AbstractActivation):
    """Raises in the backward pass of one seed's stack alone: its runs are told by their first bias."""

    def forward(self, h: Tensor) -> Tensor:
        return torch.relu(h)

    def pullback(self, upstream: Tensor, h: Tensor, x: Tensor) -> Tensor:
        if bool((h.reshape(len(h), -1)[:, 0] == torch.tensor(Marked.value, dtype=h.dtype)).any()):
            raise RuntimeError("a defect on purpose\nwith a second line")
        return upstream * (h > 0)


class Marked:
    """First preactivation of the run that is to raise."""

    value = float("nan")


def test_a_sweep_runs_what_is_missing_and_nothing_twice(tmp_path, capsys):
    specs = [make_spec(seed=seed, depth=depth) for seed in range(3) for depth in (2, 3)]
    assert launch(make_plan(tmp_path / "s", specs[:4])) == 0
    assert launch(make_plan(tmp_path / "s", specs)) == 0
    assert "4 before, 2 now" in capsys.readouterr().out
    results = gradyn.load(tmp_path / "s")
    assert sorted(results.runs["run_id"]) == sorted(spec.run_id for spec in specs)
    assert len(results.layers) == sum(2 * spec.depth for spec in specs)
    assert len(results.steps) == 3 * len(specs)


def test_workers_and_stacks_do_not_change_a_byte_of_the_frames(tmp_path):
    specs = [make_spec(seed=seed, depth=depth, activation=Tanh()) for seed in range(4) for depth in (2, 4)]
    ways = {"one": {}, "two": {"workers": 2}, "solo": {"pack_size": 1}, "odd": {"pack_size": 3}}
    frames = {}
    for name, execution in ways.items():
        assert launch(make_plan(tmp_path / name, specs, **execution)) == 0
        results = gradyn.load(tmp_path / name)
        keys = {"layers": ["run_id", "step", "layer"], "steps": ["run_id", "step"]}
        frames[name] = {table: getattr(results, table).sort_values(key).reset_index(drop=True) for table, key in keys.items()}
    for name in ways:
        for table, frame in frames[name].items():
            pd.testing.assert_frame_equal(frame, frames["one"][table], check_exact=True)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_settings_as_long_as_each_other_go_by_seed_and_longer_ones_before_them(tmp_path):
    settings = [
        {"init": init, "activation": activation, "depth": depth} for init in (HeNormal(), Small()) for activation in (Relu(), Tanh()) for depth in (3, 6)
    ]
    specs = [make_spec(seed=seed, **setting) for setting in settings for seed in range(6)]
    plan = make_plan(tmp_path, specs, pack_size=4)
    packs = [pack for shard in queue(plan, specs) for pack in shard]
    # Two inits of two seeds a stack; both activations of the same seeds after each other.
    assert [(pack[0].depth, sorted({spec.seed for spec in pack})) for pack in packs] == [
        (depth, seeds) for depth in (6, 3) for seeds in ([0, 1], [2, 3], [4, 5]) for _ in (Relu, Tanh)
    ]
    assert sorted(spec.run_id for pack in packs for spec in pack) == sorted(spec.run_id for spec in specs)


def test_there_are_no_more_workers_than_cores_that_the_command_may_use(tmp_path, monkeypatch):
    counted = []
    launch_module = importlib.import_module("gradyn.sweep.launch")  # the package's `launch` is its function
    computed = launch_module.computed
    monkeypatch.setattr(
        launch_module, "computed", lambda target, work, workers, *rest: counted.append((workers, len(work))) or computed(target, work, workers, *rest)
    )
    usable = os.sched_getaffinity(0)
    specs = [make_spec(depth=depth, steps=1) for depth in (2, 3, 4)]
    assert launch(make_plan(tmp_path / "all", specs, workers=None, pack_size=1)) == 0
    try:
        os.sched_setaffinity(0, {min(usable)})
        assert launch(make_plan(tmp_path / "one", specs, workers=None, pack_size=1)) == 0
    finally:
        os.sched_setaffinity(0, usable)
    (of_all, shards), (of_one, _) = counted
    assert shards > 1
    assert (of_all, of_one) == (len(usable), 1)


@pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="this system stops no process")
def test_workers_that_hang_when_all_is_done_are_not_waited_for(tmp_path, monkeypatch):
    launch_module = importlib.import_module("gradyn.sweep.launch")
    computed = launch_module.computed
    stopped: list[int] = []

    def stopped_at_the_end(target, work, *rest):
        for count, done in enumerate(computed(target, work, *rest), 1):
            if count == len(work):
                stopped.extend(child.pid for child in multiprocessing.active_children())
                for pid in stopped:
                    os.kill(pid, signal.SIGSTOP)
            yield done

    def let_go():
        is_late.append(True)
        for pid in stopped:
            os.kill(pid, signal.SIGCONT)

    is_late: list[bool] = []
    monkeypatch.setattr(launch_module, "computed", stopped_at_the_end)
    timer = threading.Timer(30, let_go)
    timer.start()
    specs = [make_spec(depth=depth, steps=1) for depth in (2, 3, 4)]
    assert launch(make_plan(tmp_path, specs, workers=2, pack_size=1)) == 0
    timer.cancel()
    assert stopped
    assert not is_late, "the sweep waited for workers that had nothing in hand"


def test_a_run_that_raises_is_kept_as_a_failure_and_its_neighbours_finish(tmp_path, capsys):
    specs = [make_spec(seed=seed, activation=Raising()) for seed in range(5)]
    module, batches, _ = gradyn.materialize(specs[3])
    Marked.value = float(module.layers["1"](next(batches)[0])[0, 0].detach().float())
    try:
        # The product of a stack is that of a run alone to the bit, so that the mark is met exactly.
        assert launch(make_plan(tmp_path / "s", specs)) == 1
    finally:
        Marked.value = float("nan")
    said = capsys.readouterr().out
    assert f"run {specs[3].run_id} raised RuntimeError: a defect on purpose" in said
    assert "exec.retry_failed=true" in said
    assert set(gradyn.load(tmp_path / "s").runs["run_id"]) == {spec.run_id for spec in specs} - {specs[3].run_id}
    kept = json.loads((tmp_path / "s" / "failures" / f"{specs[3].run_id}.1.json").read_text())
    assert "a defect on purpose" in kept["traceback"]
    assert launch(make_plan(tmp_path / "s", specs)) == 1, "what raised is not tried again by itself"
    assert launch(make_plan(tmp_path / "s", specs, retry_failed=True)) == 0
    assert len(gradyn.load(tmp_path / "s").runs) == 5


def test_failures_of_another_command_in_the_folder_are_none_of_this_ones(tmp_path, capsys):
    specs = [make_spec(seed=seed) for seed in range(3)]
    launch(make_plan(tmp_path / "s", specs[:2]))
    write_failure(tmp_path / "s", specs[2].run_id, RuntimeError("a defect on purpose"), specs[2].columns)
    capsys.readouterr()
    seen = []
    assert launch(make_plan(tmp_path / "s", specs[:2])) == 0
    said = capsys.readouterr().out
    assert "2 of 2 runs in" in said
    assert "2 before, none now" in said
    assert "Stopped early" not in said
    # Of its own plan a failure is neither done nor tried again, and the watcher does not count it.
    assert launch(make_plan(tmp_path / "s", [*specs, make_spec(seed=3)]), lambda done, total: seen.append((done, total))) == 1
    assert "3 of 4 runs in" in capsys.readouterr().out
    assert seen == [(3, 4)]


def test_a_device_that_is_not_there_is_refused_before_anything_runs(tmp_path):
    with pytest.raises(ConfigError, match=r"device must be a device of this machine; got 'cuda:99'.*Set device=cpu") as caught:
        launch(make_plan(tmp_path / "s", [make_spec()], device="cuda:99"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "s").exists()


def test_a_shard_commits_its_runs_with_their_status(tmp_path):
    specs = (make_spec(activation=Relu()), make_spec(learning_rate=1e30))
    launch(make_plan(tmp_path / "s", []))
    done = run_shard(tmp_path / "s", (specs,), Log(Schedule((0,)), Schedule(None)), "cpu")
    assert sorted(done.statuses) == ["diverged", "ok"]


def test_the_summary_counts_exact_zeros_over_all_logged_steps(tmp_path, capsys):
    """Rezero's branches begin at 0: what lies inside has no gradient at step 0, and one at step 2; a plain run that loses its own does not count."""
    specs = [make_spec(seed=0), make_spec(seed=1, residual=Rezero(), activation=Tanh(), depth=5)]
    lost = make_spec(seed=2, activation=Tanh(), init=Small(std=1e-12), depth=8, backward="plain")
    assert launch(make_plan(tmp_path / "s", [*specs, lost])) == 0
    said = capsys.readouterr().out
    layers = gradyn.load(tmp_path / "s").layers.set_index("run_id")[["log10_grad_w_l2", "log10_grad_b_l2", "log10_delta_rms"]]
    assert (layers.loc[lost.run_id] == -np.inf).any(axis=None), "the plain run must lose a norm, or it tests nothing"
    tracked = layers.drop(index=lost.run_id)
    # Weights, biases and cotangents of the three branches at step 0 (steps 0 and 2 are logged).
    assert (tracked == -np.inf).sum().sum() == 9
    assert f"Exact zeros: 9 of {tracked.notna().sum().sum()} log norms of gradients are -inf, in 1 of the runs now." in said


def test_the_watcher_is_told_of_every_shard(tmp_path):
    seen = []
    launch(make_plan(tmp_path / "s", [make_spec(seed=seed) for seed in range(3)]), lambda done, total: seen.append((done, total)))
    assert seen[-1] == (3, 3)


@pytest.mark.parametrize(("of_runs", "returned"), [(0, 1), (1, 1), (2, 2)])
def test_figures_that_fail_are_no_success(tmp_path, monkeypatch, capsys, of_runs, returned):
    import subprocess
    import sys

    from hydra_plugins.gradyn._redraw import Redraw
    from hydra_plugins.gradyn.launcher import _with_figures

    made = make_plan(tmp_path / "s", [make_spec()], figures=True)

    def carry_out(watcher):
        assert launch(made, watcher) == 0
        return of_runs

    command = [sys.executable, "-c", "import sys; sys.exit('no column')"]
    monkeypatch.setattr(Redraw, "_start", lambda self, *, priority: subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
    assert _with_figures(made, carry_out) == returned
    assert f"their figures failed as said above. To draw again: gradyn figures {tmp_path / 's'}\n" in capsys.readouterr().err


def test_an_interrupt_stops_the_workers_at_once_and_the_same_command_goes_on(tmp_path):
    import signal
    import subprocess
    import sys
    import time

    # Some six seconds of two workers: on a busy machine this process may wake up a second or two after the first shard.
    command = [sys.executable, "-m", "gradyn", "sweep", "name=cut", "depth=16", "width=48", "steps=100", "seed=range(32)", "exec.workers=2", "exec.pack_size=2"]
    command += ["exec.figures=false", f"results={tmp_path}"]
    # A suite in the background of a shell ignores Ctrl-C, its children would too, and a sweep keeps to that.
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        driver = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    runs = tmp_path / "cut" / "runs"
    deadline = time.monotonic() + 60
    while not (runs.is_dir() and any(runs.glob("*.parquet"))):
        assert driver.poll() is None, driver.communicate()[0]
        assert time.monotonic() < deadline
        with pytest.raises(subprocess.TimeoutExpired):
            driver.wait(0.05)
    driver.send_signal(signal.SIGINT)
    # In-flight shards would take seconds more: a driver that waits for them is not stopped.
    said, _ = driver.communicate(timeout=120)
    assert driver.returncode == 130
    assert "Go on: the same command again." in said
    committed = len(gradyn.load(tmp_path / "cut").runs)
    assert 0 < committed < 32
    again = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"{committed} before, {32 - committed} now" in again
    assert gradyn.load(tmp_path / "cut").runs["run_id"].nunique() == 32
