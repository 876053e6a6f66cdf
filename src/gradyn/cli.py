"""The command `gradyn`: takes its first word as what to do, and hands the rest on."""

from __future__ import annotations

import argparse
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NoReturn

# 2: refused, nothing has run. 1: something failed. 130: interrupted, as shells have it.
REFUSED, FAILED, INTERRUPTED = 2, 1, 130

_USAGE = """\
gradyn: how gradients vanish, explode and are cured, measured layer by layer

  gradyn sweep experiment=quick     a first look, under 15 seconds
  gradyn plan [overrides]           what a sweep would run
  gradyn sweep [overrides]          run it; the same command again goes on where it stopped
  gradyn status FOLDER              how far a sweep is: done, failed, in flight, missing, time left
  gradyn figures FOLDER             draw a sweep's figures from its tables
  gradyn animate FOLDER             gradients by layer while training, as a GIF
  gradyn report FOLDER              a page of any sweep: figures, tables, settings, commands
  gradyn reproduce                  every experiment and the verdicts on its claims
  gradyn completion bash            tab completion: eval "$(gradyn completion bash)"

gradyn sweep --help lists groups, options and the grammar of overrides; gradyn --version the version."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line; returns the exit code (0 done, 1 failed, 2 refused before anything ran, 130 interrupted)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    return _guarded(lambda: _dispatch(words))


def _guarded(action: Callable[[], int]) -> int:
    """The action's exit code; what it raises is said, and has a code too."""
    try:
        return action()
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # `gradyn plan --runs | head`: the reader has what it wanted. Python would complain once more when it closes stdout.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except SystemExit as done:  # argparse's --help
        return done.code if isinstance(done.code, int) else FAILED
    except Exception as error:
        from gradyn.core import ConfigError, inert

        if isinstance(error, ConfigError):
            print(f"gradyn: {inert(' '.join(str(error).split()))}", file=sys.stderr)
            return REFUSED
        print(f"gradyn: {type(error).__name__}: {inert(error)}", file=sys.stderr)
        traceback.print_exception(error)
        return FAILED


def _dispatch(words: list[str]) -> int:
    if "-sc" in words[:2] or "--shell-completion" in words[:2]:
        return _shell_completion(words)
    if not words or words[0] in ("-h", "--help", "help"):
        print(_USAGE)
        return 0
    if words[0] == "--version":
        print(f"gradyn {_version()}")
        return 0
    command = _COMMANDS.get(words[0])
    return command(words[1:]) if command is not None else _unknown(words[0])


def _sweep(words: list[str]) -> int:
    from hydra_plugins.gradyn._command import sweep

    return sweep(words)


def sweep_together(grids: Sequence[Sequence[str]]) -> int:
    """Grids of an experiment, each the words behind `gradyn sweep`: all are planned before any runs, and launched as one where they are alike."""
    from gradyn.report import SIGNALLED
    from gradyn.sweep import joined, launch
    from hydra_plugins.gradyn._command import plan
    from hydra_plugins.gradyn._table import lines, stored

    plans = []
    for words in grids:
        made, _ = plan(words)
        assert made is not None, "words of an experiment ask Hydra nothing"
        for line in lines(made, stored(made)):
            print(line)
        plans.append(made)
    code = 0
    for made in joined(plans):
        code = max(code, launch(made))
        if code >= SIGNALLED:
            break
    return code


def _plan(words: list[str]) -> int:
    from hydra_plugins.gradyn._command import plan
    from hydra_plugins.gradyn._table import lines, run_lines, stored

    made, is_listed = plan(words)
    if made is None:
        return 0
    from gradyn.sweep import check_device

    check_device(made.execution.device)
    done = stored(made)
    for line in lines(made, done):
        print(line)
    for line in run_lines(made, done) if is_listed else ():
        print(line)
    return 0


def _status(words: list[str]) -> int:
    parser = _Parser(prog="gradyn status", description="How far a sweep is. Exits with 1 while runs of its plan are missing.")
    parser.add_argument("folder", metavar="FOLDER", help="results/<name>")
    parser.add_argument("--watch", action="store_true", help="look again every few seconds, as long as somebody is at work")
    parser.add_argument("--every", metavar="SECONDS", type=float, default=2.0, help="how often --watch looks (2)")
    given = parser.parse_args(words)
    from gradyn.store import status

    while True:
        found = status(given.folder, _in_jobs(Path(given.folder)))
        for line in found.lines():
            print(line, flush=True)
        if not given.watch or found.is_complete or (found.flight is None and not found.in_flight):
            return 0 if found.is_complete else FAILED
        time.sleep(max(given.every, 0.1))


def _in_jobs(folder: Path) -> frozenset[str]:
    """Runs that Slurm's jobs of a folder were given; none where its ledger is empty. Where squeue is silent that is said, and not fatal."""
    if not any((folder / "slurm").glob("*.json")):
        return frozenset()
    from gradyn.sweep import SlurmError, in_flight

    try:
        return frozenset().union(*in_flight(folder).values())
    except SlurmError as error:
        print(f"Which jobs are alive is not known: {error}", file=sys.stderr)
        return frozenset()


def _figures(words: list[str]) -> int:
    parser = _Parser(prog="gradyn figures", description="Draw a sweep's figures into FOLDER/figures, from its tables alone.")
    parser.add_argument("folder", metavar="FOLDER", help="results/<name>")
    parser.add_argument("--only", metavar="NAME", action="append", help="draw this figure; may be given several times")
    parser.add_argument("--format", default="png,pdf,svg", help="formats, with commas between them (png,pdf,svg)")
    parser.add_argument("--width", default="full", choices=("full", "column"), help="printed width: of the page or of one of its two columns (full)")
    parser.add_argument("--show", metavar="COLUMN", help="what over_training shows by layer and step (log10_delta_rms)")
    given = parser.parse_args(words)
    from gradyn.report import figures

    for path in figures(given.folder, only=given.only, formats=tuple(given.format.split(",")), width=given.width, show=given.show):
        print(path)
    return 0


def _animate(words: list[str]) -> int:
    parser = _Parser(prog="gradyn animate", description="Write FOLDER/figures/over_training.gif: a column by layer, a frame a logged step.")
    parser.add_argument("folder", metavar="FOLDER", help="results/<name>")
    parser.add_argument("--show", metavar="COLUMN", default="log10_delta_rms", help="column of layers (log10_delta_rms)")
    given = parser.parse_args(words)
    from gradyn.report import animate

    print(animate(given.folder, given.show))
    return 0


def _report(words: list[str]) -> int:
    parser = _Parser(
        prog="gradyn report", description="Write FOLDER/report/report.html (one file) and report.md: figures, tables, settings, commands to repeat."
    )
    parser.add_argument("folder", metavar="FOLDER", help="results/<name>, or a copy of one")
    parser.add_argument("--axes", metavar="A,B", help="draw the pairs of these axes only (all that vary, six pairs at most)")
    given = parser.parse_args(words)
    from gradyn.report import report

    for path in report(given.folder, given.axes.split(",") if given.axes else None)[:2]:
        print(path)
    return 0


def _reproduce(words: list[str]) -> int:
    parser = _Parser(prog="gradyn reproduce", description="Run and draw every experiment, judge its claims, write the scoreboard. A failed claim exits with 1.")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="this experiment, those of a pattern ('autodiff_*'), or all at 'initialization'; several if wanted"
    )
    parser.add_argument("--scale", default="full", choices=("full", "smoke"), help="smoke: everything small, with its scoreboard in RESULTS/smoke (full)")
    parser.add_argument(
        "--fresh", metavar="K", default="0", help="other seeds than the YAML's, in RESULTS/fresh/K (1-20: so many sets), and fresh.md about all so far (0)"
    )
    parser.add_argument("--list", action="store_true", help="only list the experiments, what they claim and cost")
    parser.add_argument("--judge", action="store_true", help="run nothing: judge what is in the results")
    parser.add_argument("--results", metavar="FOLDER", default="results", help="folder of the experiments' folders (results)")
    parser.add_argument("--scoreboard", metavar="FOLDER", default="results", help="where scoreboard.md and .csv go at full scale (results)")
    given = parser.parse_args(words)
    from gradyn.report import at_scale, board_folder, chosen, described, fresh_sets, p_values, recorded, reproduce, shown, summary

    if given.list:
        for name in chosen(given.only):
            claim, cost = described(name)
            print(f"{name}\n  {claim}\n  {cost}")
        return 0
    from gradyn.sweep import kept_workers

    results, scoreboard, sets = Path(given.results), Path(given.scoreboard), fresh_sets(given.fresh)
    code, boards = 0, []
    # In this process, and with the same workers from experiment to experiment: torch and Hydra are loaded once.
    with kept_workers():
        for fresh in sets:
            status = reproduce(
                results,
                scoreboard,
                only=given.only,
                is_run=not given.judge,
                scale=given.scale,
                fresh=fresh,
                # What refuses one experiment is said, and the others go on.
                sweep=lambda grids: _guarded(lambda: sweep_together(grids)),
            )
            code = max(code, status)
            boards.append(board_folder(at_scale(results, given.scale, fresh), scoreboard, given.scale, fresh))
    if len(sets) == 1:
        print(shown(boards[0], given.scale, given.only))
    if sets == [0]:
        return code
    folder = board_folder(at_scale(results, given.scale), scoreboard, given.scale)
    page = summary(recorded(p_values([board for board, fresh in zip(boards, sets, strict=True) if fresh]), folder / "fresh.csv"))
    (folder / "fresh.md").write_text(page, encoding="utf-8")
    print(page)
    return code


def _completion(words: list[str]) -> int:
    parser = _Parser(prog="gradyn completion", description="Print the script that installs tab completion in a shell.")
    parser.add_argument("shell", nargs="?", default="bash", help="bash, zsh or fish")
    parser.add_argument("--uninstall", action="store_true", help="print the script that removes it")
    given = parser.parse_args(words)
    from hydra_plugins.gradyn._command import completion

    # Hydra registers completion for the name under which it believes to run.
    sys.argv = ["gradyn", *sys.argv[1:]]
    completion(given.shell, is_install=not given.uninstall)
    return 0


def _shell_completion(words: list[str]) -> int:
    """Hydra's own protocol: `gradyn -sc install=bash`, `gradyn -sc query=bash` with the line in COMP_LINE."""
    settings = dict(word.partition("=")[::2] for word in words if "=" in word)
    if "query" in settings:
        print(" ".join(_suggestions(settings["query"], os.environ.get("COMP_LINE", ""))))
        return 0
    is_install = "install" in settings
    shell = settings.get("install" if is_install else "uninstall", "bash")
    return _completion([shell] if is_install else [shell, "--uninstall"])


def _suggestions(shell: str, line: str) -> list[str]:
    words = line.split()
    if line.endswith(" "):
        words.append("")
    if len(words) <= 2:
        return [name for name in _COMMANDS if name.startswith(words[1] if len(words) == 2 else "")]
    if words[1] in ("sweep", "plan"):
        from hydra_plugins.gradyn._command import suggestions

        return suggestions(shell, " ".join(words[2:]))
    if words[1] in ("figures", "animate", "report", "status"):
        return sorted(str(path) for path in Path("results").glob("*/") if str(path).startswith(words[-1]))
    return []


class _Parser(argparse.ArgumentParser):
    """argparse that refuses in one line."""

    def error(self, message: str) -> NoReturn:
        print(f"{self.prog}: {message}. {self.prog} --help says more.", file=sys.stderr)
        raise SystemExit(REFUSED)


def _unknown(word: str) -> int:
    near = get_close_matches(word, _COMMANDS, n=1)
    fix = f"Did you mean gradyn {near[0]}?" if near else f"Write gradyn sweep {word}." if "=" in word else "gradyn alone shows what there is."
    print(f"gradyn: the command must be one of {', '.join(_COMMANDS)}; got {word!r}. {fix}", file=sys.stderr)
    return REFUSED


def _version() -> str:
    try:
        return version("gradyn")
    except PackageNotFoundError:
        return "of a checkout that is not installed"


_COMMANDS: dict[str, Callable[[list[str]], int]] = {
    "sweep": _sweep,
    "plan": _plan,
    "status": _status,
    "figures": _figures,
    "animate": _animate,
    "report": _report,
    "reproduce": _reproduce,
    "completion": _completion,
}
