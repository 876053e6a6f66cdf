"""What is wrong with the usual fifty lines: a scalar engine as tutorials write it, kept so that its faults can be shown.

Each operation defines a closure that adds to its inputs' `grad`; `backward` sorts by recursion and calls the closures. It gets small
expressions right, once. Four tests show where it goes wrong, and that `Value` does not:

* `3 * x`, `3 - x`, `1 / x` raise TypeError: only `x * 3` is defined;
* the recursive sort dies on a chain of about 1,000 operations, Python's limit on nested calls;
* a second `backward` also adds to the intermediate gradients, which the next pass then multiplies down again: a leaf behind n
  operations then has n + 1 times its gradient, where torch's leaves, and ours, have exactly twice;
* `op` is accepted and dropped, so a graph can be drawn but not read.

Can't: be differentiated twice. The closures compute with floats, so a gradient is a number without a history.
"""

from __future__ import annotations

import math
from collections.abc import Callable


class FiftyLines:
    """A number that can be differentiated, with the faults listed above.

    Args:
        data: the number.
        children: what it was computed from.
        op: the operation; dropped.
    """

    def __init__(self, data: float, children: tuple[FiftyLines, ...] = (), op: str = "") -> None:
        self.data = data
        self.grad = 0.0
        self.children = children
        self._backward: Callable[[], None] = lambda: None

    def __add__(self, other: FiftyLines | float) -> FiftyLines:
        right = other if isinstance(other, FiftyLines) else FiftyLines(other)
        out = FiftyLines(self.data + right.data, (self, right), "+")

        def _backward() -> None:
            self.grad += out.grad
            right.grad += out.grad

        out._backward = _backward
        return out

    def __mul__(self, other: FiftyLines | float) -> FiftyLines:
        right = other if isinstance(other, FiftyLines) else FiftyLines(other)
        out = FiftyLines(self.data * right.data, (self, right), "*")

        def _backward() -> None:
            self.grad += right.data * out.grad
            right.grad += self.data * out.grad

        out._backward = _backward
        return out

    def __pow__(self, exponent: float) -> FiftyLines:
        out = FiftyLines(self.data**exponent, (self,), "**")

        def _backward() -> None:
            self.grad += exponent * self.data ** (exponent - 1) * out.grad

        out._backward = _backward
        return out

    def __neg__(self) -> FiftyLines:
        return self * -1

    def __sub__(self, other: FiftyLines | float) -> FiftyLines:
        return self + (other * -1)

    def __truediv__(self, other: FiftyLines) -> FiftyLines:
        return self * other**-1

    def tanh(self) -> FiftyLines:
        """The hyperbolic tangent."""
        out = FiftyLines(math.tanh(self.data), (self,), "tanh")

        def _backward() -> None:
            self.grad += (1 - out.data**2) * out.grad

        out._backward = _backward
        return out

    def backward(self) -> None:
        """Add d self / d it to the `grad` of everything this was computed from: also of what already has one, which is the third fault.

        Raises:
            RecursionError: the graph is deeper than Python's stack.
        """
        order: list[FiftyLines] = []
        seen: set[FiftyLines] = set()

        def visit(node: FiftyLines) -> None:
            if node not in seen:
                seen.add(node)
                for child in node.children:
                    visit(child)
                order.append(node)

        visit(self)
        self.grad = 1.0
        for node in reversed(order):
            node._backward()
