"""What a recurrent net's gradient loses over its whole sequence, while it is trained."""

from __future__ import annotations

import pandas as pd

from gradyn.report.frames import Frames
from gradyn.report.overlay import Curve


def time_spans(frames: Frames) -> pd.DataFrame:
    """One row a run and measured step: the penalty's coefficient, seed, and decades by which dL/dh grows from the last step back to the first.

    The coefficient is nan where no run has a penalty.
    """
    rows = []
    for run in frames.runs.itertuples():
        own = frames.layers[frames.layers["run_id"] == run.run_id].pivot(index="step", columns="layer", values="log10_delta_rms")
        span = own[1] - own[run.depth - 1]
        rows.append(pd.DataFrame({"run_id": run.run_id, "seed": run.seed, "step": span.index, "span": span.to_numpy()}))
    table = pd.concat(rows, ignore_index=True)
    coefficients = frames.runs.reindex(columns=["run_id", "penalty.coefficient"]).rename(columns={"penalty.coefficient": "coefficient"})
    return table.merge(coefficients, on="run_id")


def span_curves(table: pd.DataFrame) -> list[Curve]:
    """Mean span over seeds with its standard error over training, a curve a coefficient."""
    curves = []
    for coefficient, rows in table.groupby("coefficient"):
        means = rows.groupby("step")["span"].agg(["mean", "sem"])
        name = f"penalty, coefficient {coefficient:g}" if coefficient else "no penalty"
        curves.append(Curve(name, means.index.to_numpy(), means["mean"], error=means["sem"], is_joined=True))
    return curves
