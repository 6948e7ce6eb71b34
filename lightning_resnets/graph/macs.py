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

# Functions of these packages are single operations; those of others may contain products.
ENTERED_PACKAGES = ("torch.", "lightning_resnets.")

CALL_OPS = ("call_module", "call_function", "call_method")

LINEAR_FUNCTION: Callable[..., Tensor] = functional.linear


class WeightProduct(NamedTuple):
    """A weight and the number of positions at which it is applied, over the whole batch.

    Attributes:
        name: of the weight, where a module has several; else empty.
        shape: (outputs, inputs of one group, *kernel size).
        positions: number of output positions.
        bias: True if a bias is added.
    """

    name: str
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
        """Run a call and note its products."""
        # First: the product needs the shape of the output.
        output = func(*args, **(kwargs or {}))
        self.found += function_products(func, args, kwargs or {}, output)
        return output


def module_products(
    module: nn.Module, args: Sequence[Any], kwargs: Mapping[str, Any], output: Tensor
) -> tuple[WeightProduct, ...]:
    """Return the products of a module that is one operation.

    Args:
        module: the module.
        args: its arguments.
        kwargs: its keyword arguments.
        output: its (first) output.

    Returns:
        The products with weights.
    """
    if isinstance(module, nn.Linear):
        return (_linear_product(module.weight, module.bias, output),)
    # Its projections are one matrix, so they are counted apart.
    if isinstance(module, nn.MultiheadAttention):
        return _attention_products(module, args, kwargs, output)
    inputs = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
    if isinstance(module, CONV_MODULES):
        return (_conv_module_product(module, inputs[0], output),)
    if isinstance(module, SEQUENCE_MODULES):
        return _sequence_products(module, _count_positions(inputs[0]))
    return ()


def _conv_module_product(conv: Any, inputs: Tensor, output: Tensor) -> WeightProduct:
    """Return the product of a convolution module."""
    return _conv_product(conv.weight, conv.bias, inputs, output, conv.groups, conv.transposed)


def _sequence_products(module: nn.Module, positions: int) -> tuple[WeightProduct, ...]:
    """Return one product for every matrix of a recurrent or transformer layer."""
    return tuple(
        WeightProduct(name, tuple(weight.shape), positions)
        for name, weight in module.named_parameters()
        # Biases have one axis.
        if weight.dim() == 2
    )


def function_products(
    target: Callable[..., Any] | str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    output: Any,
    weight_operand: int | None = None,
) -> tuple[WeightProduct, ...]:
    """Return the products of a function or of a tensor's method.

    Args:
        target: the function, or the name of the method.
        args: its arguments.
        kwargs: its keyword arguments.
        output: its output.
        weight_operand: index of the factor that is a weight, for a matrix product.

    Returns:
        The products with weights.
    """
    if not isinstance(output, Tensor):
        return ()
    # torch.fx records a function marked with `fx.wrap` as one call.
    if isinstance(target, FunctionType) and not target.__module__.startswith(ENTERED_PACKAGES):
        return _nested_products(target, args, kwargs)
    if target is LINEAR_FUNCTION or target in (*CONV_FUNCTIONS, *CONV_TRANSPOSE_FUNCTIONS):
        return (_functional_product(target, args, kwargs, output),)
    if weight_operand is not None and target in MATMUL_FUNCTIONS:
        return (_matmul_product(args[0], output, weight_operand),)
    return ()


def _nested_products(
    function: Callable[..., Any], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[WeightProduct, ...]:
    """Return the products within a function that torch.fx did not enter, as Swin's windows."""
    with NestedProductCounter() as inner:
        run_function_fake(function, tuple(args), dict(kwargs))
    return tuple(inner.found)


def _functional_product(
    target: Any, args: Sequence[Any], kwargs: Mapping[str, Any], output: Tensor
) -> WeightProduct:
    """Return the product of a functional convolution or linear layer."""
    inputs = _argument(args, kwargs, 0, "input")
    weight = _argument(args, kwargs, 1, "weight")
    bias = _argument(args, kwargs, 2, "bias")
    if target is LINEAR_FUNCTION:
        return _linear_product(weight, bias, output)
    # Convolutions and transposed convolutions have `groups` at the same position.
    groups = _argument(args, kwargs, 6, "groups", 1)
    return _conv_product(weight, bias, inputs, output, groups, target in CONV_TRANSPOSE_FUNCTIONS)


def _matmul_product(first: Tensor, output: Tensor, weight_operand: int) -> WeightProduct:
    """Return the product of a matrix product, one of whose factors is a weight."""
    outputs = 1
    if output.dim() == 1 or (output.dim() > 1 and weight_operand == 1):
        outputs = output.shape[-1]
    elif output.dim() > 1:
        # A weight on the left has its outputs in the rows.
        outputs = output.shape[-2]
    return WeightProduct("", (outputs, first.shape[-1]), output.numel() // outputs)


def _conv_product(
    weight: Tensor,
    bias: Tensor | None,
    inputs: Tensor,
    output: Tensor,
    groups: int,
    transposed: bool,
) -> WeightProduct:
    """Return the product of a convolution; a transposed one has inputs and outputs swapped."""
    # (outputs, inputs / groups, ...), transposed (inputs, outputs / groups, ...).
    first, second, *kernel_size = weight.shape
    has_bias = bias is not None
    if not transposed:
        shape = (first, second, *kernel_size)
        return WeightProduct("", shape, output.numel() // first, has_bias)
    shape = (second * groups, first // groups, *kernel_size)
    # Each position of the input is spread over a window of the output.
    return WeightProduct("", shape, inputs.numel() // first, has_bias)


def _linear_product(weight: Tensor, bias: Tensor | None, output: Tensor) -> WeightProduct:
    """Return the product of a linear layer."""
    outputs = 1
    # functional.linear takes a vector as weight too.
    if weight.dim() == 2:
        outputs = len(weight)
    positions = output.numel() // outputs
    return WeightProduct("", (outputs, weight.shape[-1]), positions, bias is not None)


def _attention_products(
    module: nn.MultiheadAttention, args: Sequence[Any], kwargs: Mapping[str, Any], output: Tensor
) -> tuple[WeightProduct, ...]:
    """Return the three input projections and the output projection; attention itself is free."""
    width = module.embed_dim
    input_widths = {"query": width, "key": module.kdim, "value": module.vdim}
    has_bias = module.in_proj_bias is not None
    products: list[WeightProduct] = []
    # Query, key and value may differ in length and width.
    for i, (name, input_width) in enumerate(input_widths.items()):
        positions = _count_positions(_argument(args, kwargs, i, name))
        products.append(WeightProduct(name, (width, input_width), positions, has_bias))
    out_bias = module.out_proj.bias is not None
    out = WeightProduct("out_proj", (width, width), _count_positions(output), out_bias)
    return (*products, out)


def _argument(
    args: Sequence[Any], kwargs: Mapping[str, Any], position: int, name: str, default: Any = None
) -> Any:
    """Return an argument that was given by position or by name."""
    if len(args) > position:
        return args[position]
    return kwargs.get(name, default)


def _count_positions(tensor: Tensor) -> int:
    """Return the number of positions of a tensor whose last axis is the channels."""
    if not tensor.dim():
        return 1
    # An empty axis has no positions, and must not divide by zero.
    return tensor.numel() // max(tensor.shape[-1], 1)


def weight_products(
    node: fx.Node,
    modules: Mapping[str, nn.Module],
    values: Mapping[fx.Node, Any],
    image_nodes: Container[fx.Node],
) -> tuple[WeightProduct, ...]:
    """Return the products of a node with weights.

    Args:
        node: the node.
        modules: modules by name.
        values: fake output of each node.
        image_nodes: nodes that depend on the image.

    Returns:
        The products.
    """
    output = _first_tensor(values.get(node))
    if output is None or node.op not in CALL_OPS:
        return ()
    args, kwargs = map_arg((node.args, node.kwargs), values.get)
    if node.op == "call_module":
        return module_products(modules[str(node.target)], args, kwargs, output)
    operand = _weight_operand(node, image_nodes)
    return function_products(node.target, args, kwargs, output, operand)


def _first_tensor(value: object) -> Tensor | None:
    """Return a tensor, or the first of several; None for anything else."""
    if isinstance(value, (tuple, list)):
        return next((part for part in value if isinstance(part, Tensor)), None)
    if isinstance(value, Tensor):
        return value
    return None


def _weight_operand(node: fx.Node, image_nodes: Container[fx.Node]) -> int | None:
    """Return the index of the one factor that does not depend on the image, else None."""
    factors = node.args[:2]
    weights = [
        i
        for i, factor in enumerate(factors)
        if isinstance(factor, fx.Node) and factor not in image_nodes
    ]
    # With two weights there is no activation, with none no weight.
    if len(weights) != 1:
        return None
    return weights[0]
