"""What a step of a model, a layer or a function with its arguments, sees of the map that it is given.

A function is known by its name; of one that is not, `kernels.asked` finds out.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from lightning_resnets.analysis.receptive_field.measured import measure_receptive_window
from lightning_resnets.analysis.receptive_field.windows import (
    Axes,
    UnknownWindowError,
    WindowSpec,
    adaptive_pool_window,
    merge_windows,
    norm_window,
    pad_window,
    reduction_window,
    reshape_window,
    slice_window,
    sliding_window,
    spatial_size_nchw,
)
from lightning_resnets.graph.functional_merges import target_name
from lightning_resnets.merges import Concat, Merge

CONCAT_OPS = {"cat": 0, "concat": 0, "concatenate": 0, "stack": 0}


POINTWISE_OPS = {
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
    "dropout",
    "dropout2d",
    "feature_dropout",
    "contiguous",
    "clone",
    "detach",
    "to",
    "float",
    "type_as",
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
}


REDUCTION_OPS = {
    "mean": 1,
    "sum": 1,
    "amax": 1,
    "amin": 1,
    "max": 1,
    "min": 1,
    "std": 1,
    "var": 1,
    "norm": 2,
}  # where `dim` is


POOL_OPS = {
    "max_pool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool2d": ("kernel_size", "stride", "padding", "ceil_mode"),
    "lp_pool2d": ("norm_type", "kernel_size", "stride", "ceil_mode"),
}


NodeAxes = Mapping[fx.Node, Axes | None]  # the axes of all steps so far that depend on the image


def window_of_node(
    node: fx.Node, modules: Mapping[str, nn.Module], values: Mapping[fx.Node, Any], axes: NodeAxes
) -> WindowSpec:
    """What the step sees; raises UnknownError."""
    given = [one for one in node.all_input_nodes if one in axes]
    if all(axes[one] is None for one in given):
        return WindowSpec(None)  # numbers that have no position any more
    args, kwargs = map_arg((node.args, node.kwargs), values.get)
    module = modules[str(node.target)] if node.op == "call_module" else None
    name = "" if module else _name(node)
    if (
        isinstance(module, Merge)
        or name in CONCAT_OPS
        or (len(given) > 1 and name in POINTWISE_OPS)
    ):
        along: Any = (
            kwargs.get("dim", args[1] if len(args) > 1 else 0) if name in CONCAT_OPS else None
        )
        along = 1 if isinstance(module, Concat) else along
        return merge_windows(
            [_tensor(values[one]) for one in given],
            [axes[one] for one in given],
            values[node],
            along,
        )
    (first, *others) = sorted(given, key=lambda one: axes[one] is None)
    where, value = axes[first], values[first]
    assert where
    if others and not (name == "conv2d" and all(axes[one] is None for one in others)):
        raise UnknownWindowError("several maps meet in it, and not position by position")
    made = _tensor(values[node])
    if isinstance(value, (tuple, list)):
        _tensor(None if name != "getitem" else made)
        return WindowSpec(where)  # one of the parts that a map was cut into
    if module:
        return window_of_module(module, value, where, made)
    call = FunctionCall(name, node, tuple(args), kwargs, value, where, made)
    return WindowSpec(where) if name in POINTWISE_OPS else FUNCTION_RULES.get(name, _asked)(call)


POINTWISE_MODULES = (
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.PReLU,
    nn.ELU,
    nn.SELU,
    nn.GELU,
    nn.SiLU,
    nn.Mish,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Hardtanh,
    nn.Sigmoid,
    nn.Tanh,
    nn.Softplus,
    nn.Identity,
    nn.Dropout,
    nn.Dropout2d,
)


SLIDING_MODULES = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d)


PADDING_MODULES = (
    nn.ZeroPad2d,
    nn.ReflectionPad2d,
    nn.ReplicationPad2d,
    nn.ConstantPad2d,
    nn.CircularPad2d,
)


def window_of_module(module: nn.Module, given: Tensor, axes: Axes, made: Tensor) -> WindowSpec:
    """What a layer sees of the map; raises UnknownError."""
    if isinstance(module, (*SLIDING_MODULES, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)):
        had, after = spatial_size_nchw(given, axes), spatial_size_nchw(made, axes)
        if not isinstance(module, SLIDING_MODULES):
            return adaptive_pool_window(axes, had, after)
        same = not _torchs(module) or vars(module).get("padding") == "same"
        return WindowSpec(axes, sliding_window(vars(module), had, after, same))
    if isinstance(module, PADDING_MODULES):
        pads: Any = module.padding
        return pad_window((pads,) * 4 if isinstance(pads, int) else pads, given.dim(), axes)
    return (
        _layer_window(module, given, axes, made)
        if _torchs(module)
        else measure_receptive_window(_copied(module), given, axes)
    )


def _layer_window(module: nn.Module, given: Tensor, axes: Axes, made: Tensor) -> WindowSpec:
    if isinstance(module, (nn.GroupNorm, nn.InstanceNorm2d)):
        return WindowSpec(axes, includes_global=True)
    if isinstance(module, nn.BatchNorm2d):
        return WindowSpec(axes, includes_global=module.running_mean is None)
    if isinstance(module, nn.LayerNorm):
        return norm_window(len(module.normalized_shape), given.dim(), axes)
    if isinstance(module, nn.Linear):
        return norm_window(1, given.dim(), axes)
    if isinstance(module, (nn.Flatten, nn.Unflatten)):
        return reshape_window(tuple(given.shape), axes, tuple(made.shape))
    return (
        WindowSpec(axes)
        if isinstance(module, POINTWISE_MODULES)
        else measure_receptive_window(_copied(module), given, axes)
    )


def _torchs(module: nn.Module) -> bool:
    """True for torch's own layers; what inherits from one may do more."""
    return type(module).__module__.startswith("torch.nn.modules")


def _copied(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).to("cpu").eval()


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function on one map: its arguments with values for steps, the map, where its positions are, what it makes."""

    name: str
    node: fx.Node
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    input: Tensor
    axes: Axes
    output: Tensor

    def argument(self, place: int, name: str, other: Any = None) -> Any:
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, other)


def _pool(call: FunctionCall) -> WindowSpec:
    options = {**dict(zip(POOL_OPS[call.name], call.args[1:], strict=False)), **call.kwargs}
    return WindowSpec(
        call.axes,
        sliding_window(
            options,
            spatial_size_nchw(call.input, call.axes),
            spatial_size_nchw(call.output, call.axes),
            False,
        ),
    )


def _conv(call: FunctionCall) -> WindowSpec:
    names = ("weight", "bias", "stride", "padding", "dilation")
    options = {"stride": 1, **dict(zip(names, call.args[1:], strict=False)), **call.kwargs}
    options["kernel_size"] = tuple(options["weight"].shape[2:])
    had, made = spatial_size_nchw(call.input, call.axes), spatial_size_nchw(call.output, call.axes)
    return WindowSpec(
        call.axes, sliding_window(options, had, made, options.get("padding") == "same")
    )


def _adaptive(call: FunctionCall) -> WindowSpec:
    return adaptive_pool_window(
        call.axes,
        spatial_size_nchw(call.input, call.axes),
        spatial_size_nchw(call.output, call.axes),
    )


def _pad(call: FunctionCall) -> WindowSpec:
    return pad_window(call.argument(1, "pad"), call.input.dim(), call.axes)


def _reduced(call: FunctionCall) -> WindowSpec:
    dims = call.argument(REDUCTION_OPS[call.name], "dim")
    return reduction_window(
        (dims,) if isinstance(dims, int) else dims, call.input, call.axes, call.output
    )


def _reshaped(call: FunctionCall) -> WindowSpec:
    return reshape_window(tuple(call.input.shape), call.axes, tuple(call.output.shape))


def _permuted(call: FunctionCall) -> WindowSpec:
    told = call.kwargs.get("dims", call.args[1:])
    order = [
        dim % call.input.dim() for dim in (told[0] if isinstance(told[0], (tuple, list)) else told)
    ]
    return WindowSpec((order.index(call.axes[0]), order.index(call.axes[1])))


def _transposed(call: FunctionCall) -> WindowSpec:
    one, other = (
        call.argument(1, "dim0") % call.input.dim(),
        call.argument(2, "dim1") % call.input.dim(),
    )
    turned = {one: other, other: one}
    return WindowSpec(
        (turned.get(call.axes[0], call.axes[0]), turned.get(call.axes[1], call.axes[1]))
    )


def _statistics(call: FunctionCall) -> WindowSpec:
    return WindowSpec(call.axes, includes_global=True)


def _layer_norm(call: FunctionCall) -> WindowSpec:
    return norm_window(len(call.argument(1, "normalized_shape")), call.input.dim(), call.axes)


def _linear(call: FunctionCall) -> WindowSpec:
    return norm_window(1, call.input.dim(), call.axes)


def _batch_norm(call: FunctionCall) -> WindowSpec:
    return WindowSpec(call.axes, includes_global=bool(call.argument(5, "training", False)))


def _along(call: FunctionCall) -> WindowSpec:
    """What works along one axis, which must be none of those of positions."""
    dim = call.argument(1 if call.name == "softmax" else 2, "dim", 0)
    if not isinstance(dim, int) or dim % call.input.dim() in call.axes:
        raise UnknownWindowError("it works along rows or columns")
    return WindowSpec(call.axes)


def _spread(call: FunctionCall) -> WindowSpec:
    if all(call.input.shape[axis] == 1 for axis in call.axes):
        return WindowSpec(None)  # the same everywhere
    return (
        merge_windows([call.input], [call.axes], call.output)
        if "expand" in call.name
        else _asked(call)
    )


def _sliced(call: FunctionCall) -> WindowSpec:
    return slice_window(
        call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],), call.input, call.axes
    )


def _asked(call: FunctionCall) -> WindowSpec:
    """Calls the function with another map in the place of the one it is given; the rest of its arguments are blank."""
    others = [
        value for value in (*call.args[1:], *call.kwargs.values()) if isinstance(value, Tensor)
    ]
    if (
        not call.args
        or call.args[0] is not call.input
        or any(not other.is_floating_point() for other in others)
    ):
        raise UnknownWindowError("receptive fields need convolutions and pools")
    target: Any = call.node.target
    if isinstance(target, str):
        return measure_receptive_window(
            lambda given: getattr(given, target)(*call.args[1:], **call.kwargs),
            call.input,
            call.axes,
        )
    return measure_receptive_window(
        lambda given: target(given, *call.args[1:], **call.kwargs), call.input, call.axes
    )


FUNCTION_RULES: dict[str, Callable[[FunctionCall], WindowSpec]] = {
    "conv2d": _conv,
    "pad": _pad,
    "permute": _permuted,
    "transpose": _transposed,
    "swapaxes": _transposed,
    "group_norm": _statistics,
    "instance_norm": _statistics,
    "layer_norm": _layer_norm,
    "batch_norm": _batch_norm,
    "linear": _linear,
    "softmax": _along,
    "chunk": _along,
    "split": _along,
    "getitem": _sliced,
    **dict.fromkeys(POOL_OPS, _pool),
    **dict.fromkeys(REDUCTION_OPS, _reduced),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive),
    **dict.fromkeys(
        ("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as"), _reshaped
    ),
    **dict.fromkeys(("expand", "expand_as", "repeat", "interpolate"), _spread),
}


def _name(node: fx.Node) -> str:
    name = target_name(node)
    return name.strip("_")


def _tensor(value: Any) -> Tensor:
    """The tensor, or the first of several."""
    found = (
        value
        if isinstance(value, Tensor)
        else next((one for one in value or () if isinstance(one, Tensor)), None)
    )
    if found is None:
        raise UnknownWindowError("receptive fields need convolutions and pools")
    return found
