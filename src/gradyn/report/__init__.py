"""WHAT DO WE SHOW?  Figures, tables and claims, made from a folder's Parquet files alone.

    gradyn.report.figures("results/vanishing_exploding")
    gradyn.report.figures("results/vanishing_exploding", only=["maps"], formats=["pdf"], width="column")

Every figure is a function of frames: it draws what the folder has, says in one line what it lacks, and leaves its points as CSV
and a caption beside the picture.
"""

from gradyn.report.cures import Cure, cure_nets, cure_table, state, verdict
from gradyn.report.experiment import Claim, Experiment, claims_table, experiments, main, seed_claim
from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames, MissingError, read
from gradyn.report.rates import RATE_COLUMNS, interval, rates
from gradyn.report.scoreboard import reproduce
from gradyn.report.sentences import sentences
from gradyn.report.style import Page
from gradyn.report.trainable import TRAINED, best_rates
from gradyn.report.write import FIGURES, STANDARD, draw, drawn, figures

__all__ = [
    "FIGURES",
    "RATE_COLUMNS",
    "STANDARD",
    "TRAINED",
    "Claim",
    "Cure",
    "Drawn",
    "Experiment",
    "Frames",
    "MissingError",
    "Page",
    "best_rates",
    "claims_table",
    "cure_nets",
    "cure_table",
    "draw",
    "drawn",
    "experiments",
    "figures",
    "interval",
    "main",
    "rates",
    "read",
    "reproduce",
    "seed_claim",
    "sentences",
    "state",
    "verdict",
]
