"""Place model names in a scatter plot where they cover neither a marker nor another name."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lightning_resnets.analysis.accuracy_vs_cost import (
    CostField,
    ModelPoint,
    draw_own_label,
    label_candidates,
)
from lightning_resnets.analysis.plotting import TEXT_COLOR, TICK_SIZE

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LABEL_SIZE = TICK_SIZE - 0.5
CHAR_WIDTH = 0.56 * TICK_SIZE  # in points, as all lengths here
MARKER_RADIUS = 4
# The layout engine shrinks axes by about this much after labels are placed.
USABLE_WIDTH = 0.9
USABLE_HEIGHT = 0.8


class LabelOffset(NamedTuple):
    """Position of a label relative to its point: offset in points, and alignment."""

    x: int
    y: int
    horizontal: str
    vertical: str


# Tried in this order: beside the point, above and below, then diagonally.
LABEL_OFFSETS = (
    LabelOffset(6, 0, "left", "center"),
    LabelOffset(-6, 0, "right", "center"),
    LabelOffset(0, 6, "center", "bottom"),
    LabelOffset(0, -6, "center", "top"),
    LabelOffset(5, 5, "left", "bottom"),
    LabelOffset(-5, 5, "right", "bottom"),
    LabelOffset(5, -5, "left", "top"),
    LabelOffset(-5, -5, "right", "top"),
    LabelOffset(14, 12, "left", "bottom"),
    LabelOffset(-14, 12, "right", "bottom"),
    LabelOffset(14, -12, "left", "top"),
    LabelOffset(-14, -12, "right", "top"),
)
# Fraction of the label's width or height that lies left of or below the anchor.
ALIGNMENT = {"left": 0.0, "bottom": 0.0, "center": 0.5, "right": 1.0, "top": 1.0}

Position = tuple[float, float]


class Rectangle(NamedTuple):
    """A rectangle in points."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: "Rectangle") -> bool:
        """Return True if both rectangles share an area."""
        is_beside = self.left >= other.right or other.left >= self.right
        is_above = self.bottom >= other.top or other.bottom >= self.top
        return not (is_beside or is_above)


def place_labels(
    panels: Sequence["Axes"],
    fields: Sequence[CostField],
    points: Sequence[ModelPoint],
    own: ModelPoint | None,
) -> None:
    """Label the same points on all panels.

    Args:
        panels: axes with the points drawn.
        fields: measure of the cost on each panel.
        points: models to compare with.
        own: the analyzed model.
    """
    candidates = label_candidates(points, fields, own)
    pairs = zip(panels, fields, strict=True)
    offsets = [_find_offsets(axes, field, points, candidates) for axes, field in pairs]
    # A name that does not fit on one panel is left out on all.
    shown = [point for point in candidates if all(point in one for one in offsets)]
    for axes, field, by_point in zip(panels, fields, offsets, strict=True):
        for point in shown:
            _draw_label(axes, field, point, by_point[point], is_own=point is own)
        if own is not None and not own.has_error:
            draw_own_label(axes, field, own)


def _draw_label(
    axes: "Axes", field: CostField, point: ModelPoint, offset: LabelOffset, is_own: bool
) -> None:
    """Draw one name next to its point."""
    # Published names are gray, so that ours stand out.
    is_dark = point.is_measured or is_own
    axes.annotate(
        point.model,
        (point.cost(field), point.error),
        (offset.x, offset.y),
        textcoords="offset points",
        ha=offset.horizontal,
        va=offset.vertical,
        weight="bold" if is_own else "normal",
        fontsize=LABEL_SIZE,
        color=TEXT_COLOR if is_dark else "0.4",
    )


def _find_offsets(
    axes: "Axes",
    field: CostField,
    points: Sequence[ModelPoint],
    candidates: Sequence[ModelPoint],
) -> dict[ModelPoint, LabelOffset]:
    """Find for each name the first offset at which it is free; names without one are left out."""
    width, height = _axes_size(axes)
    position = _point_positions(axes, field, width, height)
    # Names must not cover any marker, also of points without a name.
    taken = [_marker_area(position(point)) for point in {*points, *candidates}]
    found: dict[ModelPoint, LabelOffset] = {}
    for point in candidates:
        for offset in LABEL_OFFSETS:
            area = _label_area(position(point), offset, len(point.model))
            # A name may stick out at the top, where the title leaves room.
            is_inside = area.left >= 0 and area.right <= width and area.bottom >= 0
            if is_inside and not any(area.overlaps(other) for other in taken):
                found[point] = offset
                taken.append(area)
                break
    return found


def _axes_size(axes: "Axes") -> tuple[float, float]:
    """Return width and height of axes in points, after the layout."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    box = axes.get_position()
    width = 72 * USABLE_WIDTH * box.width * figure.get_figwidth()
    height = 72 * USABLE_HEIGHT * box.height * figure.get_figheight()
    return width, height


def _point_positions(
    axes: "Axes", field: CostField, width: float, height: float
) -> Callable[[ModelPoint], Position]:
    """Return a function from a model to its position on the axes in points."""

    def position(point: ModelPoint) -> Position:
        # Through pixels to fractions of the axes, because the x axis is logarithmic.
        pixels = axes.transData.transform((point.cost(field), point.error))
        fraction = axes.transAxes.inverted().transform(pixels)
        return float(fraction[0]) * width, float(fraction[1]) * height

    return position


def _marker_area(center: Position) -> Rectangle:
    """Return the area that a marker covers."""
    x, y = center
    return Rectangle(x - MARKER_RADIUS, y - MARKER_RADIUS, x + MARKER_RADIUS, y + MARKER_RADIUS)


def _label_area(point: Position, offset: LabelOffset, num_chars: int) -> Rectangle:
    """Return the area that a name covers at an offset."""
    width = CHAR_WIDTH * num_chars
    height = TICK_SIZE
    # The anchor is the point plus the offset; alignment says which part of the name is there.
    left = point[0] + offset.x - ALIGNMENT[offset.horizontal] * width
    bottom = point[1] + offset.y - ALIGNMENT[offset.vertical] * height
    return Rectangle(left, bottom, left + width, bottom + height)
