"""Numbers written as papers write them: `linspace(0.5,3,11)`, `4*depth`, `0.1/depth`, `round(sqrt(width))`.

Expressions are read with `ast` and walked node by node; nothing is ever evaluated as Python.
"""

from __future__ import annotations

import ast
import math
import operator
import re
from collections.abc import Callable, Iterator
from typing import Any

from gradyn.core import ConfigError

Number = int | float

_BINARY: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_UNARY: dict[type[ast.unaryop], Callable[[Any], Any]] = {ast.UAdd: operator.pos, ast.USub: operator.neg}
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "sqrt": math.sqrt,
    "exp": math.exp,
    "log": math.log,
    "log2": math.log2,
    "log10": math.log10,
    "abs": abs,
    "min": min,
    "max": max,
    "floor": math.floor,
    "ceil": math.ceil,
    "round": round,
}
_CONSTANTS = {"pi": math.pi}
RANGES = ("linspace", "logspace", "geomspace")


def parse(text: str) -> ast.expr | None:
    """The expression, or None where the text is no arithmetic: numbers, dotted names, + - * / // % **, and the functions above."""
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return tree if _is_arithmetic(tree) else None


def _is_arithmetic(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float)
    if isinstance(node, (ast.Name, ast.Attribute)):
        return _dotted(node) is not None
    if isinstance(node, ast.BinOp):
        return type(node.op) in _BINARY and _is_arithmetic(node.left) and _is_arithmetic(node.right)
    if isinstance(node, ast.UnaryOp):
        return type(node.op) in _UNARY and _is_arithmetic(node.operand)
    if isinstance(node, ast.Call):
        known = isinstance(node.func, ast.Name) and (node.func.id in _FUNCTIONS or node.func.id in RANGES)
        return known and not node.keywords and all(_is_arithmetic(argument) for argument in node.args)
    return False


def _dotted(node: ast.expr) -> str | None:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        head = _dotted(node.value)
        return f"{head}.{node.attr}" if head else None
    return None


def names(node: ast.expr) -> set[str]:
    """The config keys that an expression reads (`init.sigma_w`)."""
    dotted = _dotted(node)
    if dotted is not None:
        return set() if dotted in _CONSTANTS else {dotted}
    inner = node.args if isinstance(node, ast.Call) else [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]
    return set[str]().union(*(names(child) for child in inner))


def is_name(node: ast.expr) -> bool:
    """Whether the expression is a lone dotted name."""
    return isinstance(node, (ast.Name, ast.Attribute))


def evaluate(key: str, text: str, lookup: Callable[[str], Number]) -> Number:
    """The value of an expression.

    Args:
        key: the config key that it is for; named in errors.
        text: the expression, one that `parse` accepts.
        lookup: config key -> its number.

    Raises:
        ConfigError: no finite real number comes out.
    """
    tree = parse(text)
    assert tree is not None, text
    try:
        value = _value(tree, lookup)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise ConfigError(key, "be a finite number", text, f"It can't be computed: {error}.") from error
    if type(value) not in (int, float) or not math.isfinite(value):
        raise ConfigError(key, "be a finite number", text, f"It gives {value}.")
    return value


def _value(node: ast.expr, lookup: Callable[[str], Number]) -> Any:
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.UnaryOp):
        return _UNARY[type(node.op)](_value(node.operand, lookup))
    if isinstance(node, ast.BinOp):
        left, right = _value(node.left, lookup), _value(node.right, lookup)
        if isinstance(node.op, ast.Pow):
            # In floats, so that 9**9**9 overflows at once instead of filling the memory; small whole powers stay whole.
            power = math.pow(left, right)
            return left**right if type(left) is int and type(right) is int and right >= 0 and abs(power) < 2**53 else power
        return _BINARY[type(node.op)](left, right)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        if node.func.id in RANGES:
            raise ValueError(f"{node.func.id} gives several values and stands alone, or inside round")
        return _FUNCTIONS[node.func.id](*(_value(argument, lookup) for argument in node.args))
    dotted = _dotted(node)
    assert dotted is not None
    return _CONSTANTS[dotted] if dotted in _CONSTANTS else lookup(dotted)


def range_values(key: str, text: str) -> list[Number] | None:
    """The values of `linspace`, `logspace`, `geomspace` or `round` of one of them; None where the text is none of these.

    As in numpy: linspace(a,b,n) and geomspace(a,b,n) take the ends themselves, logspace(a,b,n) the exponents of ten; both ends
    are included. `round(...)` gives whole numbers, each once.

    Raises:
        ConfigError: wrong arguments.
    """
    tree = parse(text)
    rounded = isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id == "round" and len(tree.args) == 1
    call = tree.args[0] if rounded and isinstance(tree, ast.Call) else tree
    if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id in RANGES):
        return None
    name = call.func.id
    rule = f"have three numbers in {name}({'first,last' if name != 'logspace' else 'first exponent,last exponent'},count)"
    try:
        if len(call.args) != 3:
            raise ValueError("three arguments are needed")
        first, last, count = (_value(argument, _no_names) for argument in call.args)
        if type(count) is not int or count < 1:
            raise ValueError("the count is a whole number >= 1")
        values = _spaced(name, first, last, count)
    except (ArithmeticError, ValueError, TypeError) as error:
        raise ConfigError(key, rule, text, f"{str(error)[:1].upper()}{str(error)[1:]}.") from error
    return list(dict.fromkeys(round(value) for value in values)) if rounded else values


def _spaced(name: str, first: Number, last: Number, count: int) -> list[Number]:
    import numpy as np

    if name == "geomspace" and not (first * last > 0):
        raise ValueError("geomspace needs two ends of one sign, neither of them 0")
    with np.errstate(over="ignore"):
        spaced: dict[str, Callable[..., Any]] = {"linspace": np.linspace, "logspace": np.logspace, "geomspace": np.geomspace}
        values = [float(value) for value in spaced[name](first, last, count)]
    if not all(math.isfinite(value) for value in values):
        raise ValueError("every value must be finite")
    return list(values)


def _no_names(name: str) -> Number:
    raise ValueError(f"a range takes numbers, not the key {name}")


def lower(override: str, is_for_sweep: bool = True) -> str:
    """The override in Hydra's own grammar, for the sweeper to read.

    Our functions and parentheses go into quotes, where Hydra would stumble on them: `width=4*(depth+1)` becomes
    `width="4*(depth+1)"`; what Hydra reads itself (`seed=range(5)`) stays. A single value of a dotted key becomes a sweep of
    one, `init.sigma_w=choice(2)` (unless it is for a single config): Hydra looks at fixed values before it knows the swept
    options that have the key.
    """
    head, equals, value = override.partition("=")
    if not equals or not value or head.startswith(("hydra.", "hydra/", "~")):
        return override
    parts = [f'"{part.strip()}"' if "(" in part and parse(part) is not None else part for part in split_top_level(value)]
    is_single = is_for_sweep and len(parts) == 1 and "." in head and re.match(r"\w+\s*\(", value if parts[0] == value else "") is None
    return head + equals + (f"choice({parts[0]})" if is_single else ",".join(parts))


def as_written(lowered: str) -> str:
    """A value as the user wrote it, back from what `lower` made of it."""
    single = re.fullmatch(r"choice\((.*)\)", lowered)
    inner = single.group(1) if single and len(list(split_top_level(single.group(1)))) == 1 else lowered
    return inner.replace('"', "")


def split_top_level(text: str) -> Iterator[str]:
    """The parts between commas that stand in no bracket and no quotes."""
    depth, quote, start = 0, "", 0
    for index, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth == 0:
            yield text[start:index]
            start = index + 1
    yield text[start:]
