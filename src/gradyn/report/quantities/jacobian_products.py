"""Singular values of a net's Jacobian by the number of layers that it is the product of, beside theory."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradyn.report.frames import Frames
from gradyn.report.wide import by_layer_and_run
from gradyn.theory import Spectrum, lengths, spectrum


def jacobian_products(frames: Frames, activation: str, init: str) -> tuple[pd.DataFrame, list[Spectrum]]:
    """One row a run and number of layers L in the product that ends in the last hidden one, and what theory says for L = 1, 2, ...

    Args:
        frames: with the columns of `probe=jacobian`, of plain nets on inputs of the length `data.length`.
        activation: of the runs.
        init: gaussian, or orthogonal with gain 1.

    Returns:
        The rows with `layers` (L), and `s2` and `largest`, mean and largest squared singular value over E s^2 by theory.
    """
    rows = by_layer_and_run(frames, activation=activation, init=init).dropna(subset=["log10_jacobian_s2_mean"])
    sigma_w, sigma_b = (rows[["init.sigma_w", "init.sigma_b"]].iloc[0]) if init == "gaussian" else (1.0, 0.0)
    q = lengths(activation, rows["data.length"].iloc[0], rows["depth"].max() - 1, sigma_w=sigma_w, sigma_b=sigma_b)
    said = [spectrum(activation, q[-count:], sigma_w=sigma_w, is_orthogonal=init == "orthogonal") for count in range(1, len(q) + 1)]
    mean = np.array([each.mean for each in said])[rows["depth"] - rows["layer"] - 1]
    largest = 10 ** (2 * rows["log10_jacobian_s_max"]) / mean
    return rows.assign(layers=rows["depth"] - rows["layer"], s2=10 ** rows["log10_jacobian_s2_mean"] / mean, largest=largest), said
