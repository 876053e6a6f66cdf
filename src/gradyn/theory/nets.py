"""Signals and gradients of every net of the harness at initialization, width -> infinity, layer by layer.

One recursion forwards and one backwards, with what the layer's parts do to second moments:

    forwards    x second moment p and mean m over units;  h ~ N(0, q), q = sigma_w^2 p + sigma_b^2;  a = phi(h)
    backwards   E |W^T delta|^2 per unit = sigma_w^2 (fan_out / fan_in) E delta^2;  times E phi'^2;  divided by the norm's variance
    skip        p_l = s^2 p + a^2 E phi^2 + 2 s a m E phi;  G = s^2 G + a^2 (what the branch pulls back)
    two samples the same of E h h' and E delta delta', with the pair's E phi(h) phi(h') and E phi'(h) phi'(h'): the cross terms of a batch mean

`net_moments(spec, squares)` gives all layers of a run's spec for inputs of given mean squares. What is beyond it (weights that
depend on data, batch norm where samples are not exchangeable) raises `NoTheoryError` with the reason: nothing is guessed.

Source: Poole et al. 2016 (arXiv:1606.05340) and Schoenholz et al. 2017 (arXiv:1611.01232) for plain nets; Yang & Schoenholz 2017
(arXiv:1712.08969) for residual ones; Yang et al. 2019 (arXiv:1902.08129) for batch norm; the norms' placements are derived here.

Axes: B samples, each with moments of its own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from gradyn.nn import AbstractActivation, BatchNorm, Inverted, Layer, LayerNorm, Linear, NetSpec, NoDropout, NoNorm, RmsNorm, WeightStandardized, blocks, layers
from gradyn.theory.batch_norm import BatchNormMoments, batch_norm_moments
from gradyn.theory.moments import derivative_product, moment
from gradyn.theory.moments import product as mean_of_product

Array: TypeAlias = NDArray[np.float64]


# Of which there is a formula; what a user adds to the catalogue may do anything.
_NORMS, _DROPOUTS = (NoNorm, WeightStandardized, BatchNorm, LayerNorm, RmsNorm), (NoDropout, Inverted)
# From this many times eps on, batch norm's eps changes a prediction by less than 1e-4.
_EPS_COUNTS = 1e4
# A sum that cancels to so little is 0.
_ROUNDING = 1e-12
# E 1 / variance of so many normal numbers about their mean is finite, of fewer not.
_FEW_ENTRIES = 4


class NoTheoryError(ValueError):
    """No prediction holds here; the text is the reason, one line."""


@dataclass(frozen=True, slots=True)
class LayerMoments:
    """Expectations over weights of one layer, per unit; arrays [B], one number a sample.

    Args:
        layer: 1 ... depth.
        drawn_ms: fan_in Var W, sigma_w^2, as the initializer draws it.
        weight_ms: the same of the matrix that multiplies, which weight standardization changes.
        input_ms: E u^2 of what W multiplies.
        input_mean: E u over its units.
        input_product: E u u' of two samples; nan where nothing asks for it.
        preact_ms: E h^2.
        argument_ms: E z^2 of what phi is applied to; with batch norm 1.
        act_mean: E x over units.
        act_ms: E x^2.
        slope_ms: E phi'^2 of what phi, norm and dropout send back, the norm's divisor aside.
        slope_product: the same of two samples, E phi'(z) phi'(z'); 0 where nothing asks for it. Batch norm has more to say than that: `BatchNormMoments`.
        divisor: what the squares of h or phi are divided by in the layer's norm.
        input_divisor: the same in a norm on the branch's input.
        delta_ms: E (d loss_b / d h)^2.
        delta_product: E (d loss_b / d h) (d loss_b' / d h') of two samples.
        pulled_ms: E (W^T delta)^2, per unit of the layer below.
        departure: with batch norm, what h's covariance over the batch still has of what pairs of inputs have of their own, and what single ones
            have, [2]; 1 at the input.
    """

    layer: int
    drawn_ms: float
    weight_ms: float
    input_ms: Array
    input_mean: Array
    input_product: Array
    preact_ms: Array
    argument_ms: Array
    act_mean: Array
    act_ms: Array
    slope_ms: Array
    slope_product: Array
    divisor: Array
    input_divisor: Array
    delta_ms: Array
    delta_product: Array
    pulled_ms: Array
    departure: Array

    def gradient_ms(self, batch: int, input_ms: Array | float | None = None, input_product: Array | float | None = None) -> Array:
        """E (dL / dW_ij)^2 of the mean L over a batch: (E delta^2 E u^2 + (B - 1) E delta delta' E u u') / B.

        Args:
            batch: B.
            input_ms: E u^2, where it isn't that of what W multiplies; for a bias 1.
            input_product: E u u' likewise.
        """
        square = self.input_ms if input_ms is None else input_ms
        product = self.input_product if input_product is None else input_product
        # Where cotangents are independent nothing asks for the inputs' products.
        cross = (batch - 1) * np.where(self.delta_product == 0, 0.0, self.delta_product * product)
        total = self.delta_ms * square + cross
        # Cotangents that batch norm has centred sum to 0 over the batch, where a bias sees nothing else.
        return np.where(total > _ROUNDING * np.abs(cross), total, 0.0) / batch


@dataclass(frozen=True, slots=True)
class _Stream:
    """x between layers.

    Args:
        p: mean square over units of each sample, [B].
        m: mean over units.
        k: mean product of two samples of the mean length.
        centre: mean over units of one of them, whose square is the least that k can be where nothing but a mean is in common.
        departure: see `LayerMoments`.
    """

    p: Array
    m: Array
    k: Array
    centre: Array
    departure: Array


def net_moments(
    spec: NetSpec, squares: ArrayLike, features: int, classes: int, *, products: float = 0.0, batch: int | None = None, shared: bool = False
) -> list[LayerMoments]:
    """Every layer's moments for inputs of given mean squares, under a cotangent of unit mean square at the output.

    Args:
        spec: activation, init, norm, residual, dropout, depth, width: a run's spec, or anything that has these.
        squares: |x_0|^2 / M of each sample, [B] or a number.
        features: M, inputs.
        classes: C, outputs.
        products: x_0 . x_0' / M of two samples, asked for by batch norm and by cotangents that are shared.
        batch: samples that batch norm normalizes over.
        shared: one cotangent for all samples, as `loss.vectors=shared` has it, in place of independent ones: gradients of a batch mean then have
            cross terms between samples, whose lengths are taken to be their mean.

    Returns:
        One `LayerMoments` a layer, layer 1 first.

    Valid:
        width -> infinity at fixed depth; errors fall as depth / width. At initialization. The cotangent does not depend on the weights.
        With batch norm: exchangeable samples, from which inputs of M features depart with relative squares of order 1 / M times `departure`^2 (their
        products scatter); eps is neglected where the variance it is added to exceeds it 1e4 times.

    Raises:
        NoTheoryError: the reason why nothing holds for this net.
    """
    _require_theory(spec, batch)
    p = np.atleast_1d(np.asarray(squares, dtype=np.float64))
    net, count = layers(spec, features, classes), len(blocks(spec.depth, spec.residual))
    skip_scale = spec.residual.skip_scale(count)
    # Fixup's factor is learned, from 1.
    branch_scale = 1.0 if spec.residual.is_fixup else spec.residual.branch_scale(count)
    batch_norm = batch_norm_moments(spec.activation, batch) if spec.norm.name == "batch" and batch is not None else None
    if batch_norm is not None and abs(batch_norm.sample_memory) >= 1:
        fact = f"single samples' distances from the mean grow {batch_norm.sample_memory:.3g} times a layer"
        raise NoTheoryError(f"norm=batch: with activation={spec.activation.name}, {batch} samples do not stay exchangeable, {fact}")
    zero = np.zeros_like(p)
    stream = _Stream(p, zero, np.full_like(p, products), zero, np.ones(2))
    opened, found = stream, []
    for layer in net:
        opened = stream if layer.opens else opened
        stream, here = _layer(spec, layer, stream, batch_norm, count, shared)
        if layer.closes:
            stream = _joined(opened, stream, skip_scale, branch_scale)
            # What a closing layer hands on is the stream behind the skip.
            here = replace(here, act_mean=stream.m, act_ms=stream.p)
        found.append(here)
    return _backwards(spec, net, found, (skip_scale, branch_scale), batch_norm, batch, shared)


def _require_theory(spec: NetSpec, batch: int | None) -> None:
    norm = spec.norm
    dropout = spec.dropout
    reasons = {
        f"norm={norm.name}: no formula is known for it": not isinstance(norm, _NORMS),
        f"dropout={dropout.name}: no formula is known for it": not isinstance(dropout, _DROPOUTS),
        f"cell={spec.cell.name}: its matrices are shared by all steps": spec.cell.is_recurrent,
        f"init={spec.init.name}: its weights are neither independent nor uniformly rotated": spec.init.name in ("looks_linear", "identity"),
        f"init={spec.init.name}: its weights depend on the data": spec.init.calibration is not None,
        f"init={spec.init.name}: its layers have no one law of their variance": spec.init.variance(1, 1) is None,
        "norm=batch after phi: its input is not Gaussian over the batch": norm.name == "batch" and norm.where == "post",
        "norm=batch on the branch's input: the sum of blocks is not Gaussian over the batch": norm.name == "batch" and norm.where == "branch",
        "norm=batch: the batch's size is not known": norm.name == "batch" and batch is None,
        "norm=batch over fewer than 4 samples: the mean of 1 / variance is infinite": norm.name == "batch" and batch is not None and batch < 4,
    }
    for reason, holds in reasons.items():
        if holds:
            raise NoTheoryError(reason)


def _layer(spec: NetSpec, layer: Layer, x: _Stream, batch_norm: BatchNormMoments | None, count: int, pairs: bool) -> tuple[_Stream, LayerMoments]:
    """One layer forwards, without the skip; its cotangents are still unknown."""
    norm: Any = spec.norm
    one = np.ones_like(x.p)
    input_divisor = one
    if layer.norm == "branch":
        input_divisor = x.p - norm.centres * x.m**2 + norm.eps
        p, k = x.p - norm.centres * x.m**2, x.k - norm.centres * x.centre**2
        left = (1 - norm.centres) / np.sqrt(input_divisor)
        x = _Stream(p / input_divisor, left * x.m, k / _of_two_roots(input_divisor), left * x.centre, x.departure)
    drawn_ms = _drawn_ms(spec, layer, count)
    weight_ms, p, k = drawn_ms, x.p, x.k
    if layer.norm == "weight":
        if layer.fan_in < _FEW_ENTRIES:
            raise NoTheoryError(f"norm={norm.name}: rows of {layer.fan_in} entries, of fewer than {_FEW_ENTRIES}, have no mean of 1 / variance")
        # A row is orthogonal to 1 and `gain` long: it does not see the mean over these very units, and has fan_in - 1 directions for the rest.
        free = (layer.fan_in - 1) / layer.fan_in
        weight_ms, p, k = norm.gain**2 / free, (p - x.m**2) * free, (k - x.centre**2) * free
    bias_ms = spec.init.bias_variance(layer.fan_in) if layer.has_vector_bias else 0.0
    q, q_pair = weight_ms * p + bias_ms, weight_ms * k + bias_ms
    keep = _keep(spec, layer)
    phi, z, divisor, departure, unknown = layer.activation, q, one, x.departure, np.full_like(q, np.nan)
    if layer.norm == "pre" and batch_norm is not None:
        variance = q - q_pair
        if not (variance > _EPS_COUNTS * norm.eps).all():
            raise NoTheoryError("norm=batch: the variance over the batch falls to norm.eps")
        square, mean, product, slope = (np.full_like(q, n) for n in (batch_norm.square, batch_norm.mean, batch_norm.product, batch_norm.pulled))
        centre = mean
        # Dropout's squares are single samples': pairs have what they had, of a larger variance.
        memory = np.array([batch_norm.pair_memory, batch_norm.sample_memory / keep])
        departure = departure * memory * np.mean(batch_norm.variance / (square / keep - product))
        z, divisor, slope_pair = one, variance / batch_norm.inverse_variance, unknown
    else:
        if layer.norm == "pre":
            divisor = q + norm.eps
            z = q / divisor
        square, mean, slope = moment(phi, z, value=2).value, moment(phi, z, value=1).value, moment(phi, z, derivative=2).value
        product, centre, slope_pair = _of_two(phi, z, q_pair / _of_two_roots(divisor), pairs)
    if layer.norm == "post":
        divisor = square - norm.centres * mean**2 + norm.eps
        square, product = (square - norm.centres * mean**2) / divisor, (product - norm.centres * centre**2) / _of_two_roots(divisor)
        mean, centre = (left * (1 - norm.centres) / np.sqrt(divisor) for left in (mean, centre))
    out = _Stream(square / keep, mean, product, centre, departure)
    seen = x.k if pairs or batch_norm is not None else unknown
    forwards = (layer.index, drawn_ms, weight_ms, x.p, x.m, seen, q, z, mean, out.p, slope / keep, slope_pair, divisor, input_divisor)
    return out, LayerMoments(*forwards, unknown, unknown, unknown, x.departure)


def _of_two(phi: AbstractActivation, z: Array, z_pair: Array, pairs: bool) -> tuple[Array, Array, Array]:
    """E phi phi' of two samples, E phi of one of them, and E phi'(z) phi'(z'); unknown and 0 where nothing asks for pairs."""
    if isinstance(phi, Linear):
        return z_pair, np.zeros_like(z), np.ones_like(z)
    if not pairs:
        return np.full_like(z, np.nan), np.full_like(z, np.nan), np.zeros_like(z)
    middle = float(np.mean(z))
    c = float(np.clip(np.mean(z_pair) / middle, -1.0, 1.0)) if middle > 0 else 1.0
    product, centre, slope = (np.full_like(z, mean) for mean in _means_of_two(phi, middle, c))
    return product, centre, slope


@lru_cache(maxsize=2**14)
def _means_of_two(phi: AbstractActivation, square: float, c: float) -> tuple[float, float, float]:
    """E phi phi', E phi and E phi'phi' of two arguments of one mean square.

    An integral in two dimensions takes some 20 ms: one for all pairs,
    at their mean length, and for all widths and batches of a sweep.
    """
    product, slope = (float(f(phi, square, square, c=c).value) for f in (mean_of_product, derivative_product))
    return product, float(moment(phi, square, value=1).value), slope


def _of_two_roots(divisor: Array) -> Array:
    """What products of two samples are divided by, in the mean, where their squares are divided by these: sqrt(d d')."""
    return np.full_like(divisor, np.mean(divisor**-0.5) ** -2)


def _keep(spec: NetSpec, layer: Layer) -> float:
    """What dropout behind a layer keeps; 1 where there is none."""
    return spec.dropout.keep if layer.has_dropout else 1.0  # type: ignore[attr-defined]


def _drawn_ms(spec: NetSpec, layer: Layer, count: int) -> float:
    """fan_in Var W of the drawn matrix."""
    if spec.residual.is_fixup and (layer.closes or (layer.index == spec.depth and spec.residual.zeroes_readout)):
        return 0.0
    variance = spec.init.variance(layer.fan_out, layer.fan_in)
    assert variance is not None, "_require_theory has refused it"
    drawn = variance * layer.fan_in
    return drawn / count if spec.residual.is_fixup and layer.opens else drawn


def _joined(skip: _Stream, branch: _Stream, s: float, a: float) -> _Stream:
    """s skip + a branch: over units both are independent but for their means."""
    p = s**2 * skip.p + a**2 * branch.p + 2 * s * a * skip.m * branch.m
    k = s**2 * skip.k + a**2 * branch.k + 2 * s * a * skip.centre * branch.centre
    departure = skip.departure
    if not np.array_equal(branch.departure, departure):
        shares = [np.mean(scale**2 * (part.p - part.k) / (p - k)) for scale, part in ((s, skip), (a, branch))]
        departure = shares[0] * skip.departure + shares[1] * branch.departure
    return _Stream(p, s * skip.m + a * branch.m, k, s * skip.centre + a * branch.centre, departure)


def _backwards(
    spec: NetSpec,
    net: tuple[Layer, ...],
    found: list[LayerMoments],
    scales: tuple[float, float],
    batch_norm: BatchNormMoments | None,
    batch: int | None,
    shared: bool,
) -> list[LayerMoments]:
    """The same layers with their cotangents, from one of unit mean square at the output; `scales` of the skip and of the branch."""
    s, a = scales
    one = np.ones_like(found[-1].preact_ms)
    # Of a sample, and of two.
    upstream = np.array([one, one if shared else 0 * one])
    result, at_skip = [], upstream
    for layer, here in zip(reversed(net), reversed(found), strict=True):
        if layer.closes:
            at_skip, upstream = s**2 * upstream, a**2 * upstream
        if layer.norm == "pre" and batch_norm is not None and batch is not None:
            # Dropout's masks are a sample's own: squares grow, products do not.
            sent = _through_batch_norm(upstream / np.array([[_keep(spec, layer)], [1.0]]), batch_norm, batch)
        else:
            sent = upstream * np.array([here.slope_ms, here.slope_product])
        delta = sent / np.array([here.divisor, _of_two_roots(here.divisor)])
        # W^T delta keeps the whole length of a standardized row, of which h saw fan_in - 1 directions.
        kept = (layer.fan_in - 1) / layer.fan_in if layer.norm == "weight" else 1.0
        pulled = delta * here.weight_ms * kept * layer.fan_out / layer.fan_in
        result.append(replace(here, delta_ms=delta[0], delta_product=delta[1], pulled_ms=pulled[0]))
        upstream = pulled / np.array([here.input_divisor, _of_two_roots(here.input_divisor)])
        if layer.opens:
            upstream = upstream + at_skip
    return result[::-1]


def _through_batch_norm(upstream: Array, norm: BatchNormMoments, batch: int) -> Array:
    """What becomes of E g^2 and E g g', [2, B], without the norm's divisor: of what is centred over the batch and of what is in common, all centred then."""
    centred, common = upstream[0] - upstream[1], upstream[0] + (batch - 1) * upstream[1]
    square = (1 - 1 / batch) * centred * norm.pulled + common * norm.pulled_mean / batch
    return np.array([square, -square / (batch - 1)])
