"""Packs: runs of one structure, stacked along the run axis and computed as one tensor program.

What a pack holds depends on the plan, what a run gives does not: stacked, alone or in another order, the bits are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from gradyn.sweep.spec import RunSpec

Pack = tuple[RunSpec, ...]

# What may differ between the runs of one stack: numbers that are drawn, or that multiply a run's own row.
ALONG_THE_RUN_AXIS = ("init", "learning_rate", "seed")

# Stacking pays for the calls, until one layer's tensors leave a core's L2 cache; how many layers there are does not matter,
# since a pass over all of them leaves it anyway. Measured 2026-11 (two busy workers, AVX-512, layer norm, batch 128; microseconds
# a layer, step and run with 2, 4, 8, 15 runs a stack): width 64, depth 4: 237, 158, 123, 114; depth 16: 236, 195, 170, 160;
# depth 64: 341, 267, 246, 220. Width 256 with 1, 2, 4, 8: depth 4: 1348, 1129, 1051, 1076; depth 16: 2349, 2131, 2015, 2030.
_NUMBERS_IN_CACHE = 2**17
# A forward pass keeps four to eight tensors a layer until its backward pass, of at most so many numbers each: over the default
# sweep's packs of depth 64 a worker then peaks at 730 MB (results/reference/bench.md). There 8 runs are stacked, 6 % slower than 15.
# A recurrent step keeps p, r and their sum a gate, and the state and what the pullback needs: 4 tensors (rnn), 13 (gru), 19 (lstm), about
# (1 + gates) / 2 times a layer's. Stacks of gated cells gain as others do: LSTM, width 64, batch 128, depth 65, microseconds a step and
# run with 1, 2, 4, 8 runs: 1580, 1398, 1435, 1270 (2026-11).
_NUMBERS_ALIVE = 2**22
_LARGEST_STACK = 16


def structure(spec: RunSpec) -> tuple[Any, ...]:
    """What runs must share to be stacked: everything but the run-axis fields and the data's seed."""
    parts = (getattr(spec, field.name) for field in fields(spec) if field.name not in (*ALONG_THE_RUN_AXIS, "data"))
    data = tuple((key, value) for key, value in spec.data.settings.items() if key != "seed")
    return (*parts, type(spec.data), data)


def stack_size(spec: RunSpec) -> int:
    """Runs of this structure that are stacked best."""
    layer = spec.batch_size * spec.width
    return max(1, min(_LARGEST_STACK, _NUMBERS_IN_CACHE // layer, 2 * _NUMBERS_ALIVE // ((1 + spec.cell.gates) * layer * spec.depth)))


def pack(specs: Sequence[RunSpec], pack_size: int | None = None) -> list[Pack]:
    """The runs in packs, structure by structure in the order in which they are first met, by seed within each.

    Settings that are stacked with the same seeds share what is drawn (`gradyn.nn.initialize`).

    Args:
        specs: runs, in any order.
        pack_size: runs a pack at most; None: as many as stack well.
    """
    by_structure: dict[tuple[Any, ...], list[RunSpec]] = {}
    for spec in specs:
        by_structure.setdefault(structure(spec), []).append(spec)
    packs: list[Pack] = []
    for runs in by_structure.values():
        runs.sort(key=lambda spec: spec.seed)
        size = pack_size or stack_size(runs[0])
        # Even shares: 17 runs in packs of 16 become 9 + 8, not 16 + 1.
        count = -(-len(runs) // size)
        packs += [tuple(runs[i * len(runs) // count : (i + 1) * len(runs) // count]) for i in range(count)]
    return packs


def cost(pack_: Pack) -> float:
    """Multiplications of a pack's matrix products: the queue's measure of how long it takes."""
    spec = pack_[0]
    hidden = spec.cell.gates * ((spec.depth - 2) * spec.width**2 + spec.width * spec.data.features) + spec.width * spec.data.classes
    # A step's elementwise passes cost about as much as products of 64 columns.
    return len(pack_) * max(spec.steps, 1) * spec.batch_size * (hidden + 64.0 * spec.cell.gates * spec.width * spec.depth)
