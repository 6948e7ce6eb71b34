"""What a step of a net, a layer or a function with its arguments, sees of the map that it is given.

A function is known by its name; of one that is not, `kernels.asked` finds out.
"""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, fx, nn
from torch.fx.node import map_arg

from lightning_resnets.analysis.asking import asked
from lightning_resnets.analysis.kernels import (
    Axes,
    Sight,
    UnknownError,
    adaptive,
    joined,
    normalised,
    padded,
    reduced,
    reshaped,
    sliced,
    sliding,
    usual,
)
from lightning_resnets.graph.joins import word
from lightning_resnets.merge import Concat, Merge

JOINS = {"cat": 0, "concat": 0, "concatenate": 0, "stack": 0}
POINTWISE = {
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "gelu", "silu", "mish", "hardswish", "hardsigmoid",
    "hardtanh", "sigmoid", "tanh", "softplus", "prelu", "clamp", "clip", "abs", "neg", "exp", "log", "sqrt", "rsqrt",
    "square", "pow", "dropout", "dropout2d", "feature_dropout", "contiguous", "clone", "detach", "to", "float",
    "type_as", "add", "iadd", "sub", "isub", "rsub", "mul", "imul", "div", "truediv", "itruediv", "where", "maximum",
    "minimum", "lerp", "addcmul",
}  # fmt: skip
REDUCING = {
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
POOLS = {
    "max_pool2d": ("kernel_size", "stride", "padding", "dilation", "ceil_mode"),
    "avg_pool2d": ("kernel_size", "stride", "padding", "ceil_mode"),
    "lp_pool2d": ("norm_type", "kernel_size", "stride", "ceil_mode"),
}
Steps = Mapping[fx.Node, Axes | None]  # the axes of all steps so far that depend on the picture


def sight(node: fx.Node, modules: Mapping[str, nn.Module], values: Mapping[fx.Node, Any], axes: Steps) -> Sight:
    """What the step sees; raises UnknownError."""
    given = [one for one in node.all_input_nodes if one in axes]
    if all(axes[one] is None for one in given):
        return Sight(None)  # numbers that have no position any more
    args, kwargs = map_arg((node.args, node.kwargs), values.get)
    module = modules[str(node.target)] if node.op == "call_module" else None
    name = "" if module else _name(node)
    if isinstance(module, Merge) or name in JOINS or (len(given) > 1 and name in POINTWISE):
        along: Any = kwargs.get("dim", args[1] if len(args) > 1 else 0) if name in JOINS else None
        along = 1 if isinstance(module, Concat) else along
        return joined([_tensor(values[one]) for one in given], [axes[one] for one in given], values[node], along)
    (first, *others) = sorted(given, key=lambda one: axes[one] is None)
    where, value = axes[first], values[first]
    assert where
    if others and not (name == "conv2d" and all(axes[one] is None for one in others)):
        raise UnknownError("several maps meet in it, and not position by position")
    made = _tensor(values[node])
    if isinstance(value, (tuple, list)):
        _tensor(None if name != "getitem" else made)
        return Sight(where)  # one of the parts that a map was cut into
    if module:
        return module_sight(module, value, where, made)
    call = Call(name, node, tuple(args), kwargs, value, where, made)
    return Sight(where) if name in POINTWISE else FUNCTIONS.get(name, _asked)(call)


ACTIVATIONS = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish, nn.Hardswish, nn.Hardsigmoid,
    nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus, nn.Identity, nn.Dropout, nn.Dropout2d,
)  # fmt: skip
SLIDING = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d, nn.LPPool2d)
PADDING = (nn.ZeroPad2d, nn.ReflectionPad2d, nn.ReplicationPad2d, nn.ConstantPad2d, nn.CircularPad2d)


def module_sight(module: nn.Module, given: Tensor, axes: Axes, made: Tensor) -> Sight:
    """What a layer sees of the map; raises UnknownError."""
    if isinstance(module, (*SLIDING, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)):
        had, after = usual(given, axes), usual(made, axes)
        if not isinstance(module, SLIDING):
            return adaptive(axes, had, after)
        same = not _torchs(module) or vars(module).get("padding") == "same"
        return Sight(axes, sliding(vars(module), had, after, same))
    if isinstance(module, PADDING):
        pads: Any = module.padding
        return padded((pads,) * 4 if isinstance(pads, int) else pads, given.dim(), axes)
    return _layer_sight(module, given, axes, made) if _torchs(module) else asked(_copied(module), given, axes)


def _layer_sight(module: nn.Module, given: Tensor, axes: Axes, made: Tensor) -> Sight:
    if isinstance(module, (nn.GroupNorm, nn.InstanceNorm2d)):
        return Sight(axes, whole=True)
    if isinstance(module, nn.BatchNorm2d):
        return Sight(axes, whole=module.running_mean is None)
    if isinstance(module, nn.LayerNorm):
        return normalised(len(module.normalized_shape), given.dim(), axes)
    if isinstance(module, nn.Linear):
        return normalised(1, given.dim(), axes)
    if isinstance(module, (nn.Flatten, nn.Unflatten)):
        return reshaped(tuple(given.shape), axes, tuple(made.shape))
    return Sight(axes) if isinstance(module, ACTIVATIONS) else asked(_copied(module), given, axes)


def _torchs(module: nn.Module) -> bool:
    """True for torch's own layers; what inherits from one may do more."""
    return type(module).__module__.startswith("torch.nn.modules")


def _copied(module: nn.Module) -> nn.Module:
    return copy.deepcopy(module).to("cpu").eval()


@dataclass(frozen=True, slots=True)
class Call:
    """A function on one map: its arguments with values for steps, the map, where its positions are, what it makes."""

    name: str
    node: fx.Node
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    given: Tensor
    axes: Axes
    made: Tensor

    def argument(self, place: int, name: str, other: Any = None) -> Any:
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, other)


def _pool(call: Call) -> Sight:
    options = {**dict(zip(POOLS[call.name], call.args[1:], strict=False)), **call.kwargs}
    return Sight(call.axes, sliding(options, usual(call.given, call.axes), usual(call.made, call.axes), False))


def _conv(call: Call) -> Sight:
    names = ("weight", "bias", "stride", "padding", "dilation")
    options = {"stride": 1, **dict(zip(names, call.args[1:], strict=False)), **call.kwargs}
    options["kernel_size"] = tuple(options["weight"].shape[2:])
    had, made = usual(call.given, call.axes), usual(call.made, call.axes)
    return Sight(call.axes, sliding(options, had, made, options.get("padding") == "same"))


def _adaptive(call: Call) -> Sight:
    return adaptive(call.axes, usual(call.given, call.axes), usual(call.made, call.axes))


def _pad(call: Call) -> Sight:
    return padded(call.argument(1, "pad"), call.given.dim(), call.axes)


def _reduced(call: Call) -> Sight:
    dims = call.argument(REDUCING[call.name], "dim")
    return reduced((dims,) if isinstance(dims, int) else dims, call.given, call.axes, call.made)


def _reshaped(call: Call) -> Sight:
    return reshaped(tuple(call.given.shape), call.axes, tuple(call.made.shape))


def _permuted(call: Call) -> Sight:
    told = call.kwargs.get("dims", call.args[1:])
    order = [dim % call.given.dim() for dim in (told[0] if isinstance(told[0], (tuple, list)) else told)]
    return Sight((order.index(call.axes[0]), order.index(call.axes[1])))


def _transposed(call: Call) -> Sight:
    one, other = call.argument(1, "dim0") % call.given.dim(), call.argument(2, "dim1") % call.given.dim()
    turned = {one: other, other: one}
    return Sight((turned.get(call.axes[0], call.axes[0]), turned.get(call.axes[1], call.axes[1])))


def _statistics(call: Call) -> Sight:
    return Sight(call.axes, whole=True)


def _layer_norm(call: Call) -> Sight:
    return normalised(len(call.argument(1, "normalized_shape")), call.given.dim(), call.axes)


def _linear(call: Call) -> Sight:
    return normalised(1, call.given.dim(), call.axes)


def _batch_norm(call: Call) -> Sight:
    return Sight(call.axes, whole=bool(call.argument(5, "training", False)))


def _along(call: Call) -> Sight:
    """What works along one axis, which must be none of those of positions."""
    dim = call.argument(1 if call.name == "softmax" else 2, "dim", 0)
    if not isinstance(dim, int) or dim % call.given.dim() in call.axes:
        raise UnknownError("it works along rows or columns")
    return Sight(call.axes)


def _spread(call: Call) -> Sight:
    if all(call.given.shape[axis] == 1 for axis in call.axes):
        return Sight(None)  # the same everywhere
    return joined([call.given], [call.axes], call.made) if "expand" in call.name else _asked(call)


def _sliced(call: Call) -> Sight:
    return sliced(call.args[1] if isinstance(call.args[1], tuple) else (call.args[1],), call.given, call.axes)


def _asked(call: Call) -> Sight:
    """Calls the function with another map in the place of the one it is given; the rest of its arguments are blank."""
    others = [value for value in (*call.args[1:], *call.kwargs.values()) if isinstance(value, Tensor)]
    if not call.args or call.args[0] is not call.given or any(not other.is_floating_point() for other in others):
        raise UnknownError("receptive fields need convolutions and pools")
    target: Any = call.node.target
    if isinstance(target, str):
        return asked(lambda given: getattr(given, target)(*call.args[1:], **call.kwargs), call.given, call.axes)
    return asked(lambda given: target(given, *call.args[1:], **call.kwargs), call.given, call.axes)


FUNCTIONS: dict[str, Callable[[Call], Sight]] = {
    "conv2d": _conv, "pad": _pad, "permute": _permuted, "transpose": _transposed, "swapaxes": _transposed,
    "group_norm": _statistics, "instance_norm": _statistics, "layer_norm": _layer_norm, "batch_norm": _batch_norm,
    "linear": _linear, "softmax": _along, "chunk": _along, "split": _along, "getitem": _sliced,
    **dict.fromkeys(POOLS, _pool), **dict.fromkeys(REDUCING, _reduced),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), _adaptive),
    **dict.fromkeys(("reshape", "view", "flatten", "unflatten", "squeeze", "unsqueeze", "view_as"), _reshaped),
    **dict.fromkeys(("expand", "expand_as", "repeat", "interpolate"), _spread),
}  # fmt: skip


def _name(node: fx.Node) -> str:
    name = word(node)
    return name.strip("_")


def _tensor(value: Any) -> Tensor:
    """The tensor, or the first of several."""
    found = value if isinstance(value, Tensor) else next((one for one in value or () if isinstance(one, Tensor)), None)
    if found is None:
        raise UnknownError("receptive fields need convolutions and pools")
    return found
