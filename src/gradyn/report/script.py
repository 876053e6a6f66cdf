"""The command line of a script in `experiments/`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from gradyn.report.experiment import Experiment, Sweep, at_scale, carry_out, claims_table, in_a_process
from gradyn.report.frames import read
from gradyn.report.measured import SCALES
from gradyn.report.style import WIDTHS
from gradyn.report.write import figures


def main(experiment: Experiment, arguments: Sequence[str] | None = None, sweep: Sweep = in_a_process) -> int:
    """The command line of a script: draw again from Parquet, or with --run sweep and measure first; prints the files and the claims.

    Args:
        experiment: of the script.
        arguments: words of the command line; None for this process's.
        sweep: carries out the grids.

    Returns:
        Exit code: 0, or the sweep's.
    """
    parser = argparse.ArgumentParser(description=f"{experiment.name}: draws its figures from Parquet alone.")
    parser.add_argument("--run", action="store_true", help="sweep and measure first; what is there is not computed again")
    parser.add_argument("--scale", default="full", choices=SCALES, help="smoke: the small scale, in a folder of its own, results/smoke (full)")
    parser.add_argument("--fresh", type=int, default=0, metavar="K", help="other seeds than the YAML's, in a folder of their own, results/fresh/K (0)")
    parser.add_argument("--results", default="results", help="folder of folders (results)")
    parser.add_argument("--format", default="png,pdf,svg", help="formats, with commas between them (png,pdf,svg)")
    parser.add_argument("--width", default="full", choices=list(WIDTHS), help="printed width")
    parser.add_argument("overrides", nargs="*", help="with --run: narrow or widen the grid (depth=2,4), change the measurement (measure.points=9)")
    given = parser.parse_args(arguments)
    results = at_scale(given.results, given.scale, given.fresh)
    if given.run:
        code, _ = carry_out(experiment, results, given.scale, given.overrides, fresh=given.fresh, sweep=sweep)
        if code:
            return code
    folder = results / experiment.name
    for path in figures(folder, formats=given.format.split(","), width=given.width):
        sys.stdout.write(f"{path}\n")
    for _, claim in claims_table(experiment, read(folder)).iterrows():
        sys.stdout.write(f"{claim['verdict']}: {claim['claim']} (measured {claim['measured']:.3g}, {claim['side']} {claim['predicted']:.3g})\n")
    return 0
