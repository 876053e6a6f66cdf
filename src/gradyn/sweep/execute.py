"""Execute: a pack's runs, from initial weights to records, as one tensor program.

Axes: R runs, B batch, C classes, L layers, P parameters (tensors) of a net, S samples.

Norms and exponents are read from the device as they arise (a few numbers a layer); everything large stays there.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import FORMATS, LANE, Format, Scaled, cosine, flushing, l2, log2, log2_l2, log2_total
from gradyn.nn import AnyNet, LayerPass, Net, Parameters, initial_parameters, net_of
from gradyn.probes import LOG10_2, AbstractPathProbe, Cells, Moment, WeightPath, log10_update_ratios, measure_layers
from gradyn.sweep.batches import Batches
from gradyn.sweep.health import Health
from gradyn.sweep.plan import Log
from gradyn.sweep.spec import RunSpec

Table = dict[str, NDArray[np.generic]]


@dataclass(slots=True)
class Records:
    """What a pack leaves: one table each of layers, steps and runs, as columns of equal length."""

    layers: Table
    steps: Table
    runs: Table


@dataclass(slots=True)
class _Steps:
    """What the steps gave, a list entry a logged step; [R] and [R, L] on the host."""

    step_numbers: list[int] = field(default_factory=list)
    step_values: list[dict[str, NDArray[np.float64]]] = field(default_factory=list)
    layer_numbers: list[int] = field(default_factory=list)
    layer_values: list[dict[str, Cells]] = field(default_factory=list)


def execute(specs: Sequence[RunSpec], log: Log, device: str = "cpu") -> Records:
    """Run a pack.

    Args:
        specs: runs of one structure (`gradyn.sweep.pack.structure`).
        log: the steps that are kept.
        device: any torch device.

    Returns:
        Its records; a run that diverged is among them, with its status.
    """
    return _execute(specs, log, device, is_saturated=False)


def _execute(specs: Sequence[RunSpec], log: Log, device: str, *, is_saturated: bool) -> Records:
    started = _clocks()
    first = specs[0]
    format_ = FORMATS[first.dtype]
    with torch.no_grad(), flushing(first.backward != "plain"):
        batches = Batches(specs, format_.carrier, device)
        net = net_of(first, batches.features, batches.classes)
        net = net.for_saturated() if is_saturated else net
        flat_RP = _initial(specs, net, batches, format_.carrier, device)
        parameters = views(net, flat_RP)
        health = Health(len(specs), format_)
        kept = _Steps()
        needs_float64_R = _train(specs, net, flat_RP, parameters, batches, health, kept, log)
        if needs_float64_R is not None:
            return _in_two(specs, needs_float64_R, log, device)
        final = _final(first, net, parameters, batches) if first.steps else {}
        # Without the padding, where an optimizer may leave 0 / 0. Extremes carry every inf and nan, in a tenth of the time of asking each number.
        used_RP = flat_RP[:, : net.slots[-1].stop]
        is_lost_R = ~(torch.isfinite(used_RP.amax(1)) & torch.isfinite(used_RP.amin(1)))
        if "final_loss" in final:
            is_lost_R |= ~torch.isfinite(final["final_loss"])
        health.inspect_end(first.steps, is_lost_R)
    wall_s, cpu_s = (_clocks() - started) / len(specs)
    return _records(specs, net, kept, health, final, {"wall_s": wall_s, "cpu_s": cpu_s})


def _clocks() -> NDArray[np.float64]:
    # Of the process, not of the thread: whoever lets torch have more threads than one pays for them.
    return np.array([time.perf_counter(), time.process_time()])


def _in_two(specs: Sequence[RunSpec], needs_float64_R: NDArray[np.bool_], log: Log, device: str) -> Records:
    """All runs from the start, those that need float64 cotangents apart from the others, which may split again; in the order of the specs."""
    places = [np.flatnonzero(~needs_float64_R), np.flatnonzero(needs_float64_R)]
    parts = [_execute([specs[run] for run in places[flag].tolist()], log, device, is_saturated=bool(flag)) for flag in (0, 1) if len(places[flag])]
    order_R = np.argsort(np.concatenate(places))

    def sorted_back(tables: list[Table]) -> Table:
        return {name: column.reshape(len(specs), -1)[order_R].reshape(-1) for name, column in joined(tables).items()}

    return Records(*(sorted_back([getattr(part, table) for part in parts]) for table in ("layers", "steps", "runs")))


def joined(tables: Sequence[Table]) -> Table:
    """Rows of several packs under each other; a column that one of them lacks is null (None, or masked) there."""
    names = dict.fromkeys(name for table in tables for name in table)
    found: Table = {}
    for name in names:
        parts = [table.get(name, np.ma.masked_all(len(table["run_id"]))) for table in tables]
        if any(part.dtype == object for part in parts):
            found[name] = np.concatenate([part if part.dtype == object else np.full(len(part), None, dtype=object) for part in parts])
        else:
            found[name] = np.ma.concatenate(parts) if any(isinstance(part, np.ma.MaskedArray) for part in parts) else np.concatenate(parts)
    return found


def views(net: AnyNet, flat_RP: Tensor) -> Parameters:
    """Every parameter as a view [R, *shape] of the runs' rows."""
    return {slot.name: flat_RP[:, slot.start : slot.stop].view(len(flat_RP), *slot.shape) for slot in net.slots}


def _initial(specs: Sequence[RunSpec], net: AnyNet, batches: Batches, dtype: torch.dtype, device: str) -> Tensor:
    size = net.slots[-1].stop
    # Rows are padded to whole lanes, so that the optimizers' square roots and products meet every run alike.
    flat_RP = torch.zeros(len(specs), size + -size % LANE, dtype=dtype, device=device)
    for row, spec in enumerate(specs):
        flat_RP[row, :size] = torch.from_numpy(initial_parameters(spec, net, batches.first_inputs(row))).to(flat_RP)
    return flat_RP


def _train(
    specs: Sequence[RunSpec], net: AnyNet, flat_RP: Tensor, parameters: Parameters, batches: Batches, health: Health, kept: _Steps, log: Log
) -> NDArray[np.bool_] | None:
    """All steps; or, where runs are found that need float64 cotangents, which they are [R], and nothing of the rest."""
    first = specs[0]
    names, layer_of = [slot.name for slot in net.slots], [slot.layer for slot in net.slots]
    weight_places = [names.index(layer.weight) for layer in net.layers]
    matrices = [slot.name for slot in net.slots if slot.is_matrix]
    rate_RP = _rates(specs, net, flat_RP)
    if first.steps:
        gradients_RP = torch.zeros_like(flat_RP)
        gradient_views = views(net, gradients_RP)
        state = first.optimizer.state(flat_RP)
    followers = [probe for probe in log.probes if isinstance(probe, AbstractPathProbe)]
    start_RP, before_RP, here_RP = (flat_RP.clone() if followers else None), None, None
    for step in range(max(first.steps, 1)):
        is_measured = log.layers.includes(step)
        x_RBM, y = batches.batch(step)
        factors = _dropout_factors(specs, net, step, x_RBM) if first.dropout.is_random else None
        held = _held(parameters, net.format)
        passes = net.forward(held, x_RBM, factors)
        # At steps 0, 1, 2, 4, 8 ...: what is computed again from the start is then no more than what is computed.
        if step & (step - 1) == 0 and first.backward == "tracked" and (needs_float64_R := net.needs_float64(passes)).any():
            return needs_float64_R
        output_RBC = passes[-1].x
        assert output_RBC is not None
        loss_R = first.loss.mean(output_RBC, y)
        cotangent = _scaled(first.loss.cotangent(output_RBC, y), first.loss_scale)
        of_steps = {} if first.penalty.is_of_weights else {"step_gradient": first.penalty.step_gradient}
        gradients, cotangents = net.backward(held, passes, cotangent, tracked=first.backward == "tracked", keep=is_measured, **of_steps)
        if first.penalty.is_active and first.penalty.is_of_weights:
            _add_penalty(first, net, parameters, gradients)
        log2_l2_RP = log2_l2([gradients[name] for name in names])
        passes_again = partial(_passes_again, passes, net, held, x_RBM, factors)
        health.inspect(step, net, passes_again, loss_R.cpu().numpy(), log2_l2_RP[:, weight_places])
        before_R = log2_total(log2_l2_RP)
        if is_measured:
            kept.layer_numbers.append(step)
            by_name = dict(zip(names, log2_l2_RP.T, strict=True))
            values = measure_layers(net, parameters, passes, cotangents, by_name, with_spectrum=log.spectral and len(kept.layer_numbers) == 1)
            seeds = tuple(spec.seed for spec in specs)
            moment = None
            if log.probes and isinstance(net, Net):
                about = (first.loss_scale, gradients, first.data, seeds, step, batches.rows(step), first.loss, y)
                moment = Moment(net, parameters, x_RBM, passes, cotangents, *about)
                for probe in log.probes:
                    values |= probe.measure(moment)
            kept.layer_values.append(values)
        after_R, cosine_R = before_R, np.where(np.isfinite(before_R), 1.0, np.nan)
        if first.steps:
            log2_factors_RP = first.clip.log2_factors(log2_l2_RP, layer_of)
            for place, name in enumerate(names):
                factor_R = None if log2_factors_RP is None else log2_factors_RP[:, place]
                first.clip.limited(gradients[name], parameters[name], factor_R, gradient_views[name])
            if first.clip.is_elementwise:
                after_R = log2(l2(gradients_RP).cpu().numpy())
                pairs = [(gradients[name], gradient_views[name]) for name in names]
                cosine_R = cosine(pairs, before_R, after_R)
            elif log2_factors_RP is not None:
                after_R = log2_total(log2_l2_RP + log2_factors_RP)
                # <g, f g> is the squared norm of sqrt(f) g.
                with np.errstate(invalid="ignore"):
                    cosine_R = np.exp2(2 * log2_total(log2_l2_RP + log2_factors_RP / 2) - before_R - after_R)
            previous = {name: parameters[name].clone() for name in matrices} if is_measured else None
            if followers:
                before_RP, here_RP = here_RP, flat_RP.clone()
            first.optimizer.step(flat_RP, gradients_RP, state, rate_RP, step + 1)
            if previous is not None:
                measured = kept.layer_values[-1]
                measured["log10_update_ratio"] = log10_update_ratios(net, previous, parameters, measured["weight_l2"])
                if moment is not None and start_RP is not None and here_RP is not None:
                    before = None if before_RP is None else views(net, before_RP)
                    path = WeightPath(moment, views(net, start_RP), before, views(net, here_RP), parameters)
                    for probe in followers:
                        measured |= probe.measure_path(path)
        if log.steps.includes(step):
            kept.step_numbers.append(step)
            # A gradient of exact zeros is not clipped: -inf minus -inf would be nan.
            with np.errstate(invalid="ignore"):
                scale_R = np.where(np.isneginf(before_R), 1.0, np.exp2(after_R - before_R))
            row = {"loss": loss_R.double().cpu().numpy(), "log10_grad_l2": before_R * LOG10_2, "clip_scale": scale_R, "clip_cosine": cosine_R}
            labels_RB = batches.labels(step)
            if labels_RB is not None:
                row["accuracy"] = (output_RBC.max(2).indices == labels_RB).double().mean(1).cpu().numpy()
            kept.step_values.append(row)
        # Freed before the next step asks for memory, which then is this step's and still warm.
        del passes, passes_again, gradients, output_RBC, held
    return None


def _rates(specs: Sequence[RunSpec], net: AnyNet, flat_RP: Tensor) -> Tensor:
    """The learning rate of every run, [R, 1]; of each of its parameters where they differ."""
    first = specs[0]
    rate_R1 = torch.tensor([spec.learning_rate for spec in specs], dtype=flat_RP.dtype, device=flat_RP.device).unsqueeze(1)
    if first.rates.is_neutral:
        return rate_R1
    factor_P = torch.ones(flat_RP.shape[1], dtype=torch.float64)
    for slot in net.slots:
        factor_P[slot.start : slot.stop] = first.rates.factor(slot, depth=first.depth, width=first.width, is_adaptive=first.optimizer.is_adaptive)
    return rate_R1 * factor_P.to(flat_RP)


def _held(parameters: Parameters, format_: Format) -> Parameters:
    """The weights as the passes see them: rounded to an emulated format, whose masters stay float32."""
    return {name: format_.rounded(value) for name, value in parameters.items()} if format_.is_emulated else parameters


def _scaled(cotangent: Tensor, loss_scale: float) -> Scaled:
    """The cotangent of the scaled loss; the exponent takes the scale back, so that gradients are those of the loss itself."""
    _, digits = math.frexp(loss_scale)
    return Scaled(cotangent * loss_scale, np.full(len(cotangent), 1 - digits, dtype=np.int64))


def _passes_again(passes: list[LayerPass], net: AnyNet, parameters: Parameters, x_RBM: Tensor, factors: dict[int, Tensor] | None) -> list[LayerPass]:
    """The passes, computed once more where the backward pass has freed them."""
    return passes or net.forward(parameters, x_RBM, factors)


def _dropout_factors(specs: Sequence[RunSpec], net: AnyNet, step: int, like: Tensor) -> dict[int, Tensor]:
    shape = (like.shape[1], specs[0].width)
    return {
        layer.index: torch.from_numpy(np.stack([spec.dropout.factor(spec.seed, step, layer.index, shape) for spec in specs])).to(like)
        for layer in net.layers
        if layer.has_dropout
    }


def _add_penalty(first: RunSpec, net: AnyNet, parameters: Parameters, gradients: dict[str, Scaled]) -> None:
    for name in (slot.name for slot in net.slots if slot.is_matrix):
        gradients[name] = gradients[name].plus(Scaled.plain(first.penalty.gradient(parameters[name])))


def _final(first: RunSpec, net: AnyNet, parameters: Parameters, batches: Batches) -> dict[str, Tensor]:
    """Loss and accuracy after the last step, over whole batches of the training part and of the held-out part."""
    found: dict[str, Tensor] = {}
    held = _held(parameters, net.format)
    for part, accuracy in (("train", "final_accuracy"), ("test", "test_accuracy")):
        # Added up batch by batch: torch.mean over a leading axis sums in an order that depends on the runs beside.
        loss_R, hits_R, count = None, None, 0
        for x_RBM, y, labels_RB in batches.evaluation(part):
            output_RBC = net.output(held, x_RBM)
            batch_loss_R = first.loss.mean(output_RBC, y).double()
            loss_R = batch_loss_R if loss_R is None else loss_R + batch_loss_R
            if labels_RB is not None:
                batch_hits_R = (output_RBC.max(2).indices == labels_RB).sum(1)
                hits_R = batch_hits_R if hits_R is None else hits_R + batch_hits_R
            count += 1
        if loss_R is not None and part == "train":
            found["final_loss"] = loss_R / count
        if hits_R is not None:
            found[accuracy] = hits_R.double() / (count * first.batch_size)
    return found


def _records(specs: Sequence[RunSpec], net: AnyNet, kept: _Steps, health: Health, final: dict[str, Tensor], seconds: dict[str, float]) -> Records:
    ids = np.array([spec.run_id for spec in specs], dtype=object)
    runs, depth = len(specs), len(net.layers)
    steps: Table = _keys(ids, [("step", kept.step_numbers)])
    for name in kept.step_values[0] if kept.step_values else ():
        steps[name] = np.stack([values[name] for values in kept.step_values], 1).reshape(-1)
    layers: Table = _keys(ids, [("step", kept.layer_numbers), ("layer", range(1, depth + 1))])
    for name in dict.fromkeys(name for values in kept.layer_values for name in values):
        layers[name] = _column([values.get(name) for values in kept.layer_values], runs, depth)
    table: Table = {"run_id": ids}
    rows = [spec.columns for spec in specs]
    for name in dict.fromkeys(name for row in rows for name in row):
        table[name] = np.array([row.get(name) for row in rows], dtype=object)
    table |= {
        "status": np.array(health.status, dtype=object),
        "first_bad_step": np.array(health.first_bad_step, dtype=object),
        "first_bad_layer": np.array(health.first_bad_layer, dtype=object),
        **{name: np.full(runs, value) for name, value in seconds.items()},
        **{name: value.cpu().numpy() for name, value in final.items()},
    }
    return Records(layers, steps, table)


def _keys(ids: NDArray[np.generic], axes: list[tuple[str, Sequence[int]]]) -> Table:
    grids = np.meshgrid(ids, *(np.array(values, dtype=np.int64) for _, values in axes), indexing="ij")
    return dict(zip(["run_id", *(name for name, _ in axes)], (grid.reshape(-1) for grid in grids), strict=True))


def _column(cells: list[Cells | None], runs: int, depth: int) -> NDArray[np.generic]:
    """One value a run, step and layer; masked (null in the store) where there is none."""
    values_RTL, missing_TL = np.zeros((runs, len(cells), depth)), np.ones((len(cells), depth), dtype=bool)
    for place, given in enumerate(cells):
        if given is not None and any(given.exist_L):
            values_RTL[:, place], missing_TL[place] = given.values_RL, ~np.array(given.exist_L)
    return np.ma.masked_array(values_RTL, np.broadcast_to(missing_TL, values_RTL.shape)).reshape(-1)
