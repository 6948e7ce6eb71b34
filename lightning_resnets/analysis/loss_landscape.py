"""The loss around a checkpoint, along one or two random directions that are scaled filter by filter, ever finer.

Li, Xu, Taylor, Studer, Goldstein 2018, arXiv:1712.09913, section 4: each filter of a direction gets the norm of the
model's own. Biases and batch norms, weights and statistics, stay as they are, as in the authors' code.
"""

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from lightning_resnets.analysis.block_outputs import device_of
from lightning_resnets.analysis.plotting import (
    COLORMAP,
    SERIES_1,
    SERIES_2,
    SERIES_3,
    TICK_SIZE,
    add_legend,
    figure_title,
    finish_figure,
)
from lightning_resnets.analysis.result import (
    Cell,
    LabeledImages,
    ProgressCallback,
    Table,
    check_labels,
    display_names,
    no_progress,
)
from lightning_resnets.errors import AnalysisError

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Grid = NDArray[np.float64]


CONTOUR_LEVELS, UPSAMPLED_POINTS = (
    33,
    121,
)  # steps of color; points a side that a surface is drawn by


CONTOUR_LOSSES = [
    digit * 10.0**power for power in range(-4, 5) for digit in (1, 2, 5)
]  # losses at which a line is drawn


AXIS_LABEL = "step along {},\nin units of the filters' norms"


MAX_DRAWN_LOSS = (
    10.0  # of a drawn loss, in multiples of the least one plus 1: far out it grows without end
)


@dataclass(frozen=True, slots=True, eq=False)
class LossSurface:
    """Mean cross entropy and share of errors at (along[i]) or (along[i], along[j]); NaN where not looked yet.

    `along` is in filter norms: at 1 every filter of the direction is as long as the model's own. `loss` and `error` are
    (n,) or (n, n), rows along the first direction. The model itself is in the middle.
    """

    coordinates: Grid
    loss: Grid
    error: Grid

    @property
    def fraction_done(self) -> float:
        """The share of points that have been looked at."""
        return float(np.isfinite(self.error).mean())


@dataclass(frozen=True, slots=True, eq=False)
class LossLandscapeResult:
    """The surface of a model and, on the same points and the same scale, that of its twin, by their names."""

    surfaces: dict[str, LossSurface]
    seed: int
    num_images: int | None = None

    def tables(self) -> dict[str, Table]:
        """A row a point that has been looked at."""
        rows: list[tuple[Cell, ...]] = []
        for name, surface in self.surfaces.items():
            for index in np.argwhere(np.isfinite(surface.error)):
                places = [float(surface.coordinates[i]) for i in index]
                second = places[1] if len(places) > 1 else None
                at = tuple(index)
                rows.append(
                    (name, places[0], second, float(surface.loss[at]), float(surface.error[at]))
                )
        return {"landscape": Table(("model", "step_1", "step_2", "loss", "error"), tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """In one dimension curves over each other, in two contours side by side, of one scale."""
        flat = all(surface.loss.ndim == 1 for surface in self.surfaces.values())
        (self._curves if flat else self._contours)(figure)
        text = figure_title("loss around the checkpoint", list(self.surfaces), self.num_images)
        finish_figure(figure, text, layout="constrained" if flat else "compressed")

    def _curves(self, figure: "Figure") -> None:
        axes, top = figure.subplots(), self._top()
        for (name, surface), look in zip(
            self.surfaces.items(), (SERIES_1, SERIES_2, SERIES_3), strict=False
        ):
            known = np.isfinite(surface.error)
            axes.plot(
                surface.coordinates[known], surface.loss[known].clip(max=top), label=name, **look
            )
        axes.set_xlabel(AXIS_LABEL.format("a random direction"))
        axes.set_ylabel("mean cross-entropy")
        add_legend(axes)

    def _contours(self, figure: "Figure") -> None:
        top = self._top()
        least = min(float(np.nanmin(surface.loss)) for surface in self.surfaces.values())
        low = min(max(least, 1e-3), 0.9 * top)
        levels, lines = (
            np.geomspace(low, top, CONTOUR_LEVELS),
            [line for line in CONTOUR_LOSSES if low < line < top],
        )
        panels = figure.subplots(1, len(self.surfaces), squeeze=False, sharey=True)[0]
        for axes, (name, surface) in zip(panels, self.surfaces.items(), strict=True):
            known = np.isfinite(surface.error).any(1)
            along = surface.coordinates[known]
            loss = np.nan_to_num(surface.loss[np.ix_(known, known)], nan=top).clip(low, top)
            fine = np.linspace(along[0], along[-1], UPSAMPLED_POINTS)
            drawn = np.exp(interpolate(along, interpolate(along, np.log(loss), fine).T, fine)).clip(
                low, top
            )  # (second, first)
            filled = axes.contourf(fine, fine, drawn, levels, cmap=COLORMAP, norm="log")
            axes.clabel(
                axes.contour(fine, fine, drawn, lines, colors="white", linewidths=0.7),
                fmt="%g",
                fontsize=TICK_SIZE,
            )
            axes.plot(
                *(one.ravel() for one in np.meshgrid(along, along)),
                ".",
                color="white",
                alpha=0.5,
                markersize=1.5,
            )
            axes.plot(0, 0, "+", color="white", markersize=10, markeredgewidth=1.6)
            axes.set_title(f"{name} (+; dots: measured)")
            axes.set_xlabel(AXIS_LABEL.format("direction 1"))
            axes.set_aspect("equal")
        panels[0].set_ylabel(AXIS_LABEL.format("direction 2"))
        bar = figure.colorbar(filled, ax=list(panels), shrink=0.7)  # pyright: ignore[reportPossiblyUnboundVariable]
        bar.set_ticks(lines, labels=[f"{line:g}" for line in lines])
        bar.set_label(f"mean cross-entropy (brightest: {top:.2g} or more)")

    def _top(self) -> float:
        least = min(float(np.nanmin(surface.loss)) for surface in self.surfaces.values())
        most = max(
            float(surface.loss[np.isfinite(surface.loss)].max())
            for surface in self.surfaces.values()
        )
        return max(min(most, MAX_DRAWN_LOSS * (least + 1)), least * 1.01 + 1e-3)


def loss_landscape(
    model: nn.Module,
    images: LabeledImages,
    points: int = 11,
    reach: float = 1.0,
    dimensions: int = 2,
    baseline: nn.Module | None = None,
    seed: int = 0,
    batch: int = 50,
    name: str = "",
    baseline_name: str = "",
    progress: ProgressCallback = no_progress,
) -> LossLandscapeResult:
    """The loss at `points` x `points` places around a model and around its twin, along the same random directions.

    The surfaces of Li, Xu, Taylor, Studer, Goldstein (2018): Visualizing the Loss Landscape of Neural Models: every
    filter of a direction is as long as the model's own, so that a step of 1 changes each model by as much as it is.
    `points`, an odd number, lie evenly from -`reach` to `reach`, in 1 or 2 `dimensions`; the loss is the mean over
    `images`. `name` and `twin_name` are what the models are called in tables and figure (their classes). `tell(done,
    total)` hears of every point; it may raise Cancelled, and the models, of which copies are moved, are as they were.
    Returns losses and errors at all points (`refine` gives them while they become more); raises AnalysisError for an
    even number, for a model without a convolution or linear layer, and for labels that it has no score for.
    """
    one, other = display_names(model, baseline, name, baseline_name)
    models = {one: model} | ({other: baseline} if baseline is not None else {})
    total, surfaces = len(models) * points**dimensions, dict[str, LossSurface]()
    progress(0, total)
    for number, (label, moving) in enumerate(models.items()):
        before = number * points**dimensions

        def hear(done: int, _: int, before: int = before) -> None:
            progress(before + done, total)

        for surface in refine_surface(moving, images, points, reach, dimensions, seed, batch, hear):
            surfaces[label] = surface
    return LossLandscapeResult(surfaces, seed, len(images))


def refine_surface(
    model: nn.Module,
    images: LabeledImages,
    points: int = 11,
    reach: float = 1.0,
    dimensions: int = 2,
    seed: int = 0,
    batch: int = 50,
    progress: ProgressCallback = no_progress,
) -> Iterator[LossSurface]:
    """Surfaces of ever more points: corners and middle first, then all that lie between, each point looked at once.

    `points` a side, an odd number, lie evenly from -`reach` to `reach`. A copy of the model is moved, never the model.
    Raises AnalysisError for an even number, and for a model without a convolution or linear layer.
    """
    if points < 3 or points % 2 == 0 or dimensions not in (1, 2):
        raise AnalysisError(
            f"A landscape has 3, 5, 7 or more points a side, an odd number, in 1 or 2 dimensions: not {points} in "
            f"{dimensions}."
        )
    moved = copy.deepcopy(model).eval().requires_grad_(False)
    weights = [weight for weight in moved.parameters() if weight.dim() > 1]
    if not weights:
        raise AnalysisError(
            "This model has no convolution and no linear layer, so there is no direction to go."
        )
    origin = [weight.clone() for weight in weights]
    ways = [random_direction(weights, seed + number) for number in range(dimensions)]
    along = np.linspace(-reach, reach, points)
    along[points // 2] = 0.0  # the model itself, to the bit
    loss = np.full((points,) * dimensions, np.nan)
    error = loss.copy()
    done = 0
    for grid in refinement_grids(points):
        for index in np.ndindex(*(len(grid),) * dimensions):
            at = tuple(grid[i] for i in index)
            if np.isfinite(error[at]):
                continue
            set_weights_along(weights, origin, ways, [float(along[i]) for i in at])
            loss[at], error[at] = loss_and_error(moved, images, batch)
            done += 1
            progress(done, points**dimensions)
        yield LossSurface(along.copy(), loss.copy(), error.copy())


def refinement_grids(points: int) -> list[list[int]]:
    """Which of the points a side each look takes: ends and middle, then every 4th from the middle, every 2nd, all."""
    middle, step, found = points // 2, points // 2, list[list[int]]()
    while step >= 1:
        chosen = {0, points - 1, *range(middle, points, step), *range(middle, -1, -step)}
        found.append(sorted(chosen))
        step = step // 2 if step > 1 else 0
    return found


def random_direction(weights: Sequence[Tensor], seed: int) -> list[Tensor]:
    """A random direction, each filter (each row of a linear layer) as long as the model's own."""
    chance = torch.Generator().manual_seed(seed)
    found: list[Tensor] = []
    for weight in weights:
        way = torch.randn(weight.shape, generator=chance).to(weight)
        sides = tuple(range(1, weight.dim()))
        own, length = (
            torch.linalg.vector_norm(one, dim=sides, keepdim=True) for one in (weight, way)
        )
        found.append(way * own / length.clamp(min=1e-10))
    return found


def set_weights_along(
    weights: Sequence[Tensor],
    origin: Sequence[Tensor],
    ways: list[list[Tensor]],
    steps: list[float],
) -> None:
    """Put the weights at so many steps along each direction from the origin."""
    for number, (weight, start) in enumerate(zip(weights, origin, strict=True)):
        place = start
        for way, step in zip(ways, steps, strict=True):
            place = place + step * way[number] if step else place
        weight.copy_(place)


def interpolate(x: Grid, y: Grid, at: Grid) -> Grid:
    """Cubic curves through y (n, ...) at the places x (n,), which need not be even, read at others."""
    i = (np.searchsorted(x, at, side="right") - 1).clip(0, len(x) - 2)
    wide = (x[i + 1] - x[i])[:, None]
    t, slope = (at - x[i])[:, None] / wide, np.gradient(y, x, axis=0)
    back = 1 - t
    ends = back**2 * (1 + 2 * t) * y[i] + t**2 * (1 + 2 * back) * y[i + 1]
    return ends + wide * t * back * (back * slope[i] - t * slope[i + 1])


def loss_and_error(model: nn.Module, images: LabeledImages, batch: int) -> tuple[float, float]:
    """Mean cross entropy, infinity where it is no number, and the share of errors."""
    loss, wrong, device = 0.0, 0, device_of(model)
    with torch.no_grad():
        for pixels, labels in images.batches(batch):
            logits, targets = check_labels(model(pixels.to(device)), labels.to(device))
            loss += float(nn.functional.cross_entropy(logits.double(), targets, reduction="sum"))
            wrong += int((logits.argmax(1) != targets).sum())
    return loss / len(images) if np.isfinite(loss) else float("inf"), wrong / len(images)
