"""The shapes that stand for the merges: a circled plus, a widening ribbon, a diamond; and a bare line for none."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt
from PySide6.QtGui import (
    QColor,
    QIcon,
    QPainter,
    QPainterPath,
    QPaintEvent,
    QPen,
    QPixmap,
    QPolygonF,
)
from PySide6.QtWidgets import QWidget

from gui.theme import Theme
from gui.views import qt_style

MERGE_TITLES = {"add": "addition", "concat": "concatenation", "gate": "gate", "none": "no skips"}


class MergeIcon(QWidget):
    """One shape in its accent; not a control."""

    def __init__(
        self, kind: str, theme: Theme, side: int = 36, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        qt_style.set_accessible_name(self, f"Mark of {MERGE_TITLES.get(kind, 'a block')}")
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFixedSize(side, side)
        self._kind, self._theme = kind, theme

    def set_kind(self, kind: str, theme: Theme) -> None:
        self._kind, self._theme = kind, theme
        self.setAccessibleName(f"Mark of {MERGE_TITLES.get(kind, 'a block')}")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        draw_merge_icon(
            painter, self._kind, QRectF(self.rect()).adjusted(2, 2, -2, -2), self._theme
        )


def draw_merge_icon(painter: QPainter, kind: str, where: QRectF, theme: Theme) -> None:
    """The shape of a merge inside a square."""
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    pen = QPen(QColor(theme.accent(kind)), max(where.width() / 14, 1.5))
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(QColor(theme.tint(kind)))
    center, arm = where.center(), where.width() / 4.5
    if kind == "add":
        painter.drawEllipse(where)
        painter.drawLine(center - QPointF(arm, 0), center + QPointF(arm, 0))
        painter.drawLine(center - QPointF(0, arm), center + QPointF(0, arm))
    elif kind == "concat":
        painter.drawPath(_ribbon(where))
        for share in (0.36, 0.64):
            x = where.left() + where.width() * share
            half = where.height() * (0.16 + 0.34 * share)
            painter.drawLine(QPointF(x, center.y() - half), QPointF(x, center.y() + half))
    elif kind == "gate":
        top, right = QPointF(center.x(), where.top()), QPointF(where.right(), center.y())
        bottom, left = QPointF(center.x(), where.bottom()), QPointF(where.left(), center.y())
        painter.drawPolygon(QPolygonF([top, right, bottom, left]))
        for way in (1, -1):
            painter.drawLine(
                center - QPointF(arm, way * arm) * 0.5, center + QPointF(arm, way * arm) * 0.5
            )
    else:
        side = where.height() * 0.5
        painter.drawRoundedRect(
            QRectF(where.left(), center.y() - side / 2, where.width(), side), 4, 4
        )


def merge_qicon(kind: str, theme: Theme, ratio: float) -> QIcon:
    """The shape as an icon for a button."""
    pixmap = QPixmap(QSize(16, 16) * ratio)
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    draw_merge_icon(painter, kind, QRectF(1, 1, 14, 14), theme)
    painter.end()
    return QIcon(pixmap)


def _ribbon(where: QRectF) -> QPainterPath:
    y, path = where.center().y(), QPainterPath()
    path.moveTo(where.left(), y - where.height() * 0.16)
    path.lineTo(where.right(), where.top())
    path.lineTo(where.right(), where.bottom())
    path.lineTo(where.left(), y + where.height() * 0.16)
    path.closeSubpath()
    return path
