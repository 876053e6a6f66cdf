"""Deep linear nets by gradient descent, matrix by matrix: strengths of modes over time, and steps until a target is met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradyn.report.claims import Claim, Rival
from gradyn.report.frames import Frames
from gradyn.report.overlay import Curve
from gradyn.theory import half_rise, mode_strength, steps_of_modes

Matrix = NDArray[np.float64]
# Euler's steps, halved twice: two extrapolations to steps of 0, the second of which is off by about a third of their distance.
HALVINGS = (1, 2, 4)
# Of a curve: so near that a cubic through four of them is good to 1e-9.
POINTS = 1201


def mode_curves(strengths: Sequence[float], start: float, matrices: int, rate: float, until: float, seed: int) -> pd.DataFrame:
    """Strengths of the target's modes while an aligned, balanced net learns it, extrapolated to steps of 0.

    Args:
        strengths: singular values of the target.
        start: of every mode's product.
        matrices: M.
        rate: of the coarsest of three descents.
        until: rate times steps at the end.
        seed: draws the bases.

    Returns:
        Rows of `mode`, `time`, `strength`, `error` (of the extrapolation), `coarse` (the coarsest descent), `theory`.
    """
    size, steps = len(strengths), round(until / rate)
    bases = [_rotation(np.random.default_rng([seed, place]), size) for place in range(matrices + 1)]
    target = bases[-1] @ np.diag(strengths) @ bases[0].T
    kept = np.unique(np.linspace(0, steps, POINTS).round().astype(int))
    found = []
    for halving in HALVINGS:
        weights = [start ** (1 / matrices) * bases[place + 1] @ bases[place].T for place in range(matrices)]
        products = _descend(weights, target, rate / halving, steps * halving)
        # The diagonal in the target's bases.
        found.append(np.array([np.diag(bases[-1].T @ products[step * halving] @ bases[0]) for step in kept]))
    coarse, first, second = found[0], 2 * found[1] - found[0], 2 * found[2] - found[1]
    rows = []
    for mode, s in enumerate(strengths):
        time = kept * rate
        columns = {"time": time, "strength": second[:, mode], "error": np.abs(second - first)[:, mode] / 3, "coarse": coarse[:, mode]}
        rows.append(pd.DataFrame(columns | {"mode": s, "theory": mode_strength(time, s, start, matrices=matrices)}))
    return pd.concat(rows, ignore_index=True)


def half_rises(curves: pd.DataFrame, start: float, matrices: int) -> pd.DataFrame:
    """One row a mode: the time at half strength between the points of the curve, its error, and theory's.

    Between points logit(u / s) is nearly a straight line in time: for two matrices it is one, so that nothing is lost by the gap.
    """
    rows = []
    for _, curve in curves.groupby("mode"):
        s = float(curve["mode"].iloc[0])
        logit = np.log(curve["strength"] / (s - curve["strength"]).clip(lower=1e-300))
        risen, theory = np.flatnonzero(logit.to_numpy() > 0), half_rise(s, start, matrices=matrices)
        if not len(risen):
            rows.append({"mode": s, "measured": np.nan, "error": np.nan, "theory": theory})
            continue
        place = int(risen[0])
        near = curve.iloc[place - 2 : place + 2]
        line = np.polyfit(logit.iloc[place - 2 : place + 2], near["time"], 3 if len(near) == 4 else 1)
        slope = float(np.polyval(np.polyder(line), 0.0))
        # d time = slope d logit, d logit = 4 / s d u at the half.
        error = slope * 4 / s * float(near["error"].max())
        rows.append({"mode": s, "measured": float(np.polyval(line, 0.0)), "error": error, "theory": theory})
    return pd.DataFrame(rows)


def deep_linear_tables(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """`curves_M` and `half_M` of each number M of matrices in the settings, and `steps` of orthogonal and Gaussian nets."""
    s, tables = settings, dict[str, pd.DataFrame]()
    for matrices, given in s["curves"].items():
        curves = mode_curves(s["strengths"], given["start"], matrices, s["rate"], given["until"], s["seed"])
        tables |= {f"curves_{matrices}": curves, f"half_{matrices}": half_rises(curves, given["start"], matrices)}
    seeds, inits = [s["seed"] + place for place in range(s["seeds"])], {"orthogonal": s["orthogonal"], "Gaussian": s["gaussian"]}
    steps = [steps_to_target(init, s["size"], g["depths"], g["rates"], s["share"], s["most"], seeds) for init, g in inits.items()]
    return tables | {"steps": pd.concat(steps, ignore_index=True)}


def mode_points(frames: Frames, matrices: int) -> list[Curve]:
    """A curve a mode: every fortieth point, and theory's line."""
    curves = frames.tables[f"curves_{matrices}"].groupby("mode", sort=False)
    return [Curve(f"s = {s:g}", c["time"][::40], c["strength"][::40], theory=c["theory"], theory_x=c["time"]) for s, c in curves]


def mode_claims(frames: Frames, matrices: int, start: float) -> list[Claim]:
    """The times of half strength against theory's, with another number of matrices as the rival; the largest distance of a strength from theory's."""
    found, euler, other = [], "second order of Euler's steps, from three rates", 2 if matrices != 2 else 6
    for row in frames.tables[f"half_{matrices}"].itertuples():
        rival = Rival(f"the law of {other} matrices", half_rise(row.mode, start, matrices=other))
        found.append(Claim(f"{matrices} matrices, s = {row.mode:g}: time of half strength", row.measured, row.theory, row.error, euler, rival=rival))
    curves = frames.tables[f"curves_{matrices}"]
    off = float((curves["strength"] - curves["theory"]).abs().max())
    return [*found, Claim(f"{matrices} matrices: largest distance of a strength from theory's", off, 0.0, float(curves["error"].max()), euler)]


def step_points(steps: pd.DataFrame) -> list[Curve]:
    """Steps over depth, median over seeds, a curve an init."""
    middle = steps.groupby(["init", "depth"], sort=False)[["steps", "theory"]].median().reset_index()
    return [Curve(str(init), c["depth"], c["steps"], theory=c["theory"], is_joined=True) for init, c in middle.groupby("init", sort=False)]


def step_claims(steps: pd.DataFrame) -> list[Claim]:
    """Orthogonal nets take the recursion's steps, at any depth as many; Gaussian ones many more for every matrix."""
    exact = steps[steps["init"] == "orthogonal"]
    off = float((exact["steps"] - exact["theory"]).abs().max())
    (deep, ratio), (slow, growth) = _step_ratio(exact, 8, "max"), _step_ratio(steps[steps["init"] == "Gaussian"], 2, "min")
    flat, linear = f"orthogonal: steps at depth {deep} over those at depth 8, largest of seeds", Rival("in proportion to depth", deep / 8)
    return [
        Claim("orthogonal: steps off the recursion's, all depths and seeds", off, 0.0, 0.0, "exact: counts"),
        Claim(flat, ratio, 1.15, 0.0, "exact: counts", "below", linear),
        Claim(f"Gaussian: steps at depth {slow} over those at depth 2, least of seeds", growth, 5.0, 0.0, "counts", "above"),
    ]


def _step_ratio(steps: pd.DataFrame, shallow: int, extreme: str) -> tuple[int, float]:
    """The largest depth, and its steps over those at depth `shallow`: the `max` or `min` over seeds; nan without that depth."""
    by_depth = steps.set_index(["seed", "depth"])["steps"].unstack()
    deepest = int(by_depth.columns.max())
    return deepest, float((by_depth[deepest] / by_depth[shallow]).agg(extreme)) if shallow in by_depth else np.nan


def steps_to_target(init: str, size: int, depths: Sequence[int], rates: Sequence[float], share: float, most: int, seeds: Sequence[int]) -> pd.DataFrame:
    """Steps until the loss is `share` of the first, over depth, of orthogonal or Gaussian nets (variance 1 / size); the best of the rates / depth.

    The target has the bases of the initial product and strengths from 1/2 to 3/2: across a change of sign of the determinant descent would
    stop at a saddle, which is no matter of depth.

    Returns:
        Rows of `init`, `depth`, `seed`, `steps` (`most` where the target is not met), `theory` (orthogonal: the recursion of the modes, at the rate taken).
    """
    strengths, rows = np.linspace(0.5, 1.5, size), []
    for seed in seeds:
        for depth in depths:
            rng = np.random.default_rng([seed, depth])
            weights = [_rotation(rng, size) if init == "orthogonal" else rng.standard_normal((size, size)) / size**0.5 for _ in range(depth)]
            u, _, vt = np.linalg.svd(_product(weights))
            target = u @ np.diag(strengths) @ vt
            tried = {rate / depth: _steps(weights, target, rate / depth, share, most) for rate in rates}
            rate = min(tried, key=lambda one: tried[one])
            theory = steps_of_modes(strengths, matrices=depth, rate=rate, share=share, most=most) if init == "orthogonal" else np.nan
            rows.append({"init": init, "depth": depth, "seed": seed, "steps": tried[rate], "theory": theory})
    return pd.DataFrame(rows)


def _rotation(rng: np.random.Generator, size: int) -> Matrix:
    q, r = np.linalg.qr(rng.standard_normal((size, size)))
    return np.asarray(q * np.sign(np.diag(r)))


def _product(weights: Sequence[Matrix]) -> Matrix:
    """W_M ... W_1."""
    product = weights[0]
    for weight in weights[1:]:
        product = weight @ product
    return product


def _gradients(weights: Sequence[Matrix], target: Matrix) -> tuple[Matrix, list[Matrix]]:
    """The product, and the gradient of ||target - product||^2 / 2 by each matrix."""
    below = [weights[0]]
    for weight in weights[1:]:
        below.append(weight @ below[-1])
    above = below[-1] - target
    found = []
    for place in range(len(weights) - 1, -1, -1):
        found.append(above @ below[place - 1].T if place else above)
        above = weights[place].T @ above
    return below[-1], found[::-1]


def _descend(weights: list[Matrix], target: Matrix, rate: float, steps: int) -> list[Matrix]:
    """The product before every step, and after the last."""
    products = []
    for _ in range(steps):
        product, gradients = _gradients(weights, target)
        products.append(product)
        weights = [weight - rate * gradient for weight, gradient in zip(weights, gradients, strict=True)]
    return [*products, _product(weights)]


def _steps(weights: list[Matrix], target: Matrix, rate: float, share: float, most: int) -> int:
    first = None
    for step in range(most):
        product, gradients = _gradients(weights, target)
        loss = float(((target - product) ** 2).sum())
        first = loss if first is None else first
        if not loss < 1e6 * first:
            return most
        if loss <= share * first:
            return step
        weights = [weight - rate * gradient for weight, gradient in zip(weights, gradients, strict=True)]
    return most
