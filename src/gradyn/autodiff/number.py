"""What a `Value` and a `Dual` can be written with: + - * / ** with plain numbers on either side, and the functions of the table.

The methods are named as torch's, so that one expression, `(x * w).sigmoid() / 2`, runs on a tensor, a `Value` and a `Dual` alike. This
file knows no derivative and records nothing: every operation goes to `apply`, which each kind of number has for itself.

Can't: compare. `x > 0` would be a plain truth value without a derivative, and a branch that is taken in silence is not in the graph;
`if float(x) > 0` says in the code that the branch is chosen here and now.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from numbers import Real
from typing import Any, NoReturn, Self

# The operation of a plain number that met a Value: a leaf that wants no gradient.
CONSTANT = "const"


def as_float(data: Any, name: str = "data") -> float:
    """A real number as a Python float.

    Raises:
        TypeError: it is no real number (a string, complex, None, an array or tensor).
    """
    if type(data) is float:
        return data
    if isinstance(data, Real):
        try:
            return float(data)
        except OverflowError:
            return math.inf if data > 0 else -math.inf  # type: ignore[operator]
    fix = "Take x.item() of each element, or use torch's own autograd." if hasattr(data, "shape") else "Give an int or a float."
    raise TypeError(f"{name} must be a real number; got {type(data).__name__} {str(data)[:40]!r}. {fix}")


class AbstractNumber(ABC):
    """A number that remembers something about where it came from."""

    __slots__ = ()
    __array_ufunc__ = None  # numpy then leaves `np.float64(2) * v` to us instead of making an array of objects

    @classmethod
    @abstractmethod
    def apply(cls, op: str, *inputs: Any) -> Self:
        """An operation of the table on numbers of this kind and plain ones; called by every operator below."""

    @abstractmethod
    def __float__(self) -> float:
        """The value alone; what is computed from it has no derivative any more."""

    def __add__(self, other: Any) -> Self:
        return self.apply("+", self, other)

    def __radd__(self, other: Any) -> Self:
        return self.apply("+", other, self)

    def __sub__(self, other: Any) -> Self:
        return self.apply("-", self, other)

    def __rsub__(self, other: Any) -> Self:
        return self.apply("-", other, self)

    def __mul__(self, other: Any) -> Self:
        return self.apply("*", self, other)

    def __rmul__(self, other: Any) -> Self:
        return self.apply("*", other, self)

    def __truediv__(self, other: Any) -> Self:
        return self.apply("/", self, other)

    def __rtruediv__(self, other: Any) -> Self:
        return self.apply("/", other, self)

    def __pow__(self, other: Any) -> Self:
        return self.apply("**", self, other)

    def __rpow__(self, other: Any) -> Self:
        return self.apply("**", other, self)

    def __neg__(self) -> Self:
        return self.apply("neg", self)

    def exp(self) -> Self:
        """The exponential e ** self; inf where it overflows."""
        return self.apply("exp", self)

    def log(self) -> Self:
        """The natural logarithm; -inf of zero, nan of less."""
        return self.apply("log", self)

    def tanh(self) -> Self:
        """The hyperbolic tangent; exact also where e ** x would overflow."""
        return self.apply("tanh", self)

    def sigmoid(self) -> Self:
        """The logistic function 1 / (1 + e ** -self); overflows nowhere."""
        return self.apply("sigmoid", self)

    def relu(self) -> Self:
        """The larger of self and 0, with the derivative 0 at 0, as torch has it."""
        return self.apply("relu", self)

    def sin(self) -> Self:
        """The sine."""
        return self.apply("sin", self)

    def cos(self) -> Self:
        """The cosine."""
        return self.apply("cos", self)

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(f"a condition must be on a plain number; got {self!r}. Write float(x) > 0, or `is` to ask for the same object.")

    __lt__ = __le__ = __gt__ = __ge__ = __bool__ = _refuse
    __eq__ = __ne__ = _refuse  # a plain False of two equal numbers would be believed; dicts ask for the same object first
    __hash__ = object.__hash__
