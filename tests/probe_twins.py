"""A step as probes see it, at parameters where nothing is 0 or 1, and its derivatives by autograd through `independent.forward`.

Axes: K directions, B batch, N and M units.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

import gradyn
import independent
from gradyn.data import Gaussian, batch_order
from gradyn.nn import (
    BatchNorm,
    Fixup,
    Gelu,
    Identity,
    Inverted,
    LayerNorm,
    Net,
    NoNorm,
    Plain,
    Rezero,
    RmsNorm,
    ScaledBranch,
    Sigmoid,
    Sin,
    Softplus,
    Tanh,
    WeightStandardized,
)
from gradyn.optim import Cotangent
from gradyn.probes import AbstractProbe, Moment
from gradyn.sweep import RunSpec
from runs import make_spec

PLACES = ("pre", "post", "branch")
NORMS: list[Any] = [NoNorm(), WeightStandardized(eps=1e-3)]
NORMS += [cls(placement=where) for cls in (BatchNorm, LayerNorm, RmsNorm) for where in PLACES]
BRANCHED: list[Any] = [cls(branch=branch) for cls in (Identity, Rezero) for branch in ("reduced", "full")]
RESIDUALS: list[Any] = [Plain(), *BRANCHED, ScaledBranch(scale=0.7, skip=-0.8), ScaledBranch(scale=0.7, skip=1.1, branch="full"), Fixup()]
ACTIVATIONS = [Tanh(), Sigmoid(), Gelu(), Softplus(), Sin()]


def small_spec(**changes: Any) -> RunSpec:
    """Depth 6, width 5, 4 samples of 3 features, 2 outputs, float64."""
    data = Gaussian(samples=4, features=3, classes=2, labels=False)
    return make_spec(**{**dict(depth=6, width=5, batch_size=4, steps=0, dtype="float64", loss=Cotangent(), activation=Tanh(), data=data), **changes})


def every_third_net() -> list[RunSpec]:
    """Every norm with a third of the residual schemes and each scheme with a third of the norms, activations in turn; dropout in each second."""
    pairs = [(i, j) for i, j in itertools.product(range(len(NORMS)), range(len(RESIDUALS))) if (i + j) % 3 == 0]
    legal = [(NORMS[i], RESIDUALS[j]) for i, j in pairs if RESIDUALS[j].has_skip or NORMS[i].settings.get("placement") != "branch"]
    return [
        small_spec(norm=norm, residual=residual, activation=ACTIVATIONS[place % 5], dropout=Inverted(keep=0.7) if place % 2 else make_spec().dropout)
        for place, (norm, residual) in enumerate(legal)
    ]


def moment_of(specs: Sequence[RunSpec]) -> Moment:
    """A stack's step 0, every parameter moved by a normal number."""
    first = specs[0]
    net = Net(first, first.data.features, first.data.classes)
    made = [gradyn.materialize(spec) for spec in specs]
    states = [module.state_dict() for module, _, _ in made]
    normals = [np.random.default_rng(spec.seed) for spec in specs]
    parameters = {
        slot.name: torch.stack(
            [state[slot.name] + 0.3 * torch.from_numpy(np.asarray(rng.standard_normal(slot.shape))) for state, rng in zip(states, normals, strict=True)]
        )
        for slot in net.slots
    }
    firsts = [next(batches) for _, batches, _ in made]
    x_RBM, y = (torch.stack([first[part] for first in firsts]) for part in (0, 1))
    rows_RB = np.stack([batch_order(first.data.train_samples, first.batch_size, 1, spec.seed)[0] for spec in specs])
    factors = {
        layer.index: torch.from_numpy(np.stack([spec.dropout.factor(spec.seed, 0, layer.index, (x_RBM.shape[1], first.width)) for spec in specs]))
        for layer in net.layers
        if layer.has_dropout
    }
    passes = net.forward(parameters, x_RBM, factors)
    return Moment(net, parameters, x_RBM, passes, [], 1.0, {}, first.data, tuple(spec.seed for spec in specs), 0, rows_RB, first.loss, y)


@dataclass
class Twin:
    """One run by autograd: `x[0]` ... `x[depth]`, `h[1]` ... `h[depth]` (h[0] is None)."""

    spec: RunSpec
    x: list[Tensor]
    h: list[Tensor | None]

    def jacobian(self, output: Tensor, at: Tensor) -> Tensor:
        """d output / d at, [B, N, B, M]."""
        eye = torch.eye(output.numel()).view(-1, *output.shape)
        rows = [torch.autograd.grad(output, at, one, retain_graph=True, allow_unused=True)[0] for one in eye]
        return torch.stack([torch.zeros_like(at) if row is None else row for row in rows]).view(*output.shape, *at.shape)

    def maps(self, top: int, bottom: int) -> Tensor:
        """d x_top / d x_bottom of every sample, [E, N, M]; of the whole batch where the norm is batch norm."""
        jacobian = self.jacobian(self.x[top], self.x[bottom])
        if self.spec.norm.name == "batch":
            batch, units = self.x[top].shape
            return jacobian.reshape(1, batch * units, -1)
        own = torch.stack([jacobian[b, :, b] for b in range(len(jacobian))])
        assert float(jacobian.abs().sum()) <= float(own.abs().sum()) * (1 + 1e-12), "samples must not mix"
        return own

    def is_whole(self, index: int) -> bool:
        """Whether x_index is not inside a block of two."""
        is_full = self.spec.residual.settings.get("branch") == "full"
        return not (is_full and index % 2 == 0 and 2 <= index <= self.spec.depth - 2)


def twin_of(spec: RunSpec, moment: Moment, run: int) -> Twin:
    """The same step of one of the runs, written a second time."""
    values = {name: value[run].clone() for name, value in moment.parameters.items()}
    x = moment.x_RBM[run].clone().requires_grad_()
    passes = independent.forward(spec, values, x, 0)
    return Twin(spec, [x, *(done.x for done in passes)], [None, *(done.h for done in passes)])


def columns(probe: AbstractProbe, moment: Moment) -> dict[str, np.ndarray]:
    """Column -> [R, L], null as +inf (no column of a probe may be that)."""
    with torch.no_grad():
        found = probe.measure(moment)
    assert list(found) == [column.name for column in probe.columns]
    return {name: np.where(cells.exist_L, cells.values_RL, np.inf) for name, cells in found.items()}


def seeds(spec: RunSpec, count: int) -> list[RunSpec]:
    """The run with the seeds 0, 1, ..."""
    return [replace(spec, seed=seed) for seed in range(count)]
