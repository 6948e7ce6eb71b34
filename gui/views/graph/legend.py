"""The key under the graph: which sign means what, only for the signs that the model really has."""

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from gui.colormaps import source_color
from gui.graph import Graph
from gui.views.graph.painting import EDGE_WIDTH, PaintState, draw_cross, scene_font

HEIGHT, FONT_SIZE = 24.0, 10.5


class GraphLegend:
    """Draws itself along the foot of the view, in screen pixels."""

    def __init__(self, look: PaintState) -> None:
        self.look = look
        self.cells = False  # whether dense blocks are drawn as triangles

    def entries(self, diagram: Graph) -> list[tuple[str, str]]:
        """(sign, words) of what there is to explain."""
        kinds = {skip.kind for skip in diagram.skips}
        found = [("plain", "no skip connections")] if diagram.nodes and not kinds else []
        if "add" in kinds:
            found.append(("add", "identity shortcut"))
        if any(skip.projection for skip in diagram.skips):
            found.append(("projected", "projection shortcut"))
        if "gate" in kinds:
            found.append(("gate", "gate: channel weights"))
        if "concat" in kinds:
            found.append(("ribbon", "concatenation"))
            found += (
                [("cell", "skip connection"), ("chain", "previous layer")] if self.cells else []
            )
        if kinds and (self.look.scales or self.look.holds):
            found.append(("cut", "cut"))
        if self.look.values:
            found.append(("change", "relative change of the output"))
        return found

    def height(self, diagram: Graph) -> float:
        return HEIGHT if self.entries(diagram) else 0.0

    def draw(self, painter: QPainter, room: QRectF, diagram: Graph) -> None:
        entries = self.entries(diagram)
        font = scene_font(FONT_SIZE)
        metrics = QFontMetricsF(font)
        total = sum(metrics.horizontalAdvance(words) + 46 for _, words in entries) - 16
        if not entries or total > room.width() - 8:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.look.color("panel", 0.88))
        painter.drawRect(QRectF(room.x(), room.bottom() - HEIGHT, room.width(), HEIGHT + 1))
        x, y = room.center().x() - total / 2, room.bottom() - HEIGHT / 2 - 1
        for sign, words in entries:
            self.draw_symbol(painter, sign, QPointF(x + 11, y))
            painter.setFont(font)
            painter.setPen(self.look.color("secondary_text"))
            wide = metrics.horizontalAdvance(words)
            painter.drawText(
                QRectF(x + 27, y - 9, wide + 2, 18), Qt.AlignmentFlag.AlignVCenter, words
            )
            x += wide + 46

    def draw_symbol(self, painter: QPainter, sign: str, at: QPointF) -> None:
        painter.save()
        painter.translate(at)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        getattr(self, f"_{sign}")(painter)
        painter.restore()

    def _add(self, painter: QPainter) -> None:
        painter.setPen(QPen(self.look.color("add"), 1.8))
        painter.drawEllipse(QPointF(0, 0), 6, 6)
        painter.drawLine(QLineF(-3, 0, 3, 0))
        painter.drawLine(QLineF(0, -3, 0, 3))

    def _plain(self, painter: QPainter) -> None:
        painter.setPen(QPen(self.look.color("outline"), EDGE_WIDTH))
        painter.drawLine(QLineF(-10, 0, 10, 0))

    def _projected(self, painter: QPainter) -> None:
        pen = QPen(self.look.color("add"), EDGE_WIDTH)
        pen.setDashPattern([2.4, 1.6])
        painter.setPen(pen)
        painter.drawLine(QLineF(-10, 0, 10, 0))

    def _gate(self, painter: QPainter) -> None:
        painter.setPen(QPen(self.look.color("gate"), 1.6))
        painter.setBrush(self.look.color("gate_tint"))
        painter.drawPolygon(QPolygonF([QPointF(*p) for p in ((0, -7), (7, 0), (0, 7), (-7, 0))]))
        for sign in (-1, 1):
            painter.drawLine(QLineF(-2.2, -2.2 * sign, 2.2, 2.2 * sign))

    def _ribbon(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        for i in range(3):
            painter.setBrush(QColor(source_color(i, 3, self.look.theme)))
            painter.drawRect(QRectF(5 * i - 10, 4 * i - 6, 20 - 5 * i, 3.5))

    def _cell(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.look.color("outline"))
        painter.drawRoundedRect(QRectF(-5.5, -5.5, 11, 11), 2, 2)

    def _chain(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.look.color("outline"))
        painter.drawEllipse(QPointF(0, 0), 4.4, 4.4)

    def _change(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        for color, wide in (("hairline", 20), ("cut", 12)):
            painter.setBrush(self.look.color(color))
            painter.drawRoundedRect(QRectF(-10, -1.5, wide, 3), 1.5, 1.5)

    def _cut(self, painter: QPainter) -> None:
        draw_cross(painter, QPointF(0, 0), 4.5, self.look, QColor(0, 0, 0, 0))
