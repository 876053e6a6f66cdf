"""Independent normal inputs."""

from __future__ import annotations

from dataclasses import dataclass

from gradyn.core import stream
from gradyn.data.abstract import AbstractData
from gradyn.data.dataset import Dataset, all_rows


@dataclass(frozen=True, slots=True)
class Gaussian(AbstractData):
    """Inputs x ~ N(0, 1), independent, with random labels or none: what mean-field theory assumes of the first layer.

    Labels carry no information about the inputs: a net can only memorise them. Nothing is held out.

    Args:
        seed: draws inputs and labels; the inputs don't depend on `labels` and `classes`.
        samples: rows.
        features: M, inputs per sample.
        classes: C, the width of the readout.
        labels: True: uniform over the classes; False: none, for `loss=cotangent`.
    """

    seed: int = 0
    samples: int = 1024
    features: int = 64
    classes: int = 10
    labels: bool = True

    def __post_init__(self) -> None:
        self.require_seed()
        for field in ("samples", "features", "classes"):
            self.require_count(field)
        self.require(type(self.labels) is bool, "labels", "be true or false")

    @property
    def has_labels(self) -> bool:
        """As the field `labels` says."""
        return self.labels

    def load(self) -> Dataset:
        """Draw inputs and labels."""
        x = stream(self.seed, "gaussian inputs").standard_normal((self.samples, self.features))
        y = stream(self.seed, "gaussian labels").integers(self.classes, size=self.samples) if self.labels else None
        return self.parted(x, y, None, all_rows(self.samples))
