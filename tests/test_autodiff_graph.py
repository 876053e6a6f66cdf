"""The computation graph: what torch and the engine recorded, with values and gradients, as text, collapsed, and of any size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gradyn.autodiff import Edge, Graph, Node, Trace, Value, graph_of

EPS = float(np.finfo(float).eps)


def square(w: Any, x: Any, b: Any) -> Any:
    """The textbook's (w x + b - 5)^2, for tensors and Values alike."""
    return (w * x + b - 5) ** 2


def tensors(**numbers: float) -> dict[str, Tensor]:
    return {name: torch.tensor(number, requires_grad=True) for name, number in numbers.items()}


def by_label(graph: Graph) -> dict[str, Node]:
    return {node.label: node for node in graph.nodes if node.label}


def net() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 1)))


# ---- what was recorded


def test_the_chain_of_the_textbook_is_the_one_that_torch_recorded() -> None:
    given = tensors(w=3.0, x=2.0, b=1.0)
    graph = graph_of(square(**given), names=given)
    assert graph.chain() == ["PowBackward0", "SubBackward0", "AddBackward0", "MulBackward0", "AccumulateGrad"]
    assert graph.chain("x") == graph.chain("w") == graph.chain()
    assert graph.chain("b") == ["PowBackward0", "SubBackward0", "AddBackward0", "AccumulateGrad"]
    assert max(graph.levels().values()) == 4


def test_the_engine_and_torch_agree_on_values_and_gradients_of_every_node_and_edge() -> None:
    of_torch, of_engine = tensors(w=3.0, x=2.0, b=1.0), {name: Value(number) for name, number in dict(w=3.0, x=2.0, b=1.0).items()}
    with Trace() as trace:
        loss = square(**of_torch)
    seen = graph_of(loss, names={**of_torch, "loss": loss}, trace=trace, upstream=1.0)
    out = square(**of_engine)
    known = graph_of(out, names={**of_engine, "loss": out}, upstream=1.0)
    for graph in (seen, known):
        assert {label: (float(node.value), float(node.grad)) for label, node in by_label(graph).items()} == {
            "w": (3.0, 8.0),
            "x": (2.0, 12.0),
            "b": (1.0, 4.0),
            "loss": (4.0, 1.0),
        }
    # The engine shows plain numbers as nodes, torch keeps them in the operation; all else is one graph.
    without = [node for node in known.nodes if node.kind != "constant"]
    assert [node.kind for node in without] == [node.kind for node in seen.nodes]
    assert [float(node.value) for node in without] == [float(node.value) for node in seen.nodes]
    assert [float(node.grad) for node in without] == [float(node.grad) for node in seen.nodes]
    assert [float(edge.grad) for edge in known.edges if edge.grad is not None] == [float(edge.grad) for edge in seen.edges]
    assert known.chain() == ["**", "-", "+", "*", ""]


def test_sigmoid_of_wx_plus_b_is_matmul_add_sigmoid_with_dw_and_db(rng: np.random.Generator) -> None:
    w, x, b = (torch.tensor(rng.normal(size=size), requires_grad=True) for size in ((2, 3), 3, 2))
    with Trace() as trace:
        y = torch.sigmoid(w @ x + b)
    upstream = torch.tensor(rng.normal(size=2))
    graph = graph_of(y, names={"W": w, "x": x, "b": b, "y": y}, trace=trace, upstream=upstream)
    assert graph.chain("W") == ["SigmoidBackward0", "AddBackward0", "MvBackward0", "AccumulateGrad"]
    found = by_label(graph)
    assert {label: node.shape for label, node in found.items()} == {"W": (2, 3), "x": (3,), "b": (2,), "y": (2,)}
    a = y.detach().numpy()
    delta = upstream.numpy() * a * (1 - a)
    # Three roundings in delta and one in the product, here and there: 8 halves of eps. The sum in dx has another, and may cancel,
    # so that its size is that of its terms.
    for label, said, size in (
        ("W", np.outer(delta, x.detach().numpy()), np.abs(np.outer(delta, x.detach().numpy()))),
        ("b", delta, np.abs(delta)),
        ("x", w.detach().numpy().T @ delta, np.abs(w.detach().numpy()).T @ np.abs(delta)),
    ):
        error = np.abs(found[label].grad - said) / size
        assert (error <= 5 * EPS).all(), f"d{label}: {error.max()}"
    assert np.array_equal(found["y"].value, a)
    assert found["y"].saved == {"result": (2,)}
    assert all(node.value is not None for node in graph.nodes)


def test_every_gradient_is_the_sum_of_what_comes_back_along_its_edges(rng: np.random.Generator) -> None:
    x = torch.tensor(rng.normal(size=4), requires_grad=True)
    y = (x * x + x.exp() * x - x).sum()
    graph = graph_of(y, upstream=1.0)
    x_node = graph.nodes[0]
    back = [edge.grad for edge in graph.edges if edge.source == x_node.name]
    assert len(back) == 5
    y.backward()
    expected = x.grad.numpy()
    assert np.abs(sum(back) - x_node.grad).max() <= 5 * EPS * max(np.abs(one).max() for one in back)
    assert np.abs(x_node.grad - expected).max() <= 5 * EPS * max(np.abs(one).max() for one in back)
    assert x_node.grad_l2 == pytest.approx(float(np.linalg.norm(expected)), rel=8 * EPS)


def test_asking_for_gradients_changes_no_grad_and_frees_nothing() -> None:
    given = tensors(w=3.0, x=2.0, b=1.0)
    loss = square(**given)
    graph_of(loss, upstream=1.0)
    assert all(tensor.grad is None for tensor in given.values())
    loss.backward()
    assert [float(tensor.grad) for tensor in given.values()] == [8.0, 12.0, 4.0]
    values = {name: Value(number) for name, number in dict(w=3.0, x=2.0, b=1.0).items()}
    graph_of(square(**values), upstream=1.0)
    assert [value.grad for value in values.values()] == [0.0, 0.0, 0.0]


def test_a_value_used_twice_has_two_edges_and_one_node() -> None:
    for x in (torch.tensor(3.0, requires_grad=True), Value(3.0)):
        graph = graph_of(x * x, upstream=1.0)
        assert [(edge.source, edge.target, edge.place, float(edge.grad)) for edge in graph.edges] == [("n0", "n1", 0, 3.0), ("n0", "n1", 1, 3.0)]
        assert float(graph.nodes[0].grad) == 6.0


def test_an_operation_with_several_outputs_has_edges_from_each() -> None:
    x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
    first, _, third = (x * 2).unbind()
    graph = graph_of(first * third, upstream=1.0)
    (unbind,) = [node for node in graph.nodes if node.op == "UnbindBackward0"]
    assert [edge.output for edge in graph.edges if edge.source == unbind.name] == [0, 2]
    assert (unbind.shape, unbind.grad) == (None, None)
    assert graph.nodes[0].grad.tolist() == [12.0, 0.0, 4.0]


def test_a_closed_gate_sends_nothing_back() -> None:
    x = Value(-1.0)
    graph = graph_of(x.relu(), names={"x": x}, upstream=1.0)
    assert float(by_label(graph)["x"].grad) == 0.0


def test_saved_tensors_are_named_and_a_freed_graph_says_so() -> None:
    x = torch.ones(2, 3, requires_grad=True)
    y = (x.exp() * x).sum()
    saved = {node.op: node.saved for node in graph_of(y).nodes}
    assert saved["MulBackward0"] == {"other": (2, 3), "self": (2, 3)}
    assert saved["ExpBackward0"] == {"result": (2, 3)}
    y.backward()
    freed = graph_of(y)
    assert {node.op: node.saved for node in freed.nodes}["ExpBackward0"] == {"result": None}
    assert "saved result freed" in freed.mermaid()
    with pytest.raises(RuntimeError, match=r"x must still have its graph; got one that an earlier backward has freed. Take the graph before backward\(\)"):
        graph_of(y, upstream=1.0)


class Twice(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x, None)
        return 2 * x

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return 2 * gradient


def test_a_function_of_ones_own_is_a_node_like_any_other() -> None:
    x = torch.ones(3, requires_grad=True)
    graph = graph_of(Twice.apply(x).sum(), upstream=1.0)
    assert graph.chain() == ["SumBackward0", "TwiceBackward", "AccumulateGrad"]
    assert graph.nodes[1].saved == {"saved_tensors[0]": (3,)}
    assert graph.nodes[0].grad.tolist() == [2.0, 2.0, 2.0]


# ---- the graph is dynamic


def loop(x: Any, times: int) -> Any:
    for _ in range(times):
        x = x * x
    return x


def branch(x: Any) -> Any:
    return x.exp() if x.data > 0 else x * x


@pytest.mark.parametrize("make", [lambda number: torch.tensor(number, requires_grad=True), Value], ids=["torch", "engine"])
def test_the_same_function_makes_another_graph_when_it_goes_another_way(make: Callable[[float], Any]) -> None:
    assert [len(graph_of(loop(make(1.1), times)).nodes) for times in (1, 2, 5)] == [2, 3, 6]
    assert graph_of(branch(make(1.0))) != graph_of(branch(make(-1.0)))
    # The way decides and not the number: another number on the same way is the same graph.
    assert graph_of(branch(make(1.0))) == graph_of(branch(make(2.0)))


# ---- modules


def test_parameters_have_their_names_and_shapes(rng: np.random.Generator) -> None:
    made = net()
    loss = made(torch.tensor(rng.normal(size=(5, 3)))).square().mean()
    graph = graph_of(loss, module=made, upstream=1.0)
    loss.backward()
    found = by_label(graph)
    assert {label: node.shape for label, node in found.items()} == {name: tuple(one.shape) for name, one in made.named_parameters()}
    for name, parameter in made.named_parameters():
        assert np.array_equal(found[name].grad, parameter.grad.numpy())


def test_a_traced_net_collapses_to_its_modules_at_any_level(rng: np.random.Generator) -> None:
    made = net()
    with Trace(made) as trace:
        loss = made(torch.tensor(rng.normal(size=(5, 3)))).square().mean()
    graph = graph_of(loss, trace=trace, upstream=1.0)
    inner, outer = graph.collapsed(), graph.collapsed(1)
    assert inner.chain() == ["MeanBackward0", "PowBackward0", "Linear", "Tanh", "Linear", "ReLU", "Linear"]
    assert [node.label for node in inner.nodes] == ["0", "1", "2.0", "2.1", "2.2", "", ""]
    assert outer.chain() == ["MeanBackward0", "PowBackward0", "Sequential", "ReLU", "Linear"]
    assert graph.collapsed(2) == inner
    # What stands on a module is what it hands on.
    (last,) = [node for node in inner.nodes if node.label == "2.2"]
    (before,) = [node for node in graph.nodes if node.op == "AddmmBackward0" and node.modules == ("2", "2.2")]
    assert last.shape == (5, 1)
    assert np.array_equal(last.grad, before.grad)
    assert inner.collapsed() == inner


def test_without_a_trace_operations_go_with_the_parameters_that_they_use() -> None:
    made = net()
    graph = graph_of(made(torch.ones(5, 3)).sum(), module=made)
    assert graph.collapsed().chain() == ["SumBackward0", "Linear", "TanhBackward0", "Linear", "ReluBackward0", "Linear"]


def test_the_first_layer_ends_where_its_weights_are_used() -> None:
    made = nn.Sequential(nn.Linear(3, 4, bias=False), nn.ReLU())
    graph = graph_of(made(torch.ones(5, 3)).sum(), module=made)
    assert [(node.op, node.modules) for node in graph.nodes if node.op in ("MmBackward0", "ReluBackward0")] == [("MmBackward0", ("0",)), ("ReluBackward0", ())]


def test_a_module_called_twice_is_two_nodes_and_its_weights_stay_outside() -> None:
    class Cell(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(self.inner(x).tanh())

    made = Cell()
    with Trace(made) as trace:
        y = made(torch.ones(1, 2)).sum()
    graph = graph_of(y, trace=trace).collapsed()
    assert [node.op for node in graph.nodes if node.kind != "leaf"] == ["Linear", "TanhBackward0", "Linear", "SumBackward0"]
    assert [node.label for node in graph.nodes if node.kind == "module"] == ["inner", "inner (2)"]
    assert sorted(node.label for node in graph.nodes if node.kind == "leaf") == ["inner.bias", "inner.weight"]


def test_two_uses_of_a_value_by_one_module_stay_two_edges() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(2, 2)

        def forward(self, x: Tensor) -> Tensor:
            return x + self.inner(x)

    made = nn.Sequential(nn.Linear(2, 2), Residual())
    with Trace(made) as trace:
        y = made(torch.ones(1, 2)).sum()
    graph = graph_of(y, trace=trace, upstream=1.0).collapsed(1)
    assert graph.chain() == ["SumBackward0", "Residual", "Linear"]
    both = [edge for edge in graph.edges if edge.target == graph.nodes[1].name]
    assert [edge.place for edge in both] == [0, 1]
    assert graph.networkx().number_of_edges() == len(graph.edges) == 3
    assert np.abs(sum(edge.grad for edge in both) - graph.nodes[0].grad).max() <= 2 * EPS * np.abs(graph.nodes[0].grad).max()


def test_tied_weights_have_all_their_names() -> None:
    made = nn.ModuleDict({"a": nn.Linear(2, 2, bias=False), "b": nn.Linear(2, 2, bias=False)})
    made["b"].weight = made["a"].weight
    graph = graph_of(made["b"](made["a"](torch.ones(1, 2))).sum(), module=made)
    assert [node.label for node in graph.nodes if node.kind == "leaf"] == ["a.weight = b.weight"]


def test_a_collapse_that_would_make_a_cycle_is_left_out() -> None:
    class Around(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))

    class Outer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.around = Around()

    made = Outer()
    x = torch.ones(2, requires_grad=True)
    start = x * made.around.first
    # addcmul is start + exp(start) second: with the product it hangs together, and the exponential lies between.
    graph = graph_of(torch.addcmul(start, start.exp(), made.around.second).sum(), module=made)
    assert [node.op for node in graph.nodes if node.modules] == ["AccumulateGrad", "MulBackward0", "AccumulateGrad", "AddcmulBackward0"]
    small = graph.collapsed()
    names = [node.name for node in small.nodes]
    assert all(names.index(edge.source) < names.index(edge.target) for edge in small.edges)
    assert [node.kind for node in small.nodes].count("module") == 0


def test_a_trace_leaves_the_net_as_it_was() -> None:
    made = net()
    with Trace(made):
        made(torch.ones(1, 3))
    assert all(not inner._forward_hooks for inner in made.modules())
    with Trace(made) as trace, pytest.raises(RuntimeError, match="shapes cannot be multiplied"):
        made(torch.ones(1, 4))
    assert trace.module is made
    assert all(not inner._forward_hooks for inner in made.modules())


# ---- refusals


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: graph_of(3.0), TypeError, r"x must be a torch tensor or a Value; got float"),
        (lambda: graph_of(torch.ones(2)), ValueError, r"x must require grad to have a graph; got torch.float64 without. Set requires_grad_\(\)"),
        (lambda: graph_of(torch.ones(2, dtype=torch.int64)), ValueError, r"x must require grad to have a graph; got torch.int64 without"),
        (lambda: graph_of(torch.ones(2, requires_grad=True) * 2, upstream=1.0), ValueError, r"upstream must have x's shape \[2\]; got shape \[\]"),
        (lambda: graph_of(torch.ones(2, requires_grad=True) * 2, upstream="1"), TypeError, r"upstream must be a number or a tensor; got str"),
        (lambda: graph_of(Value(1.0) * 2, upstream="1"), TypeError, r"upstream must be a real number; got str '1'"),
        (lambda: graph_of(torch.ones(2, requires_grad=True) * 2, names={"n": 3}), TypeError, r"names must hold Tensors, as x is one; got int for 'n'"),
        (lambda: graph_of(Value(1.0) * 2, names={"n": torch.ones(1)}), TypeError, r"names must hold Values, as x is one; got Tensor for 'n'"),
        (lambda: graph_of(Value(1.0) * 2).chain("w"), KeyError, r"to must be a label of the graph"),
        (lambda: graph_of(Value(1.0)).collapsed(0), ValueError, r"level must be 1 \(outermost\) or more"),
    ],
)
def test_what_has_no_graph_is_refused(call: Callable[[], Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        call()


def test_a_leaf_alone_is_a_graph_of_one_node() -> None:
    for x in (torch.ones(2, requires_grad=True), Value(1.0)):
        graph = graph_of(x, names={"x": x})
        assert (len(graph.nodes), graph.edges, graph.levels()) == (1, (), {"n0": 0})
        assert by_label(graph)["x"].kind == "leaf"
    assert graph_of(torch.ones(2, requires_grad=True), upstream=torch.ones(2)).nodes[0].grad.tolist() == [1.0, 1.0]


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.complex64])
def test_gradients_of_dtypes_that_numpy_lacks_are_kept(dtype: torch.dtype) -> None:
    x = torch.tensor([1.0, -2.0], dtype=dtype, requires_grad=True)
    graph = graph_of((x * 2).abs().sum(), names={"x": x}, upstream=1.0)
    assert by_label(graph)["x"].grad.tolist() == [2.0, -2.0]
    assert by_label(graph)["x"].grad_l2 == pytest.approx(8**0.5, rel=1e-15)
    assert "[2" in graph.mermaid()


def test_a_sparse_gradient_is_kept() -> None:
    embedding = torch.nn.Embedding(4, 2, sparse=True, dtype=torch.float64)
    graph = graph_of(embedding(torch.tensor([1, 1])).sum(), module=embedding, upstream=1.0)
    assert by_label(graph)["weight"].grad.tolist() == [[0, 0], [2, 2], [0, 0], [0, 0]]


def test_numbers_do_not_count_when_graphs_are_compared() -> None:
    one, two = Node("n0", "", "leaf", value=np.ones(3)), Node("n0", "", "leaf", value=np.zeros(3))
    assert one == two
    assert Edge("n0", "n1", 0, grad=np.ones(3)) == Edge("n0", "n1", 0)
    assert one != Node("n0", "+", "operation")
