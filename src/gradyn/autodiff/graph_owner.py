"""Which module an operation belongs to, told from the parameters it uses: what is left when nobody watched the forward pass.

Can't: place an operation without parameters. A ReLU between two layers could belong to either or to the module around them; a `Trace`
of the forward pass knows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

Calls = dict[Any, tuple[str, ...]]


def parameter_labels(module: nn.Module | None, order: Sequence[Any]) -> dict[Any, str]:
    """Leaf -> the parameter's name, `0.weight`; tied weights have all their names, joined by =."""
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False) if module is not None else ():
        names.setdefault(id(parameter), []).append(name)
    leaves = [node for node in order if not node.next_functions]
    return {node: " = ".join(names[id(node.variable)]) for node in leaves if id(node.variable) in names}


def owners(module: nn.Module | None, order: Sequence[Any], calls: Mapping[Any, tuple[str, ...]], classes: Mapping[str, str]) -> tuple[Calls, dict[str, str]]:
    """Operation -> calls of modules, outermost first, and call -> class.

    Args:
        module: whose parameters are looked for; None: nothing is added.
        order: operations, inputs first.
        calls: what a trace has seen; then only the parameters are added, each to the call that uses it first.
        classes: of those calls.
    """
    found, kinds = dict(calls), dict(classes)
    if module is None:
        return found, kinds
    kinds = {name: type(inner).__name__ for name, inner in module.named_modules() if name} | kinds
    is_traced, labels = bool(calls), parameter_labels(module, order)
    # Still on the way from a parameter to its first use beside something else: transposed, reshaped, broadcast.
    carriers = set()
    for node in order:
        if node in labels:
            found[node] = _around(labels[node].split(" = ")[0])
            carriers.add(node)
        elif not is_traced:
            # An argument that needs no gradient counts too: with it the parameter is used, not only reshaped.
            below, is_alone = [one for one, _ in node.next_functions if one in found], len(node.next_functions) == 1
            homes = {found[one] for one in below if one in carriers}
            if len(homes) == 1 and homes == {found[one] for one in below}:
                found[node] = homes.pop()
                carriers |= {node} if is_alone else set()
    return {node: found[node] for node in order if found.get(node)}, kinds


def _around(parameter: str) -> tuple[str, ...]:
    """block.0.weight -> block, block.0."""
    parts = parameter.split(".")[:-1]
    return tuple(".".join(parts[:count]) for count in range(1, len(parts) + 1))
