"""One run, written a second time from the text of the design alone: torch.nn.functional, autograd, torch.optim, nothing of the net.

Of gradyn it takes where a run begins (the values of its parameters, its batches), the arrays of the data set and the dropout's
random stream; not a component, a loss, a module or a norm. What it measures are the columns of the store, in float64.

Axes: B batch, M fan_in, N fan_out, C classes; one run, so that there is no run axis.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as f

import gradyn
from gradyn.core import stream
from gradyn.sweep import RunSpec

Row = dict[str, float | None]
Values = dict[str, Tensor]

SELU = 1.0507009873554804934193349852946, 1.6732632423543772848170429916717

# Each phi, and the largest |phi'|, by hand: gelu's is at h = sqrt(2), silu's at h = 2.3994.
PHI: dict[str, tuple[Callable[..., Tensor], Callable[..., float]]] = {
    "linear": (lambda h: h, lambda: 1.0),
    "sigmoid": (torch.sigmoid, lambda: 0.25),
    "tanh": (torch.tanh, lambda: 1.0),
    "hard_tanh": (f.hardtanh, lambda: 1.0),
    "softsign": (f.softsign, lambda: 1.0),
    "relu": (f.relu, lambda: 1.0),
    "leaky_relu": (lambda h, negative_slope: f.leaky_relu(h, negative_slope), lambda negative_slope: max(1.0, abs(negative_slope))),
    "elu": (lambda h, alpha: f.elu(h, alpha), lambda alpha: max(1.0, alpha)),
    "selu": (f.selu, lambda: SELU[0] * SELU[1]),
    "gelu": (f.gelu, lambda: 0.5 * (1 + math.erf(1.0)) + math.exp(-1) / math.sqrt(math.pi)),
    "silu": (f.silu, lambda: 1.0998393194985),
    "softplus": (lambda h: f.softplus(h, threshold=1e4), lambda: 1.0),
    "erf": (torch.erf, lambda: 2 / math.sqrt(math.pi)),
    "sin": (torch.sin, lambda: 1.0),
}
LOSS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": f.cross_entropy,
    "mse": lambda output, y: 0.5 * f.mse_loss(output, y, reduction="sum") / len(output),
    "cotangent": lambda output, y: torch.einsum("bc,bc->", output, y) / len(output),
}

# What this file is able to run, by group; the data sets are gradyn's own.
KNOWN: dict[str, list[str]] = {
    "activation": list(PHI),
    "init": [
        *("torch_default", "gaussian", "small", "large", "lecun_normal", "xavier_uniform", "xavier_normal"),
        *("he_uniform", "he_normal", "mup", "orthogonal", "looks_linear", "lsuv"),
    ],
    "norm": ["none", "batch", "layer", "rms", "weight_standardized"],
    "residual": ["plain", "identity", "scaled", "rezero", "fixup"],
    "dropout": ["none", "inverted"],
    "clip": ["none", "global_l2", "layer_l2", "value", "adaptive"],
    "penalty": ["none", "l2", "l1", "orthogonal"],
    "optimizer": ["sgd", "momentum", "adam"],
    "rates": ["uniform", "mup", "discriminative"],
    "loss": list(LOSS),
}


@dataclass
class Seen:
    """The store's three tables for one run: layer rows (step by step, layer by layer), step rows, the runs row."""

    layers: list[Row] = field(default_factory=list)
    steps: list[Row] = field(default_factory=list)
    run: Row = field(default_factory=dict)


@dataclass
class Pass:
    """One layer as it was computed."""

    weight: Tensor  # as multiplied
    h: Tensor
    z: Tensor  # argument of phi
    a: Tensor  # phi(z)
    x: Tensor
    is_curved: bool = True  # whether a phi other than the identity was applied


def run(spec: RunSpec, dtype: torch.dtype = torch.float64) -> Seen:
    """Train and measure at every step."""
    module, batches, _ = gradyn.materialize(spec)
    values = {name: value.detach().clone().to(dtype).requires_grad_() for name, value in module.state_dict().items()}
    optimizer, seen, labels = _optimizer(spec, values), Seen(), _Labels(spec)
    for step, (x, y) in enumerate(batches):
        x, y = x.to(dtype), y if y.dtype == torch.int64 else y.to(dtype)
        passes = forward(spec, values, x, step)
        for done in passes:
            done.h.retain_grad()
        loss = LOSS[spec.loss.name](passes[-1].x, y)
        optimizer.zero_grad()
        (loss + _penalty(spec, values)).backward()
        grads = {name: torch.zeros_like(value) if value.grad is None else value.grad for name, value in values.items()}
        for name, value in values.items():
            value.grad = grads[name]
        rows = _layer_rows(spec, values, passes, with_spectrum=step == 0)
        before = _l2(*grads.values())
        at_step: Row = {"loss": float(loss.detach()), "log10_grad_l2": _log10(before), "accuracy": labels.share_right(x, passes[-1].x)}
        at_step |= {"clip_scale": 1.0, "clip_cosine": 1.0 if before else math.nan}
        if spec.steps:
            old = {name: value.detach().clone() for name, value in values.items()}
            unclipped = [grad.detach().clone() for grad in grads.values()]
            _clip(spec, values)
            after = _l2(*(value.grad for value in values.values()))
            at_step["clip_scale"] = after / before if before != 0 else 1.0
            dot = sum(float((grad / before * value.grad / after).sum()) for grad, value in zip(unclipped, values.values(), strict=True))
            at_step["clip_cosine"] = dot if before * after else math.nan
            _decay_and_step(spec, values, optimizer)
            for layer, row in enumerate(rows, start=1):
                name = f"layers.{layer}.weight"
                moved, start = _l2(values[name].detach() - old[name]), _l2(old[name])
                # A matrix of zeros that moves moves infinitely; 0 / 0 is nan.
                row["log10_update_ratio"] = _log10(moved / start) if start > 0 else math.inf if moved > 0 else math.nan
        seen.layers += rows
        seen.steps.append(at_step)
    if spec.steps:
        seen.run = _final(spec, values, dtype)
    return seen


def forward(spec: RunSpec, values: Values, x: Tensor, step: int | None) -> list[Pass]:
    """The net of the design's table; dropout where a step is given."""
    depth, norm, residual, branch = spec.depth, spec.norm, spec.residual.name, spec.residual.settings.get("branch")
    where = norm.settings.get("placement")
    is_fixup = residual == "fixup"
    # Residual blocks fill layers 2 ... depth - 1: one layer each, or two; what is left over is plain.
    blocks = [] if residual == "plain" else [(i, i) for i in range(2, depth)] if branch == "reduced" else [(i, i + 1) for i in range(2, depth - 1, 2)]
    s, a = 1.0, 1.0
    if residual == "scaled":
        given = spec.residual.settings["scale"]
        s, a = spec.residual.settings["skip"], given if given is not None else 1 / math.sqrt(max(len(blocks), 1))

    def weight(layer: int) -> Tensor:
        w = values[f"layers.{layer}.weight"]
        if norm.name == "weight_standardized" and layer < depth:
            spread = torch.sqrt(w.var(dim=1, correction=0, keepdim=True) + norm.settings["eps"])
            w = norm.settings["gain"] * (w - w.mean(1, keepdim=True)) / (spread * math.sqrt(w.shape[1]))
        return w

    def plain(layer: int, x: Tensor, *, is_branch: bool = False) -> Pass:
        """N and phi around one product; with Fixup's scalars within a branch."""
        w = weight(layer)
        if where == "branch" and is_branch:
            x = _norm(spec, values, layer, x)
        if is_fixup and is_branch:
            h = f.linear(x + values[f"fixup.{layer}.before"], w) + values[f"fixup.{layer}.after"]
        else:
            h = f.linear(x, w, values[f"layers.{layer}.bias"])
        z = _norm(spec, values, layer, h) if where == "pre" else h
        phi = PHI[spec.activation.name][0](z, **spec.activation.settings)
        out = _norm(spec, values, layer, phi) if where == "post" else phi
        if spec.dropout.name == "inverted" and step is not None:
            keep = spec.dropout.settings["keep"]
            is_kept = torch.from_numpy(stream(spec.seed, f"dropout {step}", layer).random(tuple(out.shape)) < keep)
            out = out * is_kept / keep
        return Pass(w, h, z, phi, out, spec.activation.name != "linear")

    passes: list[Pass] = []
    layer = 1
    while layer < depth:
        block = next(((first, last) for first, last in blocks if first == layer), None)
        done = plain(layer, x, is_branch=block is not None)
        passes.append(done)
        if block is not None:
            first, last = block
            scale = values.get(f"branches.{last}.scale", a)
            if first == last:
                done.x = s * x + scale * done.x
            else:
                w = weight(last)
                if is_fixup:
                    h = f.linear(done.x + values[f"fixup.{last}.before"], w)
                    out = s * x + scale * h + values[f"fixup.{last}.after"]
                else:
                    h = f.linear(done.x, w, values[f"layers.{last}.bias"])
                    out = s * x + scale * h
                passes.append(Pass(w, h, h, h, out, is_curved=False))
        x = passes[-1].x
        layer = len(passes) + 1
    w = values[f"layers.{depth}.weight"]
    h = f.linear(x, w, values[f"layers.{depth}.bias"])
    return [*passes, Pass(w, h, h, h, h, is_curved=False)]


def _norm(spec: RunSpec, values: Values, layer: int, t: Tensor) -> Tensor:
    settings = spec.norm.settings
    gain, shift = (values[f"norms.{layer}.{part}"] for part in ("weight", "bias")) if settings["affine"] else (None, None)
    if spec.norm.name == "batch" and not settings["eps"]:  # torch's refuses eps = 0
        normalized = (t - t.mean(0)) / t.std(0, correction=0)
        return normalized if gain is None or shift is None else normalized * gain + shift
    if spec.norm.name == "batch":
        return f.batch_norm(t, None, None, gain, shift, training=True, eps=settings["eps"])
    if spec.norm.name == "layer":
        return f.layer_norm(t, t.shape[1:], gain, shift, eps=settings["eps"])
    normalized = t / torch.sqrt(t.pow(2).mean(1, keepdim=True) + settings["eps"])
    return normalized if gain is None or shift is None else normalized * gain + shift


def _layer_rows(spec: RunSpec, values: Values, passes: list[Pass], *, with_spectrum: bool) -> list[Row]:
    rows: list[Row] = []
    phi, largest = PHI[spec.activation.name]
    below = None
    for layer, done in enumerate(passes, start=1):
        assert done.h.grad is not None
        w, b, delta = values[f"layers.{layer}.weight"], values.get(f"layers.{layer}.bias"), done.h.grad
        x = done.x.detach()
        row: Row = {
            "log10_grad_w_l2": _log10(_l2(w.grad)),
            "log10_grad_b_l2": None if b is None else _log10(_l2(b.grad)),
            # h.grad is that of the mean over the batch; loss_b's own is B times that.
            "log10_delta_rms": _log10(float((delta * len(delta)).pow(2).mean().sqrt())),
            "log10_act_rms": _log10(float(x.pow(2).mean().sqrt())),
            "act_mean": float(x.mean()),
            "act_std": float(x.std(correction=0)),
            "preact_std": float(done.h.detach().std(correction=0)),
            "weight_l2": _l2(w.detach()),
            "weight_spectral": float(torch.linalg.matrix_norm(done.weight.detach(), ord=2)) if with_spectrum else None,
            "saturated_fraction": None,
            "zero_fraction": None,
            "zero_derivative_fraction": None,
            "log10_gain_weight": None,
            "log10_gain_derivative": None,
            "log10_update_ratio": None,
        }
        if done.is_curved:
            z = done.z.detach().requires_grad_()
            slope = torch.autograd.grad(phi(z, **spec.activation.settings).sum(), z)[0].abs()
            row["saturated_fraction"] = float((slope < 0.05 * largest(**spec.activation.settings)).double().mean())
            row["zero_fraction"] = float((done.a == 0).double().mean())
            row["zero_derivative_fraction"] = float((slope == 0).double().mean())
        if below is not None:
            pulled = _log10(_l2(delta @ done.weight.detach()))
            row["log10_gain_weight"] = pulled - _log10(_l2(delta))
            row["log10_gain_derivative"] = _log10(_l2(below)) - pulled
        below = delta
        rows.append(row)
    return rows


def _rate(spec: RunSpec, name: str, value: Tensor) -> float:
    """A parameter's own learning rate: the table of Yang et al. 2022, and Howard & Ruder's powers."""
    layer = int(name.split(".")[1])
    where = "readout" if layer == spec.depth else "input" if layer == 1 else "hidden"
    match spec.rates.name, spec.optimizer.name == "adam", value.ndim, where:
        case "discriminative", _, _, _:
            return spec.learning_rate * spec.rates.settings["decay"] ** (spec.depth - layer)
        case "mup", _, 2, "readout":
            power = -1
        case "mup", True, 2, "hidden":
            power = -1
        case "mup", False, 2, "input":
            power = 1
        case "mup", False, 1, "input" | "hidden":
            power = 1
        case _:
            power = 0
    return spec.learning_rate * (spec.width / 64) ** power


def _optimizer(spec: RunSpec, values: Values) -> torch.optim.Optimizer:
    chosen, settings = spec.optimizer.name, spec.optimizer.settings
    own = [{"params": [value], "lr": _rate(spec, name, value)} for name, value in values.items()]
    if chosen == "adam":
        betas = settings["beta1"], settings["beta2"]
        return torch.optim.AdamW(own, betas=betas, eps=settings["eps"], weight_decay=settings["weight_decay"])
    return torch.optim.SGD(own, lr=spec.learning_rate, momentum=settings.get("momentum", 0.0))


def _decay_and_step(spec: RunSpec, values: Values, optimizer: torch.optim.Optimizer) -> None:
    if spec.optimizer.name != "adam":  # AdamW decays by itself; torch's SGD only couples
        with torch.no_grad():
            for name, value in values.items():
                value -= _rate(spec, name, value) * spec.optimizer.settings["weight_decay"] * value
    optimizer.step()


def _penalty(spec: RunSpec, values: Values) -> Tensor:
    weights = [value for name, value in values.items() if name.startswith("layers.") and name.endswith(".weight")]
    coefficient, total = spec.penalty.settings.get("coefficient", 0.0), weights[0].new_zeros(())
    for w in weights:
        if spec.penalty.name == "l2":
            total = total + coefficient / 2 * w.pow(2).sum()
        elif spec.penalty.name == "l1":
            total = total + coefficient * w.abs().sum()
        elif spec.penalty.name == "orthogonal":
            gram = w @ w.T if w.shape[0] <= w.shape[1] else w.T @ w
            total = total + coefficient * (gram - torch.eye(len(gram), dtype=w.dtype)).pow(2).sum()
    return total


def _clip(spec: RunSpec, values: Values) -> None:
    settings = spec.clip.settings
    if spec.clip.name == "global_l2":
        _shrink(list(values.values()), settings["max_norm"], settings["eps"])
    elif spec.clip.name == "layer_l2":
        for layer in range(1, spec.depth + 1):
            _shrink([value for name, value in values.items() if name.split(".")[1] == str(layer)], settings["max_norm"], settings["eps"])
    elif spec.clip.name == "value":
        torch.nn.utils.clip_grad_value_(values.values(), settings["max_value"])
    elif spec.clip.name == "adaptive":
        for value in values.values():
            assert value.grad is not None
            dim = 1 if value.dim() == 2 else None
            w_l2, g_l2 = (torch.linalg.vector_norm(t.detach(), dim=dim, keepdim=True) for t in (value, value.grad))
            limit = settings["max_ratio"] * w_l2.clamp(min=settings["eps"])
            value.grad = torch.where(g_l2 > limit, value.grad * (limit / g_l2), value.grad)


def _shrink(parameters: list[Tensor], max_norm: float, eps: float) -> None:
    if eps == 1e-6:  # torch's own, which is no argument there
        torch.nn.utils.clip_grad_norm_(parameters, max_norm)
        return
    grads = [p.grad for p in parameters if p.grad is not None]
    factor = min(1.0, max_norm / (_l2(*grads) + eps))
    for grad in grads:
        grad.mul_(factor)


def _final(spec: RunSpec, values: Values, dtype: torch.dtype) -> Row:
    """Over whole batches in the data's order; what fills no batch is left out."""
    found: Row = {"final_loss": None, "final_accuracy": None, "test_accuracy": None}
    data = spec.data.load()
    if spec.loss.name == "cotangent":
        return found
    for part in ("train", "test"):
        x_all, labels, targets = (getattr(data, f"{name}_{part}") for name in ("x", "y", "targets"))
        losses, shares = [], []
        for begin in range(0, len(x_all) // spec.batch_size * spec.batch_size, spec.batch_size):
            rows = slice(begin, begin + spec.batch_size)
            with torch.no_grad():
                output = forward(spec, values, torch.from_numpy(x_all[rows]).to(dtype), None)[-1].x
            if spec.loss.name == "cross_entropy":
                y = torch.from_numpy(labels[rows])
            else:
                y = torch.from_numpy(targets[rows]).to(dtype) if targets is not None else f.one_hot(torch.from_numpy(labels[rows]), data.classes).to(dtype)
            losses.append(float(LOSS[spec.loss.name](output, y)))
            if labels is not None:
                shares.append(float((output.argmax(1) == torch.from_numpy(labels[rows])).double().mean()))
        if part == "train":
            found["final_loss"] = sum(losses) / len(losses)
        if shares:
            found["final_accuracy" if part == "train" else "test_accuracy"] = sum(shares) / len(shares)
    return found


class _Labels:
    """A batch's labels, found again by its inputs: the batches carry the loss' targets only."""

    def __init__(self, spec: RunSpec) -> None:
        data = spec.data.load()
        self._by_input: dict[bytes, int] = {}
        if data.y_train is not None:
            x_train = torch.from_numpy(data.x_train).to(torch.float32)
            self._by_input = {row.numpy().tobytes(): int(label) for row, label in zip(x_train, data.y_train, strict=True)}

    def share_right(self, x: Tensor, output: Tensor) -> float | None:
        if not self._by_input:
            return None
        labels = [self._by_input[row.numpy().tobytes()] for row in x.to(torch.float32)]
        return float((output.detach().argmax(1) == torch.tensor(labels)).double().mean())


def _l2(*tensors: Tensor | None) -> float:
    return math.sqrt(sum(float(t.detach().pow(2).sum()) for t in tensors if t is not None))


def _log10(value: float) -> float:
    return math.log10(value) if value > 0 else -math.inf if value == 0 else math.nan
