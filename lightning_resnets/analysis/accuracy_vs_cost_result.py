"""Table and figure of error against MACs, with the parameters as area."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lightning_resnets.analysis.comparison_points import (
    ANALYZED,
    FAMILIES,
    MEASURED,
    PUBLISHED,
    TEN_CROP,
    ModelPoint,
)
from lightning_resnets.analysis.label_placement import Mark, place_labels
from lightning_resnets.analysis.plotting import (
    BLUE,
    TEXT_COLOR,
    TICK_SIZE,
    figure_title,
    finish_figure,
)
from lightning_resnets.analysis.result import (
    Table,
)
from lightning_resnets.utils.format import format_count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Diameter in points of the model with the most parameters, and of the smallest mark.
MAX_DIAMETER = 30.0
MIN_DIAMETER = 3.0
STAR_SIZE = 12.0
AXES_AREA = (0.07, 0.19, 0.91, 0.72)  # left, bottom, width and height as fractions of the figure
ERROR_TICKS = (2, 3, 4, 5, 6, 7, 8, 10, 12, 15, 18, 20, 22, 25, 30, 35, 40, 50, 60, 80)
MEGA = 10**6
COST_TICKS = tuple(MEGA * tick for tick in (1, 2, 5, 10, 20, 50, 100, 200, 500))
COST_TICKS += tuple(1000 * tick for tick in COST_TICKS)
OTHER_COLOR = "#7a7a7a"


@dataclass(frozen=True, slots=True)
class AccuracyVsCostResult:
    """Models by error and cost.

    Attributes:
        points: models for images of about the same size.
        dataset: dataset of the errors.
        model_point: the analyzed model, if there is one; its error is NaN if unknown.
    """

    points: tuple[ModelPoint, ...]
    dataset: str
    model_point: ModelPoint | None = None

    def tables(self) -> dict[str, Table]:
        """Return the points.

        Returns:
            `accuracy_vs_cost`: one row per model, the analyzed one last.
        """
        points = list(self.points)
        if self.model_point is not None:
            points.append(self.model_point)
        rows = tuple(tuple(point) for point in points)
        return {"accuracy_vs_cost": Table(ModelPoint._fields, rows)}

    def draw(self, figure: "Figure") -> None:
        """Draw error against MACs, with the number of parameters as area, and name every mark.

        Args:
            figure: an empty matplotlib figure.
        """
        axes = figure.add_axes(AXES_AREA)
        points = self._drawn_points()
        most = max(point.parameters for point in points)
        _set_scales(axes, points)
        for point in points:
            _draw_point(axes, point, _diameter(point.parameters, most))
        unknown = self._point_without_error()
        if unknown is not None:
            _draw_cost_line(axes, unknown)
        axes.set_xlabel("MACs per image")
        axes.set_ylabel(f"top-1 error on {self.dataset} (%)")
        _draw_legends(figure, axes, points, most)
        names = () if self.model_point is None else (self.model_point.model,)
        title = figure_title(f"error on {self.dataset} against MACs; area: parameters", names)
        # A layout engine would move the axes after their marks are named.
        finish_figure(figure, title, layout="none")
        marks = [_mark(point, most) for point in _in_naming_order(points)]
        line = None if unknown is None else unknown.macs
        place_labels(axes, marks, line)

    def _point_without_error(self) -> ModelPoint | None:
        """Return the analyzed model if there is one whose error is unknown."""
        own = self.model_point
        return None if own is None or own.has_error else own

    def _drawn_points(self) -> list[ModelPoint]:
        """Return the points of the figure; the analyzed model takes the place of its own entry."""
        own = self.model_point
        if own is None or not own.has_error:
            return list(self.points)
        others = [p for p in self.points if p.kind != MEASURED or p.model != own.model]
        return [*others, own]


def _diameter(parameters: int, most: int) -> float:
    """Return the diameter of a mark, whose area is proportional to the parameters."""
    return max(MIN_DIAMETER, MAX_DIAMETER * math.sqrt(parameters / most))


def _mark(point: ModelPoint, most: int) -> Mark:
    """Return a point as a mark to name."""
    is_own = point.kind == ANALYZED
    radius = _diameter(point.parameters, most) / 2
    if is_own:
        # The star may be larger than the circle.
        radius = max(radius, STAR_SIZE / 2)
    return Mark(point.label, point.macs, point.error, radius, is_own)


def _in_naming_order(points: Sequence[ModelPoint]) -> list[ModelPoint]:
    """Sort points so that those with the least room are named first."""
    # Logarithms, as drawn; errors span less than costs, so they count four times.
    positions = [(math.log(point.macs), 4 * math.log(point.error)) for point in points]
    # The terms fall off quickly, so that only neighbors crowd a point.
    crowding = {
        point: sum(math.exp(-5 * math.dist(own, other)) for other in positions)
        for point, own in zip(points, positions, strict=True)
    }
    return sorted(points, key=lambda point: crowding[point], reverse=True)


def _set_scales(axes: "Axes", points: Sequence[ModelPoint]) -> None:
    """Set logarithmic axes with room for names, and round ticks."""
    # Costs span two orders of magnitude, and half of all models lie within a few points of error.
    axes.set_xscale("log")
    axes.set_yscale("log")
    macs = [point.macs for point in points]
    errors = [point.error for point in points]
    axes.set_xlim(min(macs) / 1.5, max(macs) * 1.6)
    axes.set_ylim(min(errors) / 1.09, max(errors) * 1.09)
    low, high = axes.get_xlim()
    costs = [tick for tick in COST_TICKS if low <= tick <= high]
    axes.set_xticks(costs, [format_count(tick) for tick in costs])
    low, high = axes.get_ylim()
    ticks = [tick for tick in ERROR_TICKS if low <= tick <= high]
    axes.set_yticks(ticks, [str(tick) for tick in ticks])
    axes.minorticks_off()


def _color(point: ModelPoint) -> str:
    """Return the color of a point's family."""
    colors = {one.title: one.color for one in FAMILIES}
    return colors.get(point.family, OTHER_COLOR)


def _draw_point(axes: "Axes", point: ModelPoint, diameter: float) -> None:
    """Draw a mark: open if published, filled if measured, dashed for ten crops."""
    color = _color(point)
    axes.plot(
        point.macs,
        point.error,
        marker="o",
        markersize=diameter,
        linestyle="",
        markeredgecolor=color,
        markerfacecolor="none" if point.kind == PUBLISHED else color,
        markeredgewidth=1.0,
        alpha=0.9,
        fillstyle="full",
    )
    if point.protocol == TEN_CROP:
        axes.plot(point.macs, point.error, marker="x", color=color, markersize=4)
    elif point.kind == ANALYZED:
        star = {"color": BLUE, "markeredgecolor": TEXT_COLOR, "markersize": STAR_SIZE, "zorder": 4}
        axes.plot(point.macs, point.error, "*", **star)


def _draw_cost_line(axes: "Axes", own: ModelPoint) -> None:
    """Draw the cost of a model whose error is unknown as a line with its name."""
    axes.axvline(own.macs, color=BLUE, linewidth=1.0, linestyle="--", zorder=0)
    axes.annotate(
        f"{own.model}: error unknown",
        (own.macs, 1),
        (0, 3),
        xycoords=("data", "axes fraction"),
        textcoords="offset points",
        ha="center",
        va="bottom",
        fontsize=TICK_SIZE,
        color=BLUE,
    )


def _draw_legends(figure: "Figure", axes: "Axes", points: Sequence[ModelPoint], most: int) -> None:
    """Draw the families, the kinds of marks and the sizes below the axes."""
    families = {point.family for point in points}
    handles: list[Any] = []
    for one in FAMILIES:
        if one.title in families:
            handles += _legend_mark(axes, one.title, color=one.color)
    style: dict[str, Any] = {"ncols": 10, "frameon": False, "fontsize": TICK_SIZE}
    style |= {"loc": "center", "handletextpad": 1.5}
    figure.legend(handles=handles, bbox_to_anchor=(0.525, 0.11), **style)
    kinds = _legend_mark(axes, "published", color=TEXT_COLOR)
    if any(point.kind == MEASURED for point in points):
        kinds += _legend_mark(axes, "measured here", color=TEXT_COLOR, facecolor=TEXT_COLOR)
    if any(point.protocol == TEN_CROP for point in points):
        kinds += _legend_mark(axes, "10-crop, others 1-crop", color=TEXT_COLOR, marker="x")
    if any(point.kind == ANALYZED for point in points):
        kinds += _legend_mark(axes, "analyzed model", color=BLUE, marker="*", size=9)
    # Each diameter is about twice the one before.
    for share in (0.04, 0.2, 1.0):
        parameters = _round_down(most * share)
        size = _diameter(parameters, most)
        kinds += _legend_mark(
            axes, f"{format_count(parameters)} parameters", color="0.5", size=size
        )
    figure.legend(handles=kinds, bbox_to_anchor=(0.525, 0.05), **style)


def _round_down(number: float) -> int:
    """Round down to one significant digit."""
    power = 10 ** math.floor(math.log10(number))
    return int(number // power * power)


def _legend_mark(
    axes: "Axes",
    label: str,
    color: str,
    facecolor: str = "none",
    marker: str = "o",
    size: float = 6,
) -> list[Any]:
    """Return the handle of one legend entry."""
    return axes.plot(
        [],
        [],
        marker=marker,
        markersize=size,
        linestyle="",
        markeredgecolor=color,
        markerfacecolor=facecolor,
        label=label,
    )
