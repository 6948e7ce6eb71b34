"""What the block graph is drawn with: one painter a node, one a way into a merge, one for all plain lines of the flow."""

import math
from dataclasses import dataclass, field

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPainterPath, QPen, QPolygonF, QTransform
from PySide6.QtWidgets import QGraphicsItem, QStyleOptionGraphicsItem, QWidget

from gui import layout
from gui.layout.words import pretty
from gui.state import Edit, Node
from gui.theme import LIGHT, Theme, mix

LINE = 2.2  # of the flow and of an additive skip: the two lines that meet in a plus are equally wide
READABLE = 0.35  # zoom below which no text is drawn
Key = tuple[str, int]


@dataclass(slots=True)
class Look:
    """What all painters look at; the view changes it and asks for a repaint."""

    theme: Theme = LIGHT
    scales: dict[Key, Edit] = field(default_factory=dict)
    holds: dict[Key, Edit] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    selected: str | None = None
    cursor: str | None = None
    focused: bool = False
    hot: frozenset[str] = frozenset()  # nodes under the pointer, or at the ends of the way under it
    way: Key | None = None  # the way under the pointer or the operand cursor
    values: dict[object, float] = field(default_factory=dict)

    def edit(self, key: Key) -> Edit | None:
        return self.scales.get(key) or self.holds.get(key)

    def colour(self, name: str, alpha: float = 1.0) -> QColor:
        """A colour of the theme by its field, or any "#rrggbb"."""
        colour = QColor(name if name.startswith("#") else getattr(self.theme, name))
        colour.setAlphaF(alpha)
        return colour

    def lane(self) -> QColor:
        return QColor(mix(self.theme.panel, self.theme.window, 0.55 if not self.theme.dark else 0.75))


def face(size: float, bold: bool = False) -> QFont:
    """The app's font at a size in scene units; not hinted, since it is scaled."""
    result = QFont()
    result.setPixelSize(max(1, int(size)))
    result.setHintingPreference(QFont.HintingPreference.PreferNoHinting)
    if bold:
        result.setWeight(QFont.Weight.DemiBold)
    return result


def rect_of(rect: layout.Rect) -> QRectF:
    return QRectF(rect.x, rect.y, rect.w, rect.h)


def rounded(points: tuple[layout.Point, ...], radius: float) -> QPainterPath:
    """A polyline whose corners are quarter circles of at most `radius`."""
    path = QPainterPath(QPointF(*points[0]))
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        into, out = QLineF(QPointF(*corner), QPointF(*before)), QLineF(QPointF(*corner), QPointF(*after))
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


def zoom_of(painter: QPainter) -> float:
    return QStyleOptionGraphicsItem.levelOfDetailFromTransform(painter.worldTransform())


def arrow(tip: QPointF, angle: float, size: float) -> QPolygonF:
    """A small solid head that points along `angle` (degrees, 0 = right, 90 = down)."""
    head = QPolygonF([QPointF(0, 0), QPointF(-size, -size * 0.55), QPointF(-size * 0.75, 0), QPointF(-size, size * 0.55)])
    return QTransform().translate(tip.x(), tip.y()).rotate(angle).map(head)


def cross(painter: QPainter, at: QPointF, size: float, look: Look, ground: QColor) -> None:
    """The mark of a cut: a cross on a disc, so that it stands clear of what it lies on."""
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(ground)
    painter.drawEllipse(at, size * 1.5, size * 1.5)
    painter.setPen(QPen(look.colour("cut"), max(1.6, size * 0.42), Qt.PenStyle.SolidLine, Qt.PenCapStyle.RoundCap))
    for sign in (-1, 1):
        painter.drawLine(at + QPointF(-size, -size * sign) * 0.7, at + QPointF(size, size * sign) * 0.7)


def tag(painter: QPainter, at: QPointF, words: str, look: Look, colour: QColor, size: float = 10) -> None:
    """A word on a small plate."""
    if zoom_of(painter) < READABLE:
        return
    font = face(size, bold=True)
    wide = QFontMetricsF(font).horizontalAdvance(words) + size * 0.8
    plate = QRectF(at.x() - wide / 2, at.y() - size * 0.72, wide, size * 1.44)
    painter.setPen(QPen(colour, 1))
    painter.setBrush(look.colour("panel"))
    painter.drawRoundedRect(plate, size * 0.4, size * 0.4)
    painter.setFont(font)
    painter.drawText(plate, Qt.AlignmentFlag.AlignCenter, words)


class Piece(QGraphicsItem):
    """A painter with a fixed rectangle; the view finds what is under the pointer, so no item takes events."""

    def __init__(self, look: Look, rect: QRectF, depth: float) -> None:
        super().__init__()
        self.look, self.rect = look, rect
        self.setZValue(depth)
        self.setAcceptedMouseButtons(Qt.MouseButton.NoButton)

    def boundingRect(self) -> QRectF:
        return self.rect

    def paint(self, painter: QPainter, option: QStyleOptionGraphicsItem, widget: QWidget | None = None) -> None:
        painter.save()
        self.draw(painter, zoom_of(painter))
        painter.restore()

    def draw(self, painter: QPainter, zoom: float) -> None:
        raise NotImplementedError


class BandsItem(Piece):
    """The grounds of the stages with their titles."""

    def __init__(self, look: Look, bands: tuple[layout.Band, ...], bounds: QRectF) -> None:
        super().__init__(look, bounds, -10)
        self.bands = bands

    def draw(self, painter: QPainter, zoom: float) -> None:
        for band in self.bands:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.look.lane())
            painter.drawRoundedRect(rect_of(band.rect), 12, 12)
            if zoom >= READABLE:
                self.title(painter, band)

    def title(self, painter: QPainter, band: layout.Band) -> None:
        bold, plain = (face(13, True), face(11)) if band.stacked else (face(11, True), face(10))
        at = QPointF(band.at[0], band.at[1] + (13 if band.stacked else 10))
        painter.setFont(bold)
        painter.setPen(self.look.colour("ink"))
        painter.drawText(at, band.title)
        step = QPointF(0, 15) if band.stacked else QPointF(QFontMetricsF(bold).horizontalAdvance(band.title + "  "), 0)
        painter.setFont(plain)
        painter.setPen(self.look.colour("soft"))
        painter.drawText(at + step, band.note)


class FlowItem(Piece):
    """All lines of the flow that cannot be cut, in one path, with heads where a line turns to a new row."""

    def __init__(self, look: Look, wires: tuple[layout.Wire, ...], bounds: QRectF) -> None:
        super().__init__(look, bounds, -5)
        self.path, self.thin = QPainterPath(), QPainterPath()
        self.heads: list[QPolygonF] = []
        for wire in wires:
            (self.thin if wire.role == "weight" else self.path).addPath(rounded(wire.points, wire.radius))
            if wire.role == "turn":
                (x, y), (left, _) = wire.points[-1], wire.points[-2]
                self.heads.append(arrow(QPointF(x, y), 0, min(9.0, x - left)))

    def draw(self, painter: QPainter, zoom: float) -> None:
        colour = self.look.colour("edge")
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colour, LINE))
        painter.drawPath(self.path)
        painter.setPen(QPen(self.look.colour("gate"), 1.4))
        painter.drawPath(self.thin)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        for head in self.heads:
            painter.drawPolygon(head)


class WayItem(Piece):
    """One way into a merge: a skip as its arc, or the branch beside it; shows what was done to it."""

    def __init__(
        self, look: Look, key: Key, kind: str, path: QPainterPath, *, skip: bool, words: str = "", mark: float = 0.5
    ) -> None:
        super().__init__(look, path.boundingRect().adjusted(-24, -16, 24, 16), 2 if skip else 1)
        self.key, self.kind, self.path, self.skip, self.words = key, kind, path, skip, words
        self.mark = mark
        self.dashed = bool(words)
        self.outline = path.toSubpathPolygons(QTransform())

    @property
    def cut(self) -> bool:
        edit = self.look.edit(self.key)
        return edit is not None and edit.cut

    @property
    def opacity_now(self) -> float:
        edit = self.look.scales.get(self.key)
        return 1.0 if edit is None or edit.cut else min(1.0, 0.35 + 0.65 * abs(edit.value))

    def pen(self, width: float) -> QPen:
        look = self.look
        colour = look.colour("cut") if self.cut else look.colour(self.kind, self.opacity_now)
        pen = QPen(colour, width, Qt.PenStyle.SolidLine, Qt.PenCapStyle.FlatCap)
        if self.key in look.holds:
            pen.setDashPattern([0.6, 1.6])
            pen.setCapStyle(Qt.PenCapStyle.RoundCap)
        elif self.dashed:
            pen.setDashPattern([3.2, 2.0])
        return pen

    def width(self) -> float:
        edit = self.look.scales.get(self.key)
        scale = 1.0 if edit is None or edit.cut else min(1.8, max(0.45, abs(edit.value)))
        return (1.6 if self.kind == "gate" and not self.skip else LINE) * scale

    def draw(self, painter: QPainter, zoom: float) -> None:
        hot, edit = self.look.way == self.key, self.look.edit(self.key)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if hot:
            painter.setPen(QPen(self.look.colour(self.kind, 0.22), self.width() + 9))
            painter.drawPath(self.path)
        painter.setPen(self.pen(self.width() + (0.8 if hot else 0)))
        middle = self.path.pointAtPercent(self.mark)
        if edit and edit.cut:
            self.broken(painter, middle)
        else:
            painter.drawPath(self.path)
            self.head(painter)
        if edit and not edit.cut and not (self.kind == "gate" and edit.kind == "hold"):
            words = f"= {edit.value:g}" if edit.kind == "hold" else f"{edit.value:.2g}×"
            tag(painter, middle, words, self.look, self.look.colour(self.kind))

    def broken(self, painter: QPainter, middle: QPointF) -> None:
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
        cross(painter, middle, 5.0 if self.skip else 3.6, self.look, QColor(0, 0, 0, 0))

    def head(self, painter: QPainter) -> None:
        length = self.path.length()
        if not self.skip or self.kind == "gate" or length < 20:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.pen(1).color())
        end = self.path.pointAtPercent(1.0)
        painter.drawPolygon(arrow(end + QPointF(0, 0.5), 90, min(7.0, length / 8)))
        painter.drawEllipse(self.path.pointAtPercent(0.0), 2.6, 2.6)

    def distance(self, at: QPointF) -> float:
        """From a point to the nearest of the line, in scene units."""
        return min(_distance(at, polygon) for polygon in self.outline)


def _distance(at: QPointF, polygon: QPolygonF) -> float:
    best = math.inf
    x, y = at.x(), at.y()
    points = [(p.x(), p.y()) for p in polygon.toList()]
    for (ax, ay), (bx, by) in zip(points, points[1:], strict=False):
        dx, dy = bx - ax, by - ay
        t = 0.0 if dx == dy == 0 else min(1.0, max(0.0, ((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)))
        best = min(best, math.hypot(x - ax - t * dx, y - ay - t * dy))
    return best


class NodeItem(Piece):
    """One node in its shape, with the words that fit at the present zoom."""

    def __init__(self, look: Look, place: layout.Place, node: Node, weight: Key | None = None) -> None:
        super().__init__(look, rect_of(place.rect).adjusted(-9, -9, 9, 12), 5)
        self.place, self.node, self.weight = place, node, weight
        self.box = rect_of(place.rect)

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def captioned(self) -> bool:
        """True where an icon has space for its word below."""
        return self.box.height() > 36 and self.box.width() > 34

    @property
    def dropped(self) -> bool:
        return self.name in self.look.dropped

    def shape_path(self, grow: float = 0.0) -> QPainterPath:
        box, path = self.box.adjusted(-grow, -grow, grow, grow), QPainterPath()
        if self.place.shape == "plus":
            path.addEllipse(box)
        elif self.place.shape == "diamond":
            c, r = box.center(), box.width() / 2 + 2
            path.addPolygon(QPolygonF([c + QPointF(*p) * r for p in ((0, -1), (1, 0), (0, 1), (-1, 0), (0, -1))]))
        else:
            least = min(box.width(), box.height())
            corner = {"pill": least / 2, "side": 5.0, "bar": least / 2}.get(self.place.shape, min(8.0, least * 0.3))
            path.addRoundedRect(box, corner, corner)
        return path

    def draw(self, painter: QPainter, zoom: float) -> None:
        self.ring(painter)
        {"plus": self.plus, "diamond": self.diamond, "bar": self.bar}.get(self.place.shape, self.block)(painter, zoom)

    def ring(self, painter: QPainter) -> None:
        """Selection is a solid ring, the keyboard's place a dashed one further out."""
        look, painter_brush = self.look, Qt.BrushStyle.NoBrush
        painter.setBrush(painter_brush)
        if look.selected == self.name:
            painter.setPen(QPen(look.colour("focus"), 2.4))
            painter.drawPath(self.shape_path(3.0))
        if look.focused and look.cursor == self.name:
            painter.setPen(QPen(look.colour("focus"), 1.8, Qt.PenStyle.CustomDashLine))
            pen = painter.pen()
            pen.setDashPattern([2.2, 1.8])
            painter.setPen(pen)
            painter.drawPath(self.shape_path(6.4 if look.selected == self.name else 3.4))

    def fill(self, plain: str, tint: str) -> QColor:
        return self.look.colour(tint if self.name in self.look.hot or self.look.selected == self.name else plain)

    def plus(self, painter: QPainter, zoom: float) -> None:
        accent, c, r = self.look.colour("add"), self.box.center(), self.box.width() / 2
        painter.setPen(QPen(accent, LINE if r > 7 else 1.6))
        painter.setBrush(self.fill("panel", "add_tint"))
        painter.drawEllipse(self.box.adjusted(1, 1, -1, -1))
        painter.drawLine(c - QPointF(r * 0.5, 0), c + QPointF(r * 0.5, 0))
        painter.drawLine(c - QPointF(0, r * 0.5), c + QPointF(0, r * 0.5))

    def diamond(self, painter: QPainter, zoom: float) -> None:
        """Closed with its sign while the weights are at work; hollow and dashed where they are held."""
        held = self.look.edit(self.weight) if self.weight else None
        accent, c, r = self.look.colour("gate"), self.box.center(), self.box.width() / 2
        painter.setPen(QPen(accent, 2.0 if r > 7 else 1.4, Qt.PenStyle.DashLine if held else Qt.PenStyle.SolidLine))
        painter.setBrush(self.look.lane() if held else self.fill("gate_tint", "panel"))
        painter.drawPath(self.shape_path(-0.5))
        if not held:
            painter.setPen(QPen(accent, 2.0 if r > 7 else 1.4))
            for sign in (-1, 1):
                painter.drawLine(c - QPointF(r, r * sign) * 0.32, c + QPointF(r, r * sign) * 0.32)
        elif zoom >= READABLE:
            painter.setFont(face(max(7.0, r * 0.95), bold=True))
            painter.setPen(accent)
            painter.drawText(self.box, Qt.AlignmentFlag.AlignCenter, f"{held.value:.2g}")

    def bar(self, painter: QPainter, zoom: float) -> None:
        hot = self.name in self.look.hot or self.look.selected == self.name
        painter.setPen(QPen(self.look.colour("panel"), 1.0))
        painter.setBrush(self.look.colour("concat" if hot else "ink"))
        painter.drawPath(self.shape_path())

    def block(self, painter: QPainter, zoom: float) -> None:
        look, kind = self.look, self.place.shape
        edge = {"pill": "add", "side": "gate"}.get(kind, "edge")
        tint = {"pill": "add_tint", "side": "gate_tint"}.get(kind, "focus_tint")
        pen = QPen(look.colour(edge), 1.3)
        if self.dropped:
            pen = QPen(look.colour("cut"), 1.3, Qt.PenStyle.DashLine)
        elif kind == "pill" and self.box.height() > 12:
            pen.setDashPattern([3.0, 2.0])
        painter.setPen(pen)
        painter.setBrush(look.lane() if self.dropped else self.fill("panel", tint))
        painter.drawPath(self.shape_path(-0.6))
        self.gauge(painter)
        if kind in ("input", "output"):
            self.icon(painter)
        if zoom >= READABLE:
            self.text(painter, zoom)
        if self.dropped:
            cross(painter, self.box.topRight() + QPointF(-7, 7), 4.0, look, look.colour("panel"))

    def gauge(self, painter: QPainter) -> None:
        """How much the edits changed what comes out: a bar along the foot, 0 to all."""
        value = self.look.values.get(self.name)
        if value is None or value <= 0 or self.place.shape in ("pill", "side"):
            return
        track = QRectF(self.box.x() + 4, self.box.bottom() + 2.5, self.box.width() - 8, 3.0)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.look.colour("line"))
        painter.drawRoundedRect(track, 1.5, 1.5)
        track.setWidth(max(2.0, track.width() * min(1.0, value)))
        painter.setBrush(self.look.colour("cut"))
        painter.drawRoundedRect(track, 1.5, 1.5)

    def icon(self, painter: QPainter) -> None:
        """The picture as a grid of pixels, the prediction as bars, above the word."""
        side = min(self.box.width(), self.box.height()) * (0.36 if self.captioned else 0.5)
        lift = 6 if self.captioned else 0
        box = QRectF(self.box.center().x() - side / 2, self.box.center().y() - side / 2 - lift, side, side)
        painter.setPen(Qt.PenStyle.NoPen)
        ink = self.look.colour("soft")
        for i in range(9 if self.place.shape == "input" else 3):
            if self.place.shape == "input":
                ink.setAlphaF((0.85, 0.35, 0.6, 0.25, 0.95, 0.45, 0.6, 0.3, 0.75)[i])
                cell = QRectF(box.x() + side / 3 * (i % 3), box.y() + side / 3 * (i // 3), side / 3 - 0.8, side / 3 - 0.8)
            else:
                cell = QRectF(box.x(), box.y() + side / 3 * i, side * (1.0, 0.55, 0.3)[i], side / 3 - 1.4)
            painter.setBrush(ink)
            painter.drawRect(cell)

    def text(self, painter: QPainter, zoom: float) -> None:
        """Lines centred in the box, smaller the less space there is; on the screen never below what can be read."""
        lines, tall = self.place.lines, self.box.height()
        icon = self.place.shape in ("input", "output")
        if (icon and not self.captioned) or self.box.width() * zoom < 12 or tall * zoom < 8:
            return
        small = self.place.shape in ("pill", "side") or len(lines) == 1
        first = min(9.5, tall * 0.66) if small else 11.0
        sizes = [first] + [9.0] * (len(lines) - 1)
        if self.box.width() < 20 and tall > 12:
            sizes = [8.0]
        steps = [size * 1.32 for size in sizes]
        y = self.box.center().y() - sum(steps) / 2 + (tall * 0.28 if icon else 0)
        for i, (words, size, step) in enumerate(zip(lines, sizes, steps, strict=True)):
            painter.setPen(self.look.colour("ink" if i == 0 and not icon else "soft"))
            spare = 1.0 if self.box.width() < 20 else 2.5
            room = QRectF(self.box.x() + spare, y, self.box.width() - 2 * spare, step)
            upright = small and len(words) > 3 and tall > 1.3 * self.box.width()
            write(painter, room, pretty(words), size, zoom, bold=i == 0 and not small, along=tall - 4 if upright else 0)
            y += step


def write(painter: QPainter, room: QRectF, words: str, size: float, zoom: float, bold: bool = False, along: float = 0) -> None:
    """Words centred in `room` at most `size` units high, shrunk to fit down to 6.5 screen pixels, then shortened.

    With `along` they run upwards over that length.
    """
    font = face(20, bold)
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
