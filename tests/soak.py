"""`make soak`: every kind of fault, over and over, at random moments; what was lost, doubled or came out different is counted.

    python tests/soak.py --seconds 600 --seed 1

Exits with 1 unless nothing was, and every kind took place at least `--each` times and all together `--total` times.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from fault_rig import Rig, Verdict
from faults import KINDS, NEEDS_MOUNT


def soak(place: Path, seconds: float, seed: int, each: int, total: int) -> int:
    """Faults until the time is over; prints them by kind and returns the exit code."""
    rig = Rig(place, seed)
    kinds = [kind for kind in KINDS if rig.can_mount or kind not in NEEDS_MOUNT]
    print(f"seed {seed}; an undisturbed sweep of {len(rig.run_ids)} runs takes {rig.seconds:.2f} s", flush=True)
    tried: Counter[str] = Counter()
    hit: Counter[str] = Counter()
    verdict = Verdict()
    deadline, said = time.monotonic() + seconds, time.monotonic()
    try:
        while time.monotonic() < deadline:
            # The kinds that took place least often first; several in a row on one folder, then the command that has to mend it all.
            order = sorted(kinds, key=lambda kind: (hit[kind.__name__], rig.rng.random()))
            rig.fresh()
            for kind in order[: int(rig.rng.integers(1, 4))]:
                tried[kind.__name__] += 1
                hit[kind.__name__] += kind(rig)
            verdict += rig.finish()
            if time.monotonic() - said > 60:
                said = time.monotonic()
                print(f"{hit.total()} faults, {deadline - said:.0f} s left, {verdict}", flush=True)
    finally:
        rig.close()
    width = max(len(kind.__name__) for kind in KINDS)
    for kind in KINDS:
        doc = (kind.__doc__ or "").splitlines()[0]
        print(f"{kind.__name__:<{width}}  {hit[kind.__name__]:>4} of {tried[kind.__name__]:>4} tries took place  {doc}")
    print(f"{hit.total()} faults; lost {verdict.lost}, doubled {verdict.doubled}, different {verdict.different}")
    rare = [kind.__name__ for kind in KINDS if hit[kind.__name__] < each]
    if rare:
        reason = "" if rig.can_mount else " (only root may mount small and read-only disks)"
        print(f"fewer than {each} of: {', '.join(rare)}{reason}")
    if hit.total() < total:
        print(f"fewer than {total} faults in all")
    return int(verdict != Verdict() or bool(rare) or hit.total() < total)


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--each", type=int, default=10, help="fewest faults of a kind (10)")
    parser.add_argument("--total", type=int, default=200, help="fewest faults in all (200)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        return soak(Path(place) / "disk", given.seconds, given.seed, given.each, given.total)


if __name__ == "__main__":
    sys.exit(main())
