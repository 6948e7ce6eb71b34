"""What a step sees of the map that it is given: a window, each position for itself, all of them, or it is not known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

Window = tuple[int, int, int, int]  # size, stride, padding in front, dilation


Axes = tuple[int, int]  # which of a tensor's axes are height and width


POINTWISE: Window = (1, 1, 0, 1)


class UnknownWindowError(Exception):
    """The window of a node is not known; the message says why and follows a colon."""


@dataclass(frozen=True, slots=True)
class WindowSpec:
    """Where a step's output has its positions (None: nowhere, it is of the whole), and what each of them sees.

    `whole` where statistics of all positions join in; `everything` where there is nothing but them.
    """

    axes: Axes | None
    windows: tuple[Window, Window] = (POINTWISE, POINTWISE)
    includes_global: bool = False
    is_global: bool = False


def merge_windows(
    values: Sequence[Tensor], axes: Sequence[Axes | None], made: Tensor, along: int | None = None
) -> WindowSpec:
    """Where maps meet: those as large as what is made keep their positions, one value for all of them has none.

    `along` is the axis of what is made on which they lie behind one another, None where they meet number by number.
    """
    behind: set[Axes] = set()  # the axes counted from the last one
    for value, where in zip(values, axes, strict=True):
        last = (where[0] - value.dim(), where[1] - value.dim()) if where else None
        if (
            where
            and last
            and min(last) + made.dim() >= 0
            and spatial_size(value, where) == spatial_size(made, last)
        ):
            behind.add(last)
        elif where and spatial_size(value, where) != (1, 1):
            raise UnknownWindowError("maps of several sizes meet in it")
    if len(behind) > 1:
        raise UnknownWindowError("the maps that meet in it lie differently")
    if not behind:
        return WindowSpec(None)
    ((first, second),) = behind
    found = (first + made.dim(), second + made.dim())
    stacked = made.dim() > values[0].dim()
    if along is not None and (
        along % made.dim() >= min(found) if stacked else along % made.dim() in found
    ):
        raise UnknownWindowError("it puts maps side by side")
    return WindowSpec(found)


def sliding_window(
    options: dict[str, Any], had: Sequence[int], made: Sequence[int], same: bool
) -> tuple[Window, Window]:
    """The windows of a convolution or pool; `same` where the layer itself may pad so that no position is lost."""
    found: list[Window] = []
    for axis, (before, after) in enumerate(zip(had, made, strict=True)):
        size, dilation = _at(options["kernel_size"], axis), _at(options.get("dilation", 1), axis)
        stride, padding = _at(options.get("stride") or size, axis), options.get("padding", 0)
        span = dilation * (size - 1)
        padding = 0 if isinstance(padding, str) else _at(padding, axis)
        short = (before + 2 * padding - span - 1) // stride + 1 < after
        if same and short and not padding and after == -(-before // stride):
            padding = max((after - 1) * stride + span + 1 - before, 0) // 2
        elif short and not options.get("ceil_mode"):
            raise UnknownWindowError("it gives more positions than its window does")
        found.append((size, stride, padding, dilation))
    return found[0], found[1]


def adaptive_pool_window(axes: Axes, had: Sequence[int], made: Sequence[int]) -> WindowSpec:
    """A pool to so many positions, whose windows must be of one size."""
    if tuple(had) == tuple(made):
        return WindowSpec(axes)
    if tuple(made) == (1, 1):
        return WindowSpec(axes, is_global=True)
    if any(before % after for before, after in zip(had, made, strict=True)):
        sizes = " to ".join("×".join(map(str, sides)) for sides in (had, made))
        raise UnknownWindowError(
            f"a pool from {sizes} positions has windows of several sizes, so choose another size"
        )
    steps = [before // after for before, after in zip(had, made, strict=True)]
    return WindowSpec(axes, ((steps[0], steps[0], 0, 1), (steps[1], steps[1], 0, 1)))


def pad_window(pads: Sequence[int], dims: int, axes: Axes) -> WindowSpec:
    """Padding, told from the last axis on, in front and behind."""
    front = [
        pads[2 * (dims - 1 - axis)] if 2 * (dims - 1 - axis) < len(pads) else 0 for axis in axes
    ]
    return WindowSpec(axes, ((1, 1, front[0], 1), (1, 1, front[1], 1)))


def norm_window(last: int, dims: int, axes: Axes) -> WindowSpec:
    """A norm or a linear map over the last axes: of all positions together or of each for itself."""
    hits = [axis for axis in axes if axis >= dims - last]
    if len(hits) == 1:
        raise UnknownWindowError("it mixes the positions of a row")
    return WindowSpec(axes, includes_global=bool(hits))


def reshape_window(had: tuple[int, ...], axes: Axes, made: tuple[int, ...]) -> WindowSpec:
    """Where the positions are in another shape of the same numbers."""
    first, second = axes
    before, sides = math.prod(had[:first]), (had[first], had[second])
    if second == first + 1:
        for axis in range(len(made) - 1):
            if math.prod(made[:axis]) == before and made[axis : axis + 2] == sides:
                return WindowSpec((axis, axis + 1))
    if sides == (1, 1):
        return WindowSpec(None)
    raise UnknownWindowError("it lays positions out in another way")


def reduction_window(
    dims: Sequence[int] | None, had: Tensor, axes: Axes, made: Tensor
) -> WindowSpec:
    """A mean, sum or maximum over axes."""
    gone = {dim % had.dim() for dim in dims} if dims is not None else set(range(had.dim()))
    kept = made.dim() == had.dim()
    hits = [axis for axis in axes if axis in gone]
    if len(hits) == 1 and had.shape[hits[0]] > 1:
        raise UnknownWindowError("it puts rows or columns together")
    if hits:
        return WindowSpec(axes if kept else None, is_global=True)
    shift = [0 if kept else sum(dim < axis for dim in gone) for axis in axes]
    return WindowSpec((axes[0] - shift[0], axes[1] - shift[1]))


def slice_window(index: Sequence[Any], given: Tensor, axes: Axes) -> WindowSpec:
    """A part of the map, every so many positions; None adds an axis and a number takes one away."""
    if any(isinstance(one, (Tensor, list)) for one in index):
        raise UnknownWindowError("it takes out positions by a list")
    named = sum(one is not None and one is not Ellipsis for one in index)
    full: list[Any] = []
    for one in index:
        full += [slice(None)] * (given.dim() - named) if one is Ellipsis else [one]
    windows: dict[int, tuple[int, Window]] = {}
    axis = behind = 0
    for one in [*full, *[slice(None)] * given.dim()]:
        if one is None:
            behind += 1
        elif axis < given.dim():
            if axis in axes and not isinstance(one, slice):
                raise UnknownWindowError("it takes out one row")
            if isinstance(one, slice):
                start, _, step = one.indices(given.shape[axis])
                windows[axis] = (behind, (1, step, -start, 1))
                behind += 1
            axis += 1
    (first, tall), (second, wide) = windows[axes[0]], windows[axes[1]]
    return WindowSpec((first, second), (tall, wide))


def spatial_size_nchw(value: Tensor, axes: Axes) -> tuple[int, int]:
    """Height and width of a map (N, C, H, W); raises UnknownError for another."""
    if value.dim() != 4 or axes != (2, 3):
        raise UnknownWindowError("height and width are not the last axes")
    return value.shape[2], value.shape[3]


def spatial_size(tensor: Tensor, axes: Axes) -> tuple[int, int]:
    """Height and width."""
    return tensor.shape[axes[0]], tensor.shape[axes[1]]


def _at(value: Any, axis: int) -> int:
    if isinstance(value, (tuple, list)):
        return int(value[axis if len(value) > 1 else 0])
    return int(value)
