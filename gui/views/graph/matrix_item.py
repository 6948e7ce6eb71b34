"""Painter of a dense block's connections as a triangle of cells."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from gui import layout
from gui.colormaps import blend, source_color
from gui.graph import Edit
from gui.views.graph.painting import MIN_TEXT_ZOOM, GraphItem, MergeInput, PaintState
from gui.views.graph.strokes import (
    arrow_head,
    draw_cross,
    draw_tag,
    rounded_polyline,
    scene_font,
    to_qrectf,
)

MIN_SIDE_WITH_ELBOWS = 18  # scene units; in smaller cells only marked rows have an elbow
MIN_TAG_PIXELS = 40  # side of a cell on the screen below which its scale is not written
DISC_RADIUS = 0.36  # of the height of a cell


class ConnectivityMatrixItem(GraphItem):
    """Connections of a dense block.

    A square is a skip connection, a disc the previous layer, a cross a cut; a scaled connection
    is partly filled. With values the area of a cell is its contribution.

    Args:
        state: What all painters read.
        matrix: The cells.
        targets: Where each row leads: a point of its consumer.
    """

    def __init__(
        self,
        state: PaintState,
        matrix: layout.ConnectivityMatrix,
        targets: tuple[layout.Point, ...],
    ) -> None:
        box = to_qrectf(matrix.rect)
        top = min((y for _, y in targets), default=box.top())
        super().__init__(state, box.adjusted(-12, top - box.top() - 4, 90, 26), 0)
        self.matrix = matrix
        self.targets = targets
        self.side = matrix.cells[0].rect.h
        self._cells = {(cell.row, cell.column): cell for cell in matrix.cells}

    def cell(self, at: QPointF) -> layout.MatrixCell | None:
        """Find the cell under a point.

        Args:
            at: The point in scene units.

        Returns:
            The cell, None beside all cells.
        """
        for cell in self.matrix.cells:
            if cell.rect.contains((at.x(), at.y())):
                return cell
        return None

    def draw(self, painter: QPainter, zoom: float) -> None:
        """Draw cells, elbows and caption."""
        self._draw_elbows(painter)
        contributions = [self._contribution(cell) or 0.0 for cell in self.matrix.cells]
        # The largest contribution fills its cell.
        largest = max(contributions, default=0.0)
        for cell in self.matrix.cells:
            self._draw_cell(painter, cell, zoom, largest)
        if zoom >= MIN_TEXT_ZOOM:
            at = QPointF(self.matrix.rect.x + 1, self.matrix.rect.bottom + 17)
            painter.setFont(scene_font(10))
            painter.setPen(self.state.color("secondary_text"))
            painter.drawText(at, self.matrix.caption)

    def _contribution(self, cell: layout.MatrixCell) -> float | None:
        return self.state.values.get(_key(cell))

    # Elbows

    def _draw_elbows(self, painter: QPainter) -> None:
        """Draw the lines from the end of each row to its consumer."""
        for row, target in enumerate(self.targets):
            is_marked = self._is_row_marked(row)
            # In small cells all elbows together would be a blot.
            if is_marked or self.side >= MIN_SIDE_WITH_ELBOWS:
                self._draw_elbow(painter, row, target, is_marked)

    def _is_row_marked(self, row: int) -> bool:
        state = self.state
        if state.is_marked(self.matrix.rows[row]):
            return True
        # With the pointer on one cell only its own row is marked, not all rows of its consumer.
        return state.hovered_input is None and state.is_marked(self.matrix.consumers[row])

    def _draw_elbow(
        self, painter: QPainter, row: int, target: layout.Point, is_marked: bool
    ) -> None:
        x, y = target
        last = self._cells[row, row + 1].rect
        middle = last.y + last.h / 2
        turn_x = x if x > last.right + 1 else last.right + 0.2 * self.side
        color = self.state.color("disabled", 0.55)
        width = 1.0
        if is_marked:
            color = self.state.color("text")
            width = 1.8
        points = ((last.right - 2, middle), (turn_x, middle), (turn_x, y))
        painter.setPen(QPen(color, width))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPath(rounded_polyline(points, 5.0))
        painter.setBrush(color)
        painter.drawPolygon(arrow_head(QPointF(turn_x, y), -90, 6.0))

    # Cells

    def _draw_cell(
        self, painter: QPainter, cell: layout.MatrixCell, zoom: float, largest: float
    ) -> None:
        state = self.state
        edit = state.edit(_key(cell))
        padding = max(0.4, self.side * 0.07)
        box = to_qrectf(cell.rect).adjusted(padding, padding, -padding, -padding)
        color = QColor(source_color(cell.column, len(self.matrix.columns), state.theme))
        self._draw_ground(painter, cell, box, color)
        if edit and edit.is_cut:
            self._draw_cut(painter, box)
            return
        value = self._contribution(cell)
        shape = box
        # The area, not the side, is the contribution: hence the square root.
        if value is not None and largest:
            shape = enlarge_rect(box, (value / largest) ** 0.5)
        self._draw_shape(painter, cell, shape, box, color, edit)
        if edit and self.side * zoom >= MIN_TAG_PIXELS:
            text = f"{edit.value:.2g}×"
            size = self.side * 0.26
            draw_tag(painter, box.center(), text, state, state.color("text"), size)

    def _draw_ground(
        self, painter: QPainter, cell: layout.MatrixCell, box: QRectF, color: QColor
    ) -> None:
        """Draw a pale square under a skip connection, outlined where it is marked."""
        pale = QColor(blend(self.state.theme.panel, color.name(), 0.22))
        painter.setPen(self._outline_pen(cell))
        painter.setBrush(pale if cell.skip else Qt.BrushStyle.NoBrush)
        self._draw_square(painter, box)

    def _outline_pen(self, cell: layout.MatrixCell) -> QPen:
        state = self.state
        if state.hovered_input == _key(cell):
            return QPen(state.color("text"), 2.2)
        if state.selected in (cell.merge, self.matrix.consumers[cell.row]):
            return QPen(state.color("focus"), 1.4)
        return QPen(Qt.PenStyle.NoPen)

    def _draw_cut(self, painter: QPainter, box: QRectF) -> None:
        tint = self.state.color("cut_tint")
        painter.setPen(QPen(self.state.color("cut"), 1.0, Qt.PenStyle.DashLine))
        painter.setBrush(tint)
        self._draw_square(painter, box)
        draw_cross(painter, box.center(), self.side * 0.2, self.state, tint)

    def _draw_shape(
        self,
        painter: QPainter,
        cell: layout.MatrixCell,
        shape: QRectF,
        box: QRectF,
        color: QColor,
        edit: Edit | None,
    ) -> None:
        radius = shape.height() * DISC_RADIUS
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        if edit:
            # Filled from below, as far as the input is scaled.
            empty = box.height() * max(0.0, 1 - abs(edit.value))
            painter.setClipRect(box.adjusted(0, empty, 0, 0))
        if cell.skip:
            self._draw_square(painter, shape)
        else:
            painter.drawEllipse(shape.center(), radius, radius)
        painter.setClipping(False)
        if edit and not cell.skip:
            # A disc has no pale ground, so its outline shows how far it would be filled.
            painter.setPen(QPen(color, 1.2))
            painter.setBrush(Qt.BrushStyle.NoBrush)
            painter.drawEllipse(shape.center(), radius, radius)

    def _draw_square(self, painter: QPainter, box: QRectF) -> None:
        corner = self.side * 0.14
        painter.drawRoundedRect(box, corner, corner)


def enlarge_rect(box: QRectF, factor: float) -> QRectF:
    """Scale a rectangle about its center.

    Args:
        box: The rectangle.
        factor: Factor on both sides.

    Returns:
        The scaled rectangle.
    """
    dx = box.width() * (1 - factor) / 2
    dy = box.height() * (1 - factor) / 2
    return box.adjusted(dx, dy, -dx, -dy)


def _key(cell: layout.MatrixCell) -> MergeInput:
    """Return the merge input that a cell stands for."""
    return cell.merge, cell.operand
