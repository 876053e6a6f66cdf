"""Learning rates by layer: what `learning_rate` is multiplied by for each parameter.

Widths: n a hidden layer's, fan_in and fan_out those of a weight matrix.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from gradyn.core import AbstractComponent, require


class Parameter(Protocol):
    """A parameter's place in the net."""

    @property
    def layer(self) -> int: ...
    @property
    def shape(self) -> tuple[int, ...]: ...


@dataclass(frozen=True, slots=True)
class AbstractRates(AbstractComponent):
    """Factors of the learning rate."""

    group: ClassVar[str] = "rates"

    def factor(self, parameter: Parameter, *, depth: int, width: int, is_adaptive: bool) -> float:
        """By which the learning rate is multiplied for one parameter.

        Args:
            parameter: its layer, 1 ... depth, and shape: [fan_out, fan_in], a vector, or a single number.
            depth: of the net.
            width: n.
            is_adaptive: whether the optimizer divides gradients by their own size (adam).
        """
        raise TypeError(f"{type(self).__name__} must define factor")


@dataclass(frozen=True, slots=True)
class UniformRates(AbstractRates):
    """One learning rate for all."""

    option: ClassVar[str | None] = "uniform"
    is_neutral: ClassVar[bool] = True

    def factor(self, parameter: Parameter, *, depth: int, width: int, is_adaptive: bool) -> float:
        return 1.0


@dataclass(frozen=True, slots=True)
class MaximalUpdateRates(AbstractRates):
    """The rates of the maximal-update parametrization, mup: every activation then moves as much at any width, and a rate that is good at one is good at all.

    With m = width / base_width:

        parameter                  adam     sgd, momentum
        input weights, vectors     1        m
        hidden weights             1 / m    1
        readout weights            1 / m    1 / m

    Readout biases and single numbers keep their rate, as their size does not grow. At `base_width` all factors are 1. Belongs to `init=mup`, whose readout
    shrinks with width.

    Source: Yang, Hu and others 2022 (arXiv:2203.03466), table 3; Yang and Hu 2021 (arXiv:2011.14522).
    """

    option: ClassVar[str | None] = "mup"

    base_width: int = 64

    def __post_init__(self) -> None:
        self.require(type(self.base_width) is int and self.base_width >= 1, "base_width", "be a whole number >= 1")

    def check(self, spec: Any) -> None:
        rule = "be feedforward with rates=mup, whose rates are those of matrices between layers"
        require(not spec.cell.is_recurrent, "cell", rule, spec.cell.name, "Take rates=uniform.")

    def factor(self, parameter: Parameter, *, depth: int, width: int, is_adaptive: bool) -> float:
        wider = width / self.base_width
        is_matrix, is_readout = len(parameter.shape) == 2, parameter.layer == depth
        if is_matrix and is_readout:
            return 1 / wider
        if is_matrix and parameter.layer > 1:
            return 1 / wider if is_adaptive else 1.0
        grows = len(parameter.shape) > 0 and not is_readout
        return wider if grows and not is_adaptive else 1.0


@dataclass(frozen=True, slots=True)
class Discriminative(AbstractRates):
    """decay^(depth - l) for layer l: the readout learns at the full rate, each layer below at `decay` times that of the one above.

    Source: Howard and Ruder 2018 (arXiv:1801.06146), section 3.2, where decay = 1 / 2.6; above 1 it raises the rates of layers that a vanishing
    gradient reaches last.
    """

    decay: float = 1 / 2.6

    def __post_init__(self) -> None:
        self.require_finite("decay", low=0.0, open_low=True)

    def check(self, spec: Any) -> None:
        rule = "be feedforward with rates=discriminative: a recurrent net's steps share their weights"
        require(not spec.cell.is_recurrent, "cell", rule, spec.cell.name, "Take rates=uniform.")

    def factor(self, parameter: Parameter, *, depth: int, width: int, is_adaptive: bool) -> float:
        return float(self.decay ** (depth - parameter.layer))
