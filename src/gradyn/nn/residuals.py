"""Residual schemes: x = s * skip + a * branch, and how many matrices a branch holds.

`branch=reduced`: one matrix, phi last (x_l = s x_{l-1} + a phi(N(W_l x_{l-1} + b_l))).
`branch=full`: two matrices, the second without phi (x_{l+1} = s x_{l-1} + a (W_{l+1} phi(N(W_l x_{l-1} + b_l)) + b_{l+1})).
Layer 1 and the readout have no skip; in a full net a layer left over is plain.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from gradyn.core import AbstractComponent

BRANCHES = ("reduced", "full")


@dataclass(frozen=True, slots=True)
class AbstractResidual(AbstractComponent):
    """Where skips go and what they and their branches are multiplied by."""

    group: ClassVar[str] = "residual"
    # Whether a is a parameter, beginning at branch_scale.
    learns_scale: ClassVar[bool] = False
    # Whether the branch has Fixup's initialization and scalar biases.
    is_fixup: ClassVar[bool] = False

    @property
    def zeroes_readout(self) -> bool:
        """Whether the readout begins at 0."""
        return False

    @property
    def layers_per_branch(self) -> int:
        """0 (no skip), 1 (reduced) or 2 (full)."""
        return 0

    @property
    def has_skip(self) -> bool:
        """Whether there is any skip connection."""
        return self.layers_per_branch > 0

    def skip_scale(self, blocks: int) -> float:
        """s, the factor of the skip path in a net of `blocks` residual blocks."""
        return 1.0

    def branch_scale(self, blocks: int) -> float:
        """a, the factor of the branch (its first value, where it is learned)."""
        return 1.0


@dataclass(frozen=True, slots=True)
class Plain(AbstractResidual):
    """No skip connection."""


@dataclass(frozen=True, slots=True)
class AbstractBranched(AbstractResidual):
    """A skip around every branch."""

    branch: str = "reduced"

    def __post_init__(self) -> None:
        self.require(self.branch in BRANCHES, "branch", f"be one of {', '.join(BRANCHES)}")

    @property
    def layers_per_branch(self) -> int:
        """1 for `reduced`, 2 for `full`."""
        return 1 + BRANCHES.index(self.branch)


@dataclass(frozen=True, slots=True)
class Identity(AbstractBranched):
    """s = a = 1. He et al. 2016 (arXiv:1512.03385)."""


@dataclass(frozen=True, slots=True)
class ScaledBranch(AbstractBranched):
    """a = scale, or 1 / sqrt(number of blocks) where scale is null; s = skip."""

    option: ClassVar[str] = "scaled"

    scale: float | None = None
    skip: float = 1.0

    def __post_init__(self) -> None:
        AbstractBranched.__post_init__(self)
        if self.scale is not None:
            self.require_finite("scale")
        self.require_finite("skip")

    def skip_scale(self, blocks: int) -> float:
        return self.skip

    def branch_scale(self, blocks: int) -> float:
        return max(blocks, 1) ** -0.5 if self.scale is None else self.scale


@dataclass(frozen=True, slots=True)
class Rezero(AbstractBranched):
    """a learned, one number a block, from 0. Bachlechner et al. 2020 (arXiv:2003.04887)."""

    learns_scale: ClassVar[bool] = True

    def branch_scale(self, blocks: int) -> float:
        return 0.0


@dataclass(frozen=True, slots=True)
class Fixup(AbstractBranched):
    """Full branches whose first matrix is divided by sqrt(blocks) and whose second is zero; scalar biases, a learned from 1.

    A scalar bias stands before each matrix, before phi and after the scale, in place of the vectors b. The readout is zero
    too (`zero_readout`), so that at step 0 every gradient but the readout's is exactly 0.
    Source: Zhang et al. 2019 (arXiv:1901.09321), section 3; their exponent for two matrices a branch is -1/2.
    """

    branch: str = "full"
    zero_readout: bool = True

    learns_scale: ClassVar[bool] = True
    is_fixup: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self.require(self.branch == "full", "branch", "be full with residual=fixup", "Take residual=rezero for a reduced branch.")
        self.require(isinstance(self.zero_readout, bool), "zero_readout", "be true or false")

    @property
    def zeroes_readout(self) -> bool:
        """The field `zero_readout`."""
        return self.zero_readout
