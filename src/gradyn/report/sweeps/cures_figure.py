"""Figure 4: sick nets beside cured ones, delta against layer; and `cures.csv` as a picture: what every cure does to six numbers."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

from gradyn.report.figure import Drawn, label
from gradyn.report.frames import Frames, MissingError, seed_words
from gradyn.report.style import CURED, GREY, INK, SICK, Page, layer_ticks, seed_lines
from gradyn.report.sweeps.cures import (
    NUMBERS,
    VERDICTS,
    Cure,
    cure_nets,
    cure_table,
    cures_of,
    families,
    none_ill,
    numbers,
    plain_nets,
    state,
    treated,
    verdict,
    with_cure,
)
from gradyn.report.sweeps.sentences import sentences

# Verdict -> colour and mark; the marks tell them apart in grey.
_MARKS = {
    "cures": ("#009E73", "o"),
    "helps": ("#56B4E9", "^"),
    "no effect": ("#999999", "s"),
    "worse": ("#E69F00", "v"),
    "makes the opposite ill": ("#D55E00", "X"),
}
_ROOMY = 8
_HEADS = {
    "backward_rate": "backward\nrate",
    "forward_rate": "forward\nrate",
    "level": "level\n",
    "finite": "share\nfinite",
    "accuracy": "accuracy\n",
    "largest_update": "largest\nupdate",
}


def draw(frames: Frames, page: Page) -> list[Drawn]:
    """`cures_by_layer`: three sick nets, each beside every cure."""
    frames = families(frames)[0]
    nets, options = plain_nets(frames), cures_of(frames)
    if not options:
        raise MissingError(f"{frames.name} sweeps no cure; add norm=none,batch,layer, residual=plain,identity or clip=none,global_l2.")
    patients = _patients(frames, nets)
    plain = numbers(frames, nets)
    held = frames.setting(nets, ("activation", "init", "norm", "residual", "clip"))
    foot = (
        f"Grey: the sick net; blue: the same net with the cure; both at initialization, so that clipping, which acts later, leaves no trace. "
        f"{seed_words(nets['seed'].nunique())} "
        f"The verdict counts backward span, forward span and level, by intervals over seeds; "
        f"zero, inf: delta is exactly zero or beyond the float's range. {frames.progress}"
    )
    options = [cure for cure in options if any(cure.suits(*key) for key, _ in patients)]
    if not patients or not options:
        raise MissingError(f"{frames.name} has no net that one of its cures is for; add activation=relu, init=small,he_normal,large or norm=none,batch,layer.")
    # With more columns than that, words reach into the next one.
    is_crowded = len(options) > _ROOMY and not page.is_narrow
    with_cures = [numbers(frames, with_cure(frames, nets, cure)) for cure in options]
    claim = _claim(patients, options, plain, with_cures)
    shape = (len(options), len(patients)) if page.is_narrow else (len(patients), len(options))
    figure, axes = page.sheet(
        *shape,
        title=claim,
        setting=held,
        foot=foot,
        height=0.72 if page.is_narrow else 1.0,
        legend=0.34 if is_crowded else 0.24,
        left=0.62 if page.is_narrow else 0.7,
        gap=(0.22, 0.24) if page.is_narrow else (0.13, 0.3),
        share=(True, "col" if page.is_narrow else "row"),
    )
    points = []
    for i, (key, word) in enumerate(patients):
        sick = nets[(nets["activation"] == key[0]) & (nets["init"] == key[1])]
        for j, cure in enumerate(options):
            ax = axes[j, i] if page.is_narrow else axes[i, j]
            layers, values = frames.stacked(sick, "log10_delta_rms")
            seed_lines(ax, layers, values, SICK)
            points.append(_points(key, "sick", layers, values))
            cured = treated(with_cures[j], cure, *key)
            text = "not for it" if is_crowded else "not for this net"
            if len(cured):
                layers, values = frames.stacked(cured, "log10_delta_rms")
                seed_lines(ax, layers, values, CURED)
                points.append(_points(key, cure.name, layers, values))
                text = verdict(plain[plain["run_id"].isin(sick["run_id"])], cured)
                if not np.isfinite(values).any():
                    text += ": zero" if np.isneginf(values).any() else ": inf"
            elif cure.suits(*key):
                text = "no run yet"
            title = cure.name.replace("initialization", "init").replace("weight ", "")
            title = title.replace("_", "\n").replace(" norm", "\nnorm") if is_crowded else title
            if page.is_narrow:
                ax.set_title(f"{' '.join(key)}\n{word}" if j == 0 else "", size=6.5, pad=11)
                if i == 0:
                    ax.set_ylabel(title.replace(": ", "\n"), size=6.3)
            else:
                if i == 0:
                    ax.set_title(title.replace(": ", ":\n"), size=6.3 if is_crowded else 7, pad=11)
                if j == 0:
                    ax.set_ylabel(f"{key[0]} {key[1]}\n{word}\n" + label("log10_delta_rms"), size=6.5)
            _verdict_words(ax, text, 5.4 if is_crowded else 6.2)
    depth = int(nets["depth"].iloc[0])
    layer_ticks(axes[0, 0], depth)
    axes[0, 0].set_xticks([1, depth // 2, depth])
    for ax in axes[-1]:
        ax.set_xlabel("layer l")
    table = pd.concat(points, ignore_index=True).drop_duplicates()
    return [Drawn("cures_by_layer", figure, claim, held, foot, table, ("log10_delta_rms",))]


def _verdict_words(ax: Axes, text: str, size: float) -> None:
    colour, mark = _MARKS.get(text.split(":")[0], (GREY, ""))
    text = text.replace("makes the opposite ill", "opposite ill")
    ax.margins(y=0.08)
    ax.annotate(
        text, (0.0, 1.0), (8 if mark else 1, 2), xycoords="axes fraction", textcoords="offset points", va="bottom", size=size, color=INK if mark else GREY
    )
    if mark:
        # The middle of the text's line: its size over two, above the offset.
        place = ScaledTranslation(3 / 72, 5 / 72, ax.figure.dpi_scale_trans)
        ax.plot([0.0], [1.0], transform=ax.transAxes + place, marker=mark, color=colour, markersize=4, clip_on=False, linestyle="")


def _patients(frames: Frames, nets: pd.DataFrame) -> list[tuple[tuple[str, str], str]]:
    """Up to three nets: shrunk by phi', shrunk by the weights, stretched by the weights; the most ill of each kind whose delta is finite."""
    table = numbers(frames, nets)
    rows = frames.at_start(nets, ("log10_gain_weight", "log10_gain_derivative")).replace([np.inf, -np.inf], np.nan)
    gains = rows.groupby("run_id", observed=True)[["log10_gain_weight", "log10_gain_derivative"]].mean()
    table = table.join(gains, on="run_id")
    groups = dict(iter(table.groupby(["activation", "init"], observed=True)))
    found: list[tuple[tuple[str, str], str]] = []
    for illness, words, wanted in (
        ("vanishes", "shrunk by φ′", lambda w, d: d < w and w > -0.3),
        ("vanishes", "shrunk by W", lambda w, d: w < d),
        ("explodes", "stretched by W", lambda w, d: w > 0),
    ):
        ranked = []
        for key, group in groups.items():
            rate, weight, derivative = (group[name].mean() for name in ("backward_rate", "log10_gain_weight", "log10_gain_derivative"))
            if state(group) == illness and math.isfinite(rate) and wanted(weight, derivative):
                # Another activation than in the rows above, where there is one.
                ranked.append((key[0] in [other[0][0] for other in found], -abs(rate), key))
        if ranked:
            found.append((min(ranked)[-1], words))
    if not found:
        raise MissingError(none_ill(frames, nets))
    return found


def _claim(patients: list[tuple[tuple[str, str], str]], options: list[Cure], plain: pd.DataFrame, with_cures: list[pd.DataFrame]) -> str:
    words = []
    for (activation, init), _ in patients:
        sick = plain[(plain["activation"] == activation) & (plain["init"] == init)]
        found = [
            _short(cure)
            for cure, runs in zip(options, with_cures, strict=True)
            if len(match := treated(runs, cure, activation, init)) and verdict(sick, match) == "cures"
        ]
        words.append(f"{activation} {init} is cured by {', '.join(found) if found else 'none'}")
    return "; ".join(words) + "."


def _short(cure: Cure) -> str:
    return cure.value if cure.kind == "initialization" else cure.kind


def _points(key: tuple[str, str], cure: str, layers: np.ndarray, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "activation": key[0],
            "init": key[1],
            "cure": cure,
            "draw": np.repeat(np.arange(len(values)), len(layers)),
            "layer": np.tile(layers, len(values)),
            "log10_delta_rms": values.ravel(),
        }
    )


def draw_table(frames: Frames, page: Page) -> list[Drawn]:
    """`cures`: the rows of `cures.csv`, sick and cured value of each number, the verdict and the textbook's answer."""
    nets = cure_nets(frames)
    table = cure_table(nets)
    table = table.sort_values("illness", key=lambda column: column.map({"vanishes": 0, "explodes": 1}), kind="stable").reset_index(drop=True)
    # The three numbers stay together, however narrow the page.
    shown = NUMBERS[:3] if page.is_narrow else NUMBERS
    lines = ["vanishing nets", *table.index[table["illness"] == "vanishes"], "exploding nets", *table.index[table["illness"] == "explodes"]]
    lines = [line for line in lines if not isinstance(line, str) or (table["illness"] == {"v": "vanishes", "e": "explodes"}[line[0]]).any()]
    first, *further = families(frames)
    held = first.setting(plain_nets(first), ("activation", "init", "norm", "residual", "clip"), "rates and level at initialization")
    answered = table[table["agrees"] != ""]
    yes, left = (int((answered["agrees"] == word).sum()) for word in ("yes", "open"))
    claim = f"Of {len(answered)} answers of the textbook {yes} hold in most nets, {left} stay{'s' if left == 1 else ''} open; batch norm {_norm_words(table)}"
    foot = (
        "Rates in decades a layer; level log10 ‖∂L/∂W₁‖; accuracy after the last step; largest update log10 ‖ΔW‖/‖W‖. "
        "Ring: sick nets; mark: with the cure; medians over the nets that have the illness (those beyond the float's range at the panel's edge, as a bar). "
        "Verdict: the median over those nets, each judged by 95 % intervals over seeds; in brackets how many have it. "
        "Rule, explanations and every net: cures.csv, cure_nets.csv. "
        f"With a penalty, its own gradient is part of the level. {_gates(further, table)}{_absent(first)}{frames.progress}"
    )
    words = 0.98 if page.is_narrow else 1.62
    figure, axes = page.sheet(
        1,
        len(shown),
        height=0.148 * len(lines) + 0.05,
        title=claim,
        setting=held,
        foot=foot,
        legend=0.32,
        left=1.18,
        right=words,
        gap=(0.1, 0.3),
        share=(False, True),
    )
    for ax, number in zip(axes[0], shown, strict=True):
        _column(ax, table, lines, number)
        ax.locator_params(axis="x", nbins=2 if page.is_narrow else 3)
    left, right = axes[0, 0], axes[0, -1]
    left.set_yticks(
        range(len(lines)),
        labels=[
            line if isinstance(line, str) else table["cure"][line].replace("initialization", "init").replace("weight penalty", "penalty") for line in lines
        ],
    )
    for tick, line in zip(left.get_yticklabels(), lines, strict=True):
        tick.set(weight="bold" if isinstance(line, str) else "normal", size=6.3, color=INK)
    x = 1.06
    right.text(
        x, 1.0, "verdict" if page.is_narrow else "verdict (nets)  “textbook”", transform=right.transAxes, size=6.3, va="bottom", weight="bold", linespacing=1.1
    )
    for place, line in enumerate(lines):
        if isinstance(line, str):
            continue
        row = table.loc[line]
        text = f"{row['verdict'].replace('makes the opposite ill', 'opposite ill')} ({row['nets'].replace(' of ', '/')})"
        if not page.is_narrow and row["textbook"] != "says nothing":
            text += f"  “{row['textbook']}”"
        right.text(x, place, text, transform=right.get_yaxis_transform(), size=6.3, va="center", color=INK if row["agrees"] != "no" else "#A63603")
    keys = [Line2D([], [], marker="o", markerfacecolor="none", markeredgecolor=GREY, linestyle="", label="sick")]
    keys += [Line2D([], [], marker=_MARKS[name][1], color=_MARKS[name][0], linestyle="", markersize=4, label=name) for name in VERDICTS]
    page.legend(figure, keys, columns=3 if page.is_narrow else 6, left=0.1)
    judged = _sentences(frames)
    return [
        Drawn("cures", figure, claim, held, "\n\n".join([foot, *_in_words(table), *_judged_words(judged)]), table, NUMBERS[:3], {"cure_nets": nets, **judged})
    ]


def _column(ax: Axes, table: pd.DataFrame, lines: list[object], number: str) -> None:
    values = table[[f"{number}_sick", f"{number}_cured"]].to_numpy(dtype=float)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if len(finite) else (0.0, 1.0)
    if number in ("finite", "accuracy"):
        low, high = 0.0, 1.0
    room = 0.14 * (high - low) or 0.5
    for place, line in enumerate(lines):
        if isinstance(line, str):
            continue
        sick, cured = (float(table[f"{number}_{word}"][line]) for word in ("sick", "cured"))
        colour, mark = _MARKS[table["verdict"][line]]
        if math.isfinite(sick) and math.isfinite(cured):
            ax.plot([sick, cured], [place, place], color=colour, linewidth=0.8, zorder=2)
        for value, style in (
            (sick, {"marker": "o", "markerfacecolor": "white", "markeredgecolor": GREY, "markersize": 4}),
            (cured, {"marker": mark, "color": colour, "markersize": 4}),
        ):
            if math.isfinite(value):
                ax.plot([value], [place], linestyle="", zorder=3, clip_on=False, **style)
            else:
                edge = low - 0.8 * room if value == -math.inf else high + 0.8 * room
                ax.plot(
                    [edge],
                    [place],
                    linestyle="",
                    zorder=3,
                    **(style | {"marker": "|", "markersize": 6, "markeredgewidth": 1.4, "markeredgecolor": style.get("color", GREY)}),
                )
    ax.axvline(0, color=GREY, linewidth=0.5, zorder=1)
    ax.set_xlim(low - room, high + room)
    ax.set_ylim(len(lines) - 0.5, -0.5)
    ax.set_title(_HEADS[number], size=6.0, loc="center", linespacing=1.05)
    ax.tick_params(axis="y", length=0)
    ax.tick_params(axis="x", labelsize=5.8)


def _norm_words(table: pd.DataFrame) -> str:
    rows = table[(table["cure"] == "batch norm") & (table["illness"] == "vanishes")]
    if rows.empty:
        return "isn't in this sweep."
    return {"makes the opposite ill": "turns vanishing into exploding", "cures": "cures vanishing"}.get(
        rows["verdict"].iloc[0], f"against vanishing: {rows['verdict'].iloc[0]}"
    ) + "."


def _gates(recurrent: list[Frames], table: pd.DataFrame) -> str:
    if not table["cure"].str.startswith("gates").any():
        return "Gates (LSTM, GRU) need recurrent nets and are left out. "
    if not recurrent:
        return ""
    depth, data = (recurrent[0].runs[axis].iloc[0] for axis in ("depth", "data"))
    return f"Gates: recurrent tanh nets, whose layers are the {depth - 1} steps of data={data}, against cell=rnn. "


def _absent(frames: Frames) -> str:
    kinds = {"ReLU", "residual", "initialization", "clipping", "weight penalty", "batch norm", "layer norm"} - {cure.kind for cure in cures_of(frames)}
    return f"Not in this sweep: {', '.join(sorted(kinds))}. " if kinds else ""


def _sentences(frames: Frames) -> dict[str, pd.DataFrame]:
    try:
        return {"sentences": sentences(frames)}
    except MissingError:
        return {}


def _in_words(table: pd.DataFrame) -> list[str]:
    """Where verdict and textbook differ, or the nets among themselves: one line each, for the caption."""
    lines = []
    for _, row in table[table["explanation"] != ""].iterrows():
        answer = "as the textbook says" if row["agrees"] == "yes" else f"the textbook says it {row['textbook']}"
        lines.append(f"- {row['cure']}, where delta {row['illness']}: {row['verdict']} in {row['nets']} nets, {answer}. What is seen: {row['explanation']}.")
    return lines


def _judged_words(judged: dict[str, pd.DataFrame]) -> list[str]:
    lines = []
    for _, row in judged.get("sentences", pd.DataFrame()).iterrows():
        line = f"- “{row['sentence']}”, {row['scope']} ({row['runs']} runs): {row['verdict']}."
        for name, word in (("not_sufficient", "Not sufficient"), ("not_necessary", "Not necessary")):
            if row[f"{name}_run"]:
                line += f" {word}: run {row[f'{name}_run']} ({row[f'{name}_net']})."
        lines.append(line)
    return lines
