"""Batches: what every run of a stack sees at every step, from its own seeds.

Axes: R runs, B batch, M features, C classes, S samples.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from gradyn.core import stream
from gradyn.data import AbstractData, Dataset, batch_order
from gradyn.optim import Cotangent
from gradyn.sweep.spec import RunSpec

Part = str


@lru_cache(maxsize=8)
def loaded(data: AbstractData) -> Dataset:
    """The data set's arrays, kept for the next packs of this process."""
    return data.load()


def _vectors(spec: RunSpec, step: int, shape: tuple[int, int]) -> NDArray[np.float64]:
    assert isinstance(spec.loss, Cotangent)
    return spec.loss.draw(stream(spec.seed, "cotangent", step), shape)


class Batches:
    """The batches of a stack of runs on a device.

    Args:
        specs: runs whose data differ in their seed at most.
        dtype: of the inputs.
        device: of all tensors.
    """

    def __init__(self, specs: Sequence[RunSpec], dtype: torch.dtype, device: str) -> None:
        self._specs, self._dtype, self._device = specs, dtype, device
        kinds = list(dict.fromkeys(spec.data for spec in specs))
        self._sets = [loaded(data) for data in kinds]
        self._set_of = [kinds.index(spec.data) for spec in specs]
        first = specs[0]
        self.features, self.classes, self._target = self._sets[0].features, self._sets[0].classes, first.loss.target
        steps = max(first.steps, 1)
        samples = len(self._sets[0].x_train)
        order = np.stack([batch_order(samples, first.batch_size, steps, spec.seed) for spec in specs])
        self._order_RTB = order
        # One table holds all sets; a run's rows begin where its set does.
        starts = samples * np.array(self._set_of)[:, None, None]
        self._rows_TRB = torch.from_numpy(np.ascontiguousarray((order + starts).swapaxes(0, 1))).to(device)
        self._x_SM = torch.from_numpy(np.concatenate([data.x_train for data in self._sets])).to(device, dtype)
        self._labels_S = self._labels([data.y_train for data in self._sets])
        self._values_SC = self._values("train") if self._target == "values" else None

    def first_inputs(self, row: int) -> NDArray[np.float64]:
        """Inputs [B, M] of step 0 of one run, float64."""
        return self._sets[self._set_of[row]].x_train[self._order_RTB[row, 0]]

    def batch(self, step: int) -> tuple[Tensor, Tensor]:
        """Inputs [R, B, M] of a step, and what the loss compares with: labels [R, B], or values or vectors [R, B, C]."""
        rows_RB = self._rows_TRB[step]
        x_RBM = torch.embedding(self._x_SM, rows_RB)  # indexing, five times faster
        if self._target == "labels":
            assert self._labels_S is not None
            return x_RBM, self._labels_S[rows_RB]
        if self._target == "values":
            assert self._values_SC is not None
            return x_RBM, self._values_SC[rows_RB]
        shape = (rows_RB.shape[1], self.classes)
        vectors = np.stack([_vectors(spec, step, shape) for spec in self._specs])
        return x_RBM, torch.from_numpy(vectors).to(self._device, self._dtype)

    def rows(self, step: int) -> NDArray[np.int64]:
        """Row numbers [R, B] of a step's batch within each run's training part."""
        return self._order_RTB[:, step]

    def labels(self, step: int) -> Tensor | None:
        """Labels [R, B] of a step; None where the data has none."""
        return None if self._labels_S is None else self._labels_S[self._rows_TRB[step]]

    def evaluation(self, part: Part) -> Iterator[tuple[Tensor, Tensor, Tensor | None]]:
        """Whole batches of the training part (`train`) or of the held-out part (`test`), in the data's order.

        Rows that fill no batch are left out, so that batch norm sees batches of the size it was trained on. Nothing comes
        where the loss needs no data's answers (cotangent), or where no whole batch is held out.

        Yields:
            Inputs [R, B, M], the loss' targets, and labels [R, B] or None.
        """
        if self._target == "cotangent":
            return
        size = self._specs[0].batch_size
        inputs = [data.x_train if part == "train" else data.x_test for data in self._sets]
        x_SM = torch.from_numpy(np.concatenate(inputs)).to(self._device, self._dtype)
        labels_S = self._labels([data.y_train if part == "train" else data.y_test for data in self._sets])
        values_SC = self._values(part) if self._target == "values" else None
        samples = len(inputs[0])
        starts_R1 = torch.tensor(self._set_of, device=self._device).unsqueeze(1) * samples
        for begin in range(0, samples - size + 1, size):
            rows_RB = starts_R1 + torch.arange(begin, begin + size, device=self._device)
            labels_RB = None if labels_S is None else labels_S[rows_RB]
            answers = labels_RB if self._target == "labels" else values_SC[rows_RB] if values_SC is not None else None
            assert answers is not None
            yield torch.embedding(x_SM, rows_RB), answers, labels_RB

    def _labels(self, labels: Sequence[NDArray[np.int64] | None]) -> Tensor | None:
        given = [part for part in labels if part is not None]
        return torch.from_numpy(np.concatenate(given)).to(self._device) if given else None

    def _values(self, part: Part) -> Tensor:
        """Real targets, or one-hot labels where the data has classes."""
        values = []
        for data in self._sets:
            targets, labels = (data.targets_train, data.y_train) if part == "train" else (data.targets_test, data.y_test)
            if targets is None:
                assert labels is not None
                targets = np.eye(data.classes)[labels]
            values.append(targets)
        return torch.from_numpy(np.concatenate(values)).to(self._device, self._dtype)
