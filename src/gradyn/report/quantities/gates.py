"""What of a memory's gradient gates let through: by distance from the last step, against constant gates and against their own product."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd

from gradyn.report.claims import Claim, Rival, seed_claim
from gradyn.report.frames import Frames
from gradyn.report.overlay import Curve, Panel
from gradyn.theory import chrono_decay, gate_decay

# Columns of the memory's cotangent: an LSTM's is c_t, a GRU's h_t.
MEMORY = {"lstm": "log10_delta_cell_rms", "gru": "log10_delta_rms"}
PATH = "log10_gate_path_rms"
# A step rounds a cotangent a few times: 100 steps of ten eps are 2e-13; ten times that and more.
_ROUNDING = 1e-11


def through_time(frames: Frames, runs: pd.DataFrame, column: str) -> pd.DataFrame:
    """A column at initialization over the steps before the last, [seeds, T]: its change from the last step on, in decades; columns 0, 1, ... steps back."""
    layers, values = frames.stacked(runs, column)
    last = int(runs["depth"].iloc[0]) - 1
    values = values[:, layers <= last]
    return pd.DataFrame((values - values[:, -1:])[:, ::-1], index=runs.sort_values("seed")["seed"])


def constant_gates(frames: Frames, cell: str) -> pd.DataFrame:
    """Runs of a cell whose weights are all 0, so that its gates are their biases'."""
    runs = frames.where(cell=cell, cell__recurrent_scale=0.0, cell__input_scale=0.0)
    return runs[runs["cell.chrono"].isna()]


def time_curve(frames: Frames, runs: pd.DataFrame, label: str, *, gates: bool) -> Curve:
    """Mean over seeds of the state's cotangent, log10, by steps back from the last; dotted what the gates alone let through."""
    found = through_time(frames, runs, "log10_delta_rms").mean()
    path = through_time(frames, runs, PATH).mean().to_numpy() if gates else None
    some = _some(found.index)
    return Curve(label, some, found[some].to_numpy(), rival=path, theory_x=found.index, is_joined=True)


def gate_curve(frames: Frames, runs: pd.DataFrame, label: str, decay: list[float]) -> Curve:
    """An LSTM's memory by steps back from the last, as the root of the mean square over seeds, and a line."""
    squares = 10.0 ** (2 * through_time(frames, runs, MEMORY["lstm"]))
    some = _some(squares.columns)
    return Curve(label, some, np.log10(squares.mean())[some] / 2, theory=np.log10(decay), theory_x=squares.columns)


def _some(steps: pd.Index) -> pd.Index:
    # A dozen marks: a hundred would cover their line.
    return steps[:: max(1, len(steps) // 12)]


def gate_claims(frames: Frames) -> list[Claim]:
    """Constant gates; gates that the input drives; gates beside recurrent weights."""
    found = []
    for cell, bias, name in (("lstm", "cell.forget_bias", "b_f"), ("gru", "cell.update_bias", "b_z")):
        for value, runs in constant_gates(frames, cell).groupby(bias):
            memory = through_time(frames, runs, MEMORY[cell])
            law = np.array([gate_decay(float(value), k) for k in memory.columns])
            off = float(np.abs(10.0 ** (memory.to_numpy() - np.log10(law)) - 1).max())
            text = f"{cell.upper()}, zero weights, {name} = {value:g}: largest relative distance of the gradient from s({name})^k"
            found.append(Claim(text, off, _ROUNDING, 0.0, "rounding: 100 steps of ten eps, fifty times", "below"))
    driven = frames.where(cell="lstm", cell__recurrent_scale=0.0, cell__input_scale=1.0)
    apart = (through_time(frames, driven, MEMORY["lstm"]) - through_time(frames, driven, PATH)).abs().to_numpy().max()
    found.append(Claim("LSTM, W_hh = 0: gradient along the gates' product, in decades apart", float(apart), _ROUNDING, 0.0, "rounding", "below"))
    for scale, text, limit, side in (
        (0.05, "LSTM, W_hh times 0.05: decades by which the gates' product misses the gradient over all steps, of those it has", 0.05, "below"),
        (1.0, "LSTM, W_hh not scaled: decades by which it misses it, paths through other units", 1.0, "above"),
    ):
        runs = frames.where(cell="lstm", cell__recurrent_scale=scale)
        runs = runs[runs["cell.forget_bias"] == 1.0]
        memory, path = (through_time(frames, runs, column).iloc[:, -1] for column in (MEMORY["lstm"], PATH))
        off = (memory - path).abs() / (path.abs() if side == "below" else 1.0)
        found.append(seed_claim(text, off, limit, side))
    return found


def chrono_runs(frames: Frames) -> pd.DataFrame:
    """LSTMs of zero weights with chrono biases."""
    return frames.where(cell="lstm", cell__recurrent_scale=0.0, cell__input_scale=0.0).dropna(subset=["cell.chrono"])


def chrono_claim(frames: Frames) -> Claim:
    """Mean square over units of what chrono's gates leave over the whole sequence."""
    runs = chrono_runs(frames)
    text = "LSTM, zero weights, chrono biases: mean square of what is left over all steps, E (u / (1 + u))^2k"
    if runs.empty:
        return Claim(text, math.nan, math.nan, math.nan, "no runs")
    longest, steps = int(runs["cell.chrono"].iloc[0]), int(runs["depth"].iloc[0]) - 2
    squares = 10.0 ** (2 * through_time(frames, runs, MEMORY["lstm"]).iloc[:, -1])
    return seed_claim(text, squares, chrono_decay(longest, steps, 2.0), rival=Rival("forget bias 1: s(1)^2k", gate_decay(1.0, 2 * steps)))


def gate_panels(frames: Frames, drawn: pd.DataFrame) -> list[Panel]:
    """The state's cotangent over the distance in time by cell; constant gates with their lines; accuracy over the distance."""
    names = {"rnn": "RNN, tanh", "gru": "GRU", "lstm": "LSTM, $b_f$ = 1"}
    curves = [time_curve(frames, drawn[drawn["cell"] == cell], name, gates=cell != "rnn") for cell, name in names.items()]
    steps = range(int(frames.runs["depth"].max()) - 1)
    gates = [
        gate_curve(frames, runs, f"$b_f$ = {bias:g}", [gate_decay(float(bias), k) for k in steps])
        for bias, runs in constant_gates(frames, "lstm").groupby("cell.forget_bias")
    ]
    chrono = chrono_runs(frames)
    longest = int(chrono["cell.chrono"].iloc[0])
    gates.append(gate_curve(frames, chrono, f"chrono, {longest}", [chrono_decay(longest, k, 2.0) ** 0.5 for k in steps]))
    trained = frames.tables["trained"].groupby(["net", "distance"], sort=False)["accuracy"].mean()
    learned = [Curve(str(net), part.droplevel(0).index, part.to_numpy(), is_joined=True) for net, part in trained.groupby(level=0, sort=False)]
    back = "steps back from the last"
    return [
        Panel("through time", back, r"$\log_{10}$ rms $\partial L/\partial h_t$", curves, rival="gates alone"),
        Panel("zero weights", back, r"$\log_{10}$ rms $\partial L/\partial c_t$", gates),
        Panel("a symbol is recalled", "steps since it was shown", "held-out accuracy", learned, xscale="log", limits=(0, 1.05)),
    ]
