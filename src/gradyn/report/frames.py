"""What figures are made from: the three tables of a sweep, narrowed to one question, and the tables of a measurement.

`baseline` never mixes: every axis that a figure doesn't show is held at one value, and the value is written on the figure.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml  # type: ignore[import-untyped]

from gradyn.core import ConfigError, groups, inert, options
from gradyn.probes import AbstractProbe
from gradyn.report.measured import is_measured_only, kept
from gradyn.report.style import ordered
from gradyn.store import RUN_COLUMNS, load, stored_log

# An axis that is not shown is held at the first of these that the folder has.
_RESTING = ("none", "plain")
# Not axes: where the same run was computed.
_NOT_SHOWN = {"seed"}


class MissingError(ValueError):
    """A figure can't be drawn from this folder; the text is the line that says why, and what to sweep."""


@dataclass(frozen=True)
class Frames:
    """The tables of one folder.

    Args:
        name: the folder's name.
        runs: one row a run.
        steps: one row a run and step.
        layers: one row a run, step and layer.
        planned: how many runs the folder's plan has; None where it isn't known.
        tables: of the measurement, by name; the three above are empty where nothing was swept.
        settings: that the measurement was made with.
        made: provenance of the measurement.
    """

    name: str
    runs: pd.DataFrame
    steps: pd.DataFrame
    layers: pd.DataFrame
    planned: int | None = None
    tables: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    made: Mapping[str, Any] = field(default_factory=dict)

    @property
    def progress(self) -> str:
        """`1,020 of 4,320 runs.` while some are missing, else empty."""
        return f"{len(self.runs):,} of {self.planned:,} runs." if self.planned is not None and len(self.runs) < self.planned else ""

    @property
    def seconds(self) -> float:
        """What the runs and the measurement took, in seconds of one core; nan where it isn't known."""
        # Runs of an earlier version know their wall time only.
        columns = [self.runs[name] for name in ("cpu_s", "wall_s") if name in self.runs]
        runs = float(columns[0].fillna(columns[-1]).sum()) if columns else 0.0
        return runs + float(self.made.get("seconds", 0.0 if len(self.runs) else math.nan))

    @cached_property
    def initial(self) -> pd.DataFrame:
        """The rows of `layers` at each run's first step (initialization), in order of run and layer."""
        return self.layers[self.layers["step"] == self.layers["step"].min()].sort_values(["run_id", "layer"], kind="stable")

    @cached_property
    def axes(self) -> list[str]:
        """The columns of `runs` that hold the spec, groups before their settings."""
        not_spec = {"run_id", *(column.name for column in RUN_COLUMNS)}
        found = [column for column in self.runs.columns if column not in not_spec]
        return sorted(found, key=lambda column: "." in column)

    def values(self, axis: str) -> list[Any]:
        """The values of an axis that the folder has, in the order of every figure."""
        return ordered(axis, self.runs[axis].dropna().unique().tolist()) if axis in self.runs else []

    def where(self, **settings: Any) -> pd.DataFrame:
        """The runs with the given settings (`init__sigma_w=2` is init.sigma_w); none where the folder lacks one. See `equals`."""
        runs = self.runs
        for name, value in settings.items():
            axis = name.replace("__", ".")
            runs = runs[equals(runs[axis], value)] if axis in runs else runs.iloc[:0]
        return runs

    def need(self, *axes: str) -> None:
        """Raise unless the folder has the axes, with one line that says so.

        Raises:
            MissingError: an axis is missing.
        """
        if self.runs.empty:
            raise MissingError(f"{self.name} holds no finished run yet; gradyn sweep continues it.")
        for axis in axes:
            if axis not in self.runs or self.runs[axis].isna().all():
                raise MissingError(f"{self.name} has no column {axis!r} in runs/; sweep it with gradyn sweep {axis}=...")

    def baseline(self, free: Iterable[str], **fixed: Any) -> pd.DataFrame:
        """The runs among which nothing varies but `free` and the seed.

        Every other axis is held at the given value, else at none or plain where the folder has that, else at its most frequent value.

        Args:
            free: axes that the figure shows.
            fixed: axis -> value (or a list of allowed values).

        Raises:
            MissingError: no run is left.
        """
        runs = self.runs
        for axis, value in fixed.items():
            runs = runs[runs[axis].isin(value if isinstance(value, list) else [value])]
        free = {*free, *_NOT_SHOWN}
        for axis in self.axes:
            if axis in free or axis in fixed or runs.empty:
                continue
            parent = axis.split(".")[0]
            if parent != axis and parent in free:
                runs = runs[_first_setting(runs, parent, axis)]
            elif runs[axis].nunique(dropna=False) > 1:
                counts = runs[axis].value_counts()
                rest = [value for value in _RESTING if value in counts.index]
                best = counts[counts == counts.max()].index
                runs = runs[runs[axis] == (rest[0] if rest else ordered(axis, best)[0])]
        if runs.empty:
            raise MissingError(f"{self.name} has no run with {', '.join(f'{axis}={value}' for axis, value in fixed.items())}; sweep it to draw this figure.")
        return runs

    def setting(self, runs: pd.DataFrame, shown: Iterable[str], step: str = "at initialization") -> str:
        """What is held fixed among the runs, in words, and the number of seeds: one line for under the title.

        The usual settings are always said, any other where the folder sweeps it and the figure shows one value of it.

        Args:
            runs: what is drawn.
            shown: axes that the figure shows.
            step: when it was measured.
        """
        shown, words = set(shown), []
        if "steps" in runs and not runs["steps"].any():
            # Nothing is updated: how it would have been says nothing.
            shown |= _OF_UPDATES
        for axis, form in _SETTING.items():
            if axis in runs and axis not in shown and runs[axis].nunique() == 1:
                value = runs[axis].iloc[0]
                words.append(_PLAIN_WORDS[axis, value] if (axis, value) in _PLAIN_WORDS else form.format(value))
        unusual = [axis for axis in self.axes if axis not in {*shown, *_SETTING, *_NOT_SHOWN} and runs[axis].nunique() == 1 and self.is_swept(axis)]
        words += [f"{axis}={runs[axis].dropna().iloc[0]}" for axis in unusual]
        seeds = runs["seed"].nunique() if "seed" in runs else 1
        return ", ".join(word for word in [*words, step] if word) + f"; {seeds} seed{'s' if seeds != 1 else ''}."

    def is_swept(self, axis: str) -> bool:
        """Whether an axis varies; a setting of options (`init.gain`) where it varies within one option."""
        parent = axis.split(".")[0]
        if parent == axis or parent not in self.runs:
            return bool(self.runs[axis].nunique() > 1)
        return bool((self.runs.groupby(parent, observed=True)[axis].nunique() > 1).any())

    def at_start(self, runs: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
        """The layers of the given runs at initialization: run_id, layer and the columns."""
        rows = self.initial[self.initial["run_id"].isin(runs["run_id"])]
        return rows[["run_id", "layer", *columns]]

    def stacked(self, runs: pd.DataFrame, column: str, rows: pd.DataFrame | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Layer numbers [L] and one column of the given runs (of one depth) as [S, L], in order of their seeds."""
        rows = self.at_start(runs, [column]) if rows is None else rows[rows["run_id"].isin(runs["run_id"])]
        table = rows.pivot(index="run_id", columns="layer", values=column)
        table = table.reindex(runs.sort_values("seed")["run_id"])
        return table.columns.to_numpy(), table.to_numpy(dtype=float)


def equals(values: pd.Series, value: Any) -> pd.Series:
    """Where a column has a value: numbers to nine digits, as a root that was typed has them, all else exactly."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return values == value
    return pd.Series(np.isclose(values.astype(float), value, rtol=1e-9, atol=0), index=values.index)


# The standard columns that figures are made from; those of probes come on top. What no figure shows is not read.
_LAYERS = (
    "log10_grad_w_l2",
    "log10_delta_rms",
    "log10_act_rms",
    "act_std",
    "preact_std",
    "log10_gain_weight",
    "log10_gain_derivative",
    "weight_l2",
    "weight_spectral",
    "log10_update_ratio",
)
# Those of gated cells alone.
_GATES = ("log10_delta_cell_rms", "log10_gate_path_rms")


def read(folder: str | Path, planned: int | None = None) -> Frames:
    """The frames of an experiment's folder, from its Parquet files alone.

    Args:
        folder: `results/<name>`.
        planned: how many runs the plan has; what the folder's `config.yaml` says when left out.

    Raises:
        ConfigError: no such folder, neither a finished run nor a measurement in it, or another schema version.
    """
    folder, found = Path(folder), kept(folder)
    name = harmless(folder.resolve().name)
    if not any((folder / "runs").glob("*.parquet")):
        if found.tables:
            return Frames(name, pd.DataFrame(), pd.DataFrame(), pd.DataFrame(), None, found.tables, found.settings, found.made)
        if is_measured_only(name):
            raise ConfigError("folder", "hold the tables of a measurement", str(folder), f"Measure first: gradyn reproduce --only {name}.")
    results = load(folder)
    gates = _GATES if "cell" in results.runs and set(results.runs["cell"].dropna()) - {"feedforward", "rnn"} else ()
    layers = results.frame("layers", ["run_id", "step", "layer", *_LAYERS, *gates, *_of_probes(folder)])
    return Frames(name, _shown(_with_neutral(results.runs)), results.steps, layers, planned or _planned(folder), found.tables, found.settings, found.made)


def _with_neutral(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with the option that changes nothing where a group has one and the run is from before there was the group: it has that option's id."""
    found = {group: [name for name, option in options(abstract).items() if option.is_neutral] for group, abstract in groups().items()}
    return runs.assign(**{group: runs[group].fillna(neutral[0]) for group, neutral in found.items() if neutral and group in runs})


def _shown(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs with texts that a figure, a terminal or a page shows and never obeys, whoever wrote the folder.

    No option of ours has such a letter: a dollar would begin mathematics in a figure, `<` an element in a caption.
    """
    runs = runs.copy()
    for name in runs.columns:
        if name != "run_id" and not (pd.api.types.is_numeric_dtype(runs[name]) or pd.api.types.is_bool_dtype(runs[name])):
            texts = {value: harmless(value) for value in runs[name].dropna().unique() if isinstance(value, str)}
            if any(value != text for value, text in texts.items()):
                runs[name] = runs[name].map(lambda value, texts=texts: texts.get(value, value))
    return runs


def harmless(text: str) -> str:
    """The text with look-alikes of the letters that mean something to matplotlib, HTML or Markdown."""
    return inert(text).translate(str.maketrans("$<>`", "\u00a4\u2039\u203a\u2032"))


def _of_probes(folder: Path) -> list[str]:
    """The columns of the probes that the folder's log names."""
    named = (stored_log(folder) or {}).get("probes", {})
    return [column.name for name, probe in options(AbstractProbe).items() if name in named and issubclass(probe, AbstractProbe) for column in probe.columns]


def _planned(folder: Path) -> int | None:
    try:
        kept = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except (FileNotFoundError, yaml.YAMLError):
        return None
    if not isinstance(kept, dict):
        return None
    # Axes that advance together make fewer runs than their product: the plan's own count comes first.
    axes, runs = kept.get("axes"), kept.get("runs")
    if isinstance(runs, int):
        return runs
    return math.prod(len(values) for values in axes.values()) if isinstance(axes, dict) else None


def _first_setting(runs: pd.DataFrame, parent: str, axis: str) -> pd.Series:
    # Within each option of a group that is shown, its settings are held at the most frequent value.
    keep = pd.Series(True, index=runs.index)
    for _, group in runs.groupby(parent, observed=True):
        counts = group[axis].value_counts()
        if len(counts) > 1:
            best = ordered(axis, counts[counts == counts.max()].index)[0]
            keep[group.index] = group[axis] == best
    return keep


_SETTING = {
    "depth": "depth {}",
    "width": "width {}",
    "cell": "cell {}",
    "activation": "{}",
    "init": "init {}",
    "norm": "{} norm",
    "residual": "{} residual",
    "clip": "clip {}",
    "dropout": "{} dropout",
    "penalty": "{} penalty",
    "data": "{}",
    "loss": "{}",
    "batch_size": "batch {}",
    "optimizer": "{}",
    "rates": "rates {}",
    "learning_rate": "rate {:g}",
}
_OF_UPDATES = {"clip", "optimizer", "rates", "learning_rate"}
_PLAIN_WORDS = {
    ("cell", "feedforward"): "",
    ("rates", "uniform"): "",
    ("norm", "none"): "no norm",
    ("residual", "plain"): "no skip",
    ("clip", "none"): "no clipping",
    ("dropout", "none"): "",
    ("penalty", "none"): "",
    ("loss", "cross_entropy"): "cross entropy",
}


def seed_words(count: int) -> str:
    """What thin and thick lines are, for the foot of a figure."""
    if count >= 10:
        return f"Thick: median of {count} seeds; band: their minimum to maximum."
    return "Thin lines: single seeds; thick: their median." if count > 1 else "One seed."
