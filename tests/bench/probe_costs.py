"""What each probe adds to a measured step, in steps that measure nothing: depth 16, width 64, batch 128."""

from __future__ import annotations

import statistics
import time

from gradyn.core import options
from gradyn.data import Circle
from gradyn.nn import Relu
from gradyn.optim import Cotangent
from gradyn.probes import AbstractProbe
from gradyn.sweep import Log, RunSpec, Schedule, execute
from runs import make_spec

# Runs in a stack, steps of each, pairs of neighbours in time.
STACK, STEPS, PAIRS = 4, 4, 5


def probe_costs(_: int) -> dict[str, list[float]]:
    """Of each probe with its own settings, and of the default columns (`none`): cost of a measured step over that of a step that measures nothing."""
    # A curve, every batch all of it: what any probe may ask for.
    fixed = dict(depth=16, width=64, batch_size=128, data=Circle(samples=128), activation=Relu(), loss=Cotangent(), learning_rate=0.01, steps=STEPS)
    specs = [make_spec(seed=seed, **fixed) for seed in range(STACK)]
    probes = {name: (cls(),) for name, cls in options(AbstractProbe).items()}
    for given in probes.values():
        for probe in given:
            probe.check(specs[0])
    found: dict[str, list[float]] = {"none": []} | {name: [] for name in probes}
    for pair in range(PAIRS + 1):
        for name in found:
            unmeasured = _seconds(specs, Log(Schedule(()), Schedule(())))
            measured = _seconds(specs, Log(Schedule(None), Schedule(()), probes.get(name, ())))
            if pair:
                found[name].append((measured - unmeasured) / unmeasured)
    return found


def table(costs: dict[str, list[float]]) -> list[str]:
    """Lines of Markdown: a probe's own share is what it costs beyond the default columns."""
    default = statistics.median(costs["none"])
    lines = [
        f"Depth 16, width 64, batch 128, stacks of {STACK}. Cost of a measured step beyond one that measures nothing, in such steps: {default:.1f} for the",
        f"default columns, and with each probe, with its own settings, so much more. Median of {len(costs['none'])}, and their range. At every hundredth step",
        "(`log.layers`) a probe costs a hundredth of it a step.",
        "",
        "| probe | steps |",
        "|---|---|",
    ]
    for name, values in costs.items():
        if name != "none":
            own = [value - default for value in values]
            lines.append(f"| {name} | {statistics.median(own):+.1f} ({min(own):+.1f} to {max(own):+.1f}) |")
    return [*lines, ""]


def _seconds(specs: list[RunSpec], log: Log) -> float:
    began = time.perf_counter()
    execute(specs, log)
    return time.perf_counter() - began
