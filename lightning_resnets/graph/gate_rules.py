"""Decide which products are gates: one operand is a weight for the channels or for every element.

The weight of a Gate has one number per channel, (N, C, 1, 1) or (N, R, C, 1, 1) in split
attention, one per position, (N, 1, H, W), or one per element. It is looked for through `expand`.
It must come from a learned layer or an activation; a weight for maps from both, so that
x * sigmoid(x) is an activation. Dividing by a norm or a mean (a norm by hand, that of
ConvNeXt V2) is not a gate.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn

NodeValues = Mapping[fx.Node, Any]

BROADCAST_OPS = ("expand", "expand_as", "repeat", "broadcast_to")

# Parts of the names of operations that end the weight of a gate.
GATE_ACTIVATIONS = ("sigmoid", "softmax", "tanh", "relu6", "clamp", "gate")

# Those of a weight for maps: between 0 and 1 by definition.
MAP_ACTIVATIONS = ("sigmoid", "softmax")

# Operations between that activation and the product: 1 - T(x), resizing.
WEIGHT_OPS = ("sub", "rsub", "add", "mul", "view", "reshape", "interpolate", "upsample", "dropout")

LEARNED_OPS = ("conv", "linear", "matmul", "mm", "addmm", "bmm")


@dataclass(frozen=True, slots=True)
class MergeContext:
    """Facts about the nodes before one that may be a merge.

    Attributes:
        model: model that the nodes refer to.
        values: fake output of each node.
        image_nodes: nodes that depend on the image.
        axes: number of axes of the input, with the batch: 4 for images.
    """

    model: nn.Module
    values: NodeValues
    image_nodes: set[fx.Node]
    axes: int = 4

    def shape(self, node: object) -> tuple[int, ...]:
        """Return the shape of a node's tensor, () for anything else.

        Args:
            node: a node, or another argument.
        """
        if not isinstance(node, fx.Node):
            return ()
        value = self.values.get(node)
        return tuple(value.shape) if isinstance(value, Tensor) else ()


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


def ancestors(node: fx.Node) -> set[fx.Node]:
    """Return a node and all that it depends on.

    Args:
        node: a node.
    """
    found = {node}
    pending = [node]
    while pending:
        # Without those found before: a deep model has very many paths.
        new = set(pending.pop().all_input_nodes) - found
        found |= new
        pending += new
    return found


def gate_operands(
    first: fx.Node, second: fx.Node, context: MergeContext
) -> tuple[fx.Node, fx.Node] | None:
    """Return the operands of a gate in order.

    Args:
        first: one factor of a product.
        second: the other.
        context: what is known of the nodes.

    Returns:
        The weighed tensor and its weight; None if the product is not a gate.
    """
    # A product may be written either way round.
    orders = ((first, second), (second, first))
    for x, factor in orders:
        weight = _before_broadcast(factor, context)
        if _has_channel_shape(x, weight, context) and _is_learned_weight(weight, x, context.model):
            return x, weight
    # Channel weights first: their shape leaves no doubt.
    for x, weight in orders:
        if _has_map_shape(x, weight, context) and _is_map_weight(weight, x, context.model):
            return x, weight
    return None


def _has_channel_shape(x: fx.Node, weight: fx.Node, context: MergeContext) -> bool:
    """Return True for a weight with one number per channel of `x`."""
    shape = context.shape(x)
    weight_shape = context.shape(weight)
    # A 1x1 map times a 1x1 map: either could be the weight.
    if shape == weight_shape:
        return False
    if len(shape) == context.axes and weight_shape == (*shape[:2], *[1] * (len(shape) - 2)):
        return len(shape) > 2
    # Split attention has an axis of branches before the channels.
    return len(shape) in (4, 5) and weight_shape == (*shape[:-2], 1, 1)


def _has_map_shape(x: fx.Node, weight: fx.Node, context: MergeContext) -> bool:
    """Return True for a weight with one number per element or position of `x`."""
    shape = context.shape(x)
    if len(shape) != context.axes or len(shape) < 3:
        return False
    return context.shape(weight) in (shape, (shape[0], 1, *shape[2:]))


def _before_broadcast(node: fx.Node, context: MergeContext) -> fx.Node:
    """Return the node before any `expand` over space."""
    while target_name(node) in BROADCAST_OPS and _broadcasts_over_space(node, context):
        source = node.args[0]
        if not isinstance(source, fx.Node):
            break
        node = source
    return node


def _broadcasts_over_space(node: fx.Node, context: MergeContext) -> bool:
    """Return True for a broadcast that repeats the axes of space only."""
    before = context.shape(node.args[0])
    after = context.shape(node)
    if len(before) != len(after) or len(after) < 3:
        return False
    if len(after) == context.axes:
        return before[:2] == after[:2]
    return len(after) > 3 and before[:-2] == after[:-2]


def _is_learned_weight(weight: fx.Node, x: fx.Node, model: nn.Module) -> bool:
    """Return True if the weight has a learned layer or activation that `x` does not have."""
    # Layers before the fork belong to both factors.
    own = ancestors(weight) - ancestors(x)
    return any(_is_learned(node, model) or _is_activation(node, model) for node in own)


def _is_map_weight(weight: fx.Node, x: fx.Node, model: nn.Module) -> bool:
    """Return True if the weight ends in an activation, after a layer that `x` does not have."""
    node = weight
    while not _is_activation(node, model, MAP_ACTIVATIONS):
        name = _operation_name(node, model)
        sources = node.all_input_nodes
        # Anything else between activation and product changes the weight's meaning.
        if len(sources) != 1 or not any(part in name for part in WEIGHT_OPS):
            return False
        node = sources[0]
    return any(_is_learned(node, model) for node in ancestors(weight) - ancestors(x))


def _operation_name(node: fx.Node, model: nn.Module) -> str:
    """Return the name of the class, function or method that a node calls, in lower case."""
    if node.op == "call_module":
        return type(model.get_submodule(str(node.target))).__name__.lower()
    # The target of an input or a weight is a name, not an operation.
    if node.op not in ("call_function", "call_method"):
        return ""
    return target_name(node)


def _is_learned(node: fx.Node, model: nn.Module) -> bool:
    """Return True for a layer with parameters."""
    if node.op == "call_module":
        module = model.get_submodule(str(node.target))
        return next(module.parameters(), None) is not None
    return any(part in _operation_name(node, model) for part in LEARNED_OPS)


def _is_activation(
    node: fx.Node, model: nn.Module, names: tuple[str, ...] = GATE_ACTIVATIONS
) -> bool:
    """Return True for an activation that ends the weight of a gate."""
    return any(part in _operation_name(node, model) for part in names)
