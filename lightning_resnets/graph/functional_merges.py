"""Which step of a foreign model is a join, where two paths meet, and of which kind.

Every operand of a join depends on the image: a bias, a position table or a scale that was learned is none. A weight
of a Gate has one number a map, (N, C, 1, 1) or (N, R, C, 1, 1) in split attention, looked for through `expand`, and was
learned or squashed: what only divides by a norm or a mean (a norm by hand, that of ConvNeXt V2) is none.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.merges import Add, Concat, Gate, Merge

FunctionalMerge = tuple[type[Merge], tuple[fx.Node, ...]]


NodeValues = Mapping[fx.Node, Any]

ADD_OPS: tuple[Any, ...] = (operator.add, operator.iadd, torch.add, "add", "add_")


MUL_OPS: tuple[Any, ...] = (
    operator.mul,
    operator.imul,
    torch.mul,
    torch.multiply,
    "mul",
    "mul_",
    "multiply",
    "multiply_",
)


CONCAT_OPS: tuple[Any, ...] = (torch.cat, torch.concat, torch.concatenate)


HSTACK_OPS: tuple[Any, ...] = (torch.hstack,)  # along axis 1


BROADCAST_OPS = ("expand", "expand_as", "repeat", "broadcast_to")


GATE_ACTIVATIONS = (
    "sigmoid",
    "softmax",
    "tanh",
    "relu6",
    "clamp",
    "gate",
)  # how names of what ends a gate's weight go


LEARNED_OPS = ("conv", "linear", "matmul", "mm", "addmm", "bmm")


def target_name(node: fx.Node) -> str:
    """What a function or method is called: `add`, `softmax`."""
    return (
        node.target if isinstance(node.target, str) else str(getattr(node.target, "__name__", ""))
    )


def match_merge(
    node: fx.Node, values: NodeValues, seen: set[fx.Node], model: nn.Module
) -> FunctionalMerge | None:
    """The merge that a step is, with its operands; None where it is none. `seen`: what depends on the image."""
    if node.op not in ("call_function", "call_method"):
        return None
    rule = next((rule for targets, rule in MERGE_RULES if node.target in targets), None)
    join = rule(node, values, model) if rule else None
    return join if join and all(operand in seen for operand in join[1]) else None


def may_contain_merge(graph: fx.Graph) -> bool:
    """Whether paths may meet in steps without shapes: a sum or a row of two values, a product with what was pooled."""
    for node in graph.nodes:
        several = len(set(node.all_input_nodes)) > 1
        if several and node.target in (*ADD_OPS, *CONCAT_OPS, *HSTACK_OPS) and not _numbers(node):
            return True
        if several and node.target in MUL_OPS and any(_pools(given) for given in _above(node)):
            return True
    return False


def _numbers(node: fx.Node) -> bool:
    """Whether what is added up is a size: `x.shape[2] + pad`."""
    return any(
        "shape" in given.args or given.target == "size"
        for given in _above(node)
        if given is not node
    )


def _pools(node: fx.Node) -> bool:
    return any(part in target_name(node) for part in ("pool", "mean", "sum", "max"))


def _operands(node: fx.Node) -> tuple[fx.Node, ...]:
    """The two tensors of a sum or a product; () where one is a number or there is a factor beside them."""
    given = [*node.args, *(node.kwargs[name] for name in ("input", "other") if name in node.kwargs)]
    plain = len(given) == 2 and node.kwargs.get("alpha", 1) == 1
    return tuple(item for item in given if isinstance(item, fx.Node)) if plain else ()


def _shape(node: object, values: NodeValues) -> tuple[int, ...]:
    value = values.get(node) if isinstance(node, fx.Node) else None
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _sum(node: fx.Node, values: NodeValues, model: nn.Module) -> FunctionalMerge | None:
    pair = _operands(node)
    shapes = [_shape(operand, values) for operand in pair]
    return (Add, pair) if len(pair) == 2 and shapes[0] == shapes[1] and len(shapes[0]) > 1 else None


def _product(node: fx.Node, values: NodeValues, model: nn.Module) -> FunctionalMerge | None:
    pair = _operands(node)
    for x, given in (pair, pair[::-1]) if len(pair) == 2 else ():
        weight = given
        while (
            target_name(weight) in BROADCAST_OPS
            and isinstance(weight.args[0], fx.Node)
            and _maps(weight, values)
        ):
            weight = weight.args[0]
        whole, narrow = _shape(x, values), _shape(weight, values)
        if (
            len(whole) in (4, 5)
            and narrow == (*whole[:-2], 1, 1)
            and whole != narrow
            and _weighs(weight, x, model)
        ):
            return Gate, (x, weight)
    return None


def _maps(node: fx.Node, values: NodeValues) -> bool:
    """Whether a spread step spreads over space alone."""
    given, made = _shape(node.args[0], values), _shape(node, values)
    return len(given) == len(made) > 3 and given[:-2] == made[:-2]


def _weighs(weight: fx.Node, x: fx.Node, model: nn.Module) -> bool:
    """Whether something on the way to the weight, apart from the way to what is weighed, was learned or squashes."""
    return any(_chooses(node, model) for node in _above(weight) - _above(x))


def _chooses(node: fx.Node, model: nn.Module) -> bool:
    if node.op == "call_module":
        part = model.get_submodule(str(node.target))
        name = type(part).__name__.lower()
        return any(True for _ in part.parameters()) or any(
            squash in name for squash in GATE_ACTIVATIONS
        )
    return node.op in ("call_function", "call_method") and any(
        part in target_name(node) for part in (*GATE_ACTIVATIONS, *LEARNED_OPS)
    )


def _above(node: fx.Node) -> set[fx.Node]:
    """A step and all that it depends on."""
    found, ahead = {node}, {node}
    while ahead:
        ahead = {given for one in ahead for given in one.all_input_nodes} - found
        found |= ahead
    return found


def _cat(node: fx.Node, values: NodeValues, model: nn.Module) -> FunctionalMerge | None:
    parts = node.args[0] if node.args else node.kwargs.get("tensors")
    axis = (
        node.args[1] if len(node.args) > 1 else node.kwargs.get("dim", node.kwargs.get("axis", 0))
    )
    axis = 1 if node.target in HSTACK_OPS else axis
    if not isinstance(parts, (list, tuple)) or len(parts) < 2 or axis not in (1, -3):
        return None
    nodes = tuple(
        part for part in parts if isinstance(part, fx.Node) and len(_shape(part, values)) == 4
    )
    return (Concat, nodes) if len(nodes) == len(parts) else None


MERGE_RULES: tuple[
    tuple[tuple[Any, ...], Callable[[fx.Node, NodeValues, nn.Module], FunctionalMerge | None]], ...
] = (
    (ADD_OPS, _sum),
    (MUL_OPS, _product),
    ((*CONCAT_OPS, *HSTACK_OPS), _cat),
)
