"""The lines of the block graph: one painter a way into a merge, and one for all of the flow that cannot be cut."""

import math
from itertools import pairwise

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPolygonF, QTransform

from gui import layout
from gui.views.graph.painting import (
    EDGE_WIDTH,
    GraphItem,
    MergeInput,
    PaintState,
    arrow_head,
    draw_cross,
    draw_tag,
    rounded_polyline,
)


class FlowEdgesItem(GraphItem):
    """All lines of the flow that cannot be cut, in one path, with heads where a line turns to a new row."""

    def __init__(self, look: PaintState, wires: tuple[layout.Wire, ...], bounds: QRectF) -> None:
        super().__init__(look, bounds, -5)
        self.path, self.thin = QPainterPath(), QPainterPath()
        self.heads: list[QPolygonF] = []
        for wire in wires:
            (self.thin if wire.role == "weight" else self.path).addPath(
                rounded_polyline(wire.points, wire.radius)
            )
            if wire.role == "turn":
                (x, y), (left, _) = wire.points[-1], wire.points[-2]
                self.heads.append(arrow_head(QPointF(x, y), 0, min(9.0, x - left)))

    def draw(self, painter: QPainter, zoom: float) -> None:
        color = self.look.color("outline")
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(color, EDGE_WIDTH))
        painter.drawPath(self.path)
        painter.setPen(QPen(self.look.color("gate"), 1.4))
        painter.drawPath(self.thin)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        for head in self.heads:
            painter.drawPolygon(head)


class MergeInputItem(GraphItem):
    """One way into a merge: a skip as its arc, or the branch beside it; shows what was done to it."""

    def __init__(
        self,
        look: PaintState,
        key: MergeInput,
        kind: str,
        path: QPainterPath,
        *,
        skip: bool,
        words: str = "",
        mark: float = 0.5,
    ) -> None:
        super().__init__(look, path.boundingRect().adjusted(-24, -16, 24, 16), 2 if skip else 1)
        self.key, self.kind, self.path, self.skip, self.words = key, kind, path, skip, words
        self.mark = mark
        self.dashed = bool(words)
        self.outline = path.toSubpathPolygons(QTransform())

    @property
    def cut(self) -> bool:
        edit = self.look.edit(self.key)
        return edit is not None and edit.is_cut

    @property
    def current_opacity(self) -> float:
        edit = self.look.scales.get(self.key)
        return 1.0 if edit is None or edit.is_cut else min(1.0, 0.35 + 0.65 * abs(edit.value))

    def pen(self, width: float) -> QPen:
        look = self.look
        color = look.color("cut") if self.cut else look.color(self.kind, self.current_opacity)
        pen = QPen(color, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap)
        if self.key in look.holds:
            pen.setDashPattern([0.6, 1.6])
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        elif self.dashed:
            pen.setDashPattern([3.2, 2.0])
        return pen

    def width(self) -> float:
        edit = self.look.scales.get(self.key)
        scale = 1.0 if edit is None or edit.is_cut else min(1.8, max(0.45, abs(edit.value)))
        return (1.6 if self.kind == "gate" and not self.skip else EDGE_WIDTH) * scale

    def draw(self, painter: QPainter, zoom: float) -> None:
        hot, edit = self.look.hovered_input == self.key, self.look.edit(self.key)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if hot:
            painter.setPen(QPen(self.look.color(self.kind, 0.22), self.width() + 9))
            painter.drawPath(self.path)
        painter.setPen(self.pen(self.width() + (0.8 if hot else 0)))
        middle = self.path.pointAtPercent(self.mark)
        if edit and edit.is_cut:
            self.draw_cut(painter, middle)
        else:
            painter.drawPath(self.path)
            self.draw_arrow(painter)
        if edit and not edit.is_cut and not (self.kind == "gate" and edit.kind == "hold"):
            words = f"= {edit.value:g}" if edit.kind == "hold" else f"{edit.value:.2g}×"
            draw_tag(painter, middle, words, self.look, self.look.color(self.kind))

    def draw_cut(self, painter: QPainter, middle: QPointF) -> None:
        """The line with a gap around its middle, and the cross in the gap."""
        gap = 11.0 if self.skip else 5.0
        clip = QPainterPath()
        clip.addRect(self.rect)
        hole = QPainterPath()
        hole.addEllipse(middle, gap, gap)
        painter.save()
        painter.setClipPath(clip.subtracted(hole), Qt.ClipOperation.IntersectClip)
        painter.drawPath(self.path)
        painter.restore()
        draw_cross(painter, middle, 5.0 if self.skip else 3.6, self.look, QColor(0, 0, 0, 0))

    def draw_arrow(self, painter: QPainter) -> None:
        length = self.path.length()
        if not self.skip or self.kind == "gate" or length < 20:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.pen(1).color())
        end = self.path.pointAtPercent(1.0)
        painter.drawPolygon(arrow_head(end + QPointF(0, 0.5), 90, min(7.0, length / 8)))
        painter.drawEllipse(self.path.pointAtPercent(0.0), 2.6, 2.6)

    def distance(self, at: QPointF) -> float:
        """From a point to the nearest of the line, in scene units."""
        return min(_distance(at, polygon) for polygon in self.outline)


def _distance(at: QPointF, polygon: QPolygonF) -> float:
    best = math.inf
    x, y = at.x(), at.y()
    points = [(p.x(), p.y()) for p in polygon.toList()]
    for (ax, ay), (bx, by) in pairwise(points):
        dx, dy = bx - ax, by - ay
        t = (
            0.0
            if dx == dy == 0
            else min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)))
        )
        best = min(best, math.hypot(x - ax - t * dx, y - ay - t * dy))
    return best
