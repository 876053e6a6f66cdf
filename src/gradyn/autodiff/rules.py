"""The table of derivatives, and the arithmetic it is written in: float64 as IEEE 754 and torch have it.

A row holds an operation, its value, and the derivative by each input, in words and as a function of the inputs and the output `y`.
The functions speak of numbers of any kind: of floats when a value is computed, of `Value`s when the derivative is itself recorded (so
that it can be differentiated again), of `Dual`s in forward mode. None in place of a derivative is a closed gate: nothing passes, not
even an infinite upstream, where a product with zero would make nan.

Can't: know that two rows belong together. log(exp(x)) overflows at x = 710 though it is x: a table sees one operation at a time.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple


class Rule(NamedTuple):
    """One row: `y = text`, its value on floats, and (text, function) of each partial derivative."""

    text: str
    value: Callable[..., float]
    partials: tuple[tuple[str, Callable[..., Any]], ...]


def call(op: str, *inputs: Any) -> Any:
    """An operation of the table: a float of floats; recorded by a `Value`, carried along by a `Dual`."""
    for number in inputs:
        if not isinstance(number, float):
            return number.apply(op, *inputs)
    return RULES[op].value(*inputs)


def divide(a: float, b: float) -> float:
    """a / b with IEEE 754's 1 / 0 = inf, 1 / -0 = -inf and 0 / 0 = nan, where Python raises."""
    if b:
        return a / b
    return math.nan if a == 0 or math.isnan(a) else math.copysign(math.inf, a) * math.copysign(1.0, b)


def power(a: float, b: float) -> float:
    """a ** b with a ** 0 = 1 (also of 0, inf and nan), 0 ** -1 = inf, (-1) ** 0.5 = nan, and inf where it overflows."""
    try:
        return math.pow(a, b)
    except (OverflowError, ValueError):
        # A negative base, -0.0 too, keeps its sign under an odd exponent; any other exponent that raised with a < 0 is fractional.
        if a < 0 and b != math.floor(b):
            return math.nan
        return math.copysign(math.inf, a) if math.fmod(b, 2.0) in (1.0, -1.0) else math.inf


def exp(x: float) -> float:
    """e ** x; inf from x = 709.8 on."""
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def log(x: float) -> float:
    """The natural logarithm; -inf of zero, nan of less."""
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def sigmoid(x: float) -> float:
    """1 / (1 + e ** -x), by the one of two forms that only ever takes the exponential of a negative number."""
    return 1.0 / (1.0 + exp(-x)) if x >= 0 else exp(x) / (1.0 + exp(x))


def relu(x: float) -> float:
    """max(x, 0); nan stays nan."""
    return 0.0 if x <= 0 else x


def sin(x: float) -> float:
    """The sine; nan of an infinite angle."""
    return math.nan if math.isinf(x) else math.sin(x)


def cos(x: float) -> float:
    """The cosine; nan of an infinite angle."""
    return math.nan if math.isinf(x) else math.cos(x)


# At the kinks torch's choice: relu'(0) = 0; the derivative of a ** 0 by a is 0 also at a = 0; that of 0 ** b by b is 0 for b >= 0.
RULES: dict[str, Rule] = {
    "+": Rule("{a} + {b}", lambda a, b: a + b, (("1", lambda a, b, y: 1.0), ("1", lambda a, b, y: 1.0))),
    "-": Rule("{a} - {b}", lambda a, b: a - b, (("1", lambda a, b, y: 1.0), ("-1", lambda a, b, y: -1.0))),
    "*": Rule("{a} * {b}", lambda a, b: a * b, (("{b}", lambda a, b, y: b), ("{a}", lambda a, b, y: a))),
    "/": Rule("{a} / {b}", divide, (("1 / {b}", lambda a, b, y: call("/", 1.0, b)), ("-{y} / {b}", lambda a, b, y: -call("/", y, b)))),
    "**": Rule(
        "{a} ** {b}",
        power,
        (
            ("{b} * {a} ** ({b} - 1)", lambda a, b, y: None if float(b) == 0 else b * call("**", a, b - 1.0)),
            ("{y} * log({a})", lambda a, b, y: None if float(a) == 0 and float(b) >= 0 else y * call("log", a)),
        ),
    ),
    "neg": Rule("-{a}", lambda a: -a, (("-1", lambda a, y: -1.0),)),
    "exp": Rule("exp({a})", exp, (("{y}", lambda a, y: y),)),
    "log": Rule("log({a})", log, (("1 / {a}", lambda a, y: call("/", 1.0, a)),)),
    "tanh": Rule("tanh({a})", math.tanh, (("1 - {y} ** 2", lambda a, y: 1.0 - y * y),)),
    "sigmoid": Rule("sigmoid({a})", sigmoid, (("{y} * (1 - {y})", lambda a, y: y * (1.0 - y)),)),
    "relu": Rule("relu({a})", relu, (("1 if {a} > 0 else 0", lambda a, y: None if float(a) <= 0 else 1.0),)),
    "sin": Rule("sin({a})", sin, (("cos({a})", lambda a, y: call("cos", a)),)),
    "cos": Rule("cos({a})", cos, (("-sin({a})", lambda a, y: -call("sin", a)),)),
}
