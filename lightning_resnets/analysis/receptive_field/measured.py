"""Measure the receptive-field window of an unknown module or function on test maps.

Some positions (one pixel, a row or a column) are set to NaN or to a large value. Outputs that
change depend on these positions.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_resnets.analysis.receptive_field.windows import (
    GLOBAL_SIZE,
    Axes,
    UnknownWindowError,
    Window,
    WindowSpec,
    spatial_size,
)

# NaN spreads through sums; large values show where NaN is replaced or compared.
PERTURBATIONS = (math.nan, 1e4, -1e4)


def measure_receptive_window(
    function: Callable[[Tensor], Any], value: Tensor, axes: Axes
) -> WindowSpec:
    """Measure the receptive-field window of a module or function.

    Args:
        function: called with test maps on the CPU.
        value: a tensor with the shape of the input.
        axes: axes of height and width of the input.

    Returns:
        The measured window.

    Raises:
        UnknownWindowError: the function fails, or its windows differ in size or stride.
    """
    image = torch.rand(value.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    # A function that draws random numbers must not change the caller's.
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            return _measure(function, image, axes)
        except UnknownWindowError:
            raise
        except Exception as error:
            raise UnknownWindowError("it cannot be run on a test map") from error


def _measure(function: Callable[[Tensor], Any], image: Tensor, axes: Axes) -> WindowSpec:
    """Measure the window on a test map; raise UnknownWindowError if it does not fit."""
    output = function(image.clone())  # in-place functions get a copy
    if not isinstance(output, Tensor):
        raise UnknownWindowError("it returns several tensors")
    measurement = _Measurement(function, image, output, axes)
    return measurement.pointwise_window() or measurement.sliding_window()


@dataclass(frozen=True, slots=True)
class _Measurement:
    """A function with a test map, its output and the map's axes of height and width."""

    function: Callable[[Tensor], Any]
    image: Tensor
    output: Tensor
    axes: Axes

    def changed_outputs(self, where: dict[int, int]) -> Tensor:
        """Find the outputs that depend on some positions of the map.

        Args:
            where: index by axis; other axes are changed as a whole.

        Returns:
            A bool mask of the output's shape.
        """
        index = tuple(where.get(axis, slice(None)) for axis in range(self.image.dim()))
        changed = torch.zeros(self.output.shape, dtype=torch.bool)
        for value in PERTURBATIONS:
            image = self.image.clone()
            image[index] = value
            output = self.function(image)
            # NaN differs from itself.
            is_same = (output == self.output) | (output.isnan() & self.output.isnan())
            changed |= ~is_same
        return changed

    def pointwise_window(self) -> WindowSpec | None:
        """Return a pointwise window if each output depends on one position, else None."""
        height, width = spatial_size(self.image, self.axes)
        all_axes = set(range(self.output.dim()))
        candidates = [set(all_axes), set(all_axes)]  # output axes that may be height, and width
        # Two pixels, with different coordinates, tell height and width apart.
        for pixel in ((0, 0), (height // 3, width - 1)):
            where = dict(zip(self.axes, pixel, strict=True))
            changed = self.changed_outputs(where).nonzero()
            for i, side in enumerate((height, width)):
                candidates[i] &= self._axes_of_position(changed, side, pixel[i])
        if not candidates[0] or not candidates[1]:
            return None
        # The old axes are preferred, where a square map leaves a choice.
        first, second = (
            axis if axis in possible else min(possible)
            for axis, possible in zip(self.axes, candidates, strict=True)
        )
        return WindowSpec((first, second)) if first != second else None

    def _axes_of_position(self, changed: Tensor, side: int, index: int) -> set[int]:
        """Return the output axes of this size along which only one position has changed."""
        return {
            axis
            for axis in range(self.output.dim())
            if self.output.shape[axis] == side and changed[:, axis].unique().tolist() == [index]
        }

    def sliding_window(self) -> WindowSpec:
        """Return sliding or global windows; raise UnknownWindowError if there are none."""
        if self.output.dim() != self.image.dim():
            raise UnknownWindowError("it rearranges positions")
        sides = spatial_size(self.image, self.axes)
        # Row by row and column by column, which finds windows but not dependencies in between.
        by_axis = [
            self._dependence(axis, side) for axis, side in zip(self.axes, sides, strict=True)
        ]
        if not all(dependence.all() for dependence in by_axis):
            return WindowSpec(self.axes, (_fit_window(by_axis[0]), _fit_window(by_axis[1])))
        # Everything depends on everything: a norm over all positions, or a global pool.
        output_size = spatial_size(self.output, self.axes)
        if output_size == sides:
            return WindowSpec(self.axes, includes_global=True)
        if output_size != GLOBAL_SIZE:
            raise UnknownWindowError("every output position depends on every input position")
        return WindowSpec(self.axes, is_global=True)

    def _dependence(self, axis: int, side: int) -> Tensor:
        """Return a mask (input positions, output positions) along one axis."""
        others = [other for other in range(self.output.dim()) if other != axis]
        return torch.stack([self.changed_outputs({axis: i}).any(others) for i in range(side)])


def _fit_window(dependence: Tensor) -> Window:
    """Fit one window and stride to a mask (input positions, output positions)."""
    num_inputs, num_outputs = dependence.shape
    rows = [column.nonzero().flatten().tolist() for column in dependence.T]
    spans = [(row[0], row[-1]) for row in rows if row]
    if len(spans) < num_outputs:
        raise UnknownWindowError("some output positions depend on no input")
    sizes = [last - first + 1 for first, last in spans]
    size = max(sizes)
    uncut = sizes.index(size)  # an output whose window lies inside the map
    for stride in range(1, num_inputs + 1):
        # From the position of one complete window; the border cuts the others.
        padding = uncut * stride - spans[uncut][0]
        starts = [i * stride - padding for i in range(num_outputs)]
        cut = [(max(start, 0), min(start + size, num_inputs) - 1) for start in starts]
        if spans == cut:
            return (size, stride, padding, 1)
    raise UnknownWindowError("its windows differ in size or stride")
