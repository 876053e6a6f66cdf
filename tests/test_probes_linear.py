"""Probes of the linearized net, over the catalogue, against Jacobians that autograd makes of an independent net."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from gradyn.core import stream
from gradyn.nn import AbstractNorm, BatchNorm, Identity, LayerNorm, NoNorm, Plain, Relu, RmsNorm
from gradyn.probes import DeltaMoments, GradientScale, Jacobian, PathLengths
from gradyn.sweep import RunSpec
from probe_twins import Twin, columns, every_third_net, moment_of, seeds, small_spec, twin_of

# Products of six 5 x 5 matrices round to some 1e-14 of their size; norms divide by standard deviations down to 0.01 or so, and
# cancellation in a variance or in a cosine takes two digits more.
TOLERANCE = 1e-9
NETS = every_third_net()


def near(found: np.ndarray | float, expected: np.ndarray | float, tolerance: np.ndarray | float = TOLERANCE) -> bool:
    found, expected = np.asarray(found), np.asarray(expected)
    is_same = (found == expected) | (np.isnan(found) & np.isnan(expected))
    with np.errstate(invalid="ignore"):
        return bool((is_same | (np.abs(found - expected) <= tolerance * np.maximum(1.0, np.abs(expected)))).all())


def name(spec: RunSpec) -> str:
    return "-".join(str(part) for part in (spec.norm.name, spec.norm.settings.get("placement"), spec.residual.name, spec.residual.settings.get("branch")))


@pytest.mark.parametrize("spec", NETS, ids=name)
def test_delta_moments_are_those_of_autograd(spec):
    moment = moment_of(seeds(spec, 2))
    found = columns(DeltaMoments(cotangents=3), moment)
    for run in range(2):
        twin = twin_of(spec, moment, run) if run == 0 else twin_of(seeds(spec, 2)[1], moment, run)
        v_KBC = torch.from_numpy(stream(run, "probe delta_moments", 0).standard_normal((3, 4, 2)))
        for layer in range(1, spec.depth + 1):
            delta_KBN = torch.stack([torch.autograd.grad(twin.x[-1], twin.h[layer], v, retain_graph=True)[0] for v in v_KBC])
            square_KB = delta_KBN.square().sum(2).numpy()
            units = delta_KBN.shape[2]
            expected = (np.log10(square_KB.mean() / units), np.log10(square_KB / units).mean(), np.log(square_KB).var(0, ddof=1).mean(), 0.0)
            assert near([values[run, layer - 1] for values in found.values()], expected), f"layer {layer}"


def spectrum(twin: Twin, layer: int) -> np.ndarray:
    return np.linalg.svd(twin.maps(twin.spec.depth - 1, layer - 1).numpy(), compute_uv=False)


@pytest.mark.parametrize("spec", NETS, ids=name)
def test_singular_values_are_those_of_the_explicit_jacobian(spec):
    moment = moment_of([spec])
    twin = twin_of(spec, moment, 0)
    exact = columns(Jacobian(), moment)
    # 20 rows with batch norm, else 5: as many steps exhaust the space.
    sampled = columns(Jacobian(largest_exact=0, samples=4, vectors=3, iterations=20), moment)
    draws_KBN = stream(0, "probe jacobian", 0).standard_normal((3, 4, 5))
    for layer in range(1, spec.depth + 1):
        if layer == spec.depth or not twin.is_whole(layer - 1):
            assert all(np.isposinf(values[0, layer - 1]) for values in (*exact.values(), *sampled.values()))
            continue
        s_ES = spectrum(twin, layer)
        s2_ES, smallest_E = s_ES**2, s_ES[:, -1] / s_ES[:, 0]
        expected = [np.log10(s2_ES.mean()), (s2_ES.var(1) / s2_ES.mean(1) ** 2).mean(), np.log10(s_ES[:, 0]).mean()]
        assert near([values[0, layer - 1] for values in list(exact.values())[:3]], expected), f"layer {layer}"
        minimum = exact["log10_jacobian_s_min"][0, layer - 1]
        # The smallest is off by some eps times the largest; a map of a norm that centres or scales has a kernel.
        if smallest_E.min() > 1e-13:
            assert near(minimum, np.log10(s_ES[:, -1]).mean(), TOLERANCE + 100 * 2.0**-52 / smallest_E.min()), f"layer {layer}"
        else:
            assert smallest_E.min() > 1e-15 or np.isnan(minimum)
        j_ENM = twin.maps(spec.depth - 1, layer - 1).numpy()
        v_KEN = draws_KBN.reshape(3, len(j_ENM), -1)
        v_KEN = v_KEN / np.linalg.norm(v_KEN, axis=2, keepdims=True)
        back_KEM = np.einsum("enm,ken->kem", j_ENM, v_KEN)
        there_KEN = np.einsum("enm,kem->ken", j_ENM, back_KEM)
        per_value = j_ENM.shape[1] / min(j_ENM.shape[1:])
        s2_E, s4_E = ((np.linalg.norm(t, axis=2) ** 2).mean(0) * per_value for t in (back_KEM, there_KEN))
        expected = [np.log10(s2_E.mean()), (s4_E / s2_E**2 - 1).mean(), np.log10(s_ES[:, 0]).mean()]
        assert near([values[0, layer - 1] for values in list(sampled.values())[:3]], expected), f"sampled, layer {layer}"
        assert np.isposinf(sampled["log10_jacobian_s_min"][0, layer - 1])


@pytest.mark.parametrize("largest_exact", [256, 0])
@pytest.mark.parametrize("spec", NETS[::2], ids=name)
def test_gradient_scale_coefficients_are_those_of_explicit_jacobians(spec, largest_exact):
    moment = moment_of([spec])
    twin = twin_of(spec, moment, 0)
    found = columns(GradientScale(largest_exact=largest_exact, vectors=2), moment)
    rng = stream(0, "probe gradient_scale", 0)
    maps = 1 if isinstance(spec.norm, BatchNorm) else 4
    norms = [(x.detach().numpy().reshape(maps, -1) ** 2).sum(1) for x in twin.x]
    signs_at_output = rng.choice([-1.0, 1.0], size=(2, 4, 2))

    def expected(low: int, high: int, signs_KBN: np.ndarray) -> float:
        j_ENM = twin.maps(high, low).numpy()
        squares_E = (j_ENM**2).sum((1, 2))
        if largest_exact == 0:
            squares_E = (np.einsum("enm,ken->kem", j_ENM, signs_KBN.reshape(2, maps, -1)) ** 2).sum(2).mean(0)
        return float(np.log10((squares_E / j_ENM.shape[2] * norms[low] / norms[high]).mean()))

    for layer in range(1, spec.depth + 1):
        is_cut = not twin.is_whole(layer - 1)
        value = found["log10_gsc_to_output"][0, layer - 1]
        assert np.isposinf(value) if is_cut else near(value, expected(layer - 1, spec.depth, signs_at_output)), f"layer {layer}"
        step = found["log10_gsc_step"][0, layer - 1]
        if not twin.is_whole(layer):
            assert np.isposinf(step)
            continue
        signs = rng.choice([-1.0, 1.0], size=(2, *twin.x[layer].shape))
        assert near(step, expected(layer - 2 if is_cut else layer - 1, layer, signs)), f"layer {layer}"


@pytest.mark.parametrize("spec", [spec for spec in NETS if spec.residual.has_skip], ids=name)
def test_path_lengths_are_those_of_all_paths_enumerated(spec):
    moment = moment_of([spec])
    twin = twin_of(spec, moment, 0)
    found = columns(PathLengths(cotangents=2), moment)
    top, size = spec.depth - 1, 2 if spec.residual.settings["branch"] == "full" else 1
    blocks = [(first, first + size - 1) for first in range(2, spec.depth - size + 1, size)]
    s = moment.net.skip_scale
    branches = []
    for first, last in blocks:
        whole_ENM = twin.maps(last, first - 1)
        branches.append(whole_ENM - s * torch.eye(whole_ENM.shape[1]))
    v_KBN = torch.from_numpy(stream(0, "probe path_lengths", 0).standard_normal((2, 4, 5)))
    # A layer that is left over above the last block is plain.
    start = torch.einsum("enm,ken->kem", twin.maps(top, blocks[-1][1]), v_KBN.reshape(2, len(branches[0]), -1))

    def shares(below: int) -> np.ndarray:
        """By length, at the input of the `below`th block."""
        parts = [torch.zeros_like(start) for _ in range(len(blocks) + 1)]
        for path in itertools.product((0, 1), repeat=len(blocks) - below):
            g = start
            for is_branch, branch_ENM in zip(path[::-1], branches[below:][::-1], strict=True):
                g = torch.einsum("enm,ken->kem", branch_ENM, g) if is_branch else s * g
            parts[sum(path)] += g
        squares = np.array([float(part.square().sum()) for part in parts])
        return squares / squares.sum()

    share = found["path_length_share"][0]
    assert near(share[: len(blocks) + 1], shares(0))
    assert np.isposinf(share[len(blocks) + 1 :]).all()
    for place, (first, last) in enumerate(blocks):
        assert near(found["mean_path_length"][0, first - 1], float(shares(place) @ np.arange(len(blocks) + 1))), f"layer {first}"
        assert last == first or np.isposinf(found["mean_path_length"][0, last - 1])


def test_a_net_without_branches_has_the_one_path_of_length_0():
    found = columns(PathLengths(), moment_of([small_spec()]))
    assert found["path_length_share"][0].tolist() == [1.0, *[np.inf] * 5]
    assert found["mean_path_length"][0].tolist() == [0.0] * 5 + [np.inf]


@pytest.mark.parametrize("gain", [1e-120, 1e120], ids=["vanishing", "exploding"])
@pytest.mark.parametrize("residual", [Plain(), Identity()], ids=lambda r: r.name)
def test_products_of_layers_beyond_the_float_are_right(gain, residual):
    # A net of relu is homogeneous: weights times g, biases 0. Five factors of 1e120 are 1e600.
    spec = small_spec(activation=Relu(), residual=residual)
    plain, scaled = (moment_of([spec]) for _ in range(2))
    for moment, factor in ((plain, 1.0), (scaled, gain)):
        for key, value in moment.parameters.items():
            value.mul_(factor if key.endswith("weight") else 0.0)
        # Signals of order one, whatever the weights: probes take phi' from z, and weights from the pass.
        base = moment.net.forward({key: value / factor for key, value in moment.parameters.items()}, moment.x_RBM)
        for done, other in zip(moment.passes, base, strict=True):
            done.weight, done.u, done.h, done.z, done.a, done.x = other.weight * factor, other.u, other.h, other.z, other.a, other.x
    layers = np.arange(1, spec.depth + 1)
    if isinstance(residual, Plain):
        before, after = (columns(DeltaMoments(), moment) for moment in (plain, scaled))
        shift = 2 * np.log10(gain) * (spec.depth - layers)
        assert near(after["log10_delta_ms"][0], before["log10_delta_ms"][0] + shift, 1e-11)
        for probe in (Jacobian(), Jacobian(largest_exact=0)):
            before, after = (columns(probe, moment) for moment in (plain, scaled))
            assert near(after["log10_jacobian_s_max"][0, :-1], before["log10_jacobian_s_max"][0, :-1] + np.log10(gain) * (spec.depth - layers[:-1]), 1e-11)
            assert near(after["jacobian_s2_relative_variance"][0, :-1], before["jacobian_s2_relative_variance"][0, :-1])
        before, after = (columns(GradientScale(), moment) for moment in (plain, scaled))
        assert near(after["log10_gsc_to_output"][0], before["log10_gsc_to_output"][0] + 2 * np.log10(gain) * (spec.depth - layers + 1), 1e-11)
    else:
        share = columns(PathLengths(), scaled)["path_length_share"][0, :5]
        assert share.argmax() == (0 if gain < 1 else 4)
        assert np.isfinite(share).all()


@pytest.mark.parametrize("norm", [cls(placement=where, affine=False) for cls in (BatchNorm, LayerNorm, RmsNorm) for where in ("pre", "post")], ids=repr)
def test_a_norms_pushforward_is_the_transpose_of_its_pullback(norm, rng):
    t, left, right = (torch.from_numpy(rng.standard_normal((1, 6, 5))) for _ in range(3))
    normalized, saved = norm.forward(t.clone())
    jacobian = torch.autograd.functional.jacobian(norm.normalize, t).view(30, 30)
    pushed = (jacobian @ right.flatten()).view_as(t)
    # Sums of 30 products of numbers below 10.
    assert torch.allclose(norm.pushforward(right.clone(), normalized, saved), pushed, rtol=0, atol=1e-13)
    assert torch.allclose(AbstractNorm.pushforward(norm, right, None, t), pushed, rtol=0, atol=1e-13)
    assert abs(float((left * pushed).sum() - (norm.pullback(left.clone(), normalized, saved) * right).sum())) < 1e-13


def test_a_norm_of_signals_mixes_samples_unless_it_says_otherwise():
    assert [norm.mixes_samples for norm in (NoNorm(), BatchNorm(), LayerNorm(), RmsNorm())] == [False, True, False, False]


def test_the_logarithm_leaves_out_the_deltas_that_are_0():
    # One unit a layer: a relu that is off makes delta exactly 0.
    spec = small_spec(activation=Relu(), width=1, depth=4, batch_size=4)
    moment = moment_of([spec])
    found = columns(DeltaMoments(cotangents=3), moment)
    v_KBC = stream(0, "probe delta_moments", 0).standard_normal((3, 4, 2))
    is_on_LB = np.stack([moment.passes[layer].z[0, :, 0].numpy() > 0 for layer in range(3)])
    assert 0 < is_on_LB.all(0).sum() < 4, "some of both, or this tests nothing"
    w_1C = moment.parameters["layers.4.weight"][0].numpy().T
    square_KB = (v_KBC @ w_1C.T)[:, is_on_LB[2], 0] ** 2
    assert near(found["log10_delta_ms_geometric"][0, 2], np.log10(square_KB).mean())
    assert near(found["delta_log_variance"][0, 2], np.log(square_KB).var(0, ddof=1).mean())
    assert found["delta_zero_fraction"][0, 2] == 1 - is_on_LB[2].mean()
    assert near(found["log10_delta_ms"][0, 2], np.log10(square_KB.sum() / 12))
    assert found["delta_zero_fraction"][0, 0] == 1 - is_on_LB.all(0).mean()
