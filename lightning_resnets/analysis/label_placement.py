"""Name every mark of a scatter plot, where the name covers neither a mark nor another name.

All lengths are in points, 1/72 inch. The axes must have their final position and limits.
"""

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from lightning_resnets.analysis.plotting import TEXT_COLOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes

POINTS_PER_INCH = 72
LABEL_SIZE = 6.5
# Distances of a name from the edge of its mark, tried in this order.
GAPS = (2, 6, 11, 17, 24, 32, 41, 52, 65, 80, 100, 125)
NUM_DIRECTIONS = 24
# From this distance on a line leads from the name to its mark.
MIN_LINE_LENGTH = 5


class Mark(NamedTuple):
    """A mark to name: its label, position in data coordinates, radius, and weight of the font."""

    label: str
    x: float
    y: float
    radius: float
    is_bold: bool = False


class Rectangle(NamedTuple):
    """A rectangle."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: "Rectangle") -> bool:
        """Return True if both rectangles share an area.

        Args:
            other: another rectangle.
        """
        is_beside = self.left >= other.right or other.left >= self.right
        is_above = self.bottom >= other.top or other.bottom >= self.top
        return not (is_beside or is_above)

    def covers(self, circle: "Circle") -> bool:
        """Return True if the rectangle and a circle share an area.

        Args:
            circle: a circle.
        """
        # The point of the rectangle that is nearest to the center.
        x = min(max(circle.x, self.left), self.right)
        y = min(max(circle.y, self.bottom), self.top)
        return math.hypot(x - circle.x, y - circle.y) < circle.radius

    def has_inside(self, x: float, y: float) -> bool:
        """Return True if a point lies inside.

        Args:
            x: horizontal position.
            y: vertical position.
        """
        return self.left < x < self.right and self.bottom < y < self.top

    def contains(self, other: "Rectangle") -> bool:
        """Return True if the other rectangle lies inside.

        Args:
            other: another rectangle.
        """
        is_between = self.left <= other.left and other.right <= self.right
        return is_between and self.bottom <= other.bottom and other.top <= self.top


class Circle(NamedTuple):
    """The area of a mark."""

    x: float
    y: float
    radius: float


def place_labels(axes: "Axes", marks: Sequence[Mark], line: float | None = None) -> list[Rectangle]:
    """Write the name of every mark next to it.

    Args:
        axes: axes in their final position, with their final limits.
        marks: all marks, named in this order: the first ones are closest to their names.
        line: x of a vertical line that no name may cross.

    Returns:
        The area of each name.
    """
    circles = [Circle(*_to_points(axes, mark.x, mark.y), mark.radius) for mark in marks]
    inside = _axes_area(axes)
    taken: list[Rectangle] = []
    if line is not None:
        x, _ = _to_points(axes, line, marks[0].y)
        taken.append(Rectangle(x - 1, inside.bottom, x + 1, inside.top))
    placed: list[Rectangle] = []
    for mark, circle in zip(marks, circles, strict=True):
        size = _measure(axes, mark)
        area = _find_area(circle, size, inside, [*taken, *placed], circles)
        _write(axes, mark, circle, area)
        placed.append(area)
    return placed


def _to_points(axes: "Axes", x: float, y: float) -> tuple[float, float]:
    """Convert a position of the data to points from the figure's corner."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    pixels = axes.transData.transform((x, y))
    scale = POINTS_PER_INCH / figure.dpi
    return float(pixels[0]) * scale, float(pixels[1]) * scale


def _axes_area(axes: "Axes") -> Rectangle:
    """Return the area of axes."""
    left, right = axes.get_xlim()
    bottom, top = axes.get_ylim()
    return Rectangle(*_to_points(axes, left, bottom), *_to_points(axes, right, top))


def _measure(axes: "Axes", mark: Mark) -> tuple[float, float]:
    """Return width and height of a name."""
    figure = axes.get_figure(root=True)
    assert figure is not None
    weight = "bold" if mark.is_bold else "normal"
    text = axes.text(mark.x, mark.y, mark.label, fontsize=LABEL_SIZE, weight=weight)
    extent = text.get_window_extent()
    text.remove()
    scale = POINTS_PER_INCH / figure.dpi
    return extent.width * scale, extent.height * scale


def _find_area(
    circle: Circle,
    size: tuple[float, float],
    inside: Rectangle,
    placed: Sequence[Rectangle],
    circles: Sequence[Circle],
) -> Rectangle:
    """Return the closest free area for a name; the least covered one if none is free."""
    best: Rectangle | None = None
    lowest = math.inf
    for area in _candidates(circle, size):
        if not inside.contains(area):
            continue
        cost = 10.0 * sum(area.overlaps(other) for other in placed)
        cost += 10.0 * sum(area.covers(other) for other in circles)
        cost += 3.0 * _count_crossed(circle, area, placed)
        cost += _count_closer(circle, area, circles)
        if cost < lowest:
            best = area
            lowest = cost
        if not cost:
            break
    assert best is not None, "a name is wider than the axes"
    return best


def _count_closer(circle: Circle, area: Rectangle, circles: Sequence[Circle]) -> int:
    """Count the other marks that a reader could take for the named one."""
    own = _distance(area, circle)
    if own > MIN_LINE_LENGTH:
        # A line leads to the mark; it must not begin next to another one.
        return sum(_distance(area, other) < MIN_LINE_LENGTH for other in circles)
    others = [other for other in circles if other is not circle]
    return sum(_distance(area, other) < own + 1 for other in others)


def _distance(area: Rectangle, circle: Circle) -> float:
    """Return the distance of a name from the edge of a mark."""
    x, y = _nearest(circle, area)
    return math.hypot(x - circle.x, y - circle.y) - circle.radius


def _candidates(circle: Circle, size: tuple[float, float]) -> Iterator[Rectangle]:
    """Yield areas for a name around its mark, the closest first."""
    width, height = size
    for gap in GAPS:
        for step in range(NUM_DIRECTIONS):
            # To the right first, then to the left, above, below and diagonally.
            angle = math.pi * (step // 2 * 2 / NUM_DIRECTIONS + step % 2)
            x = circle.x + (circle.radius + gap) * math.cos(angle)
            y = circle.y + (circle.radius + gap) * math.sin(angle)
            # The side of the name that faces the mark.
            left = x - width * (1 - math.cos(angle)) / 2
            bottom = y - height * (1 - math.sin(angle)) / 2
            yield Rectangle(left, bottom, left + width, bottom + height)


def _nearest(circle: Circle, area: Rectangle) -> tuple[float, float]:
    """Return the point of a name's area that is nearest to its mark's center."""
    x = min(max(circle.x, area.left), area.right)
    y = min(max(circle.y, area.bottom), area.top)
    return x, y


def _count_crossed(circle: Circle, area: Rectangle, placed: Sequence[Rectangle]) -> int:
    """Count the names that the line from a name to its mark would cross."""
    x, y = _nearest(circle, area)
    # Points of the line that are closer together than a name is high.
    steps = [step / 20 for step in range(1, 20)]
    points = [(x + f * (circle.x - x), y + f * (circle.y - y)) for f in steps]
    return sum(any(other.has_inside(*point) for point in points) for other in placed)


def _write(axes: "Axes", mark: Mark, circle: Circle, area: Rectangle) -> None:
    """Write a name into its area, with a line to a mark that is not next to it."""
    if _distance(area, circle) > MIN_LINE_LENGTH:
        _draw_line(axes, mark, circle, area)
    axes.annotate(
        mark.label,
        (mark.x, mark.y),
        (area.left - circle.x, area.bottom - circle.y),
        textcoords="offset points",
        ha="left",
        va="bottom",
        fontsize=LABEL_SIZE,
        color=TEXT_COLOR,
        weight="bold" if mark.is_bold else "normal",
    )


def _draw_line(axes: "Axes", mark: Mark, circle: Circle, area: Rectangle) -> None:
    """Draw a line from a name to the edge of its mark."""
    x, y = _nearest(circle, area)
    style = {"arrowstyle": "-", "linewidth": 0.5, "color": "0.55", "shrinkA": 0}
    axes.annotate(
        "",
        (mark.x, mark.y),
        (x - circle.x, y - circle.y),
        textcoords="offset points",
        arrowprops={**style, "shrinkB": circle.radius},
    )
