"""Accuracy over depth and the scale of the weights, beside theory's depth scales; and over depth with batch norm."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.axis import Axis
from matplotlib.colors import Normalize
from matplotlib.ticker import FixedLocator, NullLocator

from gradyn.report.figure import Drawn
from gradyn.report.frames import Frames
from gradyn.report.style import INK, Page, look
from gradyn.report.sweeps.trainable import ACCURACY, at_best_rate
from gradyn.theory import batch_norm_rate, depth_scales

# Of xi_c: what is sure to train, the rule of thumb, what is sure not to.
MULTIPLES = (3, 6, 12)


def trainable_cells(frames: Frames) -> pd.DataFrame:
    """One row a depth and sigma_w of the nets without norm: accuracy on the training part at the best rate, and depth / xi_c there."""
    runs, activation, sigma_b = _plain(frames)
    best = at_best_rate(frames, runs, ("init.sigma_w", "depth")).rename(columns={"init.sigma_w": "sigma_w"})
    scales = {sigma_w: depth_scales(activation, sigma_w=sigma_w, sigma_b=sigma_b).xi_c for sigma_w in best["sigma_w"].unique()}
    best["xi_c"] = best["sigma_w"].map(scales)
    best["multiple"] = best["depth"] / best["xi_c"]
    best["final_accuracy"] = best["final_accuracy"].fillna(0.0)
    return best[["sigma_w", "depth", "xi_c", "multiple", "learning_rate", "final_accuracy"]].sort_values(["sigma_w", "depth"]).reset_index(drop=True)


def _plain(frames: Frames) -> tuple[pd.DataFrame, str, float]:
    """The runs without norm, their activation and the scale of their biases."""
    runs = frames.where(norm="none")
    (activation,), (sigma_b,) = runs["activation"].unique(), runs["init.sigma_b"].unique()
    return runs, str(activation), float(sigma_b)


def normalized_scale(frames: Frames) -> float:
    """xi = 1 / ln(factor of |delta|^2 a layer) of the nets with batch norm, at their batch size [layers]."""
    runs = frames.where(norm="batch")
    (activation,), (batch,) = runs["activation"].unique(), runs["batch_size"].unique()
    return 1 / math.log(batch_norm_rate(activation, int(batch)))


def draw_trainable_map(frames: Frames, page: Page, stem: str, title: str, setting: str, text: str) -> Drawn:
    """The map with its depth scales, and the accuracy of the nets with batch norm over depth."""
    cells, normed, xi = trainable_cells(frames), frames.where(norm="batch"), normalized_scale(frames)
    runs, activation, sigma_b = _plain(frames)
    lines = ", ".join(f"{multiple} " + r"$\xi_c$" for multiple in MULTIPLES)
    foot = (
        f"First: accuracy on the training part at the best of {runs['learning_rate'].nunique()} rates, mean over seeds; lines: "
        f"{lines}, the middle one the rule of thumb. "
        f"Second: ReLU nets with batch norm, a mark a seed; dashed: 16 $\\xi$, $\\xi = 1 / \\ln$ of the factor by which squared gradients grow. {text}"
    )
    shape = (2, 1) if page.is_narrow else (1, 2)
    figure, axes = page.sheet(*shape, height=2.3, title=title, setting=setting, foot=foot, left=0.55, gap=(0.75, 0.75), share=(False, False), bottom=0.45)
    left, right = axes.ravel()
    grid = cells.pivot(index="depth", columns="sigma_w", values="final_accuracy")
    depths, scales = grid.index.to_numpy(dtype=float), grid.columns.to_numpy(dtype=float)
    mesh = left.pcolormesh(_edges(scales), np.exp(_edges(np.log(depths))), grid.to_numpy(), cmap=ACCURACY, norm=Normalize(0, 1), zorder=0)
    figure.colorbar(mesh, ax=left, label="accuracy", pad=0.02)
    w = np.linspace(scales.min(), scales.max(), 60)
    xi_c = np.array([depth_scales(activation, sigma_w=x, sigma_b=sigma_b).xi_c for x in w])
    for multiple, style in zip(MULTIPLES, (":", "--", ":"), strict=True):
        left.plot(w, multiple * xi_c, color=INK, linestyle=style, linewidth=1.1, zorder=2)
    left.set_yscale("log")
    left.set_ylim(np.exp(_edges(np.log(depths)))[[0, -1]])
    _depth_axis(left.yaxis, depths)
    left.set_xlabel(r"scale of the weights $\sigma_w$")
    left.set_ylabel("depth")
    left.set_title(f"{activation}, no norm")
    (other,) = normed["activation"].unique()
    right.set_title(f"{other}, batch norm")
    left.grid(visible=False)
    colour, _ = look("norm", "batch", [])
    for seed, same in normed.sort_values("depth").groupby("seed"):
        right.plot(same["depth"], same["final_accuracy"], "o-" if seed == normed["seed"].min() else "o", color=colour, markersize=3.5, linewidth=1)
    right.axvline(16 * xi, color=INK, linestyle="--", linewidth=1)
    right.set_xscale("log")
    _depth_axis(right.xaxis, np.sort(normed["depth"].unique()))
    right.set_ylim(0, 1.02)
    right.set_xlabel("depth")
    right.set_ylabel("accuracy")
    return Drawn(stem, figure, title, setting, foot, cells, ("final_accuracy",), {"batch_norm": normed[["depth", "seed", "final_accuracy"]]})


def _edges(centres: np.ndarray) -> np.ndarray:
    """Borders halfway between neighbours, the outer ones as far out."""
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate([[2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]])


def _depth_axis(axis: Axis, depths: np.ndarray) -> None:
    axis.set_major_locator(FixedLocator(list(depths)))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(lambda depth, _: f"{depth:g}")
