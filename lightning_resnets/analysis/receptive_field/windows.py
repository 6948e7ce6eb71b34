"""Receptive-field windows of single operations: how each output position depends on the input.

Function names say the operation, whose output map has the positions of the returned axes.
"""

import math
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


def merge_windows(
    values: Sequence[Tensor],
    axes: Sequence[Axes | None],
    output: Tensor,
    concat_dim: int | None = None,
) -> WindowSpec:
    """Return the window of an operation on several maps, position by position.

    Inputs as large as the output keep their positions; an input with one value for all positions
    has none.

    Args:
        values: inputs.
        axes: axes of height and width of each input.
        output: output.
        concat_dim: axis of a concatenation or stack; None for elementwise operations.

    Returns:
        Pointwise windows.

    Raises:
        UnknownWindowError: the inputs differ in spatial size or layout, or are concatenated
            spatially.
    """
    # Broadcasting aligns the last axes, so layouts are compared counted from the last.
    layouts: set[Axes] = set()
    for value, where in zip(values, axes, strict=True):
        if where is None:
            continue
        layout = (where[0] - value.dim(), where[1] - value.dim())
        fits = min(layout) + output.dim() >= 0
        if fits and spatial_size(value, where) == spatial_size(output, layout):
            layouts.add(layout)
        elif spatial_size(value, where) != GLOBAL_SIZE:
            raise UnknownWindowError("its inputs differ in spatial size")
    if not layouts:
        return WindowSpec(None)
    if len(layouts) > 1:
        raise UnknownWindowError("its inputs have height and width on different axes")
    layout = layouts.pop()
    merged = (layout[0] + output.dim(), layout[1] + output.dim())
    if concat_dim is not None:
        is_stacked = output.dim() > values[0].dim()
        _check_concat_dim(concat_dim % output.dim(), merged, is_stacked)
    return WindowSpec(merged)


def _check_concat_dim(dim: int, axes: Axes, is_stacked: bool) -> None:
    """Raise UnknownWindowError if maps are joined along height or width."""
    # A stack inserts an axis, which must not shift those of height and width.
    is_spatial = dim >= min(axes) if is_stacked else dim in axes
    if is_spatial:
        raise UnknownWindowError("it concatenates maps along height or width")


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
    padding = 0 if isinstance(padding, str) else _per_axis(padding, axis)
    span = dilation * (size - 1)
    is_too_short = (before + 2 * padding - span - 1) // stride + 1 < after
    if may_pad and is_too_short and not padding and after == -(-before // stride):
        padding = max((after - 1) * stride + span + 1 - before, 0) // 2
    elif is_too_short and not options.get("ceil_mode"):
        raise UnknownWindowError("it outputs more positions than its window allows")
    return (size, stride, padding, dilation)


def _per_axis(value: Any, axis: int) -> int:
    """Return an option for one axis; a single number holds for both."""
    if isinstance(value, (tuple, list)):
        return int(value[axis if len(value) > 1 else 0])
    return int(value)


def adaptive_pool_window(axes: Axes, input_size: Sizes, output_size: Sizes) -> WindowSpec:
    """Return the window of an adaptive pool.

    Args:
        axes: axes of height and width.
        input_size: height and width of the input.
        output_size: height and width of the output.

    Returns:
        Windows of equal size, a pointwise or a global window.

    Raises:
        UnknownWindowError: the pool needs windows of different sizes.
    """
    if tuple(input_size) == tuple(output_size):
        return WindowSpec(axes)
    if tuple(output_size) == GLOBAL_SIZE:
        return WindowSpec(axes, is_global=True)
    pairs = list(zip(input_size, output_size, strict=True))
    if any(before % after for before, after in pairs):
        raise UnknownWindowError(
            f"pooling {format_shape(input_size)} to {format_shape(output_size)} positions needs "
            "windows of different sizes (use another input size)"
        )
    height, width = (before // after for before, after in pairs)
    return WindowSpec(axes, ((height, height, 0, 1), (width, width, 0, 1)))


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
    index = 2 * (dims - 1 - axis)
    return pads[index] if index < len(pads) else 0


def norm_window(num_last_axes: int, dims: int, axes: Axes) -> WindowSpec:
    """Return the window of a norm or linear map over the last axes.

    Args:
        num_last_axes: number of axes that the operation mixes.
        dims: number of axes of the input.
        axes: axes of height and width.

    Returns:
        A pointwise window, or one with statistics of all positions.

    Raises:
        UnknownWindowError: it mixes only one of height and width.
    """
    mixed = [axis for axis in axes if axis >= dims - num_last_axes]
    if len(mixed) == 1:
        raise UnknownWindowError("it mixes positions along only one of height and width")
    return WindowSpec(axes, includes_global=bool(mixed))


def reshape_window(input_shape: Sizes, axes: Axes, output_shape: Sizes) -> WindowSpec:
    """Return the window of a reshape.

    Args:
        input_shape: shape of the input.
        axes: axes of height and width of the input.
        output_shape: shape of the output.

    Returns:
        A pointwise window on the new axes of height and width.

    Raises:
        UnknownWindowError: height and width are not two neighboring axes afterwards.
    """
    first, second = axes
    size = (input_shape[first], input_shape[second])
    if second == first + 1:
        before = math.prod(input_shape[:first])
        for axis in range(len(output_shape) - 1):
            same_size = tuple(output_shape[axis : axis + 2]) == size
            if same_size and math.prod(output_shape[:axis]) == before:
                return WindowSpec((axis, axis + 1))
    if size == GLOBAL_SIZE:
        return WindowSpec(None)
    raise UnknownWindowError("it rearranges positions")


def reduction_window(
    dims: Sequence[int] | None, value: Tensor, axes: Axes, output: Tensor
) -> WindowSpec:
    """Return the window of a mean, sum or maximum over axes.

    Args:
        dims: reduced axes; None for all.
        value: input.
        axes: axes of height and width of the input.
        output: output.

    Returns:
        A pointwise or a global window.

    Raises:
        UnknownWindowError: only one of height and width is reduced.
    """
    reduced = set(range(value.dim()))
    if dims is not None:
        reduced = {dim % value.dim() for dim in dims}
    keeps_axes = output.dim() == value.dim()
    spatial = [axis for axis in axes if axis in reduced]
    if len(spatial) == 1 and value.shape[spatial[0]] > 1:
        raise UnknownWindowError("it reduces only one of height and width")
    if spatial:
        return WindowSpec(axes if keeps_axes else None, is_global=True)
    if keeps_axes:
        return WindowSpec(axes)
    height, width = (axis - sum(dim < axis for dim in reduced) for axis in axes)
    return WindowSpec((height, width))


def slice_window(index: Sequence[Any], value: Tensor, axes: Axes) -> WindowSpec:
    """Return the window of indexing with slices, integers, None and Ellipsis.

    Args:
        index: the index, one item per axis.
        value: input.
        axes: axes of height and width of the input.

    Returns:
        Windows of size 1 with the slices' starts and steps.

    Raises:
        UnknownWindowError: the index contains lists or tensors, or an integer for height or width.
    """
    if any(isinstance(item, (Tensor, list)) for item in index):
        raise UnknownWindowError("it indexes with a list or tensor")
    windows: dict[int, tuple[int, Window]] = {}  # by input axis: output axis and window
    input_axis = 0
    output_axis = 0
    for item in _expand_index(index, value.dim()):
        if item is None:  # a new axis
            output_axis += 1
            continue
        if isinstance(item, slice):
            start, _, step = item.indices(value.shape[input_axis])
            windows[input_axis] = (output_axis, (1, step, -start, 1))
            output_axis += 1
        elif input_axis in axes:
            raise UnknownWindowError("it selects a single row or column")
        input_axis += 1
    height_axis, height_window = windows[axes[0]]
    width_axis, width_window = windows[axes[1]]
    return WindowSpec((height_axis, width_axis), (height_window, width_window))


def _expand_index(index: Sequence[Any], dims: int) -> list[Any]:
    """Replace Ellipsis and missing trailing items by full slices."""
    num_indexed = sum(item is not None and item is not Ellipsis for item in index)
    missing = [slice(None)] * (dims - num_indexed)
    expanded: list[Any] = []
    for item in index:
        if item is Ellipsis:
            expanded += missing
        else:
            expanded.append(item)
    has_ellipsis = any(item is Ellipsis for item in index)
    return expanded if has_ellipsis else expanded + missing


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
