"""Count the multiply-adds (MACs) of an operation: its products with weights.

Convolutions and linear layers count, as modules and as functions. Products of two activations
(attention), sums, norms and pools do not, as in the tables of the papers.
"""

import math
import operator
from collections.abc import Callable, Container, Mapping, Sequence
from types import FunctionType
from typing import Any, NamedTuple

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_arg
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from lightning_resnets.graph.fake_tensors import run_function_fake
from lightning_resnets.graph.ops import CONV_MODULES

# Every matrix of these works once at every position of the sequence (N, L, C).
SEQUENCE_MODULES = (nn.RNNBase, nn.RNNCellBase, nn.TransformerEncoderLayer, nn.TransformerEncoder)


CONV_FUNCTIONS: tuple[Any, ...] = (torch.conv1d, torch.conv2d, torch.conv3d)


CONV_TRANSPOSE_FUNCTIONS: tuple[Any, ...] = (
    torch.conv_transpose1d,
    torch.conv_transpose2d,
    torch.conv_transpose3d,
)


MATMUL_FUNCTIONS: tuple[Any, ...] = (torch.matmul, torch.mm, operator.matmul, "matmul", "mm")


LINEAR_FUNCTION: Callable[..., Tensor] = functional.linear


class WeightProduct(NamedTuple):
    """A weight and the number of positions at which it is applied, over the whole batch.

    Attributes:
        name: of the weight, where a module has several; else empty.
        shape: (outputs, inputs of one group, *kernel size).
        positions: number of output positions.
        bias: True if a bias is added.
    """

    name: str  # of the weight, where a module has several; else empty
    shape: tuple[int, ...]
    positions: int
    bias: bool = False

    @property
    def macs(self) -> int:
        """Return the multiply-adds: every element of the weight at every position."""
        return math.prod(self.shape) * self.positions


class NestedProductCounter(TorchFunctionMode):
    """Collects the products of all calls within a function."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[WeightProduct] = []

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        made = func(*args, **(kwargs or {}))
        self.found += function_products(func, args, kwargs or {}, made)
        return made


def module_products(
    module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], made: Tensor
) -> tuple[WeightProduct, ...]:
    """Return the products of a module that is one operation.

    Args:
        module: the module.
        args: its arguments.
        kwargs: its keyword arguments.
        made: its (first) output.

    Returns:
        The products with weights.
    """
    given = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    if isinstance(module, CONV_MODULES):
        return (
            _conv(module.weight, module.bias, given[0], made, module.groups, module.transposed),
        )
    if isinstance(module, nn.Linear):
        return (_linear(module.weight, module.bias, made),)
    if isinstance(module, nn.MultiheadAttention):
        return _attention(module, args, kwargs, made)
    if isinstance(module, SEQUENCE_MODULES):
        places = _places(given[0])
        return tuple(
            WeightProduct(name, tuple(weight.shape), places)
            for name, weight in module.named_parameters()
            if weight.dim() == 2
        )
    return ()


def function_products(
    target: Callable[..., Any] | str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    made: Any,
    learned: int | None = None,
) -> tuple[WeightProduct, ...]:
    """Return the products of a function or of a tensor's method.

    Args:
        target: the function, or the name of the method.
        args: its arguments.
        kwargs: its keyword arguments.
        made: its output.
        learned: index of the factor that is a weight, for a matrix product.

    Returns:
        The products with weights.
    """
    if not isinstance(made, Tensor):
        return ()
    if isinstance(target, FunctionType) and not target.__module__.startswith(
        ("torch.", "lightning_resnets.")
    ):
        with (
            NestedProductCounter() as inner
        ):  # a function that torch.fx was told to leave alone, as that of Swin's windows
            run_function_fake(target, tuple(args), dict(kwargs))
        return tuple(inner.found)
    if target in (*CONV_FUNCTIONS, *CONV_TRANSPOSE_FUNCTIONS, LINEAR_FUNCTION):
        given, weight, bias = (
            _argument(args, kwargs, i, name) for i, name in enumerate(("input", "weight", "bias"))
        )
        if target is LINEAR_FUNCTION:
            return (_linear(weight, bias, made),)
        groups = _argument(args, kwargs, 6, "groups", 1)  # at the same place for both
        return (_conv(weight, bias, given, made, groups, target in CONV_TRANSPOSE_FUNCTIONS),)
    if learned is not None and target in MATMUL_FUNCTIONS:
        outputs = made.shape[-1 if learned or made.dim() < 2 else -2] if made.dim() else 1
        return (WeightProduct("", (outputs, args[0].shape[-1]), made.numel() // outputs),)
    return ()


def _conv(
    weight: Tensor, bias: Tensor | None, given: Tensor, made: Tensor, groups: int, transposed: bool
) -> WeightProduct:
    """Return the product of a convolution; a transposed one has inputs and outputs swapped."""
    first, second, *window = weight.shape
    if not transposed:
        return WeightProduct("", (first, second, *window), made.numel() // first, bias is not None)
    return WeightProduct(
        "", (second * groups, first // groups, *window), given.numel() // first, bias is not None
    )


def _linear(weight: Tensor, bias: Tensor | None, made: Tensor) -> WeightProduct:
    outputs = len(weight) if weight.dim() == 2 else 1
    return WeightProduct("", (outputs, weight.shape[-1]), made.numel() // outputs, bias is not None)


def _attention(
    module: nn.MultiheadAttention, args: Sequence[Any], kwargs: Mapping[str, Any], made: Tensor
) -> tuple[WeightProduct, ...]:
    """Return the three input projections and the output projection; attention itself is free."""
    sides = {"query": module.embed_dim, "key": module.kdim, "value": module.vdim}
    bias = module.in_proj_bias is not None
    inner = [
        WeightProduct(
            name, (module.embed_dim, side), _places(_argument(args, kwargs, i, name)), bias
        )
        for i, (name, side) in enumerate(sides.items())
    ]
    out = WeightProduct(
        "out_proj",
        (module.embed_dim, module.embed_dim),
        _places(made),
        module.out_proj.bias is not None,
    )
    return (*inner, out)


def _argument(
    args: Sequence[Any], kwargs: Mapping[str, Any], place: int, name: str, other: Any = None
) -> Any:
    return args[place] if len(args) > place else kwargs.get(name, other)


def _places(tensor: Tensor) -> int:
    """Return the number of positions of a tensor whose last axis is the channels."""
    return tensor.numel() // max(tensor.shape[-1] if tensor.dim() else 1, 1)


def weight_products(
    node: fx.Node,
    modules: Mapping[str, nn.Module],
    values: Mapping[fx.Node, Any],
    seen: Container[fx.Node],
) -> tuple[WeightProduct, ...]:
    """Return the products of a node with weights.

    Args:
        node: the node.
        modules: modules by name.
        values: fake output of each node.
        seen: nodes that depend on the image.

    Returns:
        The products.
    """
    made = values.get(node)
    if isinstance(made, (tuple, list)):
        made = next((part for part in made if isinstance(part, Tensor)), None)
    if node.op not in ("call_module", "call_function", "call_method") or not isinstance(
        made, Tensor
    ):
        return ()
    args, kwargs = map_arg((node.args, node.kwargs), values.get)
    if node.op == "call_module":
        return module_products(modules[str(node.target)], args, kwargs, made)
    learned = [
        i
        for i, factor in enumerate(node.args[:2])
        if isinstance(factor, fx.Node) and factor not in seen
    ]
    return function_products(
        node.target, args, kwargs, made, learned[0] if len(learned) == 1 else None
    )
