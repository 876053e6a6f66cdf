"""Recording: a `Value` is a number that keeps the operation and the inputs it was computed from.

That is all a computation graph is. The derivatives are in `rules`, the pass that multiplies them up in `differentiate`.

Can't: notice that two values are equal. `x.exp() * x.exp()` records the exponential twice; only the same Python object is shared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gradyn.autodiff.differentiate import pull_back, topological
from gradyn.autodiff.number import CONSTANT, AbstractNumber, as_float
from gradyn.autodiff.rules import RULES


class Value(AbstractNumber):
    """A scalar that records what is done with it, so that `backward` can take derivatives.

    Args:
        data: the number; kept as a float64.
        children: the Values it was computed from, in the order of the operation; none for a leaf.
        op: the operation's name in the table (`+`, `exp`, ...); "" for a leaf, "const" for a plain number.

    Attributes:
        grad: d output / d self of the last `backward`; on a leaf the sum over all of them since `zero_grad`, as in torch.
        saved: the children's numbers and the own one when recorded; `backward` refuses where they have been changed since.

    Raises:
        TypeError: `data` is no real number, or a child is no Value.
        ValueError: `op` is not in the table, or takes another number of children.
    """

    __slots__ = ("children", "data", "grad", "op", "saved")

    def __init__(self, data: float, children: Sequence[Value] = (), op: str = "") -> None:
        self.data, self.children, self.op, self.grad = as_float(data), tuple(children), op, 0.0
        for child in self.children:
            if not isinstance(child, Value):
                raise TypeError(f"children must be Values; got {type(child).__name__}. Wrap it: Value({child!r}).")
        arity = len(RULES[op].partials) if op in RULES else 0
        if len(self.children) != arity or (arity == 0 and op not in ("", CONSTANT)):
            fix = f"A leaf has none and op=''; the table has {', '.join(RULES)}."
            raise ValueError(f"op must be in the table and fit its children; got {op!r} with {len(self.children)}. {fix}")
        self.saved = (*(child.data for child in self.children), self.data)

    @classmethod
    def apply(cls, op: str, *inputs: Any) -> Value:
        """Compute an operation and record it; among constants alone nothing is recorded."""
        children, numbers, is_recorded = [], [], False
        for x in inputs:
            if not isinstance(x, Value):
                if isinstance(x, AbstractNumber):
                    # A Dual, whose parts may be Values: w * Dual(x, v) is a Dual, whichever stands first.
                    return x.apply(op, *inputs)  # type: ignore[return-value]
                number = as_float(x, f"the other side of {op}")
                x = cls._kept(number, (), CONSTANT, (number,))
            children.append(x)
            # float(): a leaf may have been given an int or a numpy number since, whose arithmetic is not IEEE's.
            numbers.append(float(x.data))
            is_recorded = is_recorded or x.op != CONSTANT
        data = RULES[op].value(*numbers)
        return cls._kept(data, tuple(children), op, (*numbers, data)) if is_recorded else cls._kept(data, (), CONSTANT, (data,))

    @classmethod
    def _kept(cls, data: float, children: tuple[Value, ...], op: str, saved: tuple[float, ...], grad: float = 0.0) -> Value:
        # Without the checks of a user's own: this runs once an operation.
        self = cls.__new__(cls)
        self.data, self.children, self.op, self.saved, self.grad = data, children, op, saved, grad
        return self

    def backward(self, upstream: float = 1.0) -> None:
        """Set `grad` of everything this was computed from to upstream * d self / d it.

        A leaf adds it to what it has, as in torch. An intermediate Value is set, not added to: a second `backward` sends the same
        gradients down again, so the leaves have exactly twice the first, with no zeroing between. The graph is never freed.

        Args:
            upstream: d (something later) / d self, with which the pass begins.

        Raises:
            RuntimeError: a number in the graph was changed after it had been used.
        """
        for node, gradient in pull_back(self, as_float(upstream, "upstream")):
            node.grad = node.grad + gradient if not node.children else gradient

    def zero_grad(self) -> None:
        """Set `grad` to 0 here and in all it was computed from."""
        for node in topological(self):
            node.grad = 0.0

    def __float__(self) -> float:
        return float(self.data)

    def __repr__(self) -> str:
        return f"Value({self.data!r}{f', op={self.op!r}' if self.op else ''}, grad={self.grad!r})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Value:
        # Along the list and not down the children: a deep graph would exhaust Python's stack. What is shared stays shared.
        for node in topological(self):
            if id(node) not in memo:
                memo[id(node)] = Value._kept(node.data, tuple([memo[id(child)] for child in node.children]), node.op, node.saved, node.grad)
        found: Value = memo[id(self)]
        return found
