"""Icons of the merges: a circled plus, a widening ribbon, a diamond, and a bare box for none."""

from collections.abc import Callable

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

MERGE_TITLES = {
    "add": "addition",
    "concat": "concatenation",
    "gate": "gate",
    "none": "no skip connections",
}
BUTTON_ICON_SIZE = 16  # pixels


class MergeIcon(QWidget):
    """One icon in its accent color; not a control.

    Args:
        kind: "add", "concat", "gate"; anything else is a bare box.
        theme: The colors to use.
        side: Width and height in pixels.
        parent: The widget in which the icon stands.
    """

    def __init__(
        self, kind: str, theme: Theme, side: int = 36, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        # A click on the icon of a card is a click on the card.
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setFixedSize(side, side)
        self.set_kind(kind, theme)

    def set_kind(self, kind: str, theme: Theme) -> None:
        """Show another icon.

        Args:
            kind: "add", "concat", "gate"; anything else is a bare box.
            theme: The colors to use.
        """
        self._kind = kind
        self._theme = theme
        self.setAccessibleName(f"Icon: {MERGE_TITLES.get(kind, 'a block')}")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the icon."""
        with qt_style.painting(self) as painter:
            self._paint(painter)

    def _paint(self, painter: QPainter) -> None:
        area = QRectF(self.rect()).adjusted(2, 2, -2, -2)
        draw_merge_icon(painter, self._kind, area, self._theme)


def draw_merge_icon(painter: QPainter, kind: str, area: QRectF, theme: Theme) -> None:
    """Draw the icon of a merge.

    Args:
        painter: Painter of the widget.
        kind: "add", "concat", "gate"; anything else is a bare box.
        area: The square to fill.
        theme: The colors to use.
    """
    painter.setRenderHint(QPainter.RenderHint.Antialiasing)
    pen = QPen(QColor(theme.accent(kind)), max(area.width() / 14, 1.5))
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    painter.setPen(pen)
    painter.setBrush(QColor(theme.tint(kind)))
    draw = DRAWERS.get(kind, _draw_box)
    draw(painter, area)


def merge_qicon(kind: str, theme: Theme, ratio: float) -> QIcon:
    """Draw the icon of a merge for a button.

    Args:
        kind: "add", "concat", "gate"; anything else is a bare box.
        theme: The colors to use.
        ratio: Device pixels per pixel.

    Returns:
        The icon.
    """
    side = BUTTON_ICON_SIZE
    # As many pixels as the screen has, so that the icon is sharp.
    pixmap = QPixmap(QSize(side, side) * ratio)
    pixmap.setDevicePixelRatio(ratio)
    pixmap.fill(Qt.GlobalColor.transparent)
    painter = QPainter(pixmap)
    draw_merge_icon(painter, kind, QRectF(1, 1, side - 2, side - 2), theme)
    # Before the pixmap is used: an active painter still holds it.
    painter.end()
    return QIcon(pixmap)


def _draw_plus(painter: QPainter, area: QRectF) -> None:
    center = area.center()
    arm = area.width() / 4.5
    painter.drawEllipse(area)
    painter.drawLine(center - QPointF(arm, 0), center + QPointF(arm, 0))
    painter.drawLine(center - QPointF(0, arm), center + QPointF(0, arm))


def _draw_ribbon(painter: QPainter, area: QRectF) -> None:
    """Draw a band that widens to the right, with the seams of its parts."""
    y = area.center().y()
    painter.drawPath(_ribbon_outline(area))
    for fraction in (0.36, 0.64):
        x = area.left() + area.width() * fraction
        half_height = area.height() * (0.16 + 0.34 * fraction)
        painter.drawLine(QPointF(x, y - half_height), QPointF(x, y + half_height))


def _draw_diamond(painter: QPainter, area: QRectF) -> None:
    center = area.center()
    arm = area.width() / 9
    top = QPointF(center.x(), area.top())
    right = QPointF(area.right(), center.y())
    bottom = QPointF(center.x(), area.bottom())
    left = QPointF(area.left(), center.y())
    painter.drawPolygon(QPolygonF([top, right, bottom, left]))
    for sign in (1, -1):
        corner = QPointF(arm, sign * arm)
        painter.drawLine(center - corner, center + corner)


def _draw_box(painter: QPainter, area: QRectF) -> None:
    height = area.height() * 0.5
    top = area.center().y() - height / 2
    painter.drawRoundedRect(QRectF(area.left(), top, area.width(), height), 4, 4)


def _ribbon_outline(area: QRectF) -> QPainterPath:
    y = area.center().y()
    path = QPainterPath()
    path.moveTo(area.left(), y - area.height() * 0.16)
    path.lineTo(area.right(), area.top())
    path.lineTo(area.right(), area.bottom())
    path.lineTo(area.left(), y + area.height() * 0.16)
    path.closeSubpath()
    return path


# Below the functions that it names.
DRAWERS: dict[str, Callable[[QPainter, QRectF], None]] = {
    "add": _draw_plus,
    "concat": _draw_ribbon,
    "gate": _draw_diamond,
}
