"""Drivers that can be hit: a process that has imported everything forks one for each request, in milliseconds.

`python tests/fault_driver.py` reads requests as JSON lines and answers each with one. A driver is `gradyn.sweep.launch` itself on
one fixed plan; its workers are forked instead of spawned, and a request may plant one fault in it (`PLANTED`).
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch

import gradyn.store.seal
import gradyn.sweep.shard
import gradyn.sweep.workers
from gradyn.core import ConfigError
from gradyn.data import Gaussian as Samples
from gradyn.nn import AbstractInitializer, Gaussian, Relu, Tanh
from gradyn.store import TABLES, arrow_schema, provenance
from gradyn.sweep import Execution, Log, Plan, Schedule, execute, launch
from runs import make_spec

UNEXPECTED = 70


@dataclass(frozen=True, slots=True)
class Fragile(AbstractInitializer):
    """Gaussian, but raises as long as a file named by `broken` is there."""

    def weight(self, rng: np.random.Generator, fan_out: int, fan_in: int, *, layer: int, is_readout: bool) -> Any:
        return Gaussian(1.4).weight(rng, fan_out, fan_in, layer=layer, is_readout=is_readout)

    def bias(self, rng: np.random.Generator, fan_out: int, fan_in: int) -> Any:
        if broken is not None and broken.exists():
            raise RuntimeError("a defect on purpose \x1b[31m<b>{0}%s</b>")
        return np.zeros(fan_out)

    def variance(self, fan_out: int, fan_in: int) -> float:
        return Gaussian(1.4).variance(fan_out, fan_in)


broken: Path | None = None


def make_plan(folder: Path, **execution: Any) -> Plan:
    """24 runs of four structures, in stacks of three; one of a stack has the fragile initializer."""
    structures = [(Relu(), 2), (Tanh(), 2), (Relu(), 4), (Tanh(), 4)]
    small = {"width": 8, "batch_size": 16, "steps": 2, "data": Samples(samples=64, features=16)}
    specs = [make_spec(seed=seed, activation=a, depth=depth, init=Gaussian(1.4), **small) for a, depth in structures for seed in range(6)]
    specs[FRAGILE] = make_spec(seed=1, activation=Relu(), depth=2, init=Fragile(), **small)
    execution = {"workers": 2, "pack_size": 3, "figures": False} | execution
    return Plan(tuple(specs), "hit", folder, Log(Schedule((0, 1)), Schedule(None)), Execution(**execution), config="name: hit\n")


FRAGILE = 1


# ---- faults that are planted in the driver before it starts; each takes the request


def _once(request: dict[str, Any]) -> bool:
    """True for the first process that asks; the file says afterwards that the fault took place."""
    try:
        os.close(os.open(request["token"], os.O_CREAT | os.O_EXCL))
    except FileExistsError:
        return False
    return True


def _before_each_step(act: Callable[[], None]) -> None:
    """Call `act` before every step of every commit: write, close, seal, fsync of a file, rename, fsync of its folder."""
    steps = [(os, "fsync"), (os, "link"), (Path, "replace"), (gradyn.store.seal, "seal"), (pq.ParquetWriter, "write_table"), (pq.ParquetWriter, "close")]

    def watched(real: Callable[..., Any]) -> Callable[..., Any]:
        def step(*arguments: Any, **options: Any) -> Any:
            act()
            return real(*arguments, **options)

        return step

    for owner, name in steps:
        setattr(owner, name, watched(getattr(owner, name)))


def killed_between_steps(request: dict[str, Any]) -> None:
    """The process (a worker, or the driver) is killed before its n-th step."""
    driver, count = os.getpid(), 0

    def act() -> None:
        nonlocal count
        if (os.getpid() == driver) == request["in_driver"]:
            if count == request["step"] and _once(request):
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

    _before_each_step(act)


def out_of_memory(request: dict[str, Any]) -> None:
    """The n-th stack of a worker meets a limit of its address space, by torch's or by numpy's allocation, or in its commit."""
    real_execute, real_write, count = gradyn.sweep.shard.execute, gradyn.sweep.shard.write_shard, 0

    def limited(work: Callable[[], Any]) -> Any:
        before = resource.getrlimit(resource.RLIMIT_AS)
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + 2**20, before[1]))
        try:
            # What a larger stack would have asked for.
            _ = torch.zeros(2**26) if request["by_torch"] else np.zeros(2**26)
            return work()
        finally:
            resource.setrlimit(resource.RLIMIT_AS, before)

    def execute(*arguments: Any) -> Any:
        nonlocal count
        count += 1
        if not request["in_commit"] and count > request["step"] and _once(request):
            return limited(lambda: real_execute(*arguments))
        return real_execute(*arguments)

    def write_shard(*arguments: Any) -> Any:
        if request["in_commit"] and count > request["step"] and _once(request):
            return limited(lambda: real_write(*arguments))
        return real_write(*arguments)

    gradyn.sweep.shard.execute, gradyn.sweep.shard.write_shard = execute, write_shard


def kills_its_worker(request: dict[str, Any]) -> None:
    """As the system's out-of-memory killer: a stack of more than `runs` runs that has the fragile one takes its worker along."""
    real = gradyn.sweep.shard.execute

    def execute(pack: Any, *arguments: Any) -> Any:
        if len(pack) > request["runs"] and any(isinstance(spec.init, Fragile) for spec in pack):
            _once(request)
            os.kill(os.getpid(), signal.SIGKILL)
        return real(pack, *arguments)

    gradyn.sweep.shard.execute = execute


def clock_jumps(request: dict[str, Any]) -> None:
    """Every question for the time is answered by another decade."""
    rng, real = random.Random(request["seed"]), time.time
    _once(request)

    def jump() -> float:
        return rng.uniform(-1, 1) * 10 * 365 * 86400

    class Jumping(datetime):
        @classmethod
        def now(cls, tz: tzinfo | None = None) -> datetime:
            return datetime.now(tz) + timedelta(seconds=jump())

    time.time = lambda: real() + jump()
    # By name: in the package a function stands in front of each of these modules.
    for name in ("lock", "failures", "provenance"):
        sys.modules[f"gradyn.store.{name}"].datetime = Jumping  # type: ignore[attr-defined]


PLANTED: dict[str, Callable[[dict[str, Any]], None]] = {plant.__name__: plant for plant in (killed_between_steps, out_of_memory, kills_its_worker, clock_jumps)}


# ---- the process that forks


def _close_locks() -> None:
    """In a forked worker: a spawned one inherits no descriptor, and a lock whose driver is dead must be free."""
    for descriptor in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            if descriptor.readlink().name == ".lock":
                os.close(int(descriptor.name))


def _drive(request: dict[str, Any]) -> int:
    global broken
    os.register_at_fork(after_in_child=_close_locks)
    gradyn.sweep.workers.get_context = lambda method: get_context("fork")
    broken = Path(request["broken"]) if "broken" in request else None
    if "planted" in request:
        PLANTED[request["planted"]](request)
    try:
        return launch(make_plan(Path(request["folder"]), **request.get("execution", {})))
    except ConfigError as error:
        print(error)
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:  # noqa: BLE001  (whatever it is, the rig says so)
        traceback.print_exc()
        return UNEXPECTED


def _fork(request: dict[str, Any]) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setpgid(0, 0)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    said = os.open(request["said"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(said, 1)
    os.dup2(said, 2)
    code = UNEXPECTED
    try:
        code = _drive(request)
    finally:
        sys.stdout.flush()
        os._exit(code)


def _answer(request: dict[str, Any]) -> Any:
    if request["do"] == "start":
        return _fork(request)
    if request["do"] == "code":
        ended, status = os.waitpid(request["pid"], os.WNOHANG)
        return os.waitstatus_to_exitcode(status) if ended else None
    plan = make_plan(Path("unused"))
    return {"run_ids": [spec.run_id for spec in plan.specs], "fragile": plan.specs[FRAGILE].run_id}


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)
    # Asked once: git, the catalogue's annotations; torch's first calls.
    provenance()
    for table in TABLES:
        arrow_schema(table)
    execute(make_plan(Path("unused")).specs[2:3], Log(Schedule((0, 1)), Schedule(None)), "cpu")
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    main()
