"""`make bench`: the rows side by side, interleaved in two busy workers; writes results/reference/bench.md and bench_probes.md. Asserts no time."""

from __future__ import annotations

import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import pytest
import torch
from baselines import best_loop, plain_loop, vmap_stack
from probe_costs import probe_costs, table

from gradyn.core import packaged
from gradyn.nn import BatchNorm, Gelu, HeNormal, Identity, Large, LayerNorm, NoNorm, Orthogonal, Plain, Relu, Sigmoid, Small, Tanh, XavierNormal
from gradyn.optim import GlobalL2, NoClip
from gradyn.sweep import Log, RunSpec, Schedule, execute, launch, run_shard
from gradyn.sweep.workers import _begin
from runs import make_spec

pytestmark = pytest.mark.bench
ROOT = Path(__file__).resolve().parents[2]
RUNS, DEPTHS, REPEATS, PAIRS = 4320, (2, 4, 8, 16, 32, 64), 1, 9
DEFAULT, EVERY, NOTHING = Log(Schedule((0, 1, 2, 5, 10, 20, 49)), Schedule(None)), Log(Schedule(None), Schedule(None)), Log(Schedule(()), Schedule(()))
# Each level of activation, norm, residual and clip as often as in the grid, to the nearest that three cells a depth allow:
# the norm is the dearest, so each depth has all three; the others rotate over the depths.
NORMS, PHIS, SKIPS, CLIPS = (NoNorm(), BatchNorm(), LayerNorm()), (Sigmoid(), Tanh(), Relu(), Gelu()), (Plain(), Identity()), (NoClip(), GlobalL2())
INITS = (Small(), XavierNormal(), HeNormal(), Orthogonal(), Large())


def cell(depth_place: int, norm_place: int) -> list[RunSpec]:
    """15 runs of one structure, as in the grid: 5 inits, 3 seeds."""
    i = 3 * depth_place + norm_place
    fixed = dict(depth=DEPTHS[depth_place], width=64, batch_size=128, steps=50, norm=NORMS[norm_place])
    turning = dict(activation=PHIS[i % 4], residual=SKIPS[(i // 2) % 2], clip=CLIPS[(i // 3) % 2])
    return [make_spec(init=init, seed=seed, **fixed, **turning) for init in INITS for seed in range(3)]


def seconds(call: Callable[[], object]) -> float:
    """Wall time of a call."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def worker(_: int) -> dict[str, list[float]]:
    """Every row on every cell, interleaved; seconds a run averaged over the grid, once a repeat."""
    found: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        launch(_empty_plan(folder / "sweep"))
        rows: dict[str, Callable[[list[RunSpec]], tuple[Callable[[], object], int]]] = {
            "plain": lambda specs: (lambda: plain_loop(specs[6], folder), 1),
            "best": lambda specs: (lambda: best_loop(specs[6]), 1),
            "vmap": lambda specs: (lambda: vmap_stack(specs[3:11]), 8),
            "gradyn": lambda specs: (lambda: run_shard(folder / "sweep", (tuple(specs),), DEFAULT, "cpu"), 15),
        }
        for row in rows.values():
            row(cell(0, 0))[0]()
        for _ in range(REPEATS):
            sums = dict.fromkeys(rows, 0.0)
            for place in range(len(DEPTHS)):
                for norm_place in range(len(NORMS)):
                    specs = cell(place, norm_place)
                    for key, row in rows.items():
                        call, runs = row(specs)
                        sums[key] += seconds(call) / runs
            for key, value in sums.items():
                found.setdefault(key, []).append(value / (len(DEPTHS) * len(NORMS)))
    return found


def engine(_: int) -> dict[str, list[float]]:
    """gradyn alone, depth 16: logging on and off, tracked and plain; seconds a run."""
    found: dict[str, list[float]] = {}
    for width, runs, steps in ((64, 15, 50), (256, 4, 20)):
        specs = [make_spec(depth=16, width=width, batch_size=128, steps=steps, activation=Relu(), seed=seed) for seed in range(runs)]
        plain = [replace(spec, backward="plain") for spec in specs]
        rows = {"every step": (specs, EVERY), "default steps": (specs, DEFAULT), "off": (specs, NOTHING), "plain backward, off": (plain, NOTHING)}
        for _ in range(PAIRS + 1):
            for name, (given, log) in rows.items():
                found.setdefault(f"width {width}: {name}", []).append(seconds(lambda given=given, log=log: execute(given, log)) / runs)
    return {name: values[1:] for name, values in found.items()}


def peak(_: int) -> float:
    """MB of a fresh worker after the grid's largest packs."""
    for norm_place in range(len(NORMS)):
        execute(cell(len(DEPTHS) - 1, norm_place), DEFAULT)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fixed_cost() -> float:
    """Seconds a run of nets so small that nothing but preparing and writing is left."""
    specs = tuple(make_spec(depth=2, width=1, batch_size=2, steps=0, seed=seed) for seed in range(192))
    with tempfile.TemporaryDirectory() as name:
        launch(_empty_plan(Path(name) / "sweep"))
        packs = tuple(specs[i : i + 16] for i in range(0, 192, 16))
        return seconds(lambda: run_shard(Path(name) / "sweep", packs, DEFAULT, "cpu")) / 192


def _empty_plan(folder: Path) -> object:
    from gradyn.sweep import Execution, Plan

    return Plan((), "bench", folder, DEFAULT, Execution(workers=1))


def hydra_job() -> float:
    """Seconds that Hydra's basic launcher adds to a job: the slope between 2 and 12 jobs that do nothing."""
    with tempfile.TemporaryDirectory() as name:
        app = Path(name) / "app.py"
        main = f"@hydra.main(config_path={str(packaged('configs'))!r}, config_name='config', version_base=None)"
        app.write_text(f"import hydra\n\n\n{main}\ndef job(config):\n    pass\n\n\njob()\n")

        def jobs(count: int) -> float:
            seeds = ",".join(map(str, range(count)))
            words = [sys.executable, str(app), "--multirun", "hydra/sweeper=basic", "hydra/launcher=basic", f"hydra.sweep.dir={name}/out", f"seed={seeds}"]
            return seconds(lambda: subprocess.run(words, check=True, capture_output=True, cwd=name))

        return (jobs(12) - jobs(2)) / 10


def planning(*overrides: str) -> tuple[int, float]:
    """Runs, and seconds to plan them, run ids included."""
    from hydra_plugins.gradyn.compose import plan

    began = time.perf_counter()
    specs = plan(["experiment=vanishing_exploding", *overrides]).specs
    assert len({spec.run_id for spec in specs}) == len(specs)
    return len(specs), time.perf_counter() - began


def both(function: Callable[[int], dict[str, list[float]]]) -> dict[str, list[float]]:
    """The function in two busy workers of one thread each; their samples together."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)) as pool:
        parts = list(pool.map(function, range(2)))
    return {name: [value for part in parts for value in part[name]] for name in parts[0]}


def over(values: list[float], base: list[float]) -> str:
    """Median of what each costs over its neighbour in time, and the middle half in brackets."""
    low, middle, high = statistics.quantiles([value / other - 1 for value, other in zip(values, base, strict=True)], n=4)
    return f"{middle:+.1%} ({low:+.1%} to {high:+.1%})"


def _tracking(name: str, parts: dict[str, list[float]]) -> str:
    width, row = name.split(": ")
    return over(parts[name], parts[f"{width}: plain backward, off"]) if row == "off" else ""


def spread(values: list[float], factor: float = 1e3, digits: int = 1) -> str:
    """Median, and the range in brackets."""
    return f"{statistics.median(values) * factor:.{digits}f} ({min(values) * factor:.{digits}f}-{max(values) * factor:.{digits}f})"


def hardware() -> str:
    """The processor's name and instruction set."""
    names = (
        [line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
        if Path("/proc/cpuinfo").exists()
        else []
    )
    return f"{names[0] if names else platform.processor()}, {os.cpu_count()} cores, {torch.backends.cpu.get_cpu_capability()}"


def provenance() -> str:
    """What the table was made with."""
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    return f"{hardware()}; Python {platform.python_version()}, torch {torch.__version__}; commit {commit}; load at the end {os.getloadavg()[0]:.1f}."


def write(name: str, lines: list[str]) -> None:
    """Print a table and leave it in results/reference."""
    text = "\n".join(lines)
    print("\n" + text)
    (ROOT / "results" / "reference").mkdir(parents=True, exist_ok=True)
    (ROOT / "results" / "reference" / name).write_text(text)


def test_write_the_table():
    launcher = statistics.median(hydra_job() for _ in range(REPEATS))
    grid, parts = both(worker), both(engine)
    plans = [planning(), planning("seed=range(70)")]
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), initializer=_begin, initargs=(os.getpid(),)) as pool:
        megabytes = pool.submit(peak, 0).result()
    middle = {name: statistics.median(values) for name, values in grid.items()}
    # Hydra's basic launcher runs its jobs one after the other in one process.
    projected = {
        "plain loop, default columns, a pandas file a run, Hydra's basic launcher": (spread(grid["plain"]), (middle["plain"] + launcher) * RUNS),
        "plain loop, the same without Hydra, two processes": (spread(grid["plain"]), middle["plain"] * RUNS / 2),
        "best loop by hand, gradient norms only, no files, two processes": (spread(grid["best"]), middle["best"] * RUNS / 2),
        "torch.func.vmap, stacks of 8, gradient norms only, no files, two processes": (spread(grid["vmap"]), middle["vmap"] * RUNS / 2),
        "gradyn, default columns, Parquet, two workers": (spread(grid["gradyn"]), middle["gradyn"] * RUNS / 2),
    }
    ours = projected["gradyn, default columns, Parquet, two workers"][1]
    lines = [
        "# Benchmark",
        "",
        "Written by `make bench`. Absolute times move from machine to machine and with what else runs; ratios within one run count.",
        "",
        provenance(),
        f"Two workers of one thread each, both busy, rows interleaved, {REPEATS} repeat(s) in each: median (smallest-largest).",
        "",
        "## The default grid, 4,320 runs",
        "",
        "Sample: each of 6 depths with each norm; activation, skip and clip rotate over the 18 cells. Of a cell's 15 runs gradyn takes all, vmap 8, the loops",
        f"one. Mean over the cells, times {RUNS:,}. Hydra's basic launcher: {launcher * 1e3:.0f} ms a job, measured with jobs that do nothing.",
        "",
        "| row | ms a run and process | grid, s | gradyn is faster by |",
        "|---|---|---|---|",
        *[f"| {name} | {each} | {total:,.0f} | {total / ours:.1f} |" for name, (each, total) in projected.items()],
        "",
        f"## The engine, depth 16, relu, 50 steps (20 at width 256), ms a run, {PAIRS} repeats",
        "",
        "Median, and the middle half, of the ratios of neighbours in time.",
        "",
        "| row | ms | over logging off | tracking over the same without |",
        "|---|---|---|---|",
        *[f"| {name} | {spread(values)} | {over(values, parts[name.split(':')[0] + ': off'])} | {_tracking(name, parts)} |" for name, values in parts.items()],
        "",
        "## The rest",
        "",
        *[f"* Planning {runs:,} runs, run ids included: {took:.2f} s." for runs, took in plans],
        f"* Fixed cost a run (prepare and write, nets of width 1): {spread([fixed_cost() for _ in range(REPEATS)], digits=2)} ms.",
        f"* Peak memory of a worker after the packs of depth 64: {megabytes:.0f} MB.",
        "",
    ]
    write("bench.md", lines)


def test_write_what_probes_cost():
    costs = both(probe_costs)
    write(
        "bench_probes.md",
        ["# What probes cost", "", "Written by `make bench`.", "", provenance(), "Two workers of one thread each, both busy.", "", *table(costs)],
    )
