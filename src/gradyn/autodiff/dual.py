"""Forward mode: a `Dual` carries its derivative along with its value, so nothing has to be recorded.

a + a' eps with eps ** 2 = 0. Every operation multiplies its local derivatives, of the same table as `Value`'s, with the tangents of its
inputs: one evaluation of f(Dual(x, v)) is the JVP J v. Its parts may themselves be Values: `Dual(Value(x), v)` is forward over reverse,
whose tangent, differentiated backwards, is the Hessian times v.

Can't: tell two directions apart. One Dual has one tangent, so the gradient of a function of n inputs takes n evaluations, where
reverse mode takes one.
"""

from __future__ import annotations

from typing import Any

from gradyn.autodiff.number import AbstractNumber, as_float
from gradyn.autodiff.rules import RULES, call
from gradyn.autodiff.value import Value


class Dual(AbstractNumber):
    """A value and its derivative in one direction.

    Args:
        primal: the value; a number or a Value.
        tangent: d primal / d t along the line x + t v; 0 for what doesn't move.

    Raises:
        TypeError: a part is neither a real number nor a Value.
    """

    __slots__ = ("primal", "tangent")

    def __init__(self, primal: float | Value, tangent: float | Value = 0.0) -> None:
        self.primal: Any = primal if isinstance(primal, Value) else as_float(primal, "primal")
        self.tangent: Any = tangent if isinstance(tangent, Value) else as_float(tangent, "tangent")

    @classmethod
    def apply(cls, op: str, *inputs: Any) -> Dual:
        """The operation on the primals; the sum of local derivative times tangent as its tangent."""
        duals = [x if isinstance(x, Dual) else Dual(x) for x in inputs]
        primals = [dual.primal for dual in duals]
        y = call(op, *primals)
        tangent: Any = 0.0
        for dual, (_, partial) in zip(duals, RULES[op].partials, strict=True):
            # What stands still adds nothing, also where its local derivative is infinite or nan, as log(a) in a ** 2 with a < 0.
            if isinstance(dual.tangent, float) and dual.tangent == 0.0:
                continue
            local = partial(*primals, y)
            if local is not None:
                tangent = tangent + local * dual.tangent
        return Dual(y, tangent)

    def __float__(self) -> float:
        return float(self.primal)

    def __repr__(self) -> str:
        return f"Dual({self.primal!r}, {self.tangent!r})"
