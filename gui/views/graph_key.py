"""The key under the graph: which sign means what, only for the signs that the net really has."""

from PySide6.QtCore import QPointF, QRectF, Qt
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
        look = self.look
        painter.setBrush(Qt.BrushStyle.NoBrush)
        match sign:
            case "add":
                painter.setPen(QPen(look.colour("add"), 1.8))
                painter.drawEllipse(at, 6, 6)
                painter.drawLine(at - QPointF(3, 0), at + QPointF(3, 0))
                painter.drawLine(at - QPointF(0, 3), at + QPointF(0, 3))
            case "projected" | "plain":
                pen = QPen(look.colour("add" if sign == "projected" else "edge"), LINE)
                if sign == "projected":
                    pen.setDashPattern([2.4, 1.6])
                painter.setPen(pen)
                painter.drawLine(at - QPointF(10, 0), at + QPointF(10, 0))
            case "gate":
                painter.setPen(QPen(look.colour("gate"), 1.6))
                painter.setBrush(look.colour("gate_tint"))
                painter.drawPolygon(QPolygonF([at + QPointF(*p) for p in ((0, -7), (7, 0), (0, 7), (-7, 0))]))
                for s in (-1, 1):
                    painter.drawLine(at - QPointF(2.2, 2.2 * s), at + QPointF(2.2, 2.2 * s))
            case "ribbon":
                painter.setPen(Qt.PenStyle.NoPen)
                for i in range(3):
                    painter.setBrush(QColor(source(i, 3, look.theme)))
                    painter.drawRect(QRectF(at.x() - 10 + 5 * i, at.y() - 6 + 4 * i, 20 - 5 * i, 3.5))
            case "cell" | "chain":
                painter.setPen(Qt.PenStyle.NoPen)
                painter.setBrush(look.colour("edge"))
                if sign == "cell":
                    painter.drawRoundedRect(QRectF(at.x() - 5.5, at.y() - 5.5, 11, 11), 2, 2)
                else:
                    painter.drawEllipse(at, 4.4, 4.4)
            case "change":
                painter.setPen(Qt.PenStyle.NoPen)
                for colour, wide in (("line", 20), ("cut", 12)):
                    painter.setBrush(look.colour(colour))
                    painter.drawRoundedRect(QRectF(at.x() - 10, at.y() - 1.5, wide, 3), 1.5, 1.5)
            case _:
                cross(painter, at, 4.5, look, QColor(0, 0, 0, 0))
