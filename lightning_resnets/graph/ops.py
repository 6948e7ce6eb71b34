"""What one operation is called in a drawing, and the shape that it makes; for leaf modules and for traced functions."""

import re
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

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


MACS_UNKNOWN = (nn.Bilinear, nn.Transformer, nn.TransformerDecoder, nn.TransformerDecoderLayer)


LEAF_MODULES = (
    Merge,
    *CONV_MODULES,
    *NORM_MODULES,
    nn.Linear,
)  # one operation each, subclasses too


FUNCTION_NAMES = {"getitem": "slice", "add": "sum", "iadd": "sum", "mul": "product", "cat": "join"}


def module_label(module: nn.Module) -> str:
    """A short word: `conv 3x3 /2`, `batch norm`, `avg pool`, `add`."""
    word = _words(type(module).__name__).removesuffix(" shortcut")  # "pad"
    if isinstance(module, Merge):
        return str(module.kind)
    if isinstance(module, CONV_MODULES):
        word = "conv transpose" if module.transposed else "conv"
        return (
            word
            + _window(module)
            + _unless(" groups ", module.groups)
            + _unless(" dilated ", module.dilation)
        )
    note = ", multiply-adds unknown" if isinstance(module, MACS_UNKNOWN) else ""
    return word + _window(module) if word.endswith("pool") else word + note


def function_label(target: Callable[..., Any] | str) -> str:
    """The same for a function or a tensor's method: `flatten`, `relu`, `slice`, `pad`."""
    name = target if isinstance(target, str) else getattr(target, "__name__", type(target).__name__)
    name = name.strip("_")
    return FUNCTION_NAMES.get(name) or _words(name.replace("_", " "))


def conv_output_shape(conv: nn.Conv2d, given: Tensor) -> tuple[int, ...] | None:
    """The shape (N, C, H, W) that a convolution makes, None where only torch can tell.

    Raises ValueError where the channels do not fit or nothing is left.
    """
    if given.dim() != 4 or isinstance(conv.padding, str):
        return None
    if given.shape[1] != conv.in_channels:
        raise ValueError(f"a convolution of {conv.in_channels} channels is given {given.shape[1]}")
    window = zip(
        given.shape[2:], conv.padding, conv.dilation, conv.kernel_size, conv.stride, strict=True
    )
    sides = [
        (side + 2 * int(pad) - gap * (kernel - 1) - 1) // step + 1
        for side, pad, gap, kernel, step in window
    ]
    if min(sides) < 1:
        raise ValueError(
            f"nothing is left of {given.shape[2]}x{given.shape[3]} pixels behind a convolution"
        )
    return (given.shape[0], conv.out_channels, *sides)


def functional_conv_output_shape(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,  # noqa: A002
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[int, ...] | None:
    """The same for a convolution written as a function of its weight (C, C / groups, H, W), named as torch does."""
    given = input
    if given.dim() != 4 or isinstance(padding, str) or given.shape[1] != weight.shape[1] * groups:
        return None
    pairs = [
        (side, side) if isinstance(side, int) else tuple(side) * (2 // len(side))
        for side in (padding, dilation, stride)
    ]
    rows = zip(given.shape[2:], weight.shape[2:], *pairs, strict=True)
    sides = [
        (side + 2 * pad - gap * (kernel - 1) - 1) // step + 1
        for side, kernel, pad, gap, step in rows
    ]
    return (given.shape[0], weight.shape[0], *sides) if min(sides) > 0 else None


def linear_output_shape(linear: nn.Linear, given: Tensor) -> tuple[int, ...]:
    """The same for a linear layer: the last axis changes."""
    if given.shape[-1] != linear.in_features:
        raise ValueError(
            f"a linear layer of {linear.in_features} inputs is given {given.shape[-1]}"
        )
    return (*given.shape[:-1], linear.out_features)


def functional_linear_output_shape(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,  # noqa: A002
) -> tuple[int, ...] | None:
    """The same for a linear layer written as a function of its weight."""
    return (
        (*input.shape[:-1], len(weight))
        if weight.dim() == 2 and input.shape[-1] == weight.shape[1]
        else None
    )


def norm_output_shape(norm: nn.BatchNorm2d, given: Tensor) -> tuple[int, ...]:
    """The same for a batch norm, which changes nothing."""
    if given.dim() != 4 or given.shape[1] != norm.num_features:
        raise ValueError(
            f"a batch norm of {norm.num_features} channels is given {tuple(given.shape)}"
        )
    return tuple(given.shape)


MODULE_SHAPE_RULES: dict[type[nn.Module], Callable[[Any, Tensor], tuple[int, ...] | None]] = {
    nn.Conv2d: conv_output_shape,
    nn.Linear: linear_output_shape,
    nn.BatchNorm2d: norm_output_shape,
}


FUNCTION_SHAPE_RULES: dict[Callable[..., Any], Callable[..., tuple[int, ...] | None]] = {
    torch.conv2d: functional_conv_output_shape,
    functional.linear: functional_linear_output_shape,
}


def _words(name: str) -> str:
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z][a-z])", " ", re.sub(r"\dd$", "", name)).lower()
    return spaced.removeprefix("adaptive ")


def _window(module: nn.Module) -> str:
    size, stride = getattr(module, "kernel_size", None), getattr(module, "stride", None)
    return (f" {_sides(size)}" if size else "") + (_unless(" /", stride) if size else "")


def _sides(size: object) -> str:
    sides = size if isinstance(size, tuple) else (size, size)
    return "x".join(str(side) for side in sides)


def _unless(mark: str, value: object) -> str:
    """The mark and the value, one number where all sides agree, nothing where it is 1."""
    sides = set(value) if isinstance(value, tuple) else {value}
    if sides <= {1, None}:
        return ""
    return f"{mark}{next(iter(sides)) if len(sides) == 1 else _sides(value)}"
