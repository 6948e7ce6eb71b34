"""Painter of a dense block's connections as a triangle of cells."""

from collections.abc import Callable
from functools import partial

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from gui import layout
from gui.colormaps import blend, source_color
from gui.graph import Edit
from gui.views.graph.painting import (
    MIN_TEXT_ZOOM,
    GraphItem,
    MergeInput,
    PaintState,
    painter_zoom,
)
from gui.views.graph.strokes import (
    arrow_head,
    draw_cross,
    draw_tag,
    rounded_polyline,
    scene_font,
    to_qrectf,
)

MIN_SIDE_WITH_ELBOWS = 18  # scene units; in smaller cells only marked rows have an elbow
MIN_ROUNDED_PIXELS = 14  # side of a cell on the screen below which its corners are square
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
        self.side = matrix.cells[0].rect.h  # the first column is wider than high
        self._rows: list[list[layout.MatrixCell]] = [[] for _ in matrix.rows]
        for cell in matrix.cells:
            self._rows[cell.row].append(cell)
        self._row_of = {merge: row for row, merge in enumerate(matrix.rows)}
        self._row_of_consumer = {name: row for row, name in enumerate(matrix.consumers)}

    def cell(self, at: QPointF) -> layout.MatrixCell | None:
        """Find the cell under a point.

        Args:
            at: The point in scene units.

        Returns:
            The cell, None beside all cells.
        """
        row = int((at.y() - self.matrix.rect.y) // self.side)
        if not 0 <= row < len(self._rows):
            return None
        for cell in self._rows[row]:
            if cell.rect.contains((at.x(), at.y())):
                return cell
        return None

    def draw(self, painter: QPainter, zoom: float) -> None:
        """Draw cells, elbows and caption."""
        self._draw_frame(painter, zoom)
        for row in range(len(self._rows)):
            self._draw_row(row, painter, zoom)

    def parts(self) -> list[Callable[[QPainter], None]]:
        """Return one part for the frame and one for each row of cells."""

        def protect(draw: Callable[[QPainter, float], None]) -> Callable[[QPainter], None]:
            """Return a function that draws and leaves the painter as it was."""

            def paint(painter: QPainter) -> None:
                """Draw, and restore the painter also after an exception."""
                painter.save()
                try:
                    draw(painter, painter_zoom(painter))
                finally:
                    painter.restore()

            return paint

        rows = [partial(self._draw_row, row) for row in range(len(self._rows))]
        return [protect(self._draw_frame), *map(protect, rows)]

    def draw_marks(self, painter: QPainter) -> None:
        """Draw what selection and pointer change: elbows of rows and outlines of cells.

        Args:
            painter: Painter in scene units.
        """
        for row, target in enumerate(self.targets):
            if self._is_row_marked(row):
                self._draw_elbow(painter, row, target, is_marked=True)
        for row in self._outlined_rows():
            for cell in self._rows[row]:
                pen = self._outline_pen(cell)
                if pen.style() != Qt.PenStyle.NoPen:
                    painter.setPen(pen)
                    painter.setBrush(Qt.BrushStyle.NoBrush)
                    self._draw_square(painter, self._cell_box(cell))

    def _outlined_rows(self) -> set[int]:
        """Return the rows that may have cells with an outline."""
        state = self.state
        merges = [state.selected]
        if state.hovered_input:
            merges.append(state.hovered_input[0])
        rows = {self._row_of[name] for name in merges if name in self._row_of}
        if state.selected in self._row_of_consumer:
            rows.add(self._row_of_consumer[state.selected])
        return rows

    def _draw_frame(self, painter: QPainter, zoom: float) -> None:
        """Draw elbows and caption."""
        self._draw_elbows(painter)
        if zoom >= MIN_TEXT_ZOOM:
            at = QPointF(self.matrix.rect.x + 1, self.matrix.rect.bottom + 17)
            painter.setFont(scene_font(10))
            painter.setPen(self.state.color("secondary_text"))
            painter.drawText(at, self.matrix.caption)

    def _draw_row(self, row: int, painter: QPainter, zoom: float) -> None:
        largest = self._largest_contribution()
        for cell in self._rows[row]:
            self._draw_cell(painter, cell, zoom, largest)

    def _largest_contribution(self) -> float:
        """Return the contribution that fills its cell, 0 without any."""
        values = self.state.values
        # Values by merge input are contributions; those by name belong to nodes.
        if not any(isinstance(key, tuple) for key in values):
            return 0.0
        return max((self._contribution(cell) or 0.0 for cell in self.matrix.cells), default=0.0)

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
        last = self._rows[row][row + 1].rect  # row k reads k + 2 sources
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
        box = self._cell_box(cell)
        color = QColor(source_color(cell.column, len(self.matrix.columns), state.theme))
        value = self._contribution(cell)
        if edit is None and value is None and cell.skip and self.side * zoom < MIN_ROUNDED_PIXELS:
            # Of so small a square nobody sees the corners, and there may be thousands.
            painter.fillRect(box, color)
            return
        self._draw_ground(painter, cell, box, color)
        if edit and edit.is_cut:
            self._draw_cut(painter, box)
            return
        shape = box
        # The area, not the side, is the contribution: hence the square root.
        if value is not None and largest:
            shape = enlarge_rect(box, (value / largest) ** 0.5)
        self._draw_shape(painter, cell, shape, box, color, edit)
        if edit and self.side * zoom >= MIN_TAG_PIXELS:
            size = self.side * 0.26
            draw_tag(painter, box.center(), f"{edit.value:.2g}×", state, state.color("text"), size)

    def _cell_box(self, cell: layout.MatrixCell) -> QRectF:
        """Return the square of a cell, with a gap around it."""
        padding = max(0.4, self.side * 0.07)
        return to_qrectf(cell.rect).adjusted(padding, padding, -padding, -padding)

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
