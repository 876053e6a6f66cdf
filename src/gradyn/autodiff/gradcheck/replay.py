"""A run of a function as the list of the operations that torch carries out, custom Functions' forwards included; and the run again with some changed.

torch's dispatch mode sees every operation below autograd. Replaying a function with one operand held still gives the derivative *without* that
path, measured and not asked for: what a backward that forgets the path returns.

Can't: see what leaves torch. A forward written in numpy is one operation that nobody can look into.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch._decomp import decomposition_table
from torch.utils._python_dispatch import TorchDispatchMode

# (position among the arguments, position in a list of tensors or None)
Place = tuple[int, int | None]
# Fused operations in which a number is used more than once: taken apart, their paths can be told from each other.
_FUSED = ("_softmax", "_log_softmax", "logsumexp", "native_layer_norm", "native_batch_norm", "var", "std", "linalg_vector_norm", "silu", "gelu", "elu")


@dataclass(frozen=True)
class Operation:
    """One operation of a run.

    Args:
        function: torch's.
        operands: floating-point tensor arguments as they were, by place.
        result: the first (mostly the only) tensor that it returned.
        is_plain: it changed nothing in place and returned one floating-point tensor, so that it can be replayed with a change.
        is_custom: it ran where autograd was off: in a custom Function's forward, or under no_grad.
    """

    function: Any
    operands: dict[Place, Tensor]
    result: Tensor
    is_plain: bool
    is_custom: bool

    @property
    def name(self) -> str:
        """`mul`, `sigmoid`, `mm`."""
        return str(self.function.overloadpacket.__name__)


Change = Callable[[Operation, Any, Sequence[Any], dict[str, Any]], Tensor]


def operands(args: Sequence[Any]) -> dict[Place, Tensor]:
    """The floating-point tensors among arguments, those in lists too."""
    found: dict[Place, Tensor] = {}
    for k, arg in enumerate(args):
        for place, value in enumerate(arg) if isinstance(arg, (list, tuple)) else [(None, arg)]:
            if isinstance(value, Tensor) and value.is_floating_point():
                found[k, place] = value
    return found


def replaced(args: Sequence[Any], values: dict[Place, Tensor]) -> list[Any]:
    """The arguments with other tensors at some places."""
    given = [list(arg) if isinstance(arg, (list, tuple)) else arg for arg in args]
    for (k, place), value in values.items():
        if place is None:
            given[k] = value
        else:
            given[k][place] = value
    return given


class Run(TorchDispatchMode):
    """While active: records operations, or replays them with `changes` (number of the operation -> what to return instead).

    Args:
        base: operations of the run that is replayed; None records.
        changes: of a replay.
        is_apart: fused operations are taken apart.
    """

    def __init__(self, base: Sequence[Operation] | None = None, changes: dict[int, Change] | None = None, *, is_apart: bool = False) -> None:
        super().__init__()
        self.operations: list[Operation] = []
        self.base, self.changes, self.is_apart, self.count = base, changes or {}, is_apart, 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        # As in `cost.py`: or torch imports its compiler, only to keep it away.
        return False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if self.is_apart and func.overloadpacket.__name__ in _FUSED and func in decomposition_table:
            with self:
                return decomposition_table[func](*args, **kwargs)
        if self.base is not None:
            number, self.count = self.count, self.count + 1
            if number in self.changes:
                if number >= len(self.base) or self.base[number].function is not func:
                    raise RuntimeError("the replayed run took another branch")
                return self.changes[number](self.base[number], func, args, kwargs)
            return func(*args, **kwargs)
        before = {place: value.detach().clone() for place, value in operands(args).items()}
        result = func(*args, **kwargs)
        first = result[0] if isinstance(result, (list, tuple)) and result else result
        is_plain = isinstance(result, Tensor) and result.is_floating_point() and not func._schema.is_mutable
        kept = first.detach().clone() if isinstance(first, Tensor) else torch.empty(0)
        self.operations.append(Operation(func, before, kept, is_plain, not torch.is_grad_enabled()))
        return result
