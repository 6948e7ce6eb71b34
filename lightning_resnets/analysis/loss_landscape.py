"""Draw the loss around a checkpoint along one or two random, filter-normalized directions.

Li, Xu, Taylor, Studer, Goldstein 2018, arXiv:1712.09913, section 4.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from torch import nn

from lightning_resnets.analysis.loss_surface import Grid, refine_surface
from lightning_resnets.analysis.loss_surface import LossSurface as LossSurface
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
    display_names,
    no_progress,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.contour import ContourSet
    from matplotlib.figure import Figure

CONTOUR_LEVELS = 33
UPSAMPLED_POINTS = 121  # points per side that a surface is drawn with
CONTOUR_DIGITS = (1, 2, 5)  # a line at each loss of 1, 2, 5, 10, 20, ...
CONTOUR_EXPONENTS = range(-4, 5)
AXIS_LABEL = "step along {},\nin units of the filters' norms"
# Far from the checkpoint the loss grows without limit: draw at most 10 times (lowest loss + 1).
MAX_DRAWN_LOSS = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class LossLandscapeResult:
    """Loss surfaces of a model and its baseline, by model name, on the same grid."""

    surfaces: dict[str, LossSurface]
    seed: int
    num_images: int | None = None

    def tables(self) -> dict[str, Table]:
        """Return loss and error.

        Returns:
            `loss_landscape`: one row per evaluated point.
        """
        rows: list[tuple[Cell, ...]] = []
        for name, surface in self.surfaces.items():
            for index in np.argwhere(np.isfinite(surface.error)):
                # One coordinate per direction.
                steps = [float(surface.coordinates[i]) for i in index]
                second = steps[1] if len(steps) > 1 else None
                at = tuple(index)
                values = (float(surface.loss[at]), float(surface.error[at]))
                rows.append((name, steps[0], second, *values))
        columns = ("model", "step_1", "step_2", "loss", "error")
        return {"loss_landscape": Table(columns, tuple(rows))}

    def draw(self, figure: "Figure") -> None:
        """Draw curves in one dimension, contour plots side by side in two, on one color scale.

        Args:
            figure: an empty matplotlib figure.
        """
        title = figure_title("loss around the checkpoint", list(self.surfaces), self.num_images)
        if all(surface.loss.ndim == 1 for surface in self.surfaces.values()):
            self._draw_curves(figure)
            finish_figure(figure, title)
        else:
            self._draw_contours(figure)
            finish_figure(figure, title, layout="compressed")

    def _draw_curves(self, figure: "Figure") -> None:
        """Draw the loss along one direction."""
        axes = figure.subplots()
        highest = self._highest_drawn_loss()
        styles = (SERIES_1, SERIES_2, SERIES_3)
        for (name, surface), style in zip(self.surfaces.items(), styles, strict=False):
            # A surface may still be in the middle of its refinement.
            known = np.isfinite(surface.error)
            loss = surface.loss[known].clip(max=highest)
            axes.plot(surface.coordinates[known], loss, label=name, **style)
        axes.set_xlabel(AXIS_LABEL.format("a random direction"))
        axes.set_ylabel("mean cross-entropy")
        add_legend(axes)

    def _draw_contours(self, figure: "Figure") -> None:
        """Draw the loss along two directions, one panel per model."""
        highest = self._highest_drawn_loss()
        # A logarithmic scale needs a positive lower end, below the upper one.
        lowest = min(max(self._lowest_loss(), 1e-3), 0.9 * highest)
        # Contour lines at round numbers within the color scale.
        lines = [loss for loss in _contour_losses() if lowest < loss < highest]
        panels = figure.subplots(1, len(self.surfaces), squeeze=False, sharey=True)[0]
        filled: list[ContourSet] = []
        for axes, (name, surface) in zip(panels, self.surfaces.items(), strict=True):
            filled.append(_draw_surface(axes, surface, lowest, highest, lines))
            axes.set_title(f"{name} (+; dots: evaluated)")
            axes.set_xlabel(AXIS_LABEL.format("direction 1"))
        panels[0].set_ylabel(AXIS_LABEL.format("direction 2"))
        # All panels have one color scale.
        bar = figure.colorbar(filled[-1], ax=list(panels), shrink=0.7)
        bar.set_ticks(lines, labels=[f"{line:g}" for line in lines])
        bar.set_label(f"mean cross-entropy (brightest: {highest:.2g} or more)")

    def _lowest_loss(self) -> float:
        """Return the lowest loss of all surfaces."""
        return min(float(np.nanmin(surface.loss)) for surface in self.surfaces.values())

    def _highest_drawn_loss(self) -> float:
        """Return the loss at which the color scale ends."""
        lowest = self._lowest_loss()
        highest = max(
            float(surface.loss[np.isfinite(surface.loss)].max())
            for surface in self.surfaces.values()
        )
        # The color scale must not be empty where all losses are equal.
        return max(min(highest, MAX_DRAWN_LOSS * (lowest + 1)), lowest * 1.01 + 1e-3)


def _contour_losses() -> list[float]:
    """Return the losses at which a contour line may be drawn, in increasing order."""
    losses: list[float] = []
    for exponent in CONTOUR_EXPONENTS:
        losses += [digit * 10.0**exponent for digit in CONTOUR_DIGITS]
    return losses


def _draw_surface(
    axes: "Axes", surface: LossSurface, lowest: float, highest: float, lines: list[float]
) -> "ContourSet":
    """Draw one surface as filled contours and return them, for the color bar."""
    known = np.isfinite(surface.error).any(1)
    steps = surface.coordinates[known]
    loss = np.nan_to_num(surface.loss[np.ix_(known, known)], nan=highest).clip(lowest, highest)
    # Contours of the interpolated surface are smooth.
    fine = np.linspace(steps[0], steps[-1], UPSAMPLED_POINTS)
    # Rows are along the second direction, as matplotlib's y axis.
    log_loss = interpolate(steps, interpolate(steps, np.log(loss), fine).T, fine)
    drawn = np.exp(log_loss).clip(lowest, highest)
    # Logarithmic levels, as the loss spans orders of magnitude.
    levels = np.geomspace(lowest, highest, CONTOUR_LEVELS)
    filled = axes.contourf(fine, fine, drawn, levels, cmap=COLORMAP, norm="log")
    contours = axes.contour(fine, fine, drawn, lines, colors="white", linewidths=0.7)
    axes.clabel(contours, fmt="%g", fontsize=TICK_SIZE)
    first, second = np.meshgrid(steps, steps)
    axes.plot(first.ravel(), second.ravel(), ".", color="white", alpha=0.5, markersize=1.5)
    axes.plot(0, 0, "+", color="white", markersize=10, markeredgewidth=1.6)
    axes.set_aspect("equal")
    return filled


def loss_landscape(
    model: nn.Module,
    images: LabeledImages,
    baseline: nn.Module | None = None,
    *,
    num_points: int = 11,
    extent: float = 1.0,
    dimensions: int = 2,
    seed: int = 0,
    batch_size: int = 50,
    model_name: str = "",
    baseline_name: str = "",
    progress: ProgressCallback = no_progress,
) -> LossLandscapeResult:
    """Evaluate the loss on a grid around a model and around its baseline.

    The surfaces of Li, Xu, Taylor, Studer, Goldstein (2018), section 4. Both models move along the
    same random directions. Every filter of a direction is as long as the model's own, so that a
    step of 1 changes both models equally much. Use `refine_surface` to show each refinement.

    Args:
        model: a trained model; a copy of it is changed, never the model.
        images: images and labels, over which the loss is averaged.
        baseline: a model to compare with.
        num_points: points per direction, an odd number from 3.
        extent: points lie evenly from -extent to extent.
        dimensions: number of random directions, 1 or 2.
        seed: seed of the directions.
        batch_size: images per forward pass.
        model_name: name in tables and figures; the class name if empty.
        baseline_name: name of the baseline; its class name if empty.
        progress: called after every point; it may raise AnalysisCancelled.

    Returns:
        Loss and error at all points.

    Raises:
        AnalysisError: `num_points` or `dimensions` is invalid, a model has neither convolutions
            nor linear layers, or a label is not one of its classes.
    """
    names = display_names(model, baseline, model_name, baseline_name)
    models = {names[0]: model}
    if baseline is not None:
        models[names[1]] = baseline
    per_model = num_points**dimensions
    total = len(models) * per_model
    surfaces: dict[str, LossSurface] = {}
    progress(0, total)
    for number, (name, one) in enumerate(models.items()):
        for surface in refine_surface(
            one,
            images,
            num_points=num_points,
            extent=extent,
            dimensions=dimensions,
            seed=seed,
            batch_size=batch_size,
            progress=_offset_progress(progress, number * per_model, total),
        ):
            # Only the finest surface is kept.
            surfaces[name] = surface
    return LossLandscapeResult(surfaces, seed, len(images))


def _offset_progress(progress: ProgressCallback, before: int, total: int) -> ProgressCallback:
    """Return a callback that counts the steps of one model after those of the models before it."""

    def shifted(done: int, _: int) -> None:
        """Report the steps of all models."""
        progress(before + done, total)

    return shifted


def interpolate(x: Grid, y: Grid, at: Grid) -> Grid:
    """Interpolate with cubic Hermite curves.

    Args:
        x: increasing positions (n,), not necessarily even.
        y: values (n, ...).
        at: positions (m,) to interpolate at.

    Returns:
        Values (m, ...).
    """
    # Index of the interval that holds each position.
    i = (np.searchsorted(x, at, side="right") - 1).clip(0, len(x) - 2)
    width = (x[i + 1] - x[i])[:, None]
    # Differences of neighbors: each piece of a curve depends on four points only.
    slope = np.gradient(y, x, axis=0)
    t = (at - x[i])[:, None] / width
    back = 1 - t
    # Hermite basis: values at both ends, then slopes.
    ends = back**2 * (1 + 2 * t) * y[i] + t**2 * (1 + 2 * back) * y[i + 1]
    return ends + width * t * back * (back * slope[i] - t * slope[i + 1])
