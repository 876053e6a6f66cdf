"""Slow, obvious twins: what a user would write in plain torch, with autograd, torch.optim and torch's own clipping."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

import gradyn
from gradyn.sweep import RunSpec


@dataclass
class Measured:
    """What the plain loop saw, step by step."""

    loss: list[float] = field(default_factory=list)
    log10_grad_l2: list[float] = field(default_factory=list)
    log10_grad_w_l2: list[list[float]] = field(default_factory=list)
    log10_grad_b_l2: list[list[float | None]] = field(default_factory=list)
    clip_scale: list[float] = field(default_factory=list)
    clip_cosine: list[float] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)


def log10(norm: Tensor | float) -> float:
    """log10 with log10(0) = -inf."""
    return math.log10(float(norm)) if float(norm) > 0 else -math.inf


def plain_loop(spec: RunSpec) -> Measured:
    """The run as anybody would train it."""
    module, batches, loss_fn = gradyn.materialize(spec)
    optimizer = _optimizer(spec, module)
    seen = Measured()
    for x, y in batches:
        optimizer.zero_grad(set_to_none=False)
        loss = loss_fn(module(x), y)
        seen.loss.append(float(loss.detach()))
        (loss + _penalty(spec, module)).backward()
        grads = {name: torch.zeros_like(p) if p.grad is None else p.grad for name, p in module.named_parameters()}
        norms = {name: grad.norm() for name, grad in grads.items()}
        total = torch.stack(list(norms.values())).norm()
        layers = range(1, spec.depth + 1)
        seen.log10_grad_w_l2.append([log10(norms[f"layers.{layer}.weight"]) for layer in layers])
        seen.log10_grad_b_l2.append([log10(norms[name]) if (name := f"layers.{layer}.bias") in norms else None for layer in layers])
        seen.log10_grad_l2.append(log10(total))
        if spec.steps:
            before = torch.cat([grad.detach().clone().flatten() for grad in grads.values()])
            _clip(spec, module)
            clipped = torch.cat([torch.zeros_like(p).flatten() if p.grad is None else p.grad.flatten() for p in module.parameters()])
            after = clipped.norm()
            seen.clip_scale.append(float(after / total) if total > 0 else 1.0)
            seen.clip_cosine.append(float((before / total) @ (clipped / after)) if min(total, after) > 0 else math.nan)
            _decay(spec, module)
            optimizer.step()
    seen.weights = {name: p.detach().clone() for name, p in module.named_parameters()}
    return seen


def _optimizer(spec: RunSpec, module: nn.Module) -> Any:
    chosen, rate = spec.optimizer, spec.learning_rate
    if chosen.name == "adam":
        return torch.optim.Adam(module.parameters(), lr=rate, betas=(chosen.beta1, chosen.beta2), eps=chosen.eps)
    return torch.optim.SGD(module.parameters(), lr=rate, momentum=chosen.settings.get("momentum", 0.0))


def _decay(spec: RunSpec, module: nn.Module) -> None:
    # Decoupled: what torch.optim.AdamW does to its parameters before the step.
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.mul_(1 - spec.learning_rate * spec.optimizer.weight_decay)


def _penalty(spec: RunSpec, module: nn.Module) -> Tensor:
    total, coefficient = torch.zeros(()), spec.penalty.settings.get("coefficient", 0.0)
    for name, w in module.named_parameters():
        if name.startswith("layers.") and name.endswith(".weight"):
            if spec.penalty.name == "l2":
                total = total + coefficient / 2 * (w**2).sum()
            elif spec.penalty.name == "l1":
                total = total + coefficient * w.abs().sum()
            elif spec.penalty.name == "orthogonal":
                gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
                total = total + coefficient * ((gram - torch.eye(len(gram))) ** 2).sum()
    return total


def _clip(spec: RunSpec, module: nn.Module) -> None:
    parameters, clip = list(module.parameters()), spec.clip
    if clip.name == "global_l2":
        assert clip.eps == 1e-6  # torch's, which is no argument there
        torch.nn.utils.clip_grad_norm_(parameters, clip.max_norm)
    elif clip.name == "layer_l2":
        by_layer: dict[str, list[nn.Parameter]] = {}
        for name, parameter in module.named_parameters():
            by_layer.setdefault(name.split(".")[1], []).append(parameter)
        for members in by_layer.values():
            torch.nn.utils.clip_grad_norm_(members, clip.max_norm)
    elif clip.name == "value":
        torch.nn.utils.clip_grad_value_(parameters, clip.max_value)
    elif clip.name == "adaptive":
        for parameter in parameters:
            rows, grads = (t.reshape(len(parameter), -1) if parameter.dim() == 2 else t.reshape(1, -1) for t in (parameter.data, parameter.grad))
            for row, grad in zip(rows, grads, strict=True):
                limit = clip.max_ratio * max(float(row.norm()), clip.eps)
                if grad.norm() > limit:
                    grad.mul_(limit / grad.norm())
