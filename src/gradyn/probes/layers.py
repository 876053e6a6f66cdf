"""The default measurement of a step: every layer's columns, from what the two passes left behind.

Axes: R runs, B batch, M fan_in, N fan_out, L layers.
"""

from __future__ import annotations

import hashlib
import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import elementwise, l2, log2
from gradyn.nn import AbstractActivation, AnyNet, LayerCotangent, LayerPass, Linear, Parameters
from gradyn.probes.probe import Cells

Floats = NDArray[np.float64]

LOG10_2 = math.log10(2.0)
# Share of max|phi'| below which a unit counts as saturated.
SATURATED = 0.05


def measure_layers(
    net: AnyNet,
    parameters: Parameters,
    passes: list[LayerPass],
    cotangents: list[LayerCotangent],
    log2_gradients: dict[str, Floats],
    *,
    with_spectrum: bool,
) -> dict[str, Cells]:
    """The layer columns of one step, but for the update ratio, which is known only after it.

    Args:
        net: the net.
        parameters: its weights before the step.
        passes: of the forward pass.
        cotangents: of the backward pass, with `keep`.
        log2_gradients: log2 of the norm of each parameter's gradient, [R], by name.
        with_spectrum: measure the largest singular values too.

    Returns:
        Column name -> its cells.
    """
    layers = net.layers
    everywhere = (True,) * len(layers)
    exponent_RL = np.stack([kept.exponent for kept in cotangents], 1)
    log2_delta_RL = log2(_read([kept.delta_l2 for kept in cotangents])) + exponent_RL
    # delta is that of the mean loss; times B it is that of one sample's, whose mean square is taken over B * N.
    to_rms_L = [math.log10(done.a.shape[1]) - math.log10(done.a.shape[1] * done.a.shape[2]) / 2 for done in passes]
    moments = [_moments(done.x) for done in passes if done.x is not None]
    values: dict[str, Cells] = {
        # Of a matrix that steps share, each step's row has its own share of the gradient.
        "log10_grad_w_l2": _cells([_or(kept.own_weight, log2_gradients[layer.weight]) for kept, layer in zip(cotangents, layers, strict=True)], LOG10_2),
        "log10_grad_b_l2": _cells(
            [_or(kept.own_bias, log2_gradients.get(f"layers.{layer.index}.bias")) for kept, layer in zip(cotangents, layers, strict=True)], LOG10_2
        ),
        "log10_delta_rms": Cells(log2_delta_RL * LOG10_2 + np.array(to_rms_L), everywhere),
        "log10_act_rms": Cells(log2(_read([rms for _, _, rms in moments])) * LOG10_2, everywhere),
        "act_mean": Cells(_read([mean for mean, _, _ in moments]), everywhere),
        "act_std": Cells(_read([std for _, std, _ in moments]), everywhere),
        "preact_std": Cells(_read([_moments(done.h)[1] for done in passes]), everywhere),
        "weight_l2": Cells(_read([l2(parameters[layer.weight]) for layer in layers]), everywhere),
    }
    pulled = [kept.pulled_l2 for kept in cotangents if kept.pulled_l2 is not None]
    if pulled:
        # The step from layer l to l - 1 stands in layer l's row; layer 1 has none.
        above_first = (False, *everywhere[1:])
        log2_pulled_RL = log2(_read(pulled)) + exponent_RL
        before_RL = np.concatenate([log2_delta_RL[:, :1], log2_delta_RL[:, :-1]], 1)
        with np.errstate(invalid="ignore"):
            weight_RL, derivative_RL = log2_pulled_RL - log2_delta_RL, before_RL - log2_pulled_RL
        values["log10_gain_weight"] = Cells(weight_RL * LOG10_2, above_first)
        values["log10_gain_derivative"] = Cells(derivative_RL * LOG10_2, above_first)
    for name, rows in (("log10_delta_cell_rms", [kept.memory for kept in cotangents]), ("log10_gate_path_rms", [kept.path for kept in cotangents])):
        if any(row is not None for row in rows):
            cells = _cells(rows)
            values[name] = Cells((cells.values_RL * LOG10_2) + np.array(to_rms_L), cells.exist_L)
    slopes = [_slopes(layer.activation, done) for layer, done in zip(layers, passes, strict=True)]
    for place, name in enumerate(("saturated_fraction", "zero_fraction", "zero_derivative_fraction")):
        values[name] = _cells([None if found is None else found[place].cpu().numpy() for found in slopes])
    if with_spectrum:
        values["weight_spectral"] = Cells(np.stack([_spectral(done.weight) for done in passes], 1), everywhere)
    return values


def log10_update_ratios(net: AnyNet, before: Parameters, after: Parameters, weight_l2: Cells) -> Cells:
    """log10 ||W_after - W_before|| / ||W_before|| of every layer; -inf where nothing moved, nan where W was 0."""
    moved_RL = _read([l2(after[name] - before[name]) for name in (layer.weight for layer in net.layers)])
    with np.errstate(divide="ignore", invalid="ignore"):
        return Cells(log2(moved_RL / weight_l2.values_RL) * LOG10_2, weight_l2.exist_L)


def _or(own: Floats | None, whole: Floats | None) -> Floats | None:
    return whole if own is None else own


def _read(values: list[Tensor]) -> Floats:
    """[R] of each layer to [R, L] on the host."""
    return torch.stack(values, 1).cpu().numpy()


def _cells(values: list[Floats | None], factor: float = 1.0) -> Cells:
    runs = next((len(value) for value in values if value is not None), 0)
    filled = [np.zeros(runs) if value is None else value for value in values]
    return Cells(np.stack(filled, 1) * factor, tuple(value is not None for value in values))


def _slopes(activation: AbstractActivation, done: LayerPass) -> tuple[Tensor, Tensor, Tensor] | None:
    """Shares of units that are saturated, that are 0, and whose phi' is 0; None where phi is linear."""
    if isinstance(activation, Linear):
        return None
    slope = elementwise(activation.derivative, done.z, done.a).abs()
    # Comparisons that leave 0.0 and 1.0 in a float tensor take a third of the time of those that leave booleans.
    flags = torch.empty_like(slope)
    is_zero, is_flat = _share(torch.eq(done.a, 0, out=flags)), _share(torch.eq(slope, 0, out=flags))
    return _share(slope.lt_(SATURATED * activation.max_derivative)), is_zero, is_flat


def _share(flags_RBN: Tensor) -> Tensor:
    # Row by row first: a float32 counts to 2^24 and no further.
    return flags_RBN.sum(2).double().mean(1) / flags_RBN.shape[2]


def _moments(t: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean, standard deviation and root mean square over all but the run axis, [R] each, float64."""
    wide = t.flatten(1).to(torch.float64, copy=True)
    root = math.sqrt(wide.shape[1])
    mean, rms = wide.mean(1), torch.linalg.vector_norm(wide, dim=1) / root
    # About the mean, not as the difference of two squares: that cancels where |mean| >> std.
    return mean, torch.linalg.vector_norm(wide.sub_(mean.unsqueeze(1)), dim=1) / root, rms


class _Digested:
    """A matrix that is known by its digest: a cache keeps twenty bytes of it, for it gives its numbers away."""

    __slots__ = ("_key", "_matrix")

    def __init__(self, matrix: Floats) -> None:
        contiguous = np.ascontiguousarray(matrix)
        self._key = hashlib.sha1(contiguous.data, usedforsecurity=False).digest(), contiguous.shape
        self._matrix: Floats | None = contiguous

    def __hash__(self) -> int:
        return hash(self._key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Digested) and self._key == other._key

    def taken(self) -> Floats:
        """The matrix, once."""
        matrix, self._matrix = self._matrix, None
        assert matrix is not None
        return matrix


def _spectral(w_RNM: Tensor) -> Floats:
    """Largest singular value of each run's matrix, [R]; nan where the matrix is not finite (LAPACK would raise for all runs)."""
    return np.array([_known_spectral(_Digested(matrix)) for matrix in w_RNM.double().cpu().numpy()])


# The runs of a sweep that share init and seed begin with the same matrices.
@lru_cache(maxsize=16_384)
def _known_spectral(matrix: _Digested) -> float:
    return _largest_singular_value(matrix.taken())


def _largest_singular_value(matrix: Floats) -> float:
    """Root of the largest eigenvalue of the smaller Gram matrix.

    Squaring loses the small singular values, not the largest: its eigenvalue is off by some eps times itself.
    """
    size = np.abs(matrix).max()
    if not np.isfinite(size) or size == 0:
        return math.nan if size else 0.0
    # Divided by a power of two, so that no square leaves float64.
    _, digits = np.frexp(size)
    near_one = np.ldexp(matrix if len(matrix) <= matrix.shape[1] else matrix.T, -digits)
    return float(np.ldexp(math.sqrt(np.linalg.eigvalsh(near_one @ near_one.T)[-1]), digits))
