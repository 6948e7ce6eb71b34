"""What a layer or function that is not known by its name sees of a map: it is asked.

One position (or a row, or a column) is made NaN or large, and what comes out otherwise has seen it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lightning_resnets.analysis.receptive_field.windows import (
    Axes,
    UnknownWindowError,
    Window,
    WindowSpec,
    spatial_size,
)

PERTURBATIONS = (math.nan, 1e4, -1e4)


def measure_receptive_window(
    works: Callable[[Tensor], Any], given: Tensor, axes: Axes
) -> WindowSpec:
    """What a layer or function on one map sees, found by changing positions and looking at what changes."""
    image = torch.rand(given.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            base = works(image.clone())
            if not isinstance(base, Tensor):
                raise UnknownWindowError("it gives several tensors")
            look = _Asking(works, image, base, axes)
            return look.alone() or look.windows()
        except UnknownWindowError:
            raise
        except Exception as error:
            raise UnknownWindowError("it cannot be asked") from error


@dataclass(frozen=True, slots=True)
class _Asking:
    works: Callable[[Tensor], Any]
    image: Tensor
    base: Tensor
    axes: Axes

    def changed(self, where: dict[int, int]) -> Tensor:
        """Which numbers of the output differ where these rows and columns of the input do."""
        index = tuple(where.get(axis, slice(None)) for axis in range(self.image.dim()))
        found = torch.zeros(self.base.shape, dtype=torch.bool)
        for change in PERTURBATIONS:
            image = self.image.clone()
            image[index] = change
            made = self.works(image)
            found |= ~((made == self.base) | (made.isnan() & self.base.isnan()))
        return found

    def alone(self) -> WindowSpec | None:
        """Where the positions are if each is seen by itself alone, also where axes have changed places."""
        height, width = spatial_size(self.image, self.axes)
        kept = [set(range(self.base.dim()))] * 2
        for place in ((0, 0), (height // 3, width - 1)):
            seen = self.changed(dict(zip(self.axes, place, strict=True))).nonzero()
            hit = [seen[:, axis].unique().tolist() for axis in range(self.base.dim())]
            for number, side in enumerate((height, width)):
                long = {axis for axis in kept[number] if self.base.shape[axis] == side}
                kept[number] = {axis for axis in long if hit[axis] == [place[number]]}
        if not kept[0] or not kept[1]:
            return None
        first, second = (
            axis if axis in fits else min(fits) for axis, fits in zip(self.axes, kept, strict=True)
        )
        return WindowSpec((first, second)) if first != second else None

    def windows(self) -> WindowSpec:
        if self.base.dim() != self.image.dim():
            raise UnknownWindowError("it lays positions out in another way")
        sides = spatial_size(self.image, self.axes)
        seen: list[Tensor] = []  # per axis: (positions in, positions out)
        for axis, side in zip(self.axes, sides, strict=True):
            others = [other for other in range(self.base.dim()) if other != axis]
            seen.append(torch.stack([self.changed({axis: i}).any(others) for i in range(side)]))
        if all(one.all() for one in seen):
            return (
                WindowSpec(self.axes, includes_global=True)
                if spatial_size(self.base, self.axes) == sides
                else _everything(self)
            )
        return WindowSpec(self.axes, (_window(seen[0]), _window(seen[1])))


def _everything(look: _Asking) -> WindowSpec:
    if spatial_size(look.base, look.axes) != (1, 1):
        raise UnknownWindowError("all that it gives sees all that it is given")
    return WindowSpec(look.axes, is_global=True)


def _window(seen: Tensor) -> Window:
    """The window, by steps of one length, of which each output sees what lies in the input; raises UnknownError."""
    before, after = seen.shape
    rows = [one.nonzero().flatten().tolist() for one in seen.T]
    ends = [(row[0], row[-1]) for row in rows if row]
    if len(ends) < after:
        raise UnknownWindowError("it gives positions that see nothing")
    size = max(last - first + 1 for first, last in ends)
    j = next(
        j for j, (first, last) in enumerate(ends) if last - first + 1 == size
    )  # one that no border cuts
    for stride in range(1, before + 1):
        padding = j * stride - ends[j][0]
        spans = [(i * stride - padding, i * stride - padding + size - 1) for i in range(after)]
        if ends == [(max(first, 0), min(last, before - 1)) for first, last in spans]:
            return (size, stride, padding, 1)
    raise UnknownWindowError("its positions do not see windows of one size and step")
