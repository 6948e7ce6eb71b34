"""The loss around a checkpoint, along one or two random directions that are scaled filter by filter, ever finer.

Li, Xu, Taylor, Studer, Goldstein 2018, arXiv:1712.09913, section 4: each filter of a direction gets the norm of the
net's own. Biases and batch norms, weights and statistics, stay as they are, as in the authors' code.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_resnets.analysis.places import device_of
from lightning_resnets.analysis.result import AnalysisError, Cell, Pictures, Table, Tell, silent

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Grid = NDArray[np.float64]
LEVELS = 12  # contour lines
CEILING = 10.0  # of a drawn loss, in multiples of the least one plus 1: far out it grows without end


@dataclass(frozen=True, slots=True, eq=False)
class Surface:
    """Mean cross entropy and share of errors at (along[i]) or (along[i], along[j]); NaN where not looked yet.

    `along` is in filter norms: at 1 every filter of the direction is as long as the net's own. `loss` and `error` are
    (n,) or (n, n), rows along the first direction. The net itself is in the middle.
    """

    along: Grid
    loss: Grid
    error: Grid

    @property
    def done(self) -> float:
        """The share of points that have been looked at."""
        return float(np.isfinite(self.error).mean())


@dataclass(frozen=True, slots=True, eq=False)
class LandscapeResult:
    """The surface of a net and, on the same points and the same scale, that of its twin."""

    surfaces: dict[str, Surface]
    seed: int

    def tables(self) -> dict[str, Table]:
        """A row a point that has been looked at."""
        rows: list[tuple[Cell, ...]] = []
        for name, surface in self.surfaces.items():
            for index in np.argwhere(np.isfinite(surface.error)):
                places = [float(surface.along[i]) for i in index]
                second = places[1] if len(places) > 1 else None
                at = tuple(index)
                rows.append((name, places[0], second, float(surface.loss[at]), float(surface.error[at])))
        return {"landscape": Table(("net", "first", "second", "loss", "error"), tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """In one dimension curves over each other, in two contours side by side, of one scale."""
        if all(surface.loss.ndim == 1 for surface in self.surfaces.values()):
            self._curves(figure)
        else:
            self._contours(figure)

    def _curves(self, figure: "Figure") -> None:
        axis, top = figure.subplots(), self._top()
        for (name, surface), line in zip(self.surfaces.items(), ("o-", "s--", "^:"), strict=False):
            known = np.isfinite(surface.error)
            axis.plot(surface.along[known], surface.loss[known].clip(max=top), line, label=name, markersize=4)
        axis.set_xlabel("along a random direction, filter norms")
        axis.set_ylabel("mean cross entropy")
        axis.legend()
        axis.set_title("Loss around the checkpoint", fontsize=10)

    def _contours(self, figure: "Figure") -> None:
        top = self._top()
        least = min(float(np.nanmin(surface.loss)) for surface in self.surfaces.values())
        levels = np.geomspace(max(least, 1e-3), top, LEVELS)
        axes = figure.subplots(1, len(self.surfaces), squeeze=False, sharey=True)[0]
        for axis, (name, surface) in zip(axes, self.surfaces.items(), strict=True):
            loss = np.nan_to_num(surface.loss, nan=top).clip(levels[0], top)
            known = np.isfinite(surface.error).any(1)
            along, loss = surface.along[known], loss[np.ix_(known, known)]
            axis.contourf(along, along, loss.T, levels, cmap="viridis", norm="log", extend="max")
            lines = axis.contour(along, along, loss.T, levels, colors="black", linewidths=0.5)
            axis.clabel(lines, fmt="%.2g", fontsize=6)
            axis.plot(0, 0, "w+", markersize=10)
            axis.set_title(name, fontsize=10)
            axis.set_xlabel("first direction, filter norms")
            axis.set_aspect("equal")
        axes[0].set_ylabel("second direction, filter norms")
        figure.suptitle("Mean cross entropy around the checkpoint (+), one scale", fontsize=10)

    def _top(self) -> float:
        least = min(float(np.nanmin(surface.loss)) for surface in self.surfaces.values())
        most = max(float(surface.loss[np.isfinite(surface.loss)].max()) for surface in self.surfaces.values())
        return max(min(most, CEILING * (least + 1)), least * 1.01 + 1e-3)


def landscape(
    net: nn.Module, pictures: Pictures, points: int = 11, reach: float = 1.0, dimensions: int = 2,
    twin: nn.Module | None = None, seed: int = 0, batch: int = 50, tell: Tell = silent,
) -> LandscapeResult:  # fmt: skip
    """The whole surface at once, and the twin's: `refine` to its end. Raises AnalysisError as it does."""
    nets = {"net": net} | ({"twin": twin} if twin is not None else {})
    total, surfaces = len(nets) * points**dimensions, dict[str, Surface]()
    tell(0, total)
    for number, (name, one) in enumerate(nets.items()):
        before = number * points**dimensions

        def hear(done: int, _: int, before: int = before) -> None:
            tell(before + done, total)

        for surface in refine(one, pictures, points, reach, dimensions, seed, batch, hear):
            surfaces[name] = surface
    return LandscapeResult(surfaces, seed)


def refine(
    net: nn.Module, pictures: Pictures, points: int = 11, reach: float = 1.0, dimensions: int = 2, seed: int = 0,
    batch: int = 50, tell: Tell = silent,
) -> Iterator[Surface]:  # fmt: skip
    """Surfaces of ever more points: corners and middle first, then all that lie between, each point looked at once.

    `points` a side, an odd number, lie evenly from -`reach` to `reach`. A copy of the net is moved, never the net.
    Raises AnalysisError for an even number, and for a net without a convolution or linear layer.
    """
    if points < 3 or points % 2 == 0 or dimensions not in (1, 2):
        raise AnalysisError(
            f"A landscape has 3, 5, 7 or more points a side, an odd number, in 1 or 2 dimensions: not {points} in "
            f"{dimensions}."
        )
    moved = copy.deepcopy(net).eval().requires_grad_(False)
    weights = [weight for weight in moved.parameters() if weight.dim() > 1]
    if not weights:
        raise AnalysisError("This net has no convolution and no linear layer, so there is no direction to go.")
    origin = [weight.clone() for weight in weights]
    ways = [direction(weights, seed + number) for number in range(dimensions)]
    along = np.linspace(-reach, reach, points)
    along[points // 2] = 0.0  # the net itself, to the bit
    loss = np.full((points,) * dimensions, np.nan)
    error = loss.copy()
    done = 0
    for grid in grids(points):
        for index in np.ndindex(*(len(grid),) * dimensions):
            at = tuple(grid[i] for i in index)
            if np.isfinite(error[at]):
                continue
            move(weights, origin, ways, [float(along[i]) for i in at])
            loss[at], error[at] = measure(moved, pictures, batch)
            done += 1
            tell(done, points**dimensions)
        yield Surface(along.copy(), loss.copy(), error.copy())


def grids(points: int) -> list[list[int]]:
    """Which of the points a side each look takes: ends and middle, then every 4th from the middle, every 2nd, all."""
    middle, step, found = points // 2, points // 2, list[list[int]]()
    while step >= 1:
        chosen = {0, points - 1, *range(middle, points, step), *range(middle, -1, -step)}
        found.append(sorted(chosen))
        step = step // 2 if step > 1 else 0
    return found


def direction(weights: Sequence[Tensor], seed: int) -> list[Tensor]:
    """A random direction, each filter (each row of a linear layer) as long as the net's own."""
    chance = torch.Generator().manual_seed(seed)
    found: list[Tensor] = []
    for weight in weights:
        way = torch.randn(weight.shape, generator=chance).to(weight)
        sides = tuple(range(1, weight.dim()))
        own, length = (torch.linalg.vector_norm(one, dim=sides, keepdim=True) for one in (weight, way))
        found.append(way * own / length.clamp(min=1e-10))
    return found


def move(weights: Sequence[Tensor], origin: Sequence[Tensor], ways: list[list[Tensor]], steps: list[float]) -> None:
    """Put the weights at so many steps along each direction from the origin."""
    for number, (weight, start) in enumerate(zip(weights, origin, strict=True)):
        place = start
        for way, step in zip(ways, steps, strict=True):
            place = place + step * way[number] if step else place
        weight.copy_(place)


def measure(net: nn.Module, pictures: Pictures, batch: int) -> tuple[float, float]:
    """Mean cross entropy, infinity where it is no number, and the share of errors."""
    loss, wrong, device = 0.0, 0, device_of(net)
    with torch.no_grad():
        for images, labels in pictures.batches(batch):
            logits, targets = net(images.to(device)), labels.to(device)
            loss += float(nn.functional.cross_entropy(logits.double(), targets, reduction="sum"))
            wrong += int((logits.argmax(1) != targets).sum())
    return loss / len(pictures) if np.isfinite(loss) else float("inf"), wrong / len(pictures)
