"""An experiment: a question, its source, the figure that answers it, and the claims that can fail."""

from __future__ import annotations

import ast
import importlib.util
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gradyn.core import Source, packaged
from gradyn.report.claims import Claim
from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames
from gradyn.report.measured import Measure, measure_once, twin
from gradyn.report.style import Page

# Carries out the grids of an experiment, each the words behind `gradyn sweep`; returns the exit code.
Sweep = Callable[[Sequence[Sequence[str]]], int]
# Exit codes from here on are signals that stopped a sweep, as shells have it.
SIGNALLED = 128


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
            "degrees": claim.degrees,
            "derivation": claim.derivation,
            "z": claim.z,
            "p": claim.p,
            "detectable": claim.detectable,
            "rival": claim.rival.formula if claim.rival else "",
            "rival_predicted": claim.rival.predicted if claim.rival else float("nan"),
            "rival_z": claim.rival_z,
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


def at_scale(results: str | Path, scale: str, fresh: int = 0) -> Path:
    """The folder of folders of a scale and of other seeds: their results never mix with the others."""
    folder = Path(results) / "smoke" if scale == "smoke" else Path(results)
    return folder / "fresh" / str(fresh) if fresh else folder


def in_a_process(grids: Sequence[Sequence[str]]) -> int:
    """Every grid as a command of its own, up to one that is stopped: nothing here may import Hydra."""
    code = 0
    for words in grids:
        code = max(code, subprocess.run([sys.executable, "-m", "gradyn", "sweep", *words], check=False).returncode)
        if code >= SIGNALLED:
            break
    return code


def carry_out(
    experiment: Experiment,
    results: Path,
    scale: str = "full",
    overrides: Sequence[str] = (),
    *,
    fresh: int = 0,
    sweep: Sweep = in_a_process,
) -> tuple[int, bool]:
    """Sweep and measure what the folder of an experiment does not have yet.

    Args:
        experiment: to carry out.
        results: folder of folders, that of the scale.
        scale: full, or smoke: what the YAML twin replaces for a run of seconds.
        overrides: of the grid (`depth=2,4`) and of the measurement (`measure.points=9`).
        fresh: which other seeds; 0 for those of the YAML twin.
        sweep: carries out the grids.

    Returns:
        Exit code of the sweep, 0 where there is none; and whether anything was measured anew (a sweep can't tell: True).

    Raises:
        ConfigError: an override of something that the experiment does not have.
        KeyboardInterrupt: a sweep was interrupted.
    """
    said = twin(experiment.name)
    grids, settings = said.grids(scale, overrides, fresh), said.settings(scale, overrides, fresh)
    # Drawn by whoever asked, when all of it is there.
    code = sweep([[f"experiment={experiment.name}", f"results={results}", "exec.figures=false", *grid] for grid in grids]) if grids else 0
    if code >= SIGNALLED:
        raise KeyboardInterrupt
    is_new = measure_once(experiment.measure, results / experiment.name, settings) if experiment.measure is not None else True
    return code, is_new
