"""Edges of the graph: one painter per merge input, and one for all edges that cannot be cut."""

import math
from itertools import pairwise

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPolygonF, QTransform

from gui import layout
from gui.views.graph.painting import EDGE_WIDTH, GraphItem, MergeInput, PaintState
from gui.views.graph.strokes import arrow_head, draw_cross, draw_tag, rounded_polyline

GATE_WEIGHT_WIDTH = 1.6  # of the line by which a gate gets its weights
# Half of the gap and of the cross of a cut: a branch is too short for those of a skip connection.
CUT_SIZES = {True: (11.0, 5.0), False: (5.0, 3.6)}
MIN_OPACITY = 0.35  # of an input that is scaled to almost nothing


class FlowEdgesItem(GraphItem):
    """All edges that cannot be cut, with arrow heads where one turns to a new row.

    Args:
        state: What all painters read.
        wires: The edges.
        bounds: Rectangle of the whole graph.
    """

    def __init__(self, state: PaintState, wires: tuple[layout.Wire, ...], bounds: QRectF) -> None:
        super().__init__(state, bounds, -5)  # above the stages, below everything else
        # One path for all edges: a painter for each would take long in a large graph.
        self.path = QPainterPath()
        self.weight_path = QPainterPath()
        self.heads: list[QPolygonF] = []
        for wire in wires:
            path = self.weight_path if wire.role == "weight" else self.path
            path.addPath(rounded_polyline(wire.points, wire.radius))
            if wire.role == "turn":
                self.heads.append(_turn_head(wire))

    def draw(self, painter: QPainter, zoom: float) -> None:
        """Draw edges and arrow heads."""
        color = self.state.color("outline")
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(color, EDGE_WIDTH))
        painter.drawPath(self.path)
        painter.setPen(QPen(self.state.color("gate"), 1.4))
        painter.drawPath(self.weight_path)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        for head in self.heads:
            painter.drawPolygon(head)


class MergeInputItem(GraphItem):
    """One merge input, a skip connection as an arc or the branch beside it, with its edit.

    Args:
        state: What all painters read.
        key: The merge input.
        kind: Field of the theme for its color: "add", "concat", "gate" or "outline".
        path: Its line.
        skip: True for a skip connection.
        is_projection: True for a dashed line, a projection shortcut.
        mark: Where its mark or tag stands, as a fraction of its length.
    """

    def __init__(
        self,
        state: PaintState,
        key: MergeInput,
        kind: str,
        path: QPainterPath,
        *,
        skip: bool,
        is_projection: bool = False,
        mark: float = 0.5,
    ) -> None:
        # The margin holds tags, crosses and the broad line of the hover.
        super().__init__(state, path.boundingRect().adjusted(-24, -16, 24, 16), 2 if skip else 1)
        self.key = key
        self.kind = kind
        self.path = path
        self.skip = skip
        self.is_projection = is_projection
        self.mark = mark
        # Made once, because the distance is asked at every move of the pointer.
        self._polygons = path.toSubpathPolygons(QTransform())

    @property
    def is_cut(self) -> bool:
        """Return True while an edit cuts this input."""
        edit = self.state.edit(self.key)
        return edit is not None and edit.is_cut

    @property
    def current_opacity(self) -> float:
        """Return the opacity of the line, less the more the input is scaled down."""
        edit = self.state.scales.get(self.key)
        if edit is None or edit.is_cut:
            return 1.0
        return min(1.0, MIN_OPACITY + (1 - MIN_OPACITY) * abs(edit.value))

    def pen(self, width: float) -> QPen:
        """Return the pen of the line.

        Args:
            width: Width of the line in scene units.

        Returns:
            A pen that shows kind, projection and edit.
        """
        state = self.state
        color = state.color("cut") if self.is_cut else state.color(self.kind, self.current_opacity)
        pen = QPen(color, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap)
        # Dots for a constant, dashes for a projection: never by color alone.
        if self.key in state.holds:
            pen.setDashPattern([0.6, 1.6])
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        elif self.is_projection:
            pen.setDashPattern([3.2, 2.0])
        return pen

    def width(self) -> float:
        """Return the width of the line in scene units: thinner where the input is scaled down."""
        edit = self.state.scales.get(self.key)
        width = EDGE_WIDTH
        if self.kind == "gate" and not self.skip:
            width = GATE_WEIGHT_WIDTH
        if edit is None or edit.is_cut:
            return width
        # Still to be seen at almost zero, and not over its neighbors at two.
        return width * min(1.8, max(0.45, abs(edit.value)))

    def draw(self, painter: QPainter, zoom: float) -> None:
        """Draw the line with what was done to it."""
        is_hovered = self.state.hovered_input == self.key
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if is_hovered:
            painter.setPen(QPen(self.state.color(self.kind, 0.22), self.width() + 9))
            painter.drawPath(self.path)
        line_width = self.width()
        if is_hovered:
            line_width += 0.8
        painter.setPen(self.pen(line_width))
        if self.is_cut:
            self.draw_cut(painter, self.path.pointAtPercent(self.mark))
        else:
            painter.drawPath(self.path)
            self.draw_arrow(painter)
            self._draw_value(painter)

    def draw_cut(self, painter: QPainter, middle: QPointF) -> None:
        """Draw the line with a gap, and a cross in the gap.

        Args:
            painter: Painter with the pen of the line.
            middle: Center of the gap.
        """
        gap, cross = CUT_SIZES[self.skip]
        clip = QPainterPath()
        clip.addRect(self.rect)
        # The line is drawn everywhere but in a hole around its middle.
        hole = QPainterPath()
        hole.addEllipse(middle, gap, gap)
        painter.save()
        painter.setClipPath(clip.subtracted(hole), Qt.ClipOperation.IntersectClip)
        painter.drawPath(self.path)
        painter.restore()
        draw_cross(painter, middle, cross, self.state, QColor(0, 0, 0, 0))

    def draw_arrow(self, painter: QPainter) -> None:
        """Draw a dot at the start and an arrow head at the end of a skip connection.

        Args:
            painter: The painter.
        """
        length = self.path.length()
        # A shorter line would be all dot and arrow head.
        if not self.skip or self.kind == "gate" or length < 20:
            return
        end = self.path.pointAtPercent(1.0) + QPointF(0, 0.5)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.pen(1).color())
        painter.drawPolygon(arrow_head(end, 90, min(7.0, length / 8)))
        painter.drawEllipse(self.path.pointAtPercent(0.0), 2.6, 2.6)

    def distance(self, at: QPointF) -> float:
        """Return the distance from a point to the line.

        Args:
            at: The point.

        Returns:
            Distance in scene units.
        """
        return min(_distance_to_polygon(at, polygon) for polygon in self._polygons)

    def _draw_value(self, painter: QPainter) -> None:
        """Draw the value of an edit that is not a cut."""
        edit = self.state.edit(self.key)
        # The diamond of a gate shows its constant itself.
        if edit is None or (self.kind == "gate" and edit.kind == "hold"):
            return
        text = f"{edit.value:.2g}×"
        if edit.kind == "hold":
            text = f"= {edit.value:g}"
        middle = self.path.pointAtPercent(self.mark)
        draw_tag(painter, middle, text, self.state, self.state.color(self.kind))


def _turn_head(wire: layout.Wire) -> QPolygonF:
    """Return the arrow head of a line that turns to a new row."""
    x, y = wire.points[-1]
    previous_x, _ = wire.points[-2]
    return arrow_head(QPointF(x, y), 0, min(9.0, x - previous_x))


def _distance_to_polygon(at: QPointF, polygon: QPolygonF) -> float:
    points = [(point.x(), point.y()) for point in polygon.toList()]
    distances = [
        _distance_to_segment((at.x(), at.y()), start, end) for start, end in pairwise(points)
    ]
    return min(distances, default=math.inf)


def _distance_to_segment(at: layout.Point, start: layout.Point, end: layout.Point) -> float:
    dx = end[0] - start[0]
    dy = end[1] - start[1]
    x = at[0] - start[0]
    y = at[1] - start[1]
    length_squared = dx * dx + dy * dy
    # Fraction of the segment at which the nearest point lies.
    t = 0.0
    if length_squared:
        t = min(1.0, max(0.0, (x * dx + y * dy) / length_squared))
    return math.hypot(x - t * dx, y - t * dy)
