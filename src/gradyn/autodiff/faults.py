"""What is wrong with the usual fifty lines, as a table: the same four questions put to any engine.

    faults(FiftyLines)   {"3 * x": "TypeError", ...}
    faults(Value)        {"3 * x": "6", ...}

Can't: find faults that nobody has thought of. For those the engine is compared with torch on random expressions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

# x of every question.
_X = 2.0


def faults(engine: Callable[[float], Any], depth: int = 1000) -> dict[str, str]:
    """Each question with the engine's answer: a number, or the name of the error that it ends in.

    Args:
        engine: makes a number of a float: `Value`, `FiftyLines`, or one of your own with `backward`, `grad` and `data`.
        depth: operations of the deep chain.
    """
    questions: dict[str, Callable[[], Any]] = {
        "3 * x": lambda: (3 * engine(_X)).data,
        "3 - x": lambda: (3 - engine(_X)).data,
        "1 / x": lambda: (1 / engine(_X)).data,
        f"dy/dx through {depth:,} operations": lambda: passes_through(engine, depth),
        "dy/dx after two backward passes, 5 operations deep (2 is right)": lambda: passes_through(engine, 5, times=2),
        "the operation of x * x": lambda: repr((engine(_X) * engine(_X)).op),
    }
    return {question: _answer(ask) for question, ask in questions.items()}


def passes_through(engine: Callable[[float], Any], length: int, times: int = 1, factor: float = 1.0) -> float:
    """The gradient that reaches a leaf through a chain of y = y * factor, after `times` backward passes; right is times * factor ** length."""
    x = y = engine(1.0)
    for _ in range(length):
        y = y * factor
    for _ in range(times):
        y.backward()
    return float(x.grad)


def chain_error(engine: Callable[[float], Any], length: int, factor: float = 1.000001) -> float:
    """Relative error of the gradient through a chain of y = y * factor, over what its roundings allow: one an operation, two to compare."""
    return abs(passes_through(engine, length, factor=factor) / factor**length - 1) / ((length + 2) * 2.0**-53)


def _answer(ask: Callable[[], Any]) -> str:
    try:
        found = ask()
    except (TypeError, RecursionError, AttributeError) as error:
        return type(error).__name__
    return found if isinstance(found, str) else f"{found:g}"
