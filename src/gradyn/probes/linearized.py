"""The derivative of one run's net at a step's forward pass, applied layer by layer from either end, in float64.

Axes: K directions, B batch, N units (M of a layer's input). Every direction has its own power of two, so that a product of
layers beyond the float's range is right: with `Scaled`, a row is one direction of one sample, or of the whole batch where batch
norm joins the samples.

Passes are taken as the run's dtype left them; phi' and norms are differentiated in float64 at those numbers, and cotangents are
not rounded to an emulated format.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import Scaled, elementwise, l2, log2, log2_total, powers_of_two
from gradyn.nn import AbstractNorm, Layer
from gradyn.probes.layers import LOG10_2
from gradyn.probes.probe import Moment

Floats = NDArray[np.float64]
Map = Callable[[Tensor], Tensor]
# A layer's number, the rows at its preactivation, and those at its other end.
Step = tuple[int, Scaled, Scaled]


def _same(t: Scaled) -> Scaled:
    return t


@dataclass(frozen=True)
class LinearizedLayer:
    """One layer's linear maps on directions [K, B, .]; `push` maps are the derivatives, `pull` maps their transposes.

    Args:
        layer: its anatomy.
        weight_NM: as multiplied.
        slope_BN: phi'(h).
        norm: what `layer.norm` names the place of.
        normalized: of the forward pass, [1, B, .]; None where the layer has no norm of signals.
        saved: what the norm's pullback needs besides.
        gain: of the norm, [N] (or [M]) or 1.
        factor_BN: dropout's, or None.
        branch_scale: a, where the layer closes a block.
    """

    layer: Layer
    weight_NM: Tensor
    slope_BN: Tensor
    norm: AbstractNorm
    normalized: Tensor | None
    saved: Any
    gain: Tensor | float
    factor_BN: Tensor | None
    branch_scale: float

    def pull_to_preactivation(self, g_KBN: Tensor) -> Tensor:
        """Cotangent of what leaves the layer's own boxes -> delta."""
        if self.factor_BN is not None:
            g_KBN = g_KBN * self.factor_BN
        delta = self._norm_pull("post", g_KBN) * self.slope_BN
        return self._norm_pull("pre", delta)

    def pull_to_input(self, delta_KBN: Tensor) -> Tensor:
        """Delta -> cotangent of x_{l-1}, through this layer alone."""
        return self._norm_pull("branch", delta_KBN @ self.weight_NM)

    def push_to_preactivation(self, t_KBM: Tensor) -> Tensor:
        """Tangent of x_{l-1} -> tangent of h_l."""
        return self._norm_push("branch", t_KBM) @ self.weight_NM.T

    def push_to_output(self, t_KBN: Tensor) -> Tensor:
        """Tangent of h_l -> tangent of what leaves the layer's own boxes."""
        out = self._norm_push("post", self._norm_push("pre", t_KBN) * self.slope_BN)
        return out if self.factor_BN is None else out * self.factor_BN

    def _norm_pull(self, where: str, g_KBN: Tensor) -> Tensor:
        if self.layer.norm != where:
            return g_KBN
        return self.norm.pullback(g_KBN * self.gain, _for_each(self.normalized, g_KBN), _for_each(self.saved, g_KBN))

    def _norm_push(self, where: str, t_KBN: Tensor) -> Tensor:
        if self.layer.norm != where:
            return t_KBN
        return self.norm.pushforward(t_KBN, _for_each(self.normalized, t_KBN), _for_each(self.saved, t_KBN)) * self.gain


def _for_each(saved: Any, t_KBN: Tensor) -> Any:
    """What a norm keeps of the one pass [1, ...], once for every direction, in the same memory."""
    if isinstance(saved, (tuple, list)):
        return type(saved)(_for_each(part, t_KBN) for part in saved)
    return saved.expand(len(t_KBN), *saved.shape[1:]) if isinstance(saved, Tensor) else saved


class LinearizedNet:
    """One run's net, linearized at a moment.

    Args:
        moment: of a step.
        run: which of its runs.
        samples: how many samples of the batch, from the first; None: all. Where the norm mixes samples, all are taken always.
    """

    def __init__(self, moment: Moment, run: int, samples: int | None = None) -> None:
        net = moment.net
        self.mixes_samples = net.norm.mixes_samples
        self.batch = moment.x_RBM.shape[1] if samples is None or self.mixes_samples else min(samples, moment.x_RBM.shape[1])
        self.depth = len(net.layers)
        self._skip_scale = net.skip_scale
        self.device = moment.x_RBM.device
        # x_0 ... x_depth, [B, N] each.
        self.signals = [self._own(net.format.rounded(moment.x_RBM), run)]
        self._layers: list[LinearizedLayer] = []
        for layer, done in zip(net.layers, moment.passes, strict=True):
            assert done.x is not None
            z_BN = self._own(done.z, run)
            norm_input = {"pre": done.h, "post": done.a}.get(layer.norm or "")
            signal_BM = self.signals[-1] if layer.norm == "branch" else None if norm_input is None else self._own(norm_input, run)
            has_gain = signal_BM is not None and net.norm.has_affine
            normalized, saved = (None, None) if signal_BM is None else net.norm.forward(signal_BM.unsqueeze(0))
            gain = net.format.rounded(moment.parameters[f"norms.{layer.index}.weight"][run]).double() if has_gain else 1.0
            scale = float(net.format.rounded(moment.parameters[f"branches.{layer.index}.scale"][run])) if net.residual.learns_scale and layer.closes else None
            self._layers.append(
                LinearizedLayer(
                    layer=layer,
                    weight_NM=done.weight[run].double(),
                    slope_BN=elementwise(layer.activation.derivative, z_BN.unsqueeze(0), layer.activation.forward(z_BN).unsqueeze(0))[0],
                    norm=net.norm,
                    normalized=normalized,
                    saved=saved,
                    gain=gain,
                    factor_BN=None if done.factor is None else self._own(done.factor, run),
                    branch_scale=net.branch_scale if scale is None else scale,
                )
            )
            self.signals.append(self._own(done.x, run))

    def pulled(self, cotangent: Scaled, top: int, into_branch: Callable[[Scaled], Scaled] = _same) -> Iterator[Step]:
        """Cotangents from x_top down to the input.

        Args:
            cotangent: of x_top (not inside a block), as `rows` gives it.
            top: 1 ... depth.
            into_branch: what is done to a cotangent besides where it enters a branch.

        Yields:
            l, the cotangent of h_l, and that of x_{l-1}, for l = top, top - 1, ..., 1.
        """
        index = top
        while index:
            found = self.pull_block(cotangent, index, into_branch)
            yield from found
            index, cotangent = found[-1][0] - 1, found[-1][2]

    def pull_block(self, cotangent: Scaled, last: int, into_branch: Callable[[Scaled], Scaled] = _same) -> list[Step]:
        """As `pulled`, through the residual block or plain layer that ends in x_last."""
        first = self.first_layer_of(last)
        if not self._layers[last - 1].layer.closes:
            return [self._pull_layer(cotangent, last)]
        skip = cotangent.times(self._skip_scale).rescaled()
        at_output = into_branch(cotangent.times(self._layers[last - 1].branch_scale).rescaled())
        found = []
        for index in range(last, first - 1, -1):
            found.append(self._pull_layer(at_output, index))
            at_output = found[-1][2]
        found[-1] = (first, found[-1][1], at_output.plus(skip))
        return found

    def pushed(self, tangent: Scaled) -> Iterator[Step]:
        """Tangents from the input up to the output.

        Args:
            tangent: of x_0, as `rows` gives it.

        Yields:
            l, the tangent of h_l, and that of x_l, for l = 1, ..., depth.
        """
        index = 0
        while index < self.depth:
            found = self.push_block(tangent, index + 1)
            yield from found
            index, _, tangent = found[-1]

    def push_block(self, tangent: Scaled, first: int) -> list[Step]:
        """As `pushed`, through the residual block or plain layer that begins with x_{first-1}."""
        if not self._layers[first - 1].layer.opens:
            return [self._push_layer(tangent, first)]
        found = [self._push_layer(tangent, first)]
        if not self._layers[first - 1].layer.closes:
            found.append(self._push_layer(found[0][2], first + 1))
        index, at_h, at_branch = found[-1]
        branch = at_branch.times(self._layers[index - 1].branch_scale).rescaled()
        found[-1] = (index, at_h, branch.plus(tangent.times(self._skip_scale).rescaled()))
        return found

    def is_whole(self, index: int) -> bool:
        """Whether x_index is all that the layers above see: it is not inside a block of two matrices, whose skip passes by."""
        return index == 0 or self._layers[index - 1].layer.closes or not self._layers[index - 1].layer.opens

    def first_layer_of(self, last: int) -> int:
        """The layer with which the block or plain layer begins that ends in x_last."""
        layer = self._layers[last - 1].layer
        return last - 1 if layer.closes and not layer.opens else last

    @property
    def blocks(self) -> int:
        """Residual blocks."""
        return sum(each.layer.closes for each in self._layers)

    @property
    def maps(self) -> int:
        """How many independent maps the batch is: one a sample, or one in all where the norm mixes samples."""
        return 1 if self.mixes_samples else self.batch

    def size(self, index: int) -> int:
        """Numbers of x_index that one map takes or gives: its units, times the batch where the norm mixes samples."""
        return self.units(index) * self.batch // self.maps

    def units(self, index: int) -> int:
        """Units of x_index."""
        return self.signals[index].shape[1]

    def unit_vectors(self, index: int) -> Tensor:
        """Every unit vector at x_index, for all maps at once: [size, B, N]."""
        size = self.size(index)
        eye = torch.eye(size, dtype=torch.float64, device=self.device)
        return eye.view(size, self.batch, -1) if self.mixes_samples else eye.unsqueeze(1).expand(size, self.batch, size)

    def tensor(self, values: Floats) -> Tensor:
        """Numbers drawn on the host, on the net's device."""
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.device)

    def rows(self, t_KBN: Tensor) -> Scaled:
        """Directions [K, B, N], each with an exponent of its own."""
        return Scaled.plain(t_KBN if self.mixes_samples else t_KBN.reshape(-1, t_KBN.shape[2])).rescaled()

    def directions(self, t: Scaled) -> Scaled:
        """The directions of every map, [maps, K, size], at one exponent a map: a direction that underflows there is no digit of the largest."""
        exponent_KE = t.exponent.reshape(-1, self.maps)
        top_E = exponent_KE.max(0)
        near_one = t.mantissa * powers_of_two((exponent_KE - top_E).reshape(-1), t.mantissa)
        return Scaled(near_one.reshape(len(exponent_KE), self.maps, -1).transpose(0, 1), top_E)

    def log2_l2(self, t: Scaled) -> Floats:
        """log2 of the norm of every direction and sample, [K, B]."""
        exponent_KE = t.exponent.reshape(-1, self.maps)
        norm = l2(t.mantissa.reshape(len(exponent_KE) * self.batch, -1))
        return log2(norm.cpu().numpy()).reshape(-1, self.batch) + exponent_KE

    def log2_l2_of_maps(self, t: Scaled) -> Floats:
        """log2 of the norm of every direction in each map, [K, maps]."""
        norms_KB = self.log2_l2(t)
        return log2_total(norms_KB)[:, None] if self.mixes_samples else norms_KB

    def _own(self, t_RBN: Tensor, run: int) -> Tensor:
        return t_RBN[run, : self.batch].double()

    def _pull_layer(self, at_output: Scaled, index: int) -> Step:
        each = self._layers[index - 1]
        delta = self._mapped(at_output, each.pull_to_preactivation)
        return index, delta, self._mapped(delta, each.pull_to_input)

    def _push_layer(self, at_input: Scaled, index: int) -> Step:
        each = self._layers[index - 1]
        at_h = self._mapped(at_input, each.push_to_preactivation)
        return index, at_h, self._mapped(at_h, each.push_to_output)

    def _mapped(self, t: Scaled, linear: Map) -> Scaled:
        out_KBN = linear(t.mantissa.reshape(-1, self.batch, t.mantissa.shape[-1]))
        return t.with_mantissa(out_KBN if self.mixes_samples else out_KBN.reshape(-1, out_KBN.shape[2])).rescaled()


def log10_mean_square(log2_norms: Floats) -> float:
    """log10 of the mean of squares, from log2 of their roots, in any shape."""
    return float((2 * log2_total(log2_norms.reshape(1, -1))[0] - np.log2(log2_norms.size)) * LOG10_2)
