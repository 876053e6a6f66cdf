"""Through time a gradient is multiplied by one matrix again and again: orthogonal g^k exactly, Gaussian chi_1 a step, never more than sigma_max^k.

Source: Pascanu, Mikolov and Bengio 2013 (arXiv:1211.5063), section 2 (the bound, for |phi'| <= 1) and 3.2 (clipping the norm keeps the
direction). The rates of random nets are mean-field theory's: consistent with.
Cost: 546 nets at initialization, under a minute on two cores.
Command: python experiments/recurrent_gradients.py --run
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import pandas as pd

from gradyn.core import Source
from gradyn.report import (
    Claim,
    Drawn,
    Experiment,
    Frames,
    Page,
    bound_claim,
    clip_claims,
    clipped_cosines,
    exact_claim,
    gaussian_claim,
    main,
    noisy_claim,
    overlay,
    recurrent_panels,
)

SOURCE = Source("Pascanu, Mikolov and Bengio", 2013, "On the difficulty of training recurrent neural networks", arxiv="1211.5063", where="sections 2 and 3.2")


def measure(settings: Mapping[str, Any]) -> dict[str, pd.DataFrame]:
    """Cosine of normal gradients with themselves clipped, by value at several thresholds, and by norm."""
    return {"clipped": clipped_cosines(settings)}


def figure(frames: Frames, page: Page) -> list[Drawn]:
    """Gradients of linear and tanh nets over the distance in time with their lines, and the cosine over the threshold."""
    panels, width = recurrent_panels(frames)
    title = "Through time a gradient grows or shrinks by one factor a step; clipping its norm keeps its direction, clipping values does not."
    text = f"Middle: width {width}; the line is χ₁ of infinite width. Source: {SOURCE}."
    setting = "Vanilla nets at initialization, a random cotangent at the last step."
    return [overlay(page, "recurrent_gradients", title, setting, text, panels, measured_columns=("log10_delta_rms",))]


def claims(frames: Frames) -> list[Claim]:
    """Exact, in the mean, a step of noisy nets, the bound, and what clipping leaves of the direction."""
    found = [exact_claim(frames, runs) for _, runs in frames.where(activation="linear", init="orthogonal").groupby("init.gain")]
    found += [gaussian_claim(frames, frames.where(activation="linear", init="gaussian"))]
    found += [noisy_claim(frames, runs) for _, runs in frames.where(activation="tanh").groupby("init.sigma_w")]
    return [*found, bound_claim(frames), *clip_claims(frames.tables["clipped"])]


EXPERIMENT = Experiment("recurrent_gradients", SOURCE, figure, claims, measure)

if __name__ == "__main__":
    sys.exit(main(EXPERIMENT))
