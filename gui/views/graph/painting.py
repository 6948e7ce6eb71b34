"""How the block graph is inked: what all its painters look at, and the strokes that they share."""

from dataclasses import dataclass, field

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import (
    QColor,
    QFont,
    QFontMetricsF,
    QPainter,
    QPainterPath,
    QPen,
    QPolygonF,
    QTransform,
)
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from gui import layout
from gui.colormaps import blend
from gui.graph import Edit
from gui.theme import LIGHT, Theme

EDGE_WIDTH = (
    2.2  # of the flow and of an additive skip: the two lines that meet in a plus are equally wide
)


MIN_TEXT_ZOOM = 0.35  # zoom below which no text is drawn


MergeInput = tuple[str, int]


@dataclass(slots=True)
class PaintState:
    """What all painters look at; the view changes it and asks for a repaint."""

    theme: Theme = LIGHT
    scales: dict[MergeInput, Edit] = field(default_factory=dict)
    holds: dict[MergeInput, Edit] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    selected: str | None = None
    cursor: str | None = None
    focused: bool = False
    hovered: frozenset[str] = (
        frozenset()
    )  # nodes under the pointer, or at the ends of the way under it
    hovered_input: MergeInput | None = None  # the way under the pointer or the operand cursor
    values: dict[object, float] = field(default_factory=dict)

    def edit(self, key: MergeInput) -> Edit | None:
        return self.scales.get(key) or self.holds.get(key)

    def color(self, name: str, alpha: float = 1.0) -> QColor:
        """A color of the theme by its field, or any "#rrggbb"."""
        color = QColor(name if name.startswith("#") else getattr(self.theme, name))
        color.setAlphaF(alpha)
        return color

    def band_color(self) -> QColor:
        return QColor(
            blend(self.theme.panel, self.theme.window, 0.55 if not self.theme.dark else 0.75)
        )


def scene_font(size: float, bold: bool = False) -> QFont:
    """The app's font at a size in scene units; not hinted, since it is scaled."""
    result = QFont()
    result.setPixelSize(max(1, int(size)))
    result.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    if bold:
        result.setWeight(QFont.Weight.DemiBold)
    return result


def to_qrectf(rect: layout.Rect) -> QRectF:
    return QRectF(rect.x, rect.y, rect.w, rect.h)


def rounded_polyline(points: tuple[layout.Point, ...], radius: float) -> QPainterPath:
    """A polyline whose corners are quarter circles of at most `radius`."""
    path = QPainterPath(QPointF(*points[0]))
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        into, out = (
            QLineF(QPointF(*corner), QPointF(*before)),
            QLineF(QPointF(*corner), QPointF(*after)),
        )
        first, last = before == points[0], after == points[-1]
        r = min(radius, into.length() / (1 if first else 2), out.length() / (1 if last else 2))
        if r < 0.1:
            path.lineTo(QPointF(*corner))
            continue
        a, b = into.pointAt(r / into.length()), out.pointAt(r / out.length())
        path.lineTo(a)
        bend = 0.5523
        path.cubicTo(a + (QPointF(*corner) - a) * bend, b + (QPointF(*corner) - b) * bend, b)
    path.lineTo(QPointF(*points[-1]))
    return path


def painter_zoom(painter: QPainter) -> float:
    return QStyleOptionGraphicsItem.levelOfDetailFromTransform(painter.worldTransform())


def arrow_head(tip: QPointF, angle: float, size: float) -> QPolygonF:
    """A small solid head that points along `angle` (degrees, 0 = right, 90 = down)."""
    head = QPolygonF(
        [
            QPointF(0, 0),
            QPointF(-size, -size * 0.5),
            QPointF(-size * 0.86, 0),
            QPointF(-size, size * 0.5),
        ]
    )
    return QTransform().translate(tip.x(), tip.y()).rotate(angle).map(head)


def draw_cross(
    painter: QPainter, at: QPointF, size: float, look: PaintState, ground: QColor
) -> None:
    """The mark of a cut: a cross on a disc, so that it stands clear of what it lies on."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawEllipse(at, size * 1.5, size * 1.5)
    painter.setPen(
        QPen(
            look.color("cut"), max(1.6, size * 0.42), Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap
        )
    )
    for sign in (-1, 1):
        painter.drawLine(
            at + QPointF(-size, -size * sign) * 0.7, at + QPointF(size, size * sign) * 0.7
        )


def draw_tag(
    painter: QPainter, at: QPointF, words: str, look: PaintState, color: QColor, size: float = 10
) -> None:
    """A word on a small plate."""
    if painter_zoom(painter) < MIN_TEXT_ZOOM:
        return
    font = scene_font(size, bold=True)
    wide = QFontMetricsF(font).horizontalAdvance(words) + size * 0.8
    plate = QRectF(at.x() - wide / 2, at.y() - size * 0.72, wide, size * 1.44)
    painter.setPen(QPen(color, 1))
    painter.setBrush(look.color("panel"))
    painter.drawRoundedRect(plate, size * 0.4, size * 0.4)
    painter.setFont(font)
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, words)


def draw_fitted_text(
    painter: QPainter,
    room: QRectF,
    words: str,
    size: float,
    zoom: float,
    bold: bool = False,
    along: float = 0,
) -> None:
    """Words centered in `room` at most `size` units high, shrunk to fit down to 6.5 screen pixels, then shortened.

    With `along` they run upwards over that length.
    """
    font = scene_font(20, bold)
    metrics = QFontMetricsF(font)
    wide = metrics.horizontalAdvance(words) or 1.0
    length = along or room.width()
    now = max(min(size, 20 * length / wide), min(size, 6.5 / zoom))
    shown = metrics.elidedText(words, Qt.TextElideMode.ElideRight, length * 20 / now + 0.5)
    if shown != words and len(shown) < 5:
        return
    painter.save()
    painter.setFont(font)
    painter.translate(room.center())
    painter.rotate(-90 if along else 0)
    painter.scale(now / 20, now / 20)
    painter.drawText(QRectF(-wide, -20, 2 * wide, 40), Qt.AlignmentFlag.AlignCenter, shown)
    painter.restore()


class GraphItem(QGraphicsItem):
    """A painter with a fixed rectangle; the view finds what is under the pointer, so no item takes events."""

    def __init__(self, look: PaintState, rect: QRectF, depth: float) -> None:
        super().__init__()
        self.look, self.rect = look, rect
        self.setZValue(depth)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    def boundingRect(self) -> QRectF:
        return self.rect

    def paint(
        self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None
    ) -> None:
        painter.save()
        self.draw(painter, painter_zoom(painter))
        painter.restore()

    def draw(self, painter: QPainter, zoom: float) -> None:
        raise NotImplementedError
