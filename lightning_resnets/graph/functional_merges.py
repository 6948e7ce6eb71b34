"""Recognize functional merges: nodes of a third-party model in which paths merge.

Every operand of a merge depends on the image, so adding a bias, a position table or a learned
scale is not a merge. The weight of a Gate has one number per channel, (N, C, 1, 1) or
(N, R, C, 1, 1) in split attention; it is looked for through `expand`. It must come from a learned
layer or an activation. Dividing by a norm or a mean (a norm by hand, that of ConvNeXt V2) is not
a gate.
"""

import operator
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx, nn

from lightning_resnets.merges import Add, Concat, Gate, Merge

FunctionalMerge = tuple[type[Merge], tuple[fx.Node, ...]]  # its module and its operands

NodeValues = Mapping[fx.Node, Any]

MergeRule = Callable[[fx.Node, NodeValues, nn.Module], FunctionalMerge | None]

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

HSTACK_OPS: tuple[Any, ...] = (torch.hstack,)  # concatenates along axis 1

BROADCAST_OPS = ("expand", "expand_as", "repeat", "broadcast_to")

# Parts of the names of operations that end the weight of a gate.
GATE_ACTIVATIONS = ("sigmoid", "softmax", "tanh", "relu6", "clamp", "gate")

LEARNED_OPS = ("conv", "linear", "matmul", "mm", "addmm", "bmm")

POOLING_OPS = ("pool", "mean", "sum", "max")


def target_name(node: fx.Node) -> str:
    """Return the name of the function or method that a node calls.

    Args:
        node: a node.

    Returns:
        A name such as "add" or "softmax".
    """
    if isinstance(node.target, str):
        return node.target
    return str(getattr(node.target, "__name__", ""))


def match_merge(
    node: fx.Node, values: NodeValues, image_nodes: set[fx.Node], model: nn.Module
) -> FunctionalMerge | None:
    """Recognize a functional merge.

    Args:
        node: any node.
        values: fake output of each node.
        image_nodes: nodes that depend on the image.
        model: model that the nodes refer to.

    Returns:
        The class of the merge and its operands; None if the node is not a merge.
    """
    if node.op not in ("call_function", "call_method"):
        return None
    rule = next((rule for targets, rule in MERGE_RULES if node.target in targets), None)
    merge = rule(node, values, model) if rule else None
    if merge is None or not all(operand in image_nodes for operand in merge[1]):
        return None
    return merge


def may_contain_merge(graph: fx.Graph) -> bool:
    """Return True if paths may merge in a graph whose shapes are unknown.

    Args:
        graph: traced nodes.

    Returns:
        True for a sum or concatenation of two values, and for a product with a pooled value.
    """
    for node in graph.nodes:
        if len(set(node.all_input_nodes)) < 2:
            continue
        if node.target in (*ADD_OPS, *CONCAT_OPS, *HSTACK_OPS) and not _adds_sizes(node):
            return True
        if node.target in MUL_OPS and any(_is_pooling(source) for source in _ancestors(node)):
            return True
    return False


def _adds_sizes(node: fx.Node) -> bool:
    """Return True for a sum of sizes: `x.shape[2] + pad`."""
    sources = _ancestors(node) - {node}
    return any("shape" in source.args or source.target == "size" for source in sources)


def _is_pooling(node: fx.Node) -> bool:
    """Return True for a reduction over space."""
    return any(part in target_name(node) for part in POOLING_OPS)


def _tensor_operands(node: fx.Node) -> tuple[fx.Node, ...]:
    """Return the two tensors of a sum or a product.

    The result is shorter where one is a number, and empty where there is a factor `alpha`.
    """
    keywords = [node.kwargs[name] for name in ("input", "other") if name in node.kwargs]
    operands = [*node.args, *keywords]
    if len(operands) != 2 or node.kwargs.get("alpha", 1) != 1:
        return ()
    return tuple(item for item in operands if isinstance(item, fx.Node))


def _shape(node: object, values: NodeValues) -> tuple[int, ...]:
    """Return the shape of a node's tensor, () for anything else."""
    value = values.get(node) if isinstance(node, fx.Node) else None
    return tuple(value.shape) if isinstance(value, Tensor) else ()


def _match_add(node: fx.Node, values: NodeValues, model: nn.Module) -> FunctionalMerge | None:
    """Match a sum of two tensors of equal shape."""
    operands = _tensor_operands(node)
    if len(operands) != 2:
        return None
    shape, other = (_shape(operand, values) for operand in operands)
    return (Add, operands) if shape == other and len(shape) > 1 else None


def _match_gate(node: fx.Node, values: NodeValues, model: nn.Module) -> FunctionalMerge | None:
    """Match a product with one weight per channel, on either side."""
    operands = _tensor_operands(node)
    if len(operands) != 2:
        return None
    for x, factor in (operands, operands[::-1]):
        weight = _before_broadcast(factor, values)
        shape = _shape(x, values)
        weight_shape = _shape(weight, values)
        if len(shape) not in (4, 5) or shape == weight_shape:
            continue
        if weight_shape == (*shape[:-2], 1, 1) and _is_gate_weight(weight, x, model):
            return Gate, (x, weight)
    return None


def _before_broadcast(node: fx.Node, values: NodeValues) -> fx.Node:
    """Return the node before any `expand` over space."""
    while target_name(node) in BROADCAST_OPS and _broadcasts_over_space(node, values):
        source = node.args[0]
        if not isinstance(source, fx.Node):
            break
        node = source
    return node


def _broadcasts_over_space(node: fx.Node, values: NodeValues) -> bool:
    """Return True for a broadcast that repeats height and width only."""
    before = _shape(node.args[0], values)
    after = _shape(node, values)
    return len(before) == len(after) > 3 and before[:-2] == after[:-2]


def _is_gate_weight(weight: fx.Node, x: fx.Node, model: nn.Module) -> bool:
    """Return True if the weight has a learned layer or activation that `x` does not have."""
    return any(
        _is_learned_or_activation(node, model) for node in _ancestors(weight) - _ancestors(x)
    )


def _is_learned_or_activation(node: fx.Node, model: nn.Module) -> bool:
    """Return True for a layer with parameters or an activation that ends a gate."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        name = type(module).__name__.lower()
        has_parameters = next(module.parameters(), None) is not None
        return has_parameters or any(part in name for part in GATE_ACTIVATIONS)
    if node.op not in ("call_function", "call_method"):
        return False
    return any(part in target_name(node) for part in (*GATE_ACTIVATIONS, *LEARNED_OPS))


def _ancestors(node: fx.Node) -> set[fx.Node]:
    """Return a node and all that it depends on."""
    found = {node}
    pending = [node]
    while pending:
        new = set(pending.pop().all_input_nodes) - found
        found |= new
        pending += new
    return found


def _match_concat(node: fx.Node, values: NodeValues, model: nn.Module) -> FunctionalMerge | None:
    """Match a concatenation of (N, C, H, W) tensors along the channels."""
    parts = node.args[0] if node.args else node.kwargs.get("tensors")
    if not isinstance(parts, (list, tuple)) or len(parts) < 2:
        return None
    if _concat_axis(node) not in (1, -3):
        return None
    if not all(len(_shape(part, values)) == 4 for part in parts):
        return None
    return Concat, tuple(part for part in parts if isinstance(part, fx.Node))


def _concat_axis(node: fx.Node) -> Any:
    """Return the axis of a concatenation."""
    if node.target in HSTACK_OPS:
        return 1
    if len(node.args) > 1:
        return node.args[1]
    return node.kwargs.get("dim", node.kwargs.get("axis", 0))


MERGE_RULES: tuple[tuple[tuple[Any, ...], MergeRule], ...] = (
    (ADD_OPS, _match_add),
    (MUL_OPS, _match_gate),
    ((*CONCAT_OPS, *HSTACK_OPS), _match_concat),
)
