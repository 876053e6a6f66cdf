"""An experiment: a question, its source, the figure that answers it, and the claims that can fail."""

from __future__ import annotations

import argparse
import ast
import importlib.util
import math
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gradyn.core import Source, packaged
from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames, read
from gradyn.report.measured import SCALES, Measure, measure_once, twin
from gradyn.report.rates import interval
from gradyn.report.style import WIDTHS, Page


@dataclass(frozen=True, slots=True)
class Claim:
    """A sentence with a number that can prove it wrong.

    Args:
        text: what is claimed, in words.
        measured: the number; nan where the folder lacks the runs.
        predicted: what the sentence says it is, or its limit.
        standard_error: of `measured`; nan where it can't be known, 0 where the number is exact (a count, or no rounding step):
            then nothing but `predicted` itself holds.
        derivation: where the standard error comes from.
        side: `below` or `above` where `predicted` is a limit, `equal` where it is a value.
        rival: another formula that the measurement rejects, where there is one.
    """

    text: str
    measured: float
    predicted: float
    standard_error: float
    derivation: str
    side: str = "equal"
    rival: str | None = None

    @property
    def z(self) -> float:
        """(measured - predicted) / standard error; nan where one of them is.

        Where the number is exact, 0 or infinite for a value and nan for a limit: how far below it lies is no matter of chance.
        """
        off = self.measured - self.predicted
        if self.standard_error == 0 and not math.isnan(off):
            return math.nan if self.side != "equal" else math.copysign(math.inf, off) if off else 0.0
        return off / self.standard_error if self.standard_error else math.nan

    @property
    def verdict(self) -> str:
        """holds, fails or not tested; a limit is judged by the number itself, a value by |z| < 3 (one false alarm in 370)."""
        if pd.isna(self.measured):
            return "not tested"
        if self.side == "below":
            return "holds" if self.measured < self.predicted else "fails"
        if self.side == "above":
            return "holds" if self.measured > self.predicted else "fails"
        return "not tested" if pd.isna(self.z) else "holds" if abs(self.z) < 3 else "fails"


def seed_claim(text: str, values: pd.Series, predicted: float, side: str = "equal", rival: str | None = None) -> Claim:
    """A claim about a mean over seeds, with its standard error from their scatter."""
    found = interval(values.to_numpy(dtype=float))
    error = float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else float("nan")
    return Claim(text, found.mean, predicted, error, f"scatter of {found.count} seeds over the root of their number", side, rival)


@dataclass(frozen=True, slots=True)
class Experiment:
    """What a script in `experiments/` offers.

    Args:
        name: of the script, of its YAML twin, and of its folder under results/.
        source: the publication or question.
        figure: draws frames on a page; called when figures are asked for, may raise nothing for missing runs.
        claims: from frames; called by the scoreboard.
        measure: from the settings of the YAML twin (`measure:`) to named tables, the same for the same settings; called when the
            folder lacks them. They come back as `frames.tables`. None where a sweep is all.
    """

    name: str
    source: Source
    figure: Callable[[Frames, Page], list[Drawn]]
    claims: Callable[[Frames], list[Claim]]
    measure: Measure | None = None


def experiments() -> dict[str, Experiment]:
    """Every script's EXPERIMENT by name, in alphabetical order.

    Raises:
        AttributeError: a script has no EXPERIMENT.
    """
    found = {}
    for path in sorted(packaged("experiments").glob("*.py")):
        spec = importlib.util.spec_from_file_location(f"gradyn_experiment_{path.stem}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found[path.stem] = module.EXPERIMENT
    return found


def claims_table(experiment: Experiment, frames: Frames) -> pd.DataFrame:
    """The claims of an experiment as the scoreboard lists them: one row a claim."""
    rows = [
        {
            "experiment": experiment.name,
            "claim": claim.text,
            "verdict": claim.verdict,
            "measured": claim.measured,
            "predicted": claim.predicted,
            "side": claim.side,
            "standard_error": claim.standard_error,
            "derivation": claim.derivation,
            "z": claim.z,
            "rival": claim.rival or "",
            "source": str(experiment.source),
        }
        for claim in experiment.claims(frames)
    ]
    return pd.DataFrame(rows)


def described(name: str) -> tuple[str, str]:
    """What an experiment claims, and what it costs: the first line of its script's docstring, and the line `Cost:`."""
    lines = (ast.get_docstring(ast.parse((packaged("experiments") / f"{name}.py").read_text(encoding="utf-8"))) or "").splitlines()
    cost = [line.removeprefix("Cost: ") for line in lines if line.startswith("Cost: ")]
    return (lines or [""])[0], (cost or [""])[0]


def at_scale(results: str | Path, scale: str) -> Path:
    """The folder of folders of a scale: small results never mix with the others."""
    return Path(results) / "smoke" if scale == "smoke" else Path(results)


def carry_out(experiment: Experiment, results: Path, scale: str = "full", overrides: Sequence[str] = (), *, is_drawn: bool = True) -> tuple[int, bool]:
    """Sweep and measure what the folder of an experiment does not have yet.

    Args:
        experiment: to carry out.
        results: folder of folders, that of the scale.
        scale: full, or smoke: what the YAML twin replaces for a run of seconds.
        overrides: of the grid (`depth=2,4`) and of the measurement (`measure.points=9`).
        is_drawn: whether a sweep draws while it runs and at its end.

    Returns:
        Exit code of the sweep, 0 where there is none; and whether anything was measured anew (a sweep can't tell: True).

    Raises:
        ConfigError: an override of something that the experiment does not have.
    """
    said = twin(experiment.name)
    grid, settings = said.overrides(scale, overrides), said.settings(scale, overrides)
    code = 0
    if said.has_grid:
        words = [f"experiment={experiment.name}", f"results={results}", *([] if is_drawn else ["exec.figures=false"]), *grid]
        code = subprocess.run([sys.executable, "-m", "gradyn", "sweep", *words], check=False).returncode
    is_new = measure_once(experiment.measure, results / experiment.name, settings) if experiment.measure is not None else True
    return code, is_new


def main(experiment: Experiment, arguments: Sequence[str] | None = None) -> int:
    """The command line of a script: draw again from Parquet, or with --run sweep and measure first; prints the files and the claims.

    Returns:
        Exit code: 0, or the sweep's.
    """
    from gradyn.report.write import figures

    parser = argparse.ArgumentParser(description=f"{experiment.name}: draws its figures from Parquet alone.")
    parser.add_argument("--run", action="store_true", help="sweep and measure first; what is there is not computed again")
    parser.add_argument("--scale", default="full", choices=SCALES, help="smoke: the small scale, in a folder of its own, results/smoke (full)")
    parser.add_argument("--results", default="results", help="folder of folders (results)")
    parser.add_argument("--format", default="png,pdf,svg", help="formats, with commas between them (png,pdf,svg)")
    parser.add_argument("--width", default="full", choices=list(WIDTHS), help="printed width")
    parser.add_argument("overrides", nargs="*", help="with --run: narrow or widen the grid (depth=2,4), change the measurement (measure.points=9)")
    given = parser.parse_args(arguments)
    results = at_scale(given.results, given.scale)
    if given.run:
        code, _ = carry_out(experiment, results, given.scale, given.overrides, is_drawn=False)
        if code:
            return code
    folder = results / experiment.name
    for path in figures(folder, formats=given.format.split(","), width=given.width):
        sys.stdout.write(f"{path}\n")
    for _, claim in claims_table(experiment, read(folder)).iterrows():
        sys.stdout.write(f"{claim['verdict']}: {claim['claim']} (measured {claim['measured']:.3g}, {claim['side']} {claim['predicted']:.3g})\n")
    return 0
