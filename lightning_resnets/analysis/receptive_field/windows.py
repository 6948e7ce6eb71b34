"""Receptive-field windows of sliding operations: how each output position depends on the input."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from lightning_resnets.utils.format import format_shape

Window = tuple[int, int, int, int]  # kernel size, stride, padding before the first row, dilation
Axes = tuple[int, int]  # axes of height and width
Sizes = Sequence[int]  # height and width

POINTWISE: Window = (1, 1, 0, 1)
GLOBAL_SIZE = (1, 1)  # of a map that has one value for all positions


class UnknownWindowError(Exception):
    """The window of a node is unknown; the message gives the reason and follows a colon."""


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Receptive-field window of one graph node.

    Attributes:
        axes: axes of height and width of the output; None if it has no positions.
        windows: windows along height and width.
        includes_global: True if statistics of all positions enter besides the window.
        is_global: True if the output depends on all positions and nothing else.
    """

    axes: Axes | None
    windows: tuple[Window, Window] = (POINTWISE, POINTWISE)
    includes_global: bool = False
    is_global: bool = False


def sliding_window(
    options: dict[str, Any], input_size: Sizes, output_size: Sizes, may_pad: bool
) -> tuple[Window, Window]:
    """Return the windows of a convolution or pool.

    Args:
        options: `kernel_size`, `stride`, `padding`, `dilation` and `ceil_mode` of the operation.
        input_size: height and width of the input.
        output_size: height and width of the output.
        may_pad: True if the layer may pad by itself as in TensorFlow ("same").

    Returns:
        Windows along height and width.

    Raises:
        UnknownWindowError: the output is larger than these options allow.
    """
    height, width = (
        _sliding_window_along(axis, options, input_size[axis], output_size[axis], may_pad)
        for axis in (0, 1)
    )
    return height, width


def _sliding_window_along(
    axis: int, options: dict[str, Any], before: int, after: int, may_pad: bool
) -> Window:
    """Return the window along one axis, from `before` input to `after` output positions."""
    size = _per_axis(options["kernel_size"], axis)
    dilation = _per_axis(options.get("dilation", 1), axis)
    stride = _per_axis(options.get("stride") or size, axis)  # pools: as the kernel by default
    padding = options.get("padding", 0)
    # "same" and "valid": the padding follows from the sizes.
    padding = 0 if isinstance(padding, str) else _per_axis(padding, axis)
    # Distance between the first and the last pixel of the window.
    span = dilation * (size - 1)
    is_too_short = (before + 2 * padding - span - 1) // stride + 1 < after
    # TensorFlow pads half in front, rounded down, and the rest behind.
    if may_pad and is_too_short and not padding and after == -(-before // stride):
        padding = max((after - 1) * stride + span + 1 - before, 0) // 2
    # With ceil_mode the last window may reach over the border.
    elif is_too_short and not options.get("ceil_mode"):
        raise UnknownWindowError("it outputs more positions than its window allows")
    return (size, stride, padding, dilation)


def _per_axis(value: Any, axis: int) -> int:
    """Return an option for one axis; a single number holds for both."""
    if isinstance(value, (tuple, list)):
        return int(value[axis if len(value) > 1 else 0])
    return int(value)


def adaptive_pool_window(axes: Axes, input_size: Sizes, output_size: Sizes) -> WindowSpec:
    """Return the window of an adaptive pool: equal windows, pointwise or global.

    Args:
        axes: axes of height and width.
        input_size: height and width of the input.
        output_size: height and width of the output.

    Returns:
        The pool's window.

    Raises:
        UnknownWindowError: the pool needs windows of different sizes.
    """
    if tuple(input_size) == tuple(output_size):
        return WindowSpec(axes)
    if tuple(output_size) == GLOBAL_SIZE:
        return WindowSpec(axes, is_global=True)
    height, width = (_adaptive_window_along(axis, input_size, output_size) for axis in (0, 1))
    return WindowSpec(axes, (height, width))


def _adaptive_window_along(axis: int, input_size: Sizes, output_size: Sizes) -> Window:
    """Return the window along one axis: as large as its stride."""
    size, remainder = divmod(input_size[axis], output_size[axis])
    if remainder:
        raise UnknownWindowError(
            f"pooling {format_shape(input_size)} to {format_shape(output_size)} positions needs "
            "windows of different sizes (use another input size)"
        )
    return (size, size, 0, 1)


def pad_window(pads: Sequence[int], dims: int, axes: Axes) -> WindowSpec:
    """Return the window of padding.

    Args:
        pads: as in `torch.nn.functional.pad`: before and after, from the last axis on.
        dims: number of axes of the input.
        axes: axes of height and width.

    Returns:
        Windows of size 1, shifted by the padding.
    """
    height, width = (_padding_before(pads, dims, axis) for axis in axes)
    return WindowSpec(axes, ((1, 1, height, 1), (1, 1, width, 1)))


def _padding_before(pads: Sequence[int], dims: int, axis: int) -> int:
    """Return the padding before the first position of an axis."""
    # Pairs are listed from the last axis on.
    index = 2 * (dims - 1 - axis)
    return pads[index] if index < len(pads) else 0


def spatial_size_nchw(value: Tensor, axes: Axes) -> tuple[int, int]:
    """Return height and width of a map (N, C, H, W).

    Args:
        value: a map.
        axes: its axes of height and width.

    Returns:
        Height and width.

    Raises:
        UnknownWindowError: the map is not (N, C, H, W).
    """
    # Only this layout has rules for convolutions and pools.
    if value.dim() != 4 or axes != (2, 3):
        raise UnknownWindowError("its input is not a map (N, C, H, W)")
    return value.shape[2], value.shape[3]


def spatial_size(value: Tensor, axes: Axes) -> tuple[int, int]:
    """Return height and width of a tensor.

    Args:
        value: a tensor.
        axes: its axes of height and width.

    Returns:
        Height and width.
    """
    return value.shape[axes[0]], value.shape[axes[1]]
