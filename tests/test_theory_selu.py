"""SELU's constants are torch's, and its slopes those of the map that they are taken from."""

from __future__ import annotations

import numpy as np
import torch

from gradyn.theory import chi_parallel, gaussian_mean, selu_constants, selu_slopes

_EPS = float(np.finfo(np.float64).eps)


def test_selu_constants_are_those_of_torch() -> None:
    alpha, scale = selu_constants()
    one, far = torch.selu(torch.tensor([1.0, -100.0], dtype=torch.float64)).tolist()
    # 1 - a, and the sum under the root, lose a digit: 100 roundings.
    assert abs(scale - one) < 100 * _EPS
    assert abs(scale * alpha + far) < 100 * _EPS


def test_selu_slopes_are_differences_of_the_map() -> None:
    def mean(nu: float) -> float:
        return float(gaussian_mean(lambda h: torch.selu(torch.from_numpy(h)).numpy(), nu, kinks=(0.0,)).value)

    by_mean, by_square = selu_slopes()
    # Central differences: h^2 times a third derivative below 1, and eps / h.
    step = 1e-4
    assert abs((mean(1 + step) - mean(1 - step)) / (2 * step) - by_mean) < step**2 + 10 * _EPS / step
    assert abs(float(chi_parallel("selu", 1.0, sigma_w=1.0, sigma_b=0.0)) - by_square) < 1e-12
