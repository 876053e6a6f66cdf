"""WHAT DO WE SHOW?  Figures, tables and claims, made from a folder's Parquet files alone.

    gradyn.report.figures("results/vanishing_exploding")
    gradyn.report.figures("results/vanishing_exploding", only=["maps"], formats=["pdf"], width="column")

Every figure is a function of frames: it draws what the folder has, says in one line what it lacks, and leaves its points as CSV
and a caption beside the picture.
"""

from gradyn.report.draw import FIGURES, figures
from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames, MissingError, read
from gradyn.report.rates import RATE_COLUMNS, rates
from gradyn.report.style import Page

__all__ = ["FIGURES", "RATE_COLUMNS", "Drawn", "Frames", "MissingError", "Page", "figures", "rates", "read"]
