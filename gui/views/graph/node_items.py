"""The grounds of the stages, and the nodes of the block graph: one painter each, shape first, color second."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPainterPath, QPen, QPolygonF

from gui import layout
from gui.descriptions import typeset_op
from gui.graph import Node
from gui.views.graph.painting import (
    EDGE_WIDTH,
    MIN_TEXT_ZOOM,
    GraphItem,
    MergeInput,
    PaintState,
    draw_cross,
    draw_fitted_text,
    scene_font,
    to_qrectf,
)


class StageBandsItem(GraphItem):
    """The grounds of the stages with their titles."""

    def __init__(
        self, look: PaintState, bands: tuple[layout.StageBand, ...], bounds: QRectF
    ) -> None:
        super().__init__(look, bounds, -10)
        self.bands = bands

    def draw(self, painter: QPainter, zoom: float) -> None:
        for band in self.bands:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.look.band_color())
            painter.drawRoundedRect(to_qrectf(band.rect), 12, 12)
            if zoom >= MIN_TEXT_ZOOM:
                self.title(painter, band)

    def title(self, painter: QPainter, band: layout.StageBand) -> None:
        bold, plain = (
            (scene_font(13, True), scene_font(11))
            if band.stacked
            else (scene_font(11, True), scene_font(10))
        )
        at = QPointF(band.at[0], band.at[1] + (13 if band.stacked else 10))
        painter.setFont(bold)
        painter.setPen(self.look.color("text"))
        painter.drawText(at, band.title)
        step = (
            QPointF(0, 15)
            if band.stacked
            else QPointF(QFontMetricsF(bold).horizontalAdvance(band.title + "  "), 0)
        )
        painter.setFont(plain)
        painter.setPen(self.look.color("secondary_text"))
        painter.drawText(at + step, band.subtitle)


class NodeItem(GraphItem):
    """One node in its shape, with the words that fit at the present zoom."""

    def __init__(
        self, look: PaintState, place: layout.NodeBox, node: Node, weight: MergeInput | None = None
    ) -> None:
        super().__init__(look, to_qrectf(place.rect).adjusted(-9, -9, 9, 12), 5)
        self.place, self.node, self.weight = place, node, weight
        self.box = to_qrectf(place.rect)

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def captioned(self) -> bool:
        """True where an icon has space for its word below."""
        return self.box.height() > 36 and self.box.width() > 30

    @property
    def dropped(self) -> bool:
        return self.name in self.look.dropped

    def shape_path(self, grow: float = 0.0) -> QPainterPath:
        box, path = self.box.adjusted(-grow, -grow, grow, grow), QPainterPath()
        if self.place.shape == "plus":
            path.addEllipse(box)
        elif self.place.shape == "diamond":
            c, r = box.center(), box.width() / 2 + 2
            path.addPolygon(
                QPolygonF(
                    [c + QPointF(*p) * r for p in ((0, -1), (1, 0), (0, 1), (-1, 0), (0, -1))]
                )
            )
        else:
            least = min(box.width(), box.height())
            corner = {"pill": least / 2, "side": 5.0, "bar": least / 2}.get(
                self.place.shape, min(8.0, least * 0.3)
            )
            path.addRoundedRect(box, corner, corner)
        return path

    def draw(self, painter: QPainter, zoom: float) -> None:
        self.draw_selection(painter)
        {"plus": self.plus, "diamond": self.diamond, "bar": self.bar}.get(
            self.place.shape, self.block
        )(painter, zoom)

    def draw_selection(self, painter: QPainter) -> None:
        """Selection is a solid ring, the keyboard's place a dashed one further out."""
        look, painter_brush = self.look, Qt.BrushStyle.NoBrush
        painter.setBrush(painter_brush)
        if look.selected == self.name:
            painter.setPen(QPen(look.color("focus"), 2.4))
            painter.drawPath(self.shape_path(3.0))
        if look.focused and look.cursor == self.name:
            painter.setPen(QPen(look.color("focus"), 1.8, Qt.PenStyle.CustomDashLine))
            pen = painter.pen()
            pen.setDashPattern([2.2, 1.8])
            painter.setPen(pen)
            painter.drawPath(self.shape_path(6.4 if look.selected == self.name else 3.4))

    def fill(self, plain: str, tint: str) -> QColor:
        return self.look.color(
            tint if self.name in self.look.hovered or self.look.selected == self.name else plain
        )

    def plus(self, painter: QPainter, zoom: float) -> None:
        accent, c, r = self.look.color("add"), self.box.center(), self.box.width() / 2
        painter.setPen(QPen(accent, EDGE_WIDTH if r > 7 else 1.6))
        painter.setBrush(self.fill("panel", "add_tint"))
        painter.drawEllipse(self.box.adjusted(1, 1, -1, -1))
        painter.drawLine(c - QPointF(r * 0.5, 0), c + QPointF(r * 0.5, 0))
        painter.drawLine(c - QPointF(0, r * 0.5), c + QPointF(0, r * 0.5))

    def diamond(self, painter: QPainter, zoom: float) -> None:
        """Closed with its sign while the weights are at work; hollow and dashed where they are held."""
        held = self.look.edit(self.weight) if self.weight else None
        accent, c, r = self.look.color("gate"), self.box.center(), self.box.width() / 2
        painter.setPen(
            QPen(
                accent,
                2.0 if r > 7 else 1.4,
                Qt.PenStyle.DashLine if held else Qt.PenStyle.SolidLine,
            )
        )
        painter.setBrush(self.look.band_color() if held else self.fill("gate_tint", "panel"))
        painter.drawPath(self.shape_path(-0.5))
        if not held:
            painter.setPen(QPen(accent, 2.0 if r > 7 else 1.4))
            for sign in (-1, 1):
                painter.drawLine(c - QPointF(r, r * sign) * 0.32, c + QPointF(r, r * sign) * 0.32)
        elif zoom >= MIN_TEXT_ZOOM:
            painter.setFont(scene_font(max(7.0, r * 0.95), bold=True))
            painter.setPen(accent)
            painter.drawText(self.box, Qt.AlignmentFlag.AlignCenter, f"{held.value:.2g}")

    def bar(self, painter: QPainter, zoom: float) -> None:
        hot = self.name in self.look.hovered or self.look.selected == self.name
        painter.setPen(QPen(self.look.color("panel"), 1.0))
        painter.setBrush(self.look.color("concat" if hot else "text"))
        painter.drawPath(self.shape_path())

    def block(self, painter: QPainter, zoom: float) -> None:
        look, kind = self.look, self.place.shape
        edge = {"pill": "add", "side": "gate"}.get(kind, "outline")
        tint = {"pill": "add_tint", "side": "gate_tint"}.get(kind, "focus_tint")
        pen = QPen(look.color(edge), 1.3)
        if self.dropped:
            pen = QPen(look.color("cut"), 1.3, Qt.PenStyle.DashLine)
        elif kind == "pill" and self.box.height() > 12:
            pen.setDashPattern([3.0, 2.0])
        painter.setPen(pen)
        painter.setBrush(look.band_color() if self.dropped else self.fill("panel", tint))
        painter.drawPath(self.shape_path(-0.6))
        self.draw_change_bar(painter)
        if kind in ("input", "output"):
            self.icon(painter)
        if zoom >= MIN_TEXT_ZOOM:
            self.text(painter, zoom)
        if self.dropped:
            draw_cross(
                painter, self.box.topRight() + QPointF(-7, 7), 4.0, look, look.color("panel")
            )

    def draw_change_bar(self, painter: QPainter) -> None:
        """How much the edits changed what comes out: a bar along the foot, 0 to all."""
        value = self.look.values.get(self.name)
        if value is None or value <= 0 or self.place.shape in ("pill", "side"):
            return
        track = QRectF(self.box.x() + 4, self.box.bottom() + 2.5, self.box.width() - 8, 3.0)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.look.color("hairline"))
        painter.drawRoundedRect(track, 1.5, 1.5)
        track.setWidth(max(2.0, track.width() * min(1.0, value)))
        painter.setBrush(self.look.color("cut"))
        painter.drawRoundedRect(track, 1.5, 1.5)

    def icon(self, painter: QPainter) -> None:
        """The image as a grid of pixels, the prediction as bars, above the word."""
        side = min(self.box.width(), self.box.height()) * (0.36 if self.captioned else 0.5)
        lift = 6 if self.captioned else 0
        box = QRectF(
            self.box.center().x() - side / 2, self.box.center().y() - side / 2 - lift, side, side
        )
        painter.setPen(Qt.PenStyle.NoPen)
        ink = self.look.color("secondary_text")
        for i in range(9 if self.place.shape == "input" else 3):
            if self.place.shape == "input":
                ink.setAlphaF((0.85, 0.35, 0.6, 0.25, 0.95, 0.45, 0.6, 0.3, 0.75)[i])
                cell = QRectF(
                    box.x() + side / 3 * (i % 3),
                    box.y() + side / 3 * (i // 3),
                    side / 3 - 0.8,
                    side / 3 - 0.8,
                )
            else:
                cell = QRectF(
                    box.x(), box.y() + side / 3 * i, side * (1.0, 0.55, 0.3)[i], side / 3 - 1.4
                )
            painter.setBrush(ink)
            painter.drawRect(cell)

    def text(self, painter: QPainter, zoom: float) -> None:
        """Lines centered in the box, smaller the less space there is; on the screen never below what can be read."""
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
            painter.setPen(self.look.color("text" if i == 0 and not icon else "secondary_text"))
            spare = 1.0 if self.box.width() < 20 else 2.5
            room = QRectF(self.box.x() + spare, y, self.box.width() - 2 * spare, step)
            upright = small and not icon and len(words) > 3 and tall > 1.3 * self.box.width()
            draw_fitted_text(
                painter,
                room,
                typeset_op(words),
                size,
                zoom,
                bold=i == 0 and not small,
                along=tall - 4 if upright else 0,
            )
            y += step
