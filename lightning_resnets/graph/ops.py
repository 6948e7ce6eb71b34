"""Name single operations in a drawing, and compute their output shapes without running them."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lightning_resnets.graph.fused_add import FusedAdd
from lightning_resnets.merges import Merge

CONV_MODULES = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
)


NORM_MODULES = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.LayerNorm, nn.GroupNorm)


# Said in the label, since a count of 0 would mislead.
MACS_UNKNOWN = (nn.Bilinear, nn.Transformer, nn.TransformerDecoder, nn.TransformerDecoderLayer)


# One operation each, subclasses too.
LEAF_MODULES = (Merge, *CONV_MODULES, *NORM_MODULES, nn.Linear)


# "add", "concat" and "gate" are the names of merges, so functions have others.
FUNCTION_NAMES = {"getitem": "slice", "add": "sum", "iadd": "sum", "mul": "product", "cat": "join"}


def module_label(module: nn.Module) -> str:
    """Return a short label of a module: `conv 3x3 /2`, `batch norm`, `avg pool`, `add`.

    Args:
        module: a module that is one operation.
    """
    # Before Merge, whose subclass it is; the skip finder reads which operand is scaled.
    if isinstance(module, FusedAdd):
        return f"{module.kind}, {' and '.join(module.scaled_operands)} scaled"
    if isinstance(module, Merge):
        return str(module.kind)
    if isinstance(module, CONV_MODULES):
        return _conv_label(module)
    # The label of a PadShortcut is `pad`.
    label = _split_words(type(module).__name__).removesuffix(" shortcut")
    if isinstance(module, NORM_MODULES):
        return _norm_label(module, label)
    if label.endswith("pool"):
        return label + _window_label(module)
    if isinstance(module, MACS_UNKNOWN):
        label += ", multiply-adds unknown"
    return label


def _norm_label(norm: nn.Module, label: str) -> str:
    """Return the label of a norm; timm's have their activation inside: `batch norm relu`."""
    activation = getattr(norm, "act", None)
    if not isinstance(activation, nn.Module):
        return label
    label = label.removesuffix(" act")
    # An Identity stands for no activation.
    if isinstance(activation, nn.Identity):
        return label
    return f"{label} {module_label(activation)}"


def _conv_label(conv: Any) -> str:
    """Return the label of a convolution: `conv 3x3 /2 groups 32`."""
    name = "conv transpose" if conv.transposed else "conv"
    groups = _setting_label(" groups ", conv.groups)
    dilation = _setting_label(" dilated ", conv.dilation)
    return name + _window_label(conv) + groups + dilation


def function_label(target: Callable[..., Any] | str) -> str:
    """Return a short label of a function or method: `flatten`, `relu`, `slice`, `pad`.

    Args:
        target: the function, or the name of a tensor's method.
    """
    name = target
    # A callable object has no name of its own, only its class has.
    if not isinstance(name, str):
        name = getattr(target, "__name__", type(target).__name__)
    name = name.strip("_")
    return FUNCTION_NAMES.get(name) or _split_words(name.replace("_", " "))


def conv_output_shape(conv: nn.Conv2d, image: Tensor) -> tuple[int, ...] | None:
    """Return the output shape of a convolution.

    Args:
        conv: the module.
        image: its input (N, C, H, W).

    Returns:
        (N, C, H, W), or None if only torch can tell.

    Raises:
        ValueError: the channels do not fit or the output is empty.
    """
    # "same" pads unequally for even kernels.
    if image.dim() != 4 or isinstance(conv.padding, str):
        return None
    if image.shape[1] != conv.in_channels:
        raise ValueError(f"a convolution of {conv.in_channels} input channels got {image.shape[1]}")
    padding = [int(pad) for pad in conv.padding]
    size = _conv_size(image.shape[2:], conv.kernel_size, padding, conv.dilation, conv.stride)
    if min(size) < 1:
        raise ValueError(
            f"an image of {image.shape[2]}x{image.shape[3]} pixels is too small for a convolution"
        )
    return (image.shape[0], conv.out_channels, *size)


def _conv_size(
    sizes: Sequence[int],
    kernels: Sequence[int],
    paddings: Sequence[int],
    dilations: Sequence[int],
    strides: Sequence[int],
) -> list[int]:
    """Return the output size of a convolution along each axis, as in the docs of Conv2d."""
    axes = zip(sizes, kernels, paddings, dilations, strides, strict=True)
    return [
        (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        for size, kernel, padding, dilation, stride in axes
    ]


def functional_conv_output_shape(
    input: Tensor,  # noqa: A002 - named as in torch, for keyword arguments
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[int, ...] | None:
    """Return the output shape of `torch.conv2d`.

    Args:
        input: images (N, C, H, W).
        weight: weight (outputs, C / groups, H, W).
        bias: not used.
        stride: one number or one per axis.
        padding: one number or one per axis.
        dilation: one number or one per axis.
        groups: number of groups.

    Returns:
        (N, C, H, W), or None if only torch can tell.
    """
    if input.dim() != 4 or isinstance(padding, str) or input.shape[1] != weight.shape[1] * groups:
        return None
    window = (_pair(padding), _pair(dilation), _pair(stride))
    size = _conv_size(input.shape[2:], weight.shape[2:], *window)
    if min(size) < 1:
        return None
    return (input.shape[0], weight.shape[0], *size)


def _pair(value: Any) -> tuple[int, ...]:
    """Return one value for each of two axes."""
    if isinstance(value, int):
        return (value, value)
    # torch also takes a tuple of one number.
    return tuple(value) * (2 // len(value))


def linear_output_shape(linear: nn.Linear, features: Tensor) -> tuple[int, ...]:
    """Return the output shape of a linear layer: the last axis changes.

    Args:
        linear: the module.
        features: its input (..., inputs).

    Returns:
        (..., outputs).

    Raises:
        ValueError: the last axis does not fit.
    """
    if features.shape[-1] != linear.in_features:
        raise ValueError(f"a linear layer of {linear.in_features} inputs got {features.shape[-1]}")
    return (*features.shape[:-1], linear.out_features)


def functional_linear_output_shape(
    input: Tensor,  # noqa: A002 - named as in torch, for keyword arguments
    weight: Tensor,
    bias: Tensor | None = None,
) -> tuple[int, ...] | None:
    """Return the output shape of `functional.linear`.

    Args:
        input: features (..., inputs).
        weight: weight (outputs, inputs).
        bias: not used.

    Returns:
        (..., outputs), or None if only torch can tell.
    """
    if weight.dim() != 2 or input.shape[-1] != weight.shape[1]:
        return None
    return (*input.shape[:-1], len(weight))


def norm_output_shape(norm: nn.BatchNorm2d, image: Tensor) -> tuple[int, ...]:
    """Return the output shape of a batch norm, which is that of its input.

    Args:
        norm: the module.
        image: its input (N, C, H, W).

    Returns:
        (N, C, H, W).

    Raises:
        ValueError: the channels do not fit.
    """
    if image.dim() != 4 or image.shape[1] != norm.num_features:
        raise ValueError(f"a batch norm of {norm.num_features} channels got {tuple(image.shape)}")
    return tuple(image.shape)


# Exact types only: a subclass may compute something else.
MODULE_SHAPE_RULES: dict[type[nn.Module], Callable[[Any, Tensor], tuple[int, ...] | None]] = {
    nn.Conv2d: conv_output_shape,
    nn.Linear: linear_output_shape,
    nn.BatchNorm2d: norm_output_shape,
}


FUNCTION_SHAPE_RULES: dict[Callable[..., Any], Callable[..., tuple[int, ...] | None]] = {
    torch.conv2d: functional_conv_output_shape,
    functional.linear: functional_linear_output_shape,
}


def _split_words(name: str) -> str:
    """Split the name of a class into words: `AdaptiveAvgPool2d` is `avg pool`."""
    # In a model of images "2d" says nothing.
    without_dimension = re.sub(r"\dd$", "", name)
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", without_dimension).lower()
    return spaced.removeprefix("adaptive ")


def _window_label(module: nn.Module) -> str:
    """Return kernel size and stride: ` 3x3 /2`."""
    kernel_size = getattr(module, "kernel_size", None)
    if not kernel_size:
        return ""
    return f" {_format_size(kernel_size)}{_setting_label(' /', getattr(module, 'stride', None))}"


def _format_size(size: object) -> str:
    """Format a size in pixels; one number stands for both axes."""
    # Some authors write lists.
    lengths = size if isinstance(size, (tuple, list)) else (size, size)
    return "x".join(str(length) for length in lengths)


def _setting_label(prefix: str, value: object) -> str:
    """Return a setting after its prefix; nothing for 1, one number if all axes have the same."""
    distinct = set(value) if isinstance(value, (tuple, list)) else {value}
    # Stride, groups and dilation of 1 are the rule, so they are left out.
    if distinct <= {1, None}:
        return ""
    if len(distinct) == 1:
        return f"{prefix}{next(iter(distinct))}"
    return f"{prefix}{_format_size(value)}"
