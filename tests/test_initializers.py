"""Initializers: the variance that they state, isometries, the data-dependent one, and streams that don't depend on depth."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import catalogue
import gradyn
from gradyn.core import ConfigError, stream
from gradyn.nn import Gaussian, HeNormal, HeUniform, LooksLinear, Lsuv, Orthogonal, Relu, Tanh, TorchDefault, initialize
from runs import make_spec

# Two-sided z of 5: one false alarm in 1.7 million draws.
Z = 5.0


def assert_variance_is_as_stated(init, rng: np.random.Generator) -> None:
    for fan_out, fan_in in ((60, 40), (40, 60)):
        expected = init.variance(fan_out, fan_in)
        draws = np.stack([init.weight(rng, fan_out, fan_in, layer=2, is_readout=False) for _ in range(20)])
        # Var of a mean of n squares: kurtosis 3 at most (normal) gives sqrt(2 / n); orthogonal and uniform entries have less.
        error = expected * np.sqrt(2 / draws.size)
        assert abs((draws**2).mean() - expected) <= Z * error + 1e-15, f"{init}: mean square {(draws**2).mean():.6g}, stated {expected:.6g}"
        assert abs(draws.mean()) <= Z * np.sqrt(expected / draws.size) + 1e-15


@pytest.mark.parametrize("init", [i for i in catalogue.initializers() if i.variance(4, 4) is not None], ids=repr)
def test_weights_have_the_stated_variance(init, rng):
    assert_variance_is_as_stated(init, rng)


def test_orthogonal_is_orthogonal_and_its_signs_are_not_lapacks(rng):
    wide, tall = (Orthogonal(gain=2.0).weight(rng, *shape, layer=2, is_readout=False) for shape in ((5, 9), (9, 5)))
    assert np.abs(wide @ wide.T - 4 * np.eye(5)).max() < 1e-13
    assert np.abs(tall.T @ tall - 4 * np.eye(5)).max() < 1e-13
    # Uniform over the group: the (1, 1) entry is as often positive as negative; LAPACK's own sign rule makes it negative always.
    signs = np.sign([Orthogonal().weight(rng, 3, 3, layer=2, is_readout=False)[0, 0] for _ in range(400)])
    assert abs(signs.mean()) < Z / np.sqrt(400)


def test_looks_linear_makes_a_relu_net_an_isometry_of_its_input(rng):
    spec = make_spec(init=LooksLinear(), activation=Relu(), depth=30, width=128, dtype="float64", steps=0)
    module, batches, _ = gradyn.materialize(spec)
    x, _ = next(batches)
    hidden = x
    for layer in range(1, 30):
        hidden = torch.relu(module.layers[str(layer)](hidden)).detach()
        # ||[relu(v); relu(-v)]|| = ||v|| = ||x||: exact but for rounding, about depth * eps.
        assert float(((hidden.norm(dim=1) - x.norm(dim=1)).abs() / x.norm(dim=1)).max()) < 30 * 64 * 2.2e-16


@pytest.mark.parametrize("activation", [Relu(), Tanh()], ids=repr)
def test_lsuv_reaches_its_variance_in_every_hidden_layer(activation):
    spec = make_spec(init=Lsuv(tolerance=0.01), activation=activation, depth=12, width=32, dtype="float64", batch_size=128)
    module, batches, _ = gradyn.materialize(spec)
    x, _ = next(batches)
    for layer in range(1, 12):
        h = module.layers[str(layer)](x).detach()
        assert abs(float(h.var(correction=0)) - 1) <= 0.01
        x = activation.forward(h)


def test_torch_default_is_torchs(rng):
    drawn = TorchDefault().weight(rng, 300, 25, layer=2, is_readout=False), TorchDefault().bias(rng, 3000, 25)
    assert all(np.abs(values).max() <= 0.2 < np.abs(values).max() * 1.02 for values in drawn)
    reference = torch.nn.Linear(25, 300)
    assert float(reference.weight.detach().abs().max()) <= 0.2 < float(reference.weight.detach().abs().max()) * 1.02


def test_gaussian_draws_biases_of_sigma_b(rng):
    biases = Gaussian(sigma_b=0.3).bias(rng, 10_000, 5)
    assert abs(biases.std() - 0.3) < Z * 0.3 / np.sqrt(2 * 10_000)


def test_hidden_layers_of_a_deep_net_are_those_of_a_shallower_one_in_every_dtype():
    deep, shallow, single = (gradyn.materialize(make_spec(depth=d, dtype=t))[0] for d, t in ((9, "float64"), (5, "float64"), (9, "float32")))
    for layer in ("1", "2", "3", "4"):
        assert torch.equal(deep.layers[layer].weight, shallow.layers[layer].weight)
        assert torch.equal(deep.layers[layer].weight.float(), single.layers[layer].weight)


def test_streams_differ_in_seed_purpose_and_index():
    draws = {stream(*key).integers(2**63) for key in ((0, "weight", 1), (1, "weight", 1), (0, "bias", 1), (0, "weight", 2), (0, "weight 1", 0))}
    assert len(draws) == 5
    assert stream(3, "weight", 1).integers(2**63) == stream(3, "weight", 1).integers(2**63)


@pytest.mark.parametrize(
    ("build", "line"),
    [
        (lambda: make_spec(init=LooksLinear(), width=7), r"width must be even with init=looks_linear; got 7\. Take an even width"),
        (lambda: Gaussian(sigma_w=float("nan")), r"init\.sigma_w must be a finite number >= 0; got nan"),
        (lambda: Gaussian(sigma_w=-1.0), r"init\.sigma_w must be a finite number >= 0; got -1\.0"),
        (lambda: make_spec(depth=1), r"depth must be a whole number >= 2; got 1"),
        (lambda: make_spec(learning_rate=-0.1), r"learning_rate must be a finite number >= 0; got -0\.1"),
        (lambda: make_spec(init=HeNormal(), dtype="float8"), r"dtype must be one of float16, bfloat16, float32, float64; got 'float8'"),
    ],
)
def test_bad_values_are_refused_in_one_line(build, line):
    with pytest.raises(ConfigError, match=line) as caught:
        build()
    assert "\n" not in str(caught.value)


def count_draws(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, str, int]]:
    """The streams of weights that are made from now on; nothing is kept from before."""
    made: list[tuple[int, str, int]] = []

    def counted(seed: int, purpose: str, index: int = 0) -> np.random.Generator:
        if purpose == "weight":
            made.append((seed, purpose, index))
        return stream(seed, purpose, index)

    monkeypatch.setattr(initialize, "stream", counted)
    monkeypatch.setattr(initialize, "_standards", initialize._Standards())
    return made


@pytest.mark.parametrize("inits", [(HeNormal(), Gaussian(sigma_w=3.0)), (TorchDefault(), HeUniform()), (Orthogonal(gain=2.0), Lsuv())])
def test_settings_of_one_law_draw_once_and_have_what_each_would_draw_alone(monkeypatch, inits):
    alone = [gradyn.materialize(make_spec(init=init, depth=4))[0].state_dict() for init in inits]
    made = count_draws(monkeypatch)
    together = [gradyn.materialize(make_spec(init=init, depth=4))[0].state_dict() for init in inits]
    assert made == [(0, "weight", layer) for layer in (1, 2, 3, 4)]
    for one, other in zip(alone, together, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)


def test_an_initializer_that_defines_its_own_weight_is_asked_for_it(monkeypatch):
    class Doubled(HeNormal):
        def weight(self, rng, fan_out, fan_in, *, layer, is_readout):
            return 2 * super().weight(rng, fan_out, fan_in, layer=layer, is_readout=is_readout)

    plain, doubled = (gradyn.materialize(make_spec(init=init, depth=3))[0].state_dict() for init in (HeNormal(), Doubled()))
    assert all(torch.equal(2 * plain[name], doubled[name]) for name in plain if name.endswith("weight"))


def test_what_is_kept_of_draws_is_bounded_and_the_oldest_goes_first(monkeypatch):
    made = count_draws(monkeypatch)
    monkeypatch.setattr(initialize, "_KEPT_BYTES", 3 * 8 * 8 * 8)
    standard = HeNormal().standard
    for seed in (0, 1, 2, 0, 3, 0, 1):
        initialize._standards(standard, seed, 1, 8, 8)
    assert [seed for seed, _, _ in made] == [0, 1, 2, 3, 1]
    assert initialize._standards._bytes == 3 * 8 * 8 * 8
