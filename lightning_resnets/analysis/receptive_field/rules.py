"""Find the receptive-field window of one graph node, a module or a function with its arguments."""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from lightning_resnets.analysis.receptive_field.function_rules import (
    CONCAT_OPS,
    POINTWISE_OPS,
    UNSUPPORTED,
    FunctionCall,
    window_of_function,
)
from lightning_resnets.analysis.receptive_field.layout_windows import (
    merge_windows,
)
from lightning_resnets.analysis.receptive_field.module_rules import window_of_module
from lightning_resnets.analysis.receptive_field.windows import (
    Axes,
    UnknownWindowError,
    WindowSpec,
)
from lightning_resnets.graph.gate_rules import target_name
from lightning_resnets.merges import Concat, Merge

# Axes of height and width of all previous nodes that depend on the image; None: no positions.
NodeAxes = Mapping[fx.Node, Axes | None]
NodeValues = Mapping[fx.Node, Any]


def window_of_node(
    node: fx.Node, modules: Mapping[str, nn.Module], values: NodeValues, axes: NodeAxes
) -> WindowSpec:
    """Return the receptive-field window of one graph node.

    Args:
        node: the node.
        modules: modules of the model by name.
        values: fake tensors of all nodes.
        axes: axes of height and width of the previous nodes.

    Returns:
        The node's window on its inputs.

    Raises:
        UnknownWindowError: the window is unknown.
    """
    inputs = [one for one in node.all_input_nodes if one in axes]
    if all(axes[one] is None for one in inputs):  # after a global pool
        return WindowSpec(None)
    module = modules[str(node.target)] if node.op == "call_module" else None
    name = "" if module else target_name(node).strip("_")  # `add` for `add_` and `__add__`
    is_elementwise = name in POINTWISE_OPS and len(inputs) > 1
    is_merge = isinstance(module, Merge) or name in CONCAT_OPS or is_elementwise
    rule = _window_of_merge if is_merge else _window_on_one_map
    return rule(node, module, name, inputs, values, axes)


def _window_on_one_map(
    node: fx.Node,
    module: nn.Module | None,
    name: str,
    inputs: Sequence[fx.Node],
    values: NodeValues,
    axes: NodeAxes,
) -> WindowSpec:
    """Return the window of a module or function with one map as its input."""
    source = _spatial_input(name, inputs, axes)
    where = axes[source]
    assert where is not None
    value = values[source]
    output = _first_tensor(values[node])
    if isinstance(value, (tuple, list)):
        # Only indexing is allowed on several tensors: it picks one of the parts of a split.
        if name != "getitem":
            raise UnknownWindowError(UNSUPPORTED)
        return WindowSpec(where)
    if module:
        return window_of_module(module, value, where, output)
    args, kwargs = _resolve_arguments(node, values)
    return window_of_function(FunctionCall(name, node, args, kwargs, value, where, output))


def _window_of_merge(
    node: fx.Node,
    module: nn.Module | None,
    name: str,
    inputs: Sequence[fx.Node],
    values: NodeValues,
    axes: NodeAxes,
) -> WindowSpec:
    """Return the window of a merge, a concatenation or an elementwise function."""
    concat_dim: int | None = None
    if isinstance(module, Concat):
        # Our Concat joins channels.
        concat_dim = 1
    elif name in CONCAT_OPS:
        args, kwargs = _resolve_arguments(node, values)
        concat_dim = kwargs.get("dim", args[1] if len(args) > 1 else 0)
    tensors = [_first_tensor(values[one]) for one in inputs]
    return merge_windows(tensors, [axes[one] for one in inputs], values[node], concat_dim)


def _spatial_input(name: str, inputs: Sequence[fx.Node], axes: NodeAxes) -> fx.Node:
    """Return the only input with positions; raise UnknownWindowError if there are others."""
    source, *others = sorted(inputs, key=lambda one: axes[one] is None)
    # A dynamic convolution may compute its weights from a global mean.
    has_global_weights = name == "conv2d" and all(axes[one] is None for one in others)
    if others and not has_global_weights:
        raise UnknownWindowError("it combines several maps, but not position by position")
    return source


def _resolve_arguments(node: fx.Node, values: NodeValues) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments of a call with fake tensors in place of nodes."""
    # Shapes and values of arguments decide the rule: kernel sizes, axes, slices.
    args, kwargs = map_arg((node.args, node.kwargs), values.get)
    return tuple(args), dict(kwargs)


def _first_tensor(value: Any) -> Tensor:
    """Return a tensor, or the first of several."""
    if isinstance(value, Tensor):
        return value
    for part in value or ():
        if isinstance(part, Tensor):
            return part
    raise UnknownWindowError(UNSUPPORTED)
