"""The key under the graph: which sign means what, only for the signs that the net really has."""

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from gui.state import Diagram
from gui.theme import source
from gui.views.graph_ink import LINE, Look, cross, face

HEIGHT, SIZE = 24.0, 10.5


class KeyStrip:
    """Draws itself along the foot of the view, in screen pixels."""

    def __init__(self, look: Look) -> None:
        self.look = look
        self.cells = False  # whether dense blocks are drawn as triangles

    def entries(self, diagram: Diagram) -> list[tuple[str, str]]:
        """(sign, words) of what there is to explain."""
        kinds = {skip.kind for skip in diagram.skips}
        found = [("plain", "no shortcut: one way through")] if diagram.nodes and not kinds else []
        if "add" in kinds:
            found.append(("add", "shortcut, added"))
        if any(skip.projected for skip in diagram.skips):
            found.append(("projected", "projected to fit"))
        if "gate" in kinds:
            found.append(("gate", "gate: every channel weighed"))
        if "concat" in kinds:
            found.append(("ribbon", "channels put side by side"))
            found += [("cell", "read again: a skip"), ("chain", "next in line")] if self.cells else []
        if kinds and (self.look.scales or self.look.holds):
            found.append(("cut", "cut"))
        if self.look.values:
            found.append(("change", "how far the output moved"))
        return found

    def height(self, diagram: Diagram) -> float:
        return HEIGHT if self.entries(diagram) else 0.0

    def draw(self, painter: QPainter, room: QRectF, diagram: Diagram) -> None:
        entries = self.entries(diagram)
        font = face(SIZE)
        metrics = QFontMetricsF(font)
        total = sum(metrics.horizontalAdvance(words) + 46 for _, words in entries) - 16
        if not entries or total > room.width() - 8:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.look.colour("panel", 0.88))
        painter.drawRect(QRectF(room.x(), room.bottom() - HEIGHT, room.width(), HEIGHT + 1))
        x, y = room.center().x() - total / 2, room.bottom() - HEIGHT / 2 - 1
        for sign, words in entries:
            self.sign(painter, sign, QPointF(x + 11, y))
            painter.setFont(font)
            painter.setPen(self.look.colour("soft"))
            wide = metrics.horizontalAdvance(words)
            painter.drawText(QRectF(x + 27, y - 9, wide + 2, 18), Qt.AlignmentFlag.AlignVCenter, words)
            x += wide + 46

    def sign(self, painter: QPainter, sign: str, at: QPointF) -> None:
        painter.save()
        painter.translate(at)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        getattr(self, f"_{sign}")(painter)
        painter.restore()

    def _add(self, painter: QPainter) -> None:
        painter.setPen(QPen(self.look.colour("add"), 1.8))
        painter.drawEllipse(QPointF(0, 0), 6, 6)
        painter.drawLine(QLineF(-3, 0, 3, 0))
        painter.drawLine(QLineF(0, -3, 0, 3))

    def _plain(self, painter: QPainter) -> None:
        painter.setPen(QPen(self.look.colour("edge"), LINE))
        painter.drawLine(QLineF(-10, 0, 10, 0))

    def _projected(self, painter: QPainter) -> None:
        pen = QPen(self.look.colour("add"), LINE)
        pen.setDashPattern([2.4, 1.6])
        painter.setPen(pen)
        painter.drawLine(QLineF(-10, 0, 10, 0))

    def _gate(self, painter: QPainter) -> None:
        painter.setPen(QPen(self.look.colour("gate"), 1.6))
        painter.setBrush(self.look.colour("gate_tint"))
        painter.drawPolygon(QPolygonF([QPointF(*p) for p in ((0, -7), (7, 0), (0, 7), (-7, 0))]))
        for sign in (-1, 1):
            painter.drawLine(QLineF(-2.2, -2.2 * sign, 2.2, 2.2 * sign))

    def _ribbon(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        for i in range(3):
            painter.setBrush(QColor(source(i, 3, self.look.theme)))
            painter.drawRect(QRectF(5 * i - 10, 4 * i - 6, 20 - 5 * i, 3.5))

    def _cell(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.look.colour("edge"))
        painter.drawRoundedRect(QRectF(-5.5, -5.5, 11, 11), 2, 2)

    def _chain(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.look.colour("edge"))
        painter.drawEllipse(QPointF(0, 0), 4.4, 4.4)

    def _change(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        for colour, wide in (("line", 20), ("cut", 12)):
            painter.setBrush(self.look.colour(colour))
            painter.drawRoundedRect(QRectF(-10, -1.5, wide, 3), 1.5, 1.5)

    def _cut(self, painter: QPainter) -> None:
        cross(painter, QPointF(0, 0), 4.5, self.look, QColor(0, 0, 0, 0))
