"""Recognize functional merges: nodes of a third-party model in which paths merge.

Every operand of a merge depends on the image, so adding a bias, a position table or a learned
scale is not a merge. `gate_rules` decides which products are gates.
"""

import operator
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import fx

from lightning_resnets.graph.fused_add import FusedAdd, SumFunction
from lightning_resnets.graph.gate_rules import MergeContext, ancestors, gate_operands, target_name
from lightning_resnets.merges import Add, Concat, Gate, Merge


class FunctionalMerge(NamedTuple):
    """A functional merge.

    Attributes:
        merge: the module that replaces it.
        operands: its operands, all of which depend on the image.
        extras: further arguments of the module.
    """

    merge: Merge
    operands: tuple[fx.Node, ...]
    extras: tuple[fx.Node, ...] = ()


MergeRule = Callable[[fx.Node, MergeContext], FunctionalMerge | None]

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

LERP_OPS: tuple[Any, ...] = (torch.lerp, "lerp", "lerp_")

ADDCMUL_OPS: tuple[Any, ...] = (torch.addcmul, "addcmul", "addcmul_")

STACK_REDUCTIONS: tuple[Any, ...] = (torch.sum, "sum", torch.mean, "mean")

POOLING_OPS = ("pool", "mean", "sum", "max")

# Functions in which paths certainly merge, whatever the shapes are.
MERGING_OPS: tuple[Any, ...] = (
    *ADD_OPS,
    *CONCAT_OPS,
    *HSTACK_OPS,
    *LERP_OPS,
    *ADDCMUL_OPS,
    torch.stack,
)

# torch adds up to so many stacked tensors one after the other.
MAX_STACKED = 8


def match_merge(node: fx.Node, context: MergeContext) -> FunctionalMerge | None:
    """Recognize a functional merge.

    Args:
        node: any node.
        context: what is known of the nodes before it.

    Returns:
        The merge; None if the node is not one.
    """
    if node.op not in ("call_function", "call_method"):
        return None
    rule = next((rule for targets, rule in MERGE_RULES if node.target in targets), None)
    if rule is None:
        return None
    found = rule(node, context)
    if found is None or not all(operand in context.image_nodes for operand in found.operands):
        return None
    return found


def may_contain_merge(graph: fx.Graph) -> bool:
    """Return True if paths may merge in a graph whose shapes are unknown.

    Args:
        graph: traced nodes.

    Returns:
        True for a sum, stack or concatenation of two values, and for a product with a pooled value.
    """
    for node in graph.nodes:
        # x + x is no merge: there is one path.
        if len(set(node.all_input_nodes)) < 2:
            continue
        if node.target in MERGING_OPS and not _adds_sizes(node):
            return True
        if node.target in MUL_OPS and any(_is_pooling(source) for source in ancestors(node)):
            return True
    return False


def _adds_sizes(node: fx.Node) -> bool:
    """Return True for a sum of sizes: `x.shape[2] + pad`."""
    sources = ancestors(node) - {node}
    return any("shape" in source.args or source.target == "size" for source in sources)


def _is_pooling(node: fx.Node) -> bool:
    """Return True for a reduction over space."""
    return any(part in target_name(node) for part in POOLING_OPS)


def _tensor_operands(node: fx.Node) -> tuple[fx.Node, ...]:
    """Return the two tensors of a sum or a product; fewer where one is a number."""
    keywords = [node.kwargs[name] for name in ("input", "other") if name in node.kwargs]
    operands = [*node.args, *keywords]
    # `alpha` and other factors have keywords of their own.
    if len(operands) != 2:
        return ()
    return tuple(item for item in operands if isinstance(item, fx.Node))


def _have_equal_shapes(operands: tuple[fx.Node, ...], context: MergeContext) -> bool:
    """Return True for operands of one shape, with more axes than the batch."""
    # A sum that broadcasts adds a bias or a position code.
    shapes = {context.shape(operand) for operand in operands}
    return len(shapes) == 1 and len(shapes.pop()) > 1


def _match_add(node: fx.Node, context: MergeContext) -> FunctionalMerge | None:
    """Match a sum of two tensors of equal shape."""
    operands = _tensor_operands(node)
    if len(operands) != 2 or not _have_equal_shapes(operands, context):
        return None
    alpha = node.kwargs.get("alpha", 1)
    if alpha == 1:
        return FunctionalMerge(Add(), operands)
    # A tensor as factor may differ between images.
    if not isinstance(alpha, (int, float)):
        return None
    return FunctionalMerge(FusedAdd(SumFunction.ADD, alpha), operands)


def _match_lerp(node: fx.Node, context: MergeContext) -> FunctionalMerge | None:
    """Match `lerp(x, y, weight)`, the sum of (1 - weight) x and weight y."""
    start, end, weight = _arguments(node, ("input", "end", "weight"))
    if not isinstance(start, fx.Node) or not isinstance(end, fx.Node):
        return None
    if not _have_equal_shapes((start, end), context):
        return None
    if isinstance(weight, fx.Node):
        return FunctionalMerge(FusedAdd(SumFunction.LERP), (start, end), (weight,))
    return FunctionalMerge(FusedAdd(SumFunction.LERP, weight), (start, end))


def _match_addcmul(node: fx.Node, context: MergeContext) -> FunctionalMerge | None:
    """Match `addcmul(x, y, weight)`, the sum of x and y * weight."""
    x, first, second = _arguments(node, ("input", "tensor1", "tensor2"))
    factors = [item for item in (first, second) if isinstance(item, fx.Node)]
    value = node.kwargs.get("value", 1)
    if not isinstance(x, fx.Node) or len(factors) != 2 or not isinstance(value, (int, float)):
        return None
    # Without a third factor the product is the same either way, so a weight may come first.
    if factors[0] not in context.image_nodes and value == 1:
        factors.reverse()
    if not _have_equal_shapes((x, factors[0]), context):
        return None
    return FunctionalMerge(FusedAdd(SumFunction.ADDCMUL, value), (x, factors[0]), (factors[1],))


def _arguments(node: fx.Node, names: tuple[str, ...]) -> list[Any]:
    """Return arguments that may be given by position or by name; None for a missing one."""
    return [
        node.args[i] if i < len(node.args) else node.kwargs.get(name)
        for i, name in enumerate(names)
    ]


def _match_stack_sum(node: fx.Node, context: MergeContext) -> FunctionalMerge | None:
    """Match `torch.stack((x, y)).sum(0)`, and the mean of two."""
    stack, axis = _arguments(node, ("input", "dim"))
    if not isinstance(stack, fx.Node) or stack.target is not torch.stack:
        return None
    parts, stacked_axis = _arguments(stack, ("tensors", "dim"))
    operands = tuple(part for part in parts if isinstance(part, fx.Node))
    # torch sums more than MAX_STACKED in another order, which rounds otherwise.
    if not 2 <= len(operands) <= MAX_STACKED or len(operands) != len(parts):
        return None
    if len(context.shape(operands[0])) < 2 or not set(node.kwargs) <= {"dim", "input"}:
        return None
    axes = len(context.shape(stack))
    # Newer versions of torch.fx write a single axis as a list.
    if isinstance(axis, (list, tuple)) and len(axis) == 1:
        axis = axis[0]
    if not isinstance(axis, int) or axis % axes != (stacked_axis or 0) % axes:
        return None
    if target_name(node) == "sum":
        return FunctionalMerge(Add(), operands)
    if len(operands) == 2:
        return FunctionalMerge(FusedAdd(SumFunction.MEAN), operands)
    return None


def _match_gate(node: fx.Node, context: MergeContext) -> FunctionalMerge | None:
    """Match a product with a weight, on either side."""
    factors = _tensor_operands(node)
    if len(factors) != 2:
        return None
    operands = gate_operands(factors[0], factors[1], context)
    if operands is None:
        return None
    return FunctionalMerge(Gate(), operands)


def _match_concat(node: fx.Node, context: MergeContext) -> FunctionalMerge | None:
    """Match a concatenation of (N, C, H, W) tensors along the channels."""
    parts = node.args[0] if node.args else node.kwargs.get("tensors")
    if not isinstance(parts, (list, tuple)) or len(parts) < 2:
        return None
    # The channel axis, from the front or from the back.
    if _concat_axis(node) not in (1, 1 - context.axes):
        return None
    if not all(len(context.shape(part)) == context.axes for part in parts):
        return None
    return FunctionalMerge(Concat(), tuple(part for part in parts if isinstance(part, fx.Node)))


def _concat_axis(node: fx.Node) -> Any:
    """Return the axis of a concatenation."""
    if node.target in HSTACK_OPS:
        return 1
    if len(node.args) > 1:
        return node.args[1]
    # torch accepts NumPy's word too.
    return node.kwargs.get("dim", node.kwargs.get("axis", 0))


MERGE_RULES: tuple[tuple[tuple[Any, ...], MergeRule], ...] = (
    (ADD_OPS, _match_add),
    (LERP_OPS, _match_lerp),
    (ADDCMUL_OPS, _match_addcmul),
    (STACK_REDUCTIONS, _match_stack_sum),
    (MUL_OPS, _match_gate),
    ((*CONCAT_OPS, *HSTACK_OPS), _match_concat),
)
