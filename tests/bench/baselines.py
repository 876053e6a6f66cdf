"""What a user would write instead: plain, readable, and as fast as a good user makes it. One run = one call."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, stack_module_state, vmap
from torch.nn.functional import cross_entropy

from gradyn.data import Digits, batch_order
from gradyn.sweep import RunSpec

ACTIVATIONS = {"sigmoid": nn.Sigmoid, "tanh": nn.Tanh, "relu": nn.ReLU, "gelu": nn.GELU}
LOGGED = (0, 1, 2, 5, 10, 20, 49)


class Mlp(nn.Module):
    """Linear, norm, activation, skip: the default grid's nets."""

    def __init__(self, spec: RunSpec) -> None:
        super().__init__()
        sizes = [64, *[spec.width] * (spec.depth - 1), 10]
        self.linears = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))
        norm = {"batch": lambda: nn.BatchNorm1d(spec.width, track_running_stats=False), "layer": lambda: nn.LayerNorm(spec.width), "none": nn.Identity}
        self.norms = nn.ModuleList(norm[spec.norm.name]() for _ in sizes[2:])
        self.phi, self.has_skip = ACTIVATIONS[spec.activation.name](), spec.residual.has_skip
        for linear in self.linears:
            nn.init.kaiming_normal_(linear.weight)
            nn.init.zeros_(linear.bias)

    def forward(self, x: Tensor, seen: list[tuple[Tensor, Tensor, Tensor]] | None = None) -> Tensor:
        """Logits; `seen` collects (h, argument of phi, output) of each layer."""
        for index, (linear, norm) in enumerate(zip(self.linears, self.norms, strict=False)):
            h = linear(x)
            z = norm(h)
            a = self.phi(z)
            x = a + x if self.has_skip and index else a
            if seen is not None:
                seen.append((h, z, x))
        out = self.linears[-1](x)
        if seen is not None:
            seen.append((out, out, out))
        return out


def batches(spec: RunSpec) -> tuple[Tensor, Tensor, np.ndarray]:
    """The data as tensors, and the rows of every step."""
    data = Digits().load()
    return torch.from_numpy(data.x_train).float(), torch.from_numpy(data.y_train), batch_order(len(data.x_train), spec.batch_size, spec.steps, spec.seed)


def plain_loop(spec: RunSpec, folder: Path) -> None:
    """nn.Module, backward, torch.optim; the default columns at the logged steps; pandas files of the run."""
    x, y, order = batches(spec)
    torch.manual_seed(spec.seed)
    model = Mlp(spec)
    optimizer = torch.optim.SGD(model.parameters(), lr=spec.learning_rate)
    steps, layers = [], []
    for step, rows in enumerate(order):
        seen: list[tuple[Tensor, Tensor, Tensor]] | None = [] if step in LOGGED else None
        optimizer.zero_grad()
        output = model(x[rows], seen)
        for h, _, _ in seen or ():
            h.retain_grad()
        loss = cross_entropy(output, y[rows])
        loss.backward()
        total = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0 if spec.clip.name == "global_l2" else math.inf)
        accuracy = (output.argmax(1) == y[rows]).float().mean()
        steps.append({"step": step, "loss": loss.item(), "accuracy": accuracy.item(), "grad_l2": total.item()})
        before = [linear.weight.detach().clone() for linear in model.linears] if seen else []
        optimizer.step()
        if seen is not None:
            layers += layer_rows(model, step, seen, before)
    with torch.no_grad():
        float(cross_entropy(model(x), y))
    pd.DataFrame(steps).to_parquet(folder / f"steps-{spec.run_id}.parquet")
    pd.DataFrame(layers).to_parquet(folder / f"layers-{spec.run_id}.parquet")


def layer_rows(model: Mlp, step: int, seen: list[tuple[Tensor, Tensor, Tensor]], before: list[Tensor]) -> list[dict[str, Any]]:
    """The default columns of one step."""
    rows = []
    for index, (linear, (h, z, x)) in enumerate(zip(model.linears, seen, strict=True)):
        delta = h.grad
        with torch.enable_grad():
            leaf = z.detach().requires_grad_()
            slope = torch.autograd.grad(model.phi(leaf).sum(), leaf)[0].abs()
        with torch.no_grad():
            rows.append(
                {
                    "step": step,
                    "layer": index + 1,
                    "grad_w_l2": linear.weight.grad.norm().item(),
                    "grad_b_l2": linear.bias.grad.norm().item(),
                    "delta_rms": (delta * len(delta)).square().mean().sqrt().item(),
                    "act_rms": x.square().mean().sqrt().item(),
                    "act_mean": x.mean().item(),
                    "act_std": x.std(correction=0).item(),
                    "preact_std": h.std(correction=0).item(),
                    "saturated_fraction": (slope < 0.05).float().mean().item(),
                    "zero_fraction": (x == 0).float().mean().item(),
                    "zero_derivative_fraction": (slope == 0).float().mean().item(),
                    "gain_weight": ((delta @ before[index]).norm() / delta.norm()).item(),
                    "weight_l2": before[index].norm().item(),
                    "weight_spectral": torch.linalg.matrix_norm(before[index], 2).item() if step == 0 else math.nan,
                    "update_ratio": ((linear.weight - before[index]).norm() / before[index].norm()).item(),
                }
            )
    return rows


def best_loop(spec: RunSpec) -> None:
    """No Hydra, no files; gradient norms alone, by foreach, with one read a step."""
    x, y, order = batches(spec)
    torch.manual_seed(spec.seed)
    model = Mlp(spec)
    parameters = list(model.parameters())
    rows_TB = torch.from_numpy(np.asarray(order))
    for rows in rows_TB:
        loss = cross_entropy(model(x.index_select(0, rows)), y.index_select(0, rows))
        gradients = torch.autograd.grad(loss, parameters)
        norms = torch.stack(torch._foreach_norm(gradients))
        if spec.clip.name == "global_l2":
            torch._foreach_mul_(gradients, (1.0 / (norms.norm() + 1e-6)).clamp(max=1.0))
        with torch.no_grad():
            torch._foreach_add_(parameters, gradients, alpha=-spec.learning_rate)
        torch.cat([norms, loss.detach().unsqueeze(0)]).tolist()


def vmap_stack(specs: list[RunSpec]) -> None:
    """All runs of a stack by torch.func.vmap; gradient norms alone, with one read a step."""
    first = specs[0]
    x, y, _ = batches(first)
    models = []
    for spec in specs:
        torch.manual_seed(spec.seed)
        models.append(Mlp(spec))
    parameters, _ = stack_module_state(models)
    step_gradients = vmap(grad(lambda p, x, y: cross_entropy(functional_call(models[0], p, (x,)), y)))
    order_TRB = torch.from_numpy(np.stack([batches(spec)[2] for spec in specs], 1))
    values = [value.detach() for value in parameters.values()]
    for rows_RB in order_TRB:
        gradients = list(step_gradients(dict(zip(parameters, values, strict=True)), x[rows_RB], y[rows_RB]).values())
        norms_PR = torch.stack([gradient.flatten(1).norm(dim=1) for gradient in gradients])
        scale_R = (1.0 / (norms_PR.norm(dim=0) + 1e-6)).clamp(max=1.0) if first.clip.name == "global_l2" else torch.ones(len(specs))
        for value, gradient in zip(values, gradients, strict=True):
            value.sub_(first.learning_rate * gradient * scale_R.view(-1, *(1,) * (gradient.dim() - 1)))
        norms_PR.tolist()
