"""What each cure of the textbook does to each sick net, judged by three numbers and their intervals over seeds.

A net is plain here (no norm, no skip, no clipping, no penalty), at the deepest depth, one per activation and initializer; a cure
changes one of its settings. B is the backward span: the backward rate times the hidden steps, decades that delta gains on its way
to the input; F the forward span; the level is log10 of the first layer's weight gradient. All at initialization.

The state of a net, from 95 % t-intervals over seeds:
    vanishes    B wholly below -2 decades, or delta exactly zero; else F wholly below -2, or the level wholly below -3
    explodes    B wholly above +2 decades, or numbers beyond the float's range in the forward pass; else F wholly above +2
    well        none of these, and B and F wholly within [-2, 2]
    undecided   an interval crosses its limit
Limits: two decades are the learning rates that a search tries (0.003 ... 0.3), so that one of them fits both ends of the net; and a
ReLU net of width N = 64 at He's scale wanders by s = depth sqrt(6 / (N depth)) / (2 ln 10) = 0.5 decades by chance (finite-width
law of Gaussian ReLU layers), which t(0.975, 2) / sqrt(3) = 2.5 times fits inside. At level -3, with rate 0.1 and ||W_1|| about 10,
a step changes the first layer by 1e-5 of itself.

The verdict on a cure of a sick net, D = |B cured| - |B sick| paired by seed:
    cures                    the cured net is well
    makes the opposite ill   it has the other illness
    helps                    D wholly below -|B sick| / 10: at least a tenth of the decades is gone
    worse                    D wholly above +|B sick| / 10
    no effect                neither
Gates are a cure of recurrent nets: beside cell=rnn stand those of the other cells, whose layers are steps in time. A folder of both kinds is judged
kind by kind, with the gates alone for the recurrent ones.

A row of `cures.csv` is a cure and an illness; its verdict is the median over the nets that have the illness, in the order of VERDICTS,
the less favourable of two in the middle. It agrees with the textbook, or not, or the question stays open: no cure shown, but fewer than half of the
nets shown to be ill. What clipping and penalties do, they do to the steps of training: no rate at initialization knows of
them, so that the rate after the last step stands beside it.
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from gradyn.report.frames import Frames, MissingError
from gradyn.report.rates import interval, rates

# Statuses of runs whose numbers stayed finite to the last step.
FINITE = ("ok", "saturated", "underflow")
WELL, LOWEST_LEVEL = 2.0, -3.0
VERDICTS = ("cures", "helps", "no effect", "worse", "makes the opposite ill")
OPPOSITE = {"vanishes": "explodes", "explodes": "vanishes"}
NUMBERS = ("backward_rate", "forward_rate", "level", "finite", "accuracy", "largest_update")


# Whom the textbook prescribes what: ReLU instead of an activation that saturates, Xavier for those, He for the ReLU family.
_SATURATING = ("sigmoid", "tanh", "hard_tanh", "softsign", "erf")
_RECTIFYING = ("relu", "leaky_relu", "elu", "gelu", "silu", "softplus")
_EVERY = ("linear", "selu", "sin", *_SATURATING, *_RECTIFYING)
_PATIENTS = {
    "relu": _SATURATING,
    "xavier_normal": ("linear", *_SATURATING),
    "xavier_uniform": ("linear", *_SATURATING),
    "lecun_normal": ("linear", "selu", *_SATURATING),
    "he_normal": _RECTIFYING,
    "he_uniform": _RECTIFYING,
    "orthogonal": _EVERY,
    "looks_linear": ("relu", "leaky_relu"),
    "lsuv": _EVERY,
}


@dataclass(frozen=True, slots=True)
class Cure:
    """One setting to change: `axis=value`; `kind` is the textbook's name for it."""

    kind: str
    axis: str
    value: str

    @property
    def name(self) -> str:
        """As rows and panels show it."""
        return self.kind if self.kind in ("ReLU", "batch norm", "layer norm") else f"{self.kind}: {self.value}"

    def suits(self, activation: str, init: str) -> bool:
        """Whether it changes the net at all, and is prescribed for its activation."""
        return {"activation": activation, "init": init}.get(self.axis) != self.value and activation in _PATIENTS.get(self.value, _EVERY)


_KINDS = {
    "residual": "residual",
    "init": "initialization",
    "clip": "clipping",
    "penalty": "weight penalty",
    "norm": "norm",
    "cell": "gates",
}
_NORMS = {"batch": "batch norm", "layer": "layer norm"}
# What the usual textbook list answers, illness by illness; what it doesn't claim is not held against it.
_TEXTBOOK = {
    "ReLU": {"vanishes": "cures"},
    "residual": {"vanishes": "cures"},
    "initialization": {"vanishes": "cures", "explodes": "cures"},
    "clipping": {"explodes": "cures"},
    "weight penalty": {"explodes": "cures"},
    "batch norm": {"vanishes": "cures", "explodes": "cures"},
    "layer norm": {"vanishes": "cures", "explodes": "cures"},
    "gates": {"vanishes": "cures"},
}
_FEEDFORWARD = "feedforward"
_PLAIN = {"norm": "none", "residual": "plain", "clip": "none", "penalty": "none", "dropout": "none", "cell": "rnn"}


def families(frames: Frames) -> list[Frames]:
    """The folder's feedforward nets, and its recurrent ones with the cell's settings in its name (`lstm chrono=62`); those that it has."""
    if "cell" not in frames.runs or (frames.runs["cell"] == _FEEDFORWARD).all():
        return [frames]
    is_plain = frames.runs["cell"] == _FEEDFORWARD
    recurrent = frames.runs[~is_plain]
    named = replace(frames, runs=recurrent.assign(cell=_cell_names(recurrent)))
    return [replace(frames, runs=frames.runs[is_plain]), named] if is_plain.any() else [named]


def _cell_names(runs: pd.DataFrame) -> pd.Series:
    """The cell, with those of its settings that vary among the runs of that cell."""
    names = runs["cell"].astype(str).copy()
    settings = [column for column in runs.columns if column.startswith("cell.")]
    for _, part in runs.groupby("cell", observed=True):
        for column in settings:
            if part[column].nunique(dropna=False) > 1:
                given = part[column].dropna()
                names.loc[given.index] += " " + column.removeprefix("cell.") + "=" + given.map("{:g}".format)
    return names


def cures_of(frames: Frames) -> list[Cure]:
    """The cures that the folder's grid holds, in the textbook's order."""
    found = [Cure("ReLU", "activation", "relu")] if "relu" in frames.values("activation") else []
    for axis, kind in _KINDS.items():
        # Initializers without patients are the illness: small, large.
        values = [value for value in frames.values(axis) if value not in (_PLAIN.get(axis), _FEEDFORWARD) and (axis != "init" or value in _PATIENTS)]
        found += [Cure(_NORMS.get(value, kind) if axis == "norm" else kind, axis, value) for value in values]
    return found


def plain_nets(frames: Frames) -> pd.DataFrame:
    """Plain runs at the deepest depth, over activation, init and seed; of a folder of both kinds the feedforward ones.

    Raises:
        MissingError: the grid has none.
    """
    frames.need("depth", "activation", "init")
    plain = {axis: value for axis, value in _PLAIN.items() if axis in frames.runs and value in frames.values(axis)}
    if _FEEDFORWARD in frames.values("cell"):
        plain["cell"] = _FEEDFORWARD
    return frames.baseline(("activation", "init"), depth=frames.values("depth")[-1], **plain)


def numbers(frames: Frames, runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with their rates, NUMBERS and the backward rate after the last logged step."""
    table = rates(frames, runs)
    rows = frames.layers[frames.layers["run_id"].isin(runs["run_id"])]
    largest = rows.groupby("run_id", observed=True)["log10_update_ratio"].max()
    table["largest_update"] = table["run_id"].map(largest)
    table["finite"] = table["status"].isin(FINITE).astype(float)
    table["accuracy"] = table["final_accuracy"]
    table["backward_rate_end"] = rates(frames, runs, step=int(rows["step"].max()))["backward_rate"] if len(rows) else math.nan
    return table


def state(net: pd.DataFrame) -> str:
    """vanishes, explodes, well or undecided: the rule of the module's docstring, for the seeds of one net."""
    back, forth, level = (interval(net[name].to_numpy()) for name in ("backward_span", "forward_span", "level"))
    if (net["forward_faults"] > 0).any():
        return "explodes"
    if np.isneginf(net["backward_span"]).any() or (net["backward_zeros"] > 0).all():
        return "vanishes"
    for number in (back, forth):
        if number.high < -WELL:
            return "vanishes"
        if number.low > WELL:
            return "explodes"
    if level.high < LOWEST_LEVEL:
        return "vanishes"
    is_inside = all(number.low >= -WELL and number.high <= WELL for number in (back, forth))
    return "well" if is_inside and level.low >= LOWEST_LEVEL else "undecided"


def verdict(sick: pd.DataFrame, cured: pd.DataFrame) -> str:
    """One of VERDICTS, for the seeds of one net without and with the cure: the rule of the module's docstring."""
    before, after = state(sick), state(cured)
    if after == "well":
        return "cures"
    if after == OPPOSITE[before]:
        return "makes the opposite ill"
    pairs = sick[["seed", "backward_span"]].merge(cured[["seed", "backward_span"]], on="seed", suffixes=("", "_cured")).abs()
    # Not finite or exactly zero: further than any number of decades.
    far_before, far_after = (~np.isfinite(pairs[name]) for name in ("backward_span", "backward_span_cured"))
    if far_before.all() or far_after.all():
        return "helps" if not far_after.any() else "worse" if not far_before.any() else "no effect"
    pairs = pairs[~far_before & ~far_after]
    change = interval((pairs["backward_span_cured"] - pairs["backward_span"]).to_numpy())
    least = pairs["backward_span"].mean() / 10
    return "helps" if change.high < -least else "worse" if change.low > least else "no effect"


def cure_nets(frames: Frames) -> pd.DataFrame:
    """One row a cure and a sick net: its verdict, and NUMBERS without and with the cure (means over seeds, t-intervals of the rates).

    Raises:
        MissingError: no cure or no sick net in the grid.
    """
    first, *further = families(frames)
    tables = [_cure_nets(first, cures_of(first))]
    for family in further:
        gates = [cure for cure in cures_of(family) if cure.kind == "gates"]
        # Recurrent nets that show nothing (one seed, none ill) take nothing from what the others show.
        with contextlib.suppress(MissingError):
            tables.append(_cure_nets(family, gates))
    return pd.concat(tables, ignore_index=True)


def _cure_nets(frames: Frames, options: list[Cure]) -> pd.DataFrame:
    nets = plain_nets(frames)
    if not options:
        raise MissingError(f"{frames.name} sweeps no cure; add norm=none,batch,layer, residual=plain,identity or clip=none,global_l2.")
    sick = numbers(frames, nets)
    groups = dict(iter(sick.groupby(["activation", "init"], observed=True)))
    ill = {key: state(group) for key, group in groups.items()}
    rows = []
    for cure in options:
        cured = numbers(frames, with_cure(frames, nets, cure))
        for key, group in groups.items():
            match = treated(cured, cure, *key)
            if ill[key] not in OPPOSITE or match.empty:
                continue
            row = {"cure": cure.name, "kind": cure.kind, "activation": key[0], "init": key[1], "illness": ill[key], "verdict": verdict(group, match)}
            row |= {"cured_state": state(match), "seeds": len(match)}
            for name in (*NUMBERS, "backward_rate_end"):
                for word, part in (("sick", group), ("cured", match)):
                    row[f"{name}_{word}"] = interval(part[name].to_numpy()).mean
            for word, part in (("sick", group), ("cured", match)):
                span = interval(part["backward_rate"].to_numpy())
                row |= {f"backward_rate_{word}_low": span.low, f"backward_rate_{word}_high": span.high}
                row[f"run_id_{word}"] = part.sort_values("seed")["run_id"].iloc[0]
            row |= _gains(frames, match)
            rows.append(row)
    if not rows:
        raise MissingError(none_ill(frames, nets))
    return pd.DataFrame(rows)


def treated(runs: pd.DataFrame, cure: Cure, activation: str, init: str) -> pd.DataFrame:
    """Of the runs with the cure, those that were the net (activation, init) without it; empty where it isn't prescribed for that net."""
    if not cure.suits(activation, init):
        return runs[:0]
    target = {"activation": activation, "init": init} | ({cure.axis: cure.value} if cure.axis in ("activation", "init") else {})
    return runs[(runs["activation"] == target["activation"]) & (runs["init"] == target["init"])]


def none_ill(frames: Frames, nets: pd.DataFrame) -> str:
    """The line that says why no net counts as ill."""
    if nets["seed"].nunique() < 2:
        return f"{frames.name} has one seed, which can't tell illness from chance; sweep seed=range(3)."
    return f"{frames.name} has no plain net that vanishes or explodes beyond its seeds' scatter, beside a cured one; sweep deeper nets or init=small,large."


def with_cure(frames: Frames, nets: pd.DataFrame, cure: Cure) -> pd.DataFrame:
    """All nets with the cure, whether it is prescribed for them or not."""
    if cure.axis in ("activation", "init"):
        return nets[nets[cure.axis] == cure.value]
    plain = {axis: nets[axis].iloc[0] for axis in _PLAIN if axis in nets and axis != cure.axis}
    return frames.baseline(("activation", "init"), depth=nets["depth"].iloc[0], **plain, **{cure.axis: cure.value})


def _gains(frames: Frames, runs: pd.DataFrame) -> dict[str, float]:
    rows = frames.at_start(runs, ("log10_gain_weight", "log10_gain_derivative"))
    finite = rows.replace([np.inf, -np.inf], np.nan)
    return {f"{name}_cured": float(finite[f"log10_{name}"].mean()) for name in ("gain_weight", "gain_derivative")}


def cure_table(nets: pd.DataFrame) -> pd.DataFrame:
    """`cures.csv`: one row a cure and an illness: verdict, textbook's answer, the explanation where they differ, and medians over the nets."""
    rows = []
    for (cure, illness), group in nets.groupby(["cure", "illness"], sort=False):
        counts = group["verdict"].value_counts()
        most = sorted(group["verdict"], key=VERDICTS.index)[len(group) // 2]
        kind = group["kind"].iloc[0]
        book = _TEXTBOOK.get(kind, {}).get(illness, "")
        row = {"cure": cure, "illness": illness, "verdict": most, "nets": f"{counts[most]} of {len(group)}", "textbook": book or "says nothing"}
        # Open: not shown to be cured, but fewer than half of the nets are shown to be ill.
        is_open = 2 * group["cured_state"].isin(OPPOSITE).sum() < len(group)
        row["agrees"] = "" if not book else "yes" if book == most else "open" if is_open else "no"
        row["explanation"] = _explain(kind, illness, most, group) if book and (book != most or counts[most] < len(group)) else ""
        for name in (*NUMBERS, "backward_rate_end"):
            row |= {f"{name}_{word}": _middle(group[f"{name}_{word}"]) for word in ("sick", "cured")}
        row["verdicts"] = ", ".join(f"{counts[name]} {name}" for name in VERDICTS if name in counts.index)
        rows.append(row)
    return pd.DataFrame(rows)


def _middle(values: pd.Series) -> float:
    values = values.dropna()
    return float(np.sort(values.to_numpy())[(len(values) - 1) // 2]) if len(values) else math.nan


def _explain(kind: str, illness: str, most: str, group: pd.DataFrame) -> str:
    # Every sentence is chosen by what was measured, never by the cure's name alone.
    left = group[group["verdict"] != "cures"]
    step_before, step_after = (_middle(group[f"largest_update_{word}"]) for word in ("sick", "cured"))
    same = np.isclose(group["backward_rate_sick"], group["backward_rate_cured"], rtol=0, atol=1e-9, equal_nan=True) | (
        group["backward_rate_sick"] == group["backward_rate_cured"]
    )
    if same.all():
        if math.isinf(step_after) or _middle(group["finite_cured"]) < _middle(group["finite_sick"]):
            return "changes no rate at initialization, and the first steps that it changes leave the float's range"
        if step_after < step_before - 0.1:
            update = f"largest relative update 10^{step_before:.1f} before, 10^{step_after:.1f} after"
            return f"bounds the step ({update}) and changes no rate: it acts after the backward pass"
        return "changes no rate at initialization: it acts on the steps that follow, and there the largest relative update stays as it was"
    parts = []
    opposite = left[left["verdict"] == "makes the opposite ill"]
    if len(opposite):
        turned = _middle(opposite["backward_rate_cured"])
        rate = f"delta then changes by {turned:+.2f} decades a layer" if math.isfinite(turned) else "numbers then leave the float's range"
        verb = {"vanishes": "vanishing into exploding", "explodes": "exploding into vanishing"}[illness]
        parts.append(f"turns {verb} in {len(opposite)} of {len(group)} nets: {rate}")
    still = left[left["cured_state"] == illness]
    if len(still):
        parts.append(f"{len(still)} of {len(group)} nets stay ill: {_culprit(still, illness)}")
    unclear = left[left["cured_state"] == "undecided"]
    if len(unclear):
        parts.append(f"{len(unclear)} of {len(group)} nets can't be told from well with {_seeds(unclear)}")
    return "; ".join(parts)


def _seeds(nets: pd.DataFrame) -> str:
    fewest = int(nets["seeds"].min())
    return f"{fewest} seed{'s' if fewest != 1 else ''}"


def _culprit(still: pd.DataFrame, illness: str) -> str:
    weight, derivative = _middle(still["gain_weight_cured"]), _middle(still["gain_derivative_cured"])
    rate = _middle(still["backward_rate_cured"])
    if math.isfinite(rate) and not math.isfinite(weight):
        # A recurrent net's weights are in its gates, too: no factor is told apart.
        level = _middle(still["level_cured"])
        return f"there delta changes by {rate:+.2f} decades a step, and the first step's weight gradient is 10^{level:.1f}"
    if not (math.isfinite(weight) and math.isfinite(derivative)):
        return "delta is exactly zero" if illness == "vanishes" else "numbers leave the float's range"
    sign, verb = (-1, "shrink") if illness == "vanishes" else (1, "stretch")
    if sign * weight > sign * derivative:
        return f"there the weights {verb} delta by {weight:+.2f} decades a layer, phi' adds {derivative:+.2f}"
    return f"there phi' {verb}s delta by {derivative:+.2f} decades a layer, the weights add {weight:+.2f}"
