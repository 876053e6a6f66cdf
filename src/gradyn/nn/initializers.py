"""Initializers: how weights [fan_out, fan_in] and biases [fan_out] are drawn, in float64, before any cast.

Biases are zero unless a class says otherwise. Layer l draws from the stream (seed, "weight", l): for every initializer that
looks at neither depth nor data, the hidden layers of a deep net equal those of a shallower one with the same seed.

Symbols: sigma_w^2 = fan_in * Var W. "He" is sigma_w^2 = 2, "LeCun" 1, torch's default 1/3.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from gradyn.core import AbstractComponent, require

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scale a layer's weights until |Var(h_l) / variance - 1| <= tolerance, at most `max_iterations` times."""

    variance: float
    tolerance: float
    max_iterations: int


@dataclass(frozen=True, slots=True)
class AbstractInitializer(AbstractComponent):
    """Draws one layer's weights and biases."""

    group: ClassVar[str] = "init"

    def weight(self, rng: np.random.Generator, fan_out: int, fan_in: int, *, layer: int, is_readout: bool) -> Array:
        """Weights [fan_out, fan_in] of layer `layer` (1 ... depth), of which the last is the readout."""
        raise TypeError(f"{type(self).__name__} must define weight")

    def bias(self, rng: np.random.Generator, fan_out: int, fan_in: int) -> Array:
        """Biases [fan_out]."""
        return np.zeros(fan_out)

    def variance(self, fan_out: int, fan_in: int) -> float | None:
        """Var W_ij over draws, exact; None where it depends on the data."""
        raise TypeError(f"{type(self).__name__} must define variance")

    def bias_variance(self, fan_in: int) -> float:
        """Var b_i over draws, exact."""
        return 0.0

    @property
    def calibration(self) -> Calibration | None:
        """To what, and how closely, every hidden preactivation is scaled on the first batch; None: weights stay as drawn."""
        return None


@dataclass(frozen=True, slots=True)
class AbstractScaled(AbstractInitializer):
    """W = scale * S: every setting is in the scale, and S is the same for all of a class and whoever inherits it."""

    def weight(self, rng: np.random.Generator, fan_out: int, fan_in: int, *, layer: int, is_readout: bool) -> Array:
        """scale * S."""
        return self.scale(fan_out, fan_in) * self.standard(rng, fan_out, fan_in)

    def scale(self, fan_out: int, fan_in: int) -> float:
        """What S is multiplied by."""
        raise TypeError(f"{type(self).__name__} must define scale")

    @staticmethod
    def standard(rng: np.random.Generator, fan_out: int, fan_in: int) -> Array:
        """S [fan_out, fan_in]."""
        raise TypeError("an initializer that scales must define standard")


@dataclass(frozen=True, slots=True)
class AbstractNormal(AbstractScaled):
    """W ~ N(0, variance), independent."""

    def scale(self, fan_out: int, fan_in: int) -> float:
        """The standard deviation."""
        return math.sqrt(self.variance(fan_out, fan_in) or 0.0)

    @staticmethod
    def standard(rng: np.random.Generator, fan_out: int, fan_in: int) -> Array:
        """Standard normal numbers."""
        return rng.standard_normal((fan_out, fan_in))


@dataclass(frozen=True, slots=True)
class AbstractUniform(AbstractScaled):
    """W ~ U(-a, a) with a = sqrt(3 variance), independent."""

    def scale(self, fan_out: int, fan_in: int) -> float:
        """a."""
        return math.sqrt(3 * (self.variance(fan_out, fan_in) or 0.0))

    @staticmethod
    def standard(rng: np.random.Generator, fan_out: int, fan_in: int) -> Array:
        """2 u - 1, u uniform on [0, 1)."""
        return 2 * rng.random((fan_out, fan_in)) - 1


@dataclass(frozen=True, slots=True)
class TorchDefault(AbstractUniform):
    """torch.nn.Linear's own: weights and biases U(-1/sqrt(fan_in), 1/sqrt(fan_in)), so sigma_w^2 = 1/3."""

    def variance(self, fan_out: int, fan_in: int) -> float:
        return 1 / (3 * fan_in)

    def bias(self, rng: np.random.Generator, fan_out: int, fan_in: int) -> Array:
        """Biases U(-1/sqrt(fan_in), 1/sqrt(fan_in)), as torch draws them."""
        return (2 * rng.random(fan_out) - 1) / math.sqrt(fan_in)

    def bias_variance(self, fan_in: int) -> float:
        return 1 / (3 * fan_in)


@dataclass(frozen=True, slots=True)
class Gaussian(AbstractNormal):
    """W ~ N(0, sigma_w^2 / fan_in), b ~ N(0, sigma_b^2): the mean-field literature's (Poole et al. 2016, arXiv:1606.05340)."""

    sigma_w: float = 1.0
    sigma_b: float = 0.0

    def __post_init__(self) -> None:
        self.require_finite("sigma_w", low=0.0)
        self.require_finite("sigma_b", low=0.0)

    def variance(self, fan_out: int, fan_in: int) -> float:
        return self.sigma_w**2 / fan_in

    def bias(self, rng: np.random.Generator, fan_out: int, fan_in: int) -> Array:
        """sigma_b * standard normal."""
        return self.sigma_b * rng.standard_normal(fan_out)

    def bias_variance(self, fan_in: int) -> float:
        return self.sigma_b**2


@dataclass(frozen=True, slots=True)
class Small(AbstractNormal):
    """W ~ N(0, std^2) whatever the width: too small to carry a signal through depth."""

    std: float = 0.01

    def __post_init__(self) -> None:
        self.require_finite("std", low=0.0)

    def variance(self, fan_out: int, fan_in: int) -> float:
        return self.std**2


@dataclass(frozen=True, slots=True)
class Large(AbstractNormal):
    """W ~ N(0, std^2) whatever the width: explodes, or saturates what can saturate."""

    std: float = 1.0

    def __post_init__(self) -> None:
        self.require_finite("std", low=0.0)

    def variance(self, fan_out: int, fan_in: int) -> float:
        return self.std**2


@dataclass(frozen=True, slots=True)
class LecunNormal(AbstractNormal):
    """W ~ N(0, 1 / fan_in). LeCun et al. 1998."""

    def variance(self, fan_out: int, fan_in: int) -> float:
        return 1 / fan_in


@dataclass(frozen=True, slots=True)
class XavierNormal(AbstractNormal):
    """W ~ N(0, 2 gain^2 / (fan_in + fan_out)). Glorot & Bengio 2010."""

    gain: float = 1.0

    def __post_init__(self) -> None:
        self.require_finite("gain", low=0.0)

    def variance(self, fan_out: int, fan_in: int) -> float:
        return 2 * self.gain**2 / (fan_in + fan_out)


@dataclass(frozen=True, slots=True)
class XavierUniform(AbstractUniform):
    """W ~ U(-a, a), a = gain sqrt(6 / (fan_in + fan_out)). Glorot & Bengio 2010."""

    gain: float = 1.0

    def __post_init__(self) -> None:
        self.require_finite("gain", low=0.0)

    def variance(self, fan_out: int, fan_in: int) -> float:
        return 2 * self.gain**2 / (fan_in + fan_out)


@dataclass(frozen=True, slots=True)
class HeNormal(AbstractNormal):
    """W ~ N(0, 2 / fan_in). He et al. 2015 (arXiv:1502.01852)."""

    def variance(self, fan_out: int, fan_in: int) -> float:
        return 2 / fan_in


@dataclass(frozen=True, slots=True)
class HeUniform(AbstractUniform):
    """W ~ U(-a, a), a = sqrt(6 / fan_in). He et al. 2015 (arXiv:1502.01852)."""

    def variance(self, fan_out: int, fan_in: int) -> float:
        return 2 / fan_in


@dataclass(frozen=True, slots=True)
class MaximalUpdate(AbstractInitializer):
    """W ~ N(0, gain^2 / fan_in), the readout's N(0, base_width / fan_in^2): the outputs of a wide net begin small, as 1 / sqrt(width).

    The initialization of the maximal-update parametrization, mup; its learning rates are `rates=mup`. At width = base_width the readout
    has variance 1 / fan_in. Source: Yang, Hu and others 2022 (arXiv:2203.03466), table 3.
    """

    option: ClassVar[str | None] = "mup"

    gain: float = math.sqrt(2)
    base_width: int = 64

    def __post_init__(self) -> None:
        self.require_finite("gain", low=0.0)
        self.require(type(self.base_width) is int and self.base_width >= 1, "base_width", "be a whole number >= 1")

    def weight(self, rng: np.random.Generator, fan_out: int, fan_in: int, *, layer: int, is_readout: bool) -> Array:
        """Standard normal numbers times the root of the variance."""
        variance = self.base_width / fan_in**2 if is_readout else self.gain**2 / fan_in
        return math.sqrt(variance) * rng.standard_normal((fan_out, fan_in))

    def variance(self, fan_out: int, fan_in: int) -> float | None:
        return None  # differs between the hidden layers and the readout


def _orthogonal(rng: np.random.Generator, fan_out: int, fan_in: int) -> Array:
    """Q, uniform, with Q^T Q = 1 (or Q Q^T = 1 where the layer narrows)."""
    tall = (max(fan_out, fan_in), min(fan_out, fan_in))
    q, r = np.linalg.qr(rng.standard_normal(tall))
    # QR alone is not uniform: LAPACK fixes the signs of R's diagonal as it goes. This makes them +.
    q *= np.where(np.diagonal(r) < 0, -1.0, 1.0)
    return q if fan_out >= fan_in else np.ascontiguousarray(q.T)


@dataclass(frozen=True, slots=True)
class Orthogonal(AbstractScaled):
    """W = gain * Q, Q uniform over (semi-)orthogonal matrices. Saxe et al. 2014 (arXiv:1312.6120)."""

    gain: float = 1.0

    def __post_init__(self) -> None:
        self.require_finite("gain", low=0.0)

    def scale(self, fan_out: int, fan_in: int) -> float:
        """gain."""
        return self.gain

    standard = staticmethod(_orthogonal)

    def variance(self, fan_out: int, fan_in: int) -> float:
        # Each of min(fan_in, fan_out) orthonormal vectors has length 1 over max(fan_in, fan_out) entries.
        return self.gain**2 / max(fan_in, fan_out)


@dataclass(frozen=True, slots=True)
class LooksLinear(AbstractInitializer):
    """Mirrored blocks W = [[V, -V], [-V, V]], V orthogonal: a ReLU net that starts as the linear net of the V's.

    The first layer is [V; -V], the readout [V, -V]. Source: Balduzzi et al. 2017 (arXiv:1702.08591), section on looks-linear
    initialization. Valid for even widths; an exact isometry for ReLU with gain 1.
    """

    gain: float = 1.0

    def __post_init__(self) -> None:
        self.require_finite("gain", low=0.0)

    def check(self, spec: Any) -> None:
        require(spec.width % 2 == 0, "width", "be even with init=looks_linear", spec.width, "Take an even width, or init=orthogonal.")

    def weight(self, rng: np.random.Generator, fan_out: int, fan_in: int, *, layer: int, is_readout: bool) -> Array:
        """Blocks of one orthogonal V; rows mirrored but for the readout, columns mirrored but for the first layer."""
        rows, columns = (1 if is_readout else 2), (1 if layer == 1 else 2)
        v = self.gain * _orthogonal(rng, fan_out // rows, fan_in // columns)
        signs = np.array([[1.0, -1.0], [-1.0, 1.0]])[:rows, :columns]
        return np.kron(signs, v)

    def variance(self, fan_out: int, fan_in: int) -> float | None:
        return None  # differs between the first layer, the hidden layers and the readout


@dataclass(frozen=True, slots=True)
class Lsuv(AbstractScaled):
    """Layer-sequential unit variance: orthogonal, then each hidden layer scaled until Var(h_l) = variance on the first batch.

    Scaled in order of the layers, each at most `max_iterations` times, until |Var / variance - 1| <= tolerance. The readout
    stays orthogonal. Source: Mishkin & Matas 2016 (arXiv:1511.06422).
    """

    variance_target: float = 1.0
    tolerance: float = 0.01
    max_iterations: int = 20

    def __post_init__(self) -> None:
        self.require_finite("variance_target", low=0.0, open_low=True)
        self.require_finite("tolerance", low=0.0, open_low=True)
        self.require(type(self.max_iterations) is int and self.max_iterations >= 1, "max_iterations", "be a whole number >= 1")

    def check(self, spec: Any) -> None:
        is_scalable = spec.norm.where != "weight"
        require(is_scalable, "init", "not be lsuv with norm=weight_standardized, which undoes any scale", self.name, "Take init=orthogonal.")

    def scale(self, fan_out: int, fan_in: int) -> float:
        """1, before the calibration."""
        return 1.0

    standard = staticmethod(_orthogonal)

    def variance(self, fan_out: int, fan_in: int) -> float | None:
        return None  # depends on the data

    @property
    def calibration(self) -> Calibration:
        """The fields, as the scaling takes them."""
        return Calibration(self.variance_target, self.tolerance, self.max_iterations)


@dataclass(frozen=True, slots=True)
class Eye(AbstractInitializer):
    """W = gain * 1, ones on the diagonal and zeros elsewhere. Le, Jaitly and Hinton 2015 (arXiv:1504.00941), for recurrent ReLU nets."""

    option: ClassVar[str] = "identity"

    gain: float = 1.0

    def __post_init__(self) -> None:
        self.require_finite("gain", low=0.0)

    def weight(self, rng: np.random.Generator, fan_out: int, fan_in: int, *, layer: int, is_readout: bool) -> Array:
        """gain on the diagonal; a readout of zeros but there would see the first units only, so it is drawn: N(0, 1 / fan_in)."""
        if is_readout:
            return rng.standard_normal((fan_out, fan_in)) / math.sqrt(fan_in)
        return self.gain * np.eye(fan_out, fan_in)

    def variance(self, fan_out: int, fan_in: int) -> None:
        return None
