"""Receptive-field windows of functions by name; unknown functions are measured."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx

from lightning_resnets.analysis.receptive_field.layout_windows import (
    merge_windows,
    norm_window,
    reduction_window,
    reshape_window,
    slice_window,
)
from lightning_resnets.analysis.receptive_field.measured import measure_receptive_window
from lightning_resnets.analysis.receptive_field.windows import (
    Axes,
    UnknownWindowError,
    WindowSpec,
    adaptive_pool_window,
    pad_window,
    sliding_window,
    spatial_size_nchw,
)

UNSUPPORTED = "the operation is not supported"

CONCAT_OPS = ("cat", "concat", "concatenate", "stack")
RESHAPE_OPS = ("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as")
BROADCAST_OPS = ("expand", "expand_as", "repeat", "interpolate")
ADAPTIVE_POOL_OPS = ("adaptive_avg_pool2d", "adaptive_max_pool2d")
REDUCTION_OPS = ("mean", "sum", "amax", "amin", "max", "min", "std", "var", "norm")
POOL_OPS = {
    "max_pool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool2d": ("kernel_size", "stride", "padding", "ceil_mode"),
    "lp_pool2d": ("norm_type", "kernel_size", "stride", "ceil_mode"),
}
CONV_ARGUMENTS = ("weight", "bias", "stride", "padding", "dilation")
ACTIVATION_OPS = [
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "mish",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "sigmoid",
    "tanh",
    "softplus",
    "prelu",
    "dropout",
    "dropout2d",
    "feature_dropout",
]
# Other dtype or memory, the same values.
COPY_OPS = ("contiguous", "clone", "detach", "to", "float", "type_as")
ARITHMETIC_OPS = [
    "clamp",
    "clip",
    "abs",
    "neg",
    "exp",
    "log",
    "sqrt",
    "rsqrt",
    "square",
    "pow",
    "add",
    "iadd",
    "sub",
    "isub",
    "rsub",
    "mul",
    "imul",
    "div",
    "truediv",
    "itruediv",
    "where",
    "maximum",
    "minimum",
    "lerp",
    "addcmul",
]
POINTWISE_OPS = frozenset((*ACTIVATION_OPS, *COPY_OPS, *ARITHMETIC_OPS))


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """Call of a function on one map.

    Attributes:
        name: name of the function.
        node: graph node of the call.
        args: positional arguments, fake tensors in place of nodes.
        kwargs: keyword arguments.
        input: the map.
        axes: axes of height and width of the map.
        output: output of the call.
    """

    name: str
    node: fx.Node
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    input: Tensor
    axes: Axes
    output: Tensor

    def argument(self, index: int, name: str, default: Any = None) -> Any:
        """Return an argument given by position or by name.

        Args:
            index: position of the argument.
            name: name of the argument.
            default: value if it is not given.

        Returns:
            The argument.
        """
        return self.args[index] if len(self.args) > index else self.kwargs.get(name, default)

    def input_size(self) -> tuple[int, int]:
        """Return height and width of the input (N, C, H, W)."""
        return spatial_size_nchw(self.input, self.axes)

    def output_size(self) -> tuple[int, int]:
        """Return height and width of the output (N, C, H, W)."""
        return spatial_size_nchw(self.output, self.axes)


def window_of_function(call: FunctionCall) -> WindowSpec:
    """Return the receptive-field window of a function call.

    Args:
        call: the call.

    Returns:
        The call's window.

    Raises:
        UnknownWindowError: the window is unknown.
    """
    if call.name in POINTWISE_OPS:
        return WindowSpec(call.axes)
    # Unknown names are measured on a test map.
    rule = FUNCTION_RULES.get(call.name, _measured_window)
    return rule(call)


def _pool_window(call: FunctionCall) -> WindowSpec:
    """Return the window of a pool."""
    options = {**dict(zip(POOL_OPS[call.name], call.args[1:], strict=False)), **call.kwargs}
    windows = sliding_window(options, call.input_size(), call.output_size(), may_pad=False)
    return WindowSpec(call.axes, windows)


def _conv_window(call: FunctionCall) -> WindowSpec:
    """Return the window of a convolution."""
    # A convolution's stride is 1 by default, a pool's its kernel size.
    options = {"stride": 1, **dict(zip(CONV_ARGUMENTS, call.args[1:], strict=False)), **call.kwargs}
    options["kernel_size"] = tuple(options["weight"].shape[2:])
    may_pad = options.get("padding") == "same"
    windows = sliding_window(options, call.input_size(), call.output_size(), may_pad)
    return WindowSpec(call.axes, windows)


def _adaptive_pool_window(call: FunctionCall) -> WindowSpec:
    """Return the window of an adaptive pool."""
    return adaptive_pool_window(call.axes, call.input_size(), call.output_size())


def _pad_window(call: FunctionCall) -> WindowSpec:
    """Return the window of padding."""
    return pad_window(call.argument(1, "pad"), call.input.dim(), call.axes)


def _reduction_window(call: FunctionCall) -> WindowSpec:
    """Return the window of a mean, sum or maximum."""
    # `norm` has its order before the axes.
    dims = call.argument(2 if call.name == "norm" else 1, "dim")
    dims = (dims,) if isinstance(dims, int) else dims
    return reduction_window(dims, call.input, call.axes, call.output)


def _reshape_window(call: FunctionCall) -> WindowSpec:
    """Return the window of a reshape."""
    return reshape_window(tuple(call.input.shape), call.axes, tuple(call.output.shape))


def _permute_window(call: FunctionCall) -> WindowSpec:
    """Return the window of a permutation of axes, given as one tuple or as single numbers."""
    dims = call.kwargs.get("dims", call.args[1:])
    if isinstance(dims[0], (tuple, list)):
        dims = dims[0]
    # The new index of an axis is its place in the order.
    order = [dim % call.input.dim() for dim in dims]
    return WindowSpec((order.index(call.axes[0]), order.index(call.axes[1])))


def _transpose_window(call: FunctionCall) -> WindowSpec:
    """Return the window of an exchange of two axes."""
    first = call.argument(1, "dim0") % call.input.dim()
    second = call.argument(2, "dim1") % call.input.dim()
    # Other axes stay where they are.
    exchanged = {first: second, second: first}
    height, width = (exchanged.get(axis, axis) for axis in call.axes)
    return WindowSpec((height, width))


def _statistics_window(call: FunctionCall) -> WindowSpec:
    """Return the window of a norm over all positions."""
    return WindowSpec(call.axes, includes_global=True)


def _layer_norm_window(call: FunctionCall) -> WindowSpec:
    """Return the window of a layer norm."""
    num_axes = len(call.argument(1, "normalized_shape"))
    return norm_window(num_axes, call.input.dim(), call.axes)


def _linear_window(call: FunctionCall) -> WindowSpec:
    """Return the window of a linear map over the last axis."""
    return norm_window(1, call.input.dim(), call.axes)


def _batch_norm_window(call: FunctionCall) -> WindowSpec:
    """Return the window of a batch norm, which uses batch statistics in training."""
    return WindowSpec(call.axes, includes_global=bool(call.argument(5, "training", False)))


def _window_along_one_axis(call: FunctionCall) -> WindowSpec:
    """Return the window of an operation along one axis that is neither height nor width."""
    dim = call.argument(1 if call.name == "softmax" else 2, "dim", 0)
    if not isinstance(dim, int) or dim % call.input.dim() in call.axes:
        raise UnknownWindowError("it works along height or width")
    return WindowSpec(call.axes)


def _broadcast_window(call: FunctionCall) -> WindowSpec:
    """Return the window of an operation that repeats values."""
    if all(call.input.shape[axis] == 1 for axis in call.axes):
        return WindowSpec(None)  # the same value everywhere
    # A view that repeats along other axes keeps the positions.
    if "expand" in call.name:
        return merge_windows([call.input], [call.axes], call.output)
    return _measured_window(call)


def _getitem_window(call: FunctionCall) -> WindowSpec:
    """Return the window of indexing."""
    # `x[a, b]` passes a tuple, `x[a]` a single item.
    index = call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],)
    return slice_window(index, call.input, call.axes)


def _measured_window(call: FunctionCall) -> WindowSpec:
    """Measure the window of an unknown function by calling it with test maps."""
    arguments = (*call.args[1:], *call.kwargs.values())
    others = [value for value in arguments if isinstance(value, Tensor)]
    is_first_argument = bool(call.args) and call.args[0] is call.input
    # Fake tensors hold no values, which integer arguments (indices) would need.
    if not is_first_argument or any(not other.is_floating_point() for other in others):
        raise UnknownWindowError(UNSUPPORTED)
    target: Any = call.node.target

    def function(value: Tensor) -> Any:
        """Call the function with a test map in place of its first argument."""
        if isinstance(target, str):  # a method of the tensor
            return getattr(value, target)(*call.args[1:], **call.kwargs)
        return target(value, *call.args[1:], **call.kwargs)

    return measure_receptive_window(function, call.input, call.axes)


FUNCTION_RULES: dict[str, Callable[[FunctionCall], WindowSpec]] = {
    "conv2d": _conv_window,
    "pad": _pad_window,
    "permute": _permute_window,
    "transpose": _transpose_window,
    "swapaxes": _transpose_window,
    "group_norm": _statistics_window,
    "instance_norm": _statistics_window,
    "layer_norm": _layer_norm_window,
    "batch_norm": _batch_norm_window,
    "linear": _linear_window,
    **dict.fromkeys(("softmax", "chunk", "split"), _window_along_one_axis),
    "getitem": _getitem_window,
    **dict.fromkeys(POOL_OPS, _pool_window),
    **dict.fromkeys(REDUCTION_OPS, _reduction_window),
    **dict.fromkeys(ADAPTIVE_POOL_OPS, _adaptive_pool_window),
    **dict.fromkeys(RESHAPE_OPS, _reshape_window),
    **dict.fromkeys(BROADCAST_OPS, _broadcast_window),
}
