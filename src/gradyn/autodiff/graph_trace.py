"""Tracing: torch's graph keeps gradients' recipes, not values nor modules; who wants those has to watch the forward pass.

    with Trace(net) as trace:
        loss = net(x).square().mean()
    graph_of(loss, trace=trace)

Can't: look inside one call of torch's own. `linear` records two operations and hands back one tensor: the inner value stays unknown.
"""

from __future__ import annotations

from collections import defaultdict
from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.hooks import RemovableHandle

# Arrays up to this many elements are copied, so that a later change in place does not rewrite the picture; others are not shown.
SHOWN = 64


class Trace:
    """Watches a forward pass: which value each operation made, and in which call of which module.

    Holds the graph of all that was computed within it for as long as it lives.

    Args:
        module: the net, where calls of modules are wanted.

    Attributes:
        values: operation (`grad_fn`) -> its value, at most 64 elements.
        calls: operation -> names of the module calls it was made in, outermost first; `block (2)` for the second call.
        classes: name of a call -> the module's class.
    """

    def __init__(self, module: nn.Module | None = None) -> None:
        self.module = module
        self.values: dict[Any, Tensor] = {}
        self.calls: dict[Any, tuple[str, ...]] = {}
        self.classes: dict[str, str] = {}
        self._counts: dict[str, int] = defaultdict(int)
        self._handles: list[RemovableHandle] = []
        self._mode = _Values(self.values)

    def __enter__(self) -> Self:
        for name, inner in self.module.named_modules() if self.module is not None else ():
            if name:
                self._handles.append(inner.register_forward_hook(self._hook(name), with_kwargs=True))
        self._mode.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._mode.__exit__(kind, error, trace)
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _hook(self, name: str) -> Any:
        def after(module: nn.Module, args: Any, kwargs: Any, output: Any) -> None:
            self._counts[name] += 1
            call = name if self._counts[name] == 1 else f"{name} ({self._counts[name]})"
            self.classes[call] = type(module).__name__
            edge = {tensor.grad_fn for tensor in _tensors((args, kwargs))}
            waiting = [tensor.grad_fn for tensor in _tensors(output)]
            # From what the call handed on, down to what it was given. Inner calls end first, so an outer one goes in front.
            seen = set(edge)
            while waiting:
                node = waiting.pop()
                if node is None or node in seen:
                    continue
                seen.add(node)
                self.calls[node] = (call, *self.calls.get(node, ()))
                waiting += [below for below, _ in node.next_functions]

        return after


class _Values(TorchFunctionMode):
    """Sees every call of a torch function, with what it returned."""

    def __init__(self, values: dict[Any, Tensor]) -> None:
        super().__init__()
        self._values = values

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        for tensor in _tensors(found):
            # The first that names it: a view of the same operation comes later.
            if tensor.grad_fn is not None and tensor.numel() <= SHOWN and tensor.grad_fn not in self._values:
                self._values[tensor.grad_fn] = tensor.detach().clone()
        return found


def _tensors(thing: Any) -> list[Tensor]:
    if isinstance(thing, Tensor):
        return [thing]
    if isinstance(thing, dict):
        thing = list(thing.values())
    return [tensor for one in thing for tensor in _tensors(one)] if isinstance(thing, (list, tuple)) else []
