"""Strokes and text that several painters of the graph view draw."""

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

from gui import layout
from gui.views.graph.painting import MIN_TEXT_ZOOM, PaintState, painter_zoom

MIN_TEXT_PIXELS = 6.5  # text is cut rather than drawn smaller than this
MEASURED_FONT_SIZE = 20  # size at which text is measured, then scaled
BEZIER_QUARTER = 0.5523  # control points of a quarter circle, as a fraction of the radius


def scene_font(size: float, bold: bool = False) -> QFont:
    """Build the app's font for the scene, not hinted, because it is scaled.

    Args:
        size: Size in scene units.
        bold: True for a heavier font.

    Returns:
        The font.
    """
    result = QFont()
    # In pixels, because a scene unit is a pixel at zoom 1.
    result.setPixelSize(max(1, int(size)))
    result.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    if bold:
        result.setWeight(QFont.Weight.DemiBold)
    return result


def to_qrectf(rect: layout.Rect) -> QRectF:
    """Return a rectangle of the layout as Qt's.

    Args:
        rect: The rectangle in scene units.

    Returns:
        The same rectangle.
    """
    return QRectF(rect.x, rect.y, rect.w, rect.h)


def rounded_polyline(points: tuple[layout.Point, ...], radius: float) -> QPainterPath:
    """Build a polyline with round corners.

    Args:
        points: Its points in scene units.
        radius: Radius of the quarter circles, less where a segment is too short.

    Returns:
        The path.
    """
    path = QPainterPath(QPointF(*points[0]))
    last = len(points) - 1
    for i in range(1, last):
        corner = QPointF(*points[i])
        into = QLineF(corner, QPointF(*points[i - 1]))
        out = QLineF(corner, QPointF(*points[i + 1]))
        # Two corners share the segment between them; the ends of the line have one to themselves.
        into_room = into.length() if i == 1 else into.length() / 2
        out_room = out.length() if i == last - 1 else out.length() / 2
        _add_corner(path, corner, into, out, min(radius, into_room, out_room))
    path.lineTo(QPointF(*points[-1]))
    return path


def _add_corner(
    path: QPainterPath, corner: QPointF, into: QLineF, out: QLineF, radius: float
) -> None:
    # A cubic of no length would draw a stray dot.
    if radius < 0.1:
        path.lineTo(corner)
        return
    start = into.pointAt(radius / into.length())
    end = out.pointAt(radius / out.length())
    path.lineTo(start)
    first_control = start + (corner - start) * BEZIER_QUARTER
    second_control = end + (corner - end) * BEZIER_QUARTER
    path.cubicTo(first_control, second_control, end)


def arrow_head(tip: QPointF, angle: float, size: float) -> QPolygonF:
    """Build a small solid arrow head.

    Args:
        tip: Its point.
        angle: Direction in degrees, 0 to the right, 90 down.
        size: Length in scene units.

    Returns:
        The polygon.
    """
    # A notch at the back makes the head look pointed.
    corners = [(0, 0), (-size, -size * 0.5), (-size * 0.86, 0), (-size, size * 0.5)]
    head = QPolygonF([QPointF(x, y) for x, y in corners])
    return QTransform().translate(tip.x(), tip.y()).rotate(angle).map(head)


def draw_cross(
    painter: QPainter, at: QPointF, size: float, state: PaintState, ground: QColor
) -> None:
    """Draw the mark of a cut: a cross on a disc, so that it stands out from what lies below.

    Args:
        painter: The painter.
        at: Center of the cross.
        size: Half of its width.
        state: What all painters read.
        ground: Color of the disc.
    """
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawEllipse(at, size * 1.5, size * 1.5)
    pen = QPen(state.color("cut"), max(1.6, size * 0.42))
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    painter.setPen(pen)
    for sign in (-1, 1):
        arm = QPointF(size, size * sign) * 0.7
        painter.drawLine(at - arm, at + arm)


def draw_tag(
    painter: QPainter, at: QPointF, text: str, state: PaintState, color: QColor, size: float = 10
) -> None:
    """Draw a word on a small plate, unless it would be too small to read.

    Args:
        painter: The painter.
        at: Center of the plate.
        text: The word.
        state: What all painters read.
        color: Color of the word and of the plate's outline.
        size: Font size in scene units.
    """
    if painter_zoom(painter) < MIN_TEXT_ZOOM:
        return
    font = scene_font(size, bold=True)
    width = QFontMetricsF(font).horizontalAdvance(text) + size * 0.8
    plate = QRectF(at.x() - width / 2, at.y() - size * 0.72, width, size * 1.44)
    painter.setPen(QPen(color, 1))
    painter.setBrush(state.color("panel"))
    painter.drawRoundedRect(plate, size * 0.4, size * 0.4)
    painter.setFont(font)
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, text)


def draw_fitted_text(
    painter: QPainter,
    room: QRectF,
    text: str,
    size: float,
    zoom: float,
    bold: bool = False,
    upward_length: float = 0,
) -> None:
    """Draw text in the middle of a rectangle, shrunk as far as it can be read, then shortened.

    Args:
        painter: The painter.
        room: The rectangle.
        text: The text; left out where less than a few letters would fit.
        size: Font size in scene units, at most.
        zoom: Pixels per scene unit.
        bold: True for a heavier font.
        upward_length: If not 0, the text runs upwards over this length.
    """
    # Measured at one size and scaled: hinting would make the widths of other sizes jump.
    font = scene_font(MEASURED_FONT_SIZE, bold)
    metrics = QFontMetricsF(font)
    width = metrics.horizontalAdvance(text) or 1.0
    length = upward_length or room.width()
    fitting = min(size, MEASURED_FONT_SIZE * length / width)
    readable = min(size, MIN_TEXT_PIXELS / zoom)
    scale = max(fitting, readable) / MEASURED_FONT_SIZE
    # Half a unit of slack, because widths are rounded.
    shown = metrics.elidedText(text, Qt.TextElideMode.ElideRight, length / scale + 0.5)
    # Two letters and an ellipsis tell nobody anything.
    if shown != text and len(shown) < 5:
        return
    painter.save()
    painter.setFont(font)
    painter.translate(room.center())
    painter.rotate(-90 if upward_length else 0)
    painter.scale(scale, scale)
    # Larger than the text, which is centered in it.
    painter.drawText(QRectF(-width, -20, 2 * width, 40), Qt.AlignmentFlag.AlignCenter, shown)
    painter.restore()
