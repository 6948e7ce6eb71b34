"""What a dense block is drawn with: the ribbon of what is joined, the triangle of its cells, the arcs of one layer."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from gui import layout
from gui.colormaps import blend, source_color
from gui.views.graph.painting import (
    EDGE_WIDTH,
    MIN_TEXT_ZOOM,
    GraphItem,
    PaintState,
    arrow_head,
    draw_cross,
    draw_tag,
    rounded_polyline,
    scene_font,
    to_qrectf,
)


class RibbonItem(GraphItem):
    """One dense block's ribbon: a strip a source, as wide as its channels, from where it is made to the last concat."""

    def __init__(self, look: PaintState, strips: tuple[layout.RibbonStrip, ...]) -> None:
        rect = QRectF()
        for strip in strips:
            rect = rect.united(to_qrectf(strip.rect)).united(
                QRectF(strip.root[0] - 3, strip.root[1] - 3, 6, 6)
            )
        super().__init__(look, rect.adjusted(-4, -4, 4, 4), -3)
        self.strips = strips

    def draw(self, painter: QPainter, zoom: float) -> None:
        warm = bool(self.look.hovered & {strip.source for strip in self.strips})
        for strip in self.strips:
            color = QColor(source_color(strip.index, strip.count, self.look.theme))
            color.setAlphaF(0.35 if warm and strip.source not in self.look.hovered else 0.9)
            box, (x, y) = to_qrectf(strip.rect), strip.root
            painter.setPen(QPen(color, min(EDGE_WIDTH, max(1.0, box.height()))))
            half = painter.pen().widthF() / 2
            painter.drawLine(QPointF(x + half, y), QPointF(x + half, box.top()))
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(color)
            painter.drawRect(box.adjusted(0, 0, 0, -0.6 if box.height() > 2 else 0))


class SelectedArcsItem(GraphItem):
    """The arcs of what the selected layer reads."""

    def __init__(self, look: PaintState, bounds: QRectF) -> None:
        super().__init__(look, bounds, 3)
        self.arcs: tuple[layout.Arc, ...] = ()
        self.count = 1

    def set_arcs(self, arcs: tuple[layout.Arc, ...], count: int) -> None:
        self.arcs, self.count = arcs, count
        self.update()

    def draw(self, painter: QPainter, zoom: float) -> None:
        for i, arc in enumerate(self.arcs):
            edit = self.look.edit((arc.merge, arc.operand))
            color = (
                QColor("#888888")
                if edit and edit.is_cut
                else QColor(source_color(i, self.count, self.look.theme))
            )
            hot = self.look.hovered_input == (arc.merge, arc.operand)
            pen = QPen(color, EDGE_WIDTH + 1.2 if hot else EDGE_WIDTH * 0.75)
            if edit and edit.is_cut:
                pen.setDashPattern([1.5, 2.5])
            painter.setPen(pen)
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawPath(rounded_polyline(arc.points, arc.radius))
        if self.arcs:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.look.color("text"))
            painter.drawPolygon(
                arrow_head(QPointF(*self.arcs[-1].points[-1]) + QPointF(0, 1), 90, 7.0)
            )


class ConnectivityMatrixItem(GraphItem):
    """A dense block's connections; skip = square, the layer just before = disc, cut = cross, faded = part filled."""

    def __init__(
        self,
        look: PaintState,
        matrix: layout.ConnectivityMatrix,
        ups: tuple[tuple[float, float], ...],
    ) -> None:
        box = to_qrectf(matrix.rect)
        top = min((y for _, y in ups), default=box.top())
        super().__init__(look, box.adjusted(-12, top - box.top() - 4, 90, 26), 0)
        self.matrix, self.ups = matrix, ups
        self.side = matrix.cells[0].rect.h
        self.at = {(cell.row, cell.column): cell for cell in matrix.cells}

    def cell(self, at: QPointF) -> layout.MatrixCell | None:
        """The cell under a point."""
        return next(
            (cell for cell in self.matrix.cells if cell.rect.contains((at.x(), at.y()))), None
        )

    def draw(self, painter: QPainter, zoom: float) -> None:
        self.elbows(painter)
        largest = max(
            (self.look.values.get((c.merge, c.operand), 0.0) for c in self.matrix.cells),
            default=0.0,
        )
        for cell in self.matrix.cells:
            self.draw_cell(painter, cell, zoom, largest)
        if zoom >= MIN_TEXT_ZOOM:
            painter.setFont(scene_font(10))
            painter.setPen(self.look.color("secondary_text"))
            painter.drawText(
                QPointF(self.matrix.rect.x + 1, self.matrix.rect.bottom + 17), self.matrix.caption
            )

    def elbows(self, painter: QPainter) -> None:
        """From the end of a row up to who reads it: all where there is space, else those of the layer in question."""
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for k, (x, y) in enumerate(self.ups):
            merge, reader = self.matrix.rows[k], self.matrix.consumers[k]
            asked = self.look.hovered | {self.look.selected}
            hot = merge in asked or (self.look.hovered_input is None and reader in asked)
            if not hot and self.side < 18:
                continue
            last = self.at[k, k + 1].rect
            color = self.look.color("text" if hot else "disabled", 1.0 if hot else 0.55)
            painter.setPen(QPen(color, 1.8 if hot else 1.0))
            middle = last.y + last.h / 2
            turn = (x, middle) if x > last.right + 1 else (last.right + 0.2 * self.side, middle)
            painter.drawPath(rounded_polyline(((last.right - 2, middle), turn, (turn[0], y)), 5.0))
            painter.setBrush(color)
            painter.drawPolygon(arrow_head(QPointF(turn[0], y), -90, 6.0))
            painter.setBrush(Qt.BrushStyle.NoBrush)

    def draw_cell(
        self, painter: QPainter, cell: layout.MatrixCell, zoom: float, largest: float
    ) -> None:
        key, look = (cell.merge, cell.operand), self.look
        edit, pad = look.edit(key), max(0.4, self.side * 0.07)
        box = to_qrectf(cell.rect).adjusted(pad, pad, -pad, -pad)
        color = QColor(source_color(cell.column, len(self.matrix.columns), look.theme))
        value = look.values.get(key)
        shown = box if value is None or not largest else enlarge_rect(box, (value / largest) ** 0.5)
        pale = QColor(blend(look.theme.panel, color.name(), 0.22))
        hot = look.hovered_input == key
        row = bool({cell.merge, self.matrix.consumers[cell.row]} & {look.selected})
        outline = (
            QPen(look.color("text" if hot else "focus"), 2.2 if hot else 1.4)
            if hot or row
            else Qt.PenStyle.NoPen
        )
        painter.setPen(outline)
        painter.setBrush(pale if cell.skip else Qt.BrushStyle.NoBrush)
        corner = self.side * 0.14
        painter.drawRoundedRect(box, corner, corner)
        if edit and edit.is_cut:
            painter.setPen(QPen(look.color("cut"), 1.0, Qt.PenStyle.DashLine))
            painter.setBrush(look.color("cut_tint"))
            painter.drawRoundedRect(box, corner, corner)
            draw_cross(painter, box.center(), self.side * 0.2, look, look.color("cut_tint"))
            return
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        if edit:  # filled from below as far as it comes through
            painter.setClipRect(box.adjusted(0, box.height() * max(0.0, 1 - abs(edit.value)), 0, 0))
        if cell.skip:
            painter.drawRoundedRect(shown, corner, corner)
        else:
            painter.drawEllipse(shown.center(), shown.height() * 0.36, shown.height() * 0.36)
        painter.setClipping(False)
        if edit and not cell.skip:
            painter.setPen(QPen(color, 1.2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(shown.center(), shown.height() * 0.36, shown.height() * 0.36)
        if edit and self.side * zoom >= 40:
            draw_tag(
                painter,
                box.center(),
                f"{edit.value:.2g}×",
                look,
                look.color("text"),
                self.side * 0.26,
            )


def enlarge_rect(box: QRectF, share: float) -> QRectF:
    """The rectangle with its sides scaled about its middle."""
    dx, dy = box.width() * (1 - share) / 2, box.height() * (1 - share) / 2
    return box.adjusted(dx, dy, -dx, -dy)
