"""Receptive-field windows of operations that merge maps, mix positions or move axes."""

import math
from collections.abc import Sequence
from typing import Any

from torch import Tensor

from lightning_resnets.analysis.receptive_field.windows import (
    GLOBAL_SIZE,
    Axes,
    Sizes,
    UnknownWindowError,
    Window,
    WindowSpec,
    spatial_size,
)


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
    layout = _common_layout(values, axes, output)
    if layout is None:
        return WindowSpec(None)
    merged = (layout[0] + output.dim(), layout[1] + output.dim())
    if concat_dim is not None:
        is_stacked = output.dim() > values[0].dim()
        _check_concat_dim(concat_dim % output.dim(), merged, is_stacked)
    return WindowSpec(merged)


def _common_layout(
    values: Sequence[Tensor], axes: Sequence[Axes | None], output: Tensor
) -> Axes | None:
    """Return the axes of height and width that all maps share, counted from the last axis."""
    # Broadcasting aligns the last axes, so only negative indices can be compared.
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
    if len(layouts) > 1:
        raise UnknownWindowError("its inputs have height and width on different axes")
    return layouts.pop() if layouts else None


def _check_concat_dim(dim: int, axes: Axes, is_stacked: bool) -> None:
    """Raise UnknownWindowError if maps are joined along height or width."""
    # A stack inserts an axis, which must not shift those of height and width.
    is_spatial = dim >= min(axes) if is_stacked else dim in axes
    if is_spatial:
        raise UnknownWindowError("it concatenates maps along height or width")


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
    # Channels last: the last axis holds channels, and positions stay apart.
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
        before = math.prod(input_shape[:first])  # equal: the same numbers in the same order
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
    """Return the window of a mean, sum or maximum over axes: pointwise or global.

    Args:
        dims: reduced axes; None for all.
        value: input.
        axes: axes of height and width of the input.
        output: output.

    Returns:
        The reduction's window.

    Raises:
        UnknownWindowError: only one of height and width is reduced.
    """
    reduced = _to_indices(dims, value.dim())
    keeps_axes = output.dim() == value.dim()
    spatial = [axis for axis in axes if axis in reduced]
    if len(spatial) == 1 and value.shape[spatial[0]] > 1:
        raise UnknownWindowError("it reduces only one of height and width")
    if spatial:
        return WindowSpec(axes if keeps_axes else None, is_global=True)
    return WindowSpec(axes if keeps_axes else _axes_after_removal(axes, reduced))


def _to_indices(dims: Sequence[int] | None, num_axes: int) -> set[int]:
    """Return axes as indices from the front; None stands for all axes."""
    if dims is None:
        return set(range(num_axes))
    return {dim % num_axes for dim in dims}


def _axes_after_removal(axes: Axes, removed: set[int]) -> Axes:
    """Return the indices of axes after other axes are removed."""
    # Each axis removed in front moves an axis one to the front.
    height, width = (axis - sum(dim < axis for dim in removed) for axis in axes)
    return height, width


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
    # Advanced indexing may take any positions in any order.
    if any(isinstance(item, (Tensor, list)) for item in index):
        raise UnknownWindowError("it indexes with a list or tensor")
    windows = _slice_windows(_expand_index(index, value.dim()), value.shape)
    if axes[0] not in windows or axes[1] not in windows:
        raise UnknownWindowError("it selects a single row or column")
    height_axis, height_window = windows[axes[0]]
    width_axis, width_window = windows[axes[1]]
    return WindowSpec((height_axis, width_axis), (height_window, width_window))


def _slice_windows(index: Sequence[Any], shape: Sizes) -> dict[int, tuple[int, Window]]:
    """Return by sliced input axis the output axis and window."""
    windows: dict[int, tuple[int, Window]] = {}
    input_axis = 0
    output_axis = 0
    for item in index:
        if item is None:  # a new axis
            output_axis += 1
            continue
        if isinstance(item, slice):
            # Starting later is negative padding; every n-th position is a stride.
            start, _, step = item.indices(shape[input_axis])
            windows[input_axis] = (output_axis, (1, step, -start, 1))
            output_axis += 1
        # An integer removes its axis.
        input_axis += 1
    return windows


def _expand_index(index: Sequence[Any], dims: int) -> list[Any]:
    """Replace Ellipsis and missing trailing items by full slices."""
    num_indexed = sum(item is not None and item is not Ellipsis for item in index)
    # Ellipsis stands for all axes that are not indexed.
    missing = [slice(None)] * (dims - num_indexed)
    expanded: list[Any] = []
    for item in index:
        if item is Ellipsis:
            expanded += missing
        else:
            expanded.append(item)
    has_ellipsis = any(item is Ellipsis for item in index)
    return expanded if has_ellipsis else expanded + missing
