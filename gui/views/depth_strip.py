"""Strip with one cell per block of the model, from the input to the output."""

from PySide6.QtCore import QPointF, QRectF, QSize, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QResizeEvent
from PySide6.QtWidgets import QWidget

from gui.graph import short_name
from gui.measures import BRANCH_RATIO, MEASURE_BY_NAME, DepthCell, Measure, format_value, scale_of
from gui.theme import Theme
from gui.views import qt_style
from gui.views.hover_view import HoverView

HEIGHT = 42  # pixels of the whole strip
MARGIN = 4  # pixels around the bars
MAX_BAR_WIDTH = 42  # pixels
GAP_FRACTION = 0.14  # of a cell
STAGE_GAP = 8  # pixels between stages
MIN_CELL_FOR_GAPS = 5  # pixels; narrower cells stand side by side
EMPTY_HEIGHT = 3  # pixels of a cell without a value
AREA_ALPHA = 150  # of 255, of the bars that are not selected
BACK_KEYS = (Qt.Key.Key_Left, Qt.Key.Key_Up)
NEXT_KEYS = (Qt.Key.Key_Right, Qt.Key.Key_Down)


class DepthStrip(HoverView):
    """Draws one bar per block; a click selects the block.

    Signals:
        picked(name): A node was chosen, by a click or the arrow keys.
    """

    picked = Signal(str)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__("Depth strip: one cell per block", HEIGHT, parent)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self._cells: tuple[DepthCell, ...] = ()
        self._measure: Measure = MEASURE_BY_NAME[BRANCH_RATIO]
        self._range = (0.0, 1.0)
        self._selected: int | None = None
        self._hovered: int | None = None
        self._rects: list[QRectF] = []

    def set_theme(self, theme: Theme) -> None:
        """Color the strip anew.

        Args:
            theme: The colors to use.
        """
        self.theme = theme
        self.update()

    def set_cells(self, measure: Measure, cells: tuple[DepthCell, ...]) -> None:
        """Show other values.

        Args:
            measure: What the values are.
            cells: One per block, in order of execution.
        """
        # Kept by name, because its new cell may be in another place.
        selected = None if self._selected is None else self._cells[self._selected].node
        self._measure = measure
        self._cells = cells
        values = {cell.node: cell.value for cell in cells if cell.value is not None}
        self._range = scale_of(measure, values)
        self._place_cells()
        self.set_selected(selected)
        self.describe_again()

    def set_selected(self, name: str | None) -> None:
        """Mark the cell of a node.

        Args:
            name: Name of a node; one inside a block marks the cell of the block.
        """
        self._selected = self._find(name)
        text = "" if self._selected is None else self.describe_cell(self._selected)
        self.setAccessibleDescription(text)
        self.update()

    def cell_rect(self, index: int) -> QRectF:
        """Return the column of a cell in pixels of this widget.

        Args:
            index: Number of the cell from the left.
        """
        return self._rects[index]

    def describe_cell(self, index: int) -> str:
        """Describe one cell for the status bar.

        Args:
            index: Number of the cell from the left.

        Returns:
            Block, figure and value.
        """
        cell = self._cells[index]
        text = f"{cell.label} · {self._measure.title} {format_value(self._measure, cell.value)}"
        if cell.note:
            return f"{text} · {cell.note}"
        return text

    def sizeHint(self) -> QSize:
        """Return the preferred size."""
        return QSize(800, HEIGHT)

    # Events

    def read_pointer(self, at: QPointF | None) -> str:
        """Mark and describe the cell under the pointer."""
        self._hovered = None if at is None else self._index_at(at)
        if self._hovered is None:
            return ""
        return self.describe_cell(self._hovered)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Select the block under the pointer."""
        index = self._index_at(event.position())
        if event.button() == Qt.MouseButton.LeftButton and index is not None:
            self.picked.emit(self._cells[index].node)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Select the block before or after with the arrow keys."""
        # A difference of two truth values: 1, -1 or 0.
        step = (event.key() in NEXT_KEYS) - (event.key() in BACK_KEYS)
        if not step or not self._cells:
            super().keyPressEvent(event)
            return
        # Without a selection the first press enters at either end.
        first = -1 if step > 0 else len(self._cells)
        now = first if self._selected is None else self._selected
        index = min(max(now + step, 0), len(self._cells) - 1)
        self.picked.emit(self._cells[index].node)

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Place the cells anew."""
        self._place_cells()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the bars and the line at zero."""
        with qt_style.painting(self) as painter:
            painter.setPen(Qt.PenStyle.NoPen)
            for i in range(len(self._cells)):
                self._paint_cell(painter, i)
            if self._cells:
                painter.fillRect(self._zero_line(), QColor(self.theme.hairline))

    # Painting

    def _paint_cell(self, painter: QPainter, index: int) -> None:
        column = self._rects[index]
        if index == self._hovered:
            painter.fillRect(column, QColor(self.theme.hover))
        painter.fillRect(self._bar_rect(index), self._bar_color(index))

    def _bar_color(self, index: int) -> QColor:
        cell = self._cells[index]
        if index == self._selected:
            return QColor(self.theme.focus)
        if cell.value is None:
            return QColor(self.theme.hairline)
        color = QColor(self.theme.concat if cell.value < 0 else self.theme.add)
        color.setAlpha(AREA_ALPHA)
        return color

    def _bar_rect(self, index: int) -> QRectF:
        """Return the bar of a cell: from the line at zero to its value."""
        column = self._rects[index]
        gap = GAP_FRACTION * column.width() if column.width() >= MIN_CELL_FOR_GAPS else 0.0
        width = min(column.width() - gap, MAX_BAR_WIDTH)
        left = column.center().x() - width / 2
        value = self._cells[index].value
        zero = self._y_of(0.0)
        if value is None:
            return QRectF(left, zero - EMPTY_HEIGHT, width, EMPTY_HEIGHT)
        top = self._y_of(value)
        # A value near zero is still to be seen and hit.
        height = max(abs(zero - top), 1.0)
        return QRectF(left, min(zero, top), width, height)

    def _y_of(self, value: float) -> float:
        """Return the height of a value in pixels from the top."""
        low, high = self._range
        share = (min(max(value, low), high) - low) / (high - low)
        return self.height() - MARGIN - share * (self.height() - 2 * MARGIN)

    def _zero_line(self) -> QRectF:
        return QRectF(MARGIN, self._y_of(0.0), max(self.width() - 2 * MARGIN, 0), 1.0)

    # Layout

    def _place_cells(self) -> None:
        """Give every cell the same width, with a gap before each stage."""
        count = len(self._cells)
        num_gaps = sum(cell.starts_stage for cell in self._cells)
        # While a window opens its views have no size yet.
        room = max(self.width() - 2 * MARGIN - num_gaps * STAGE_GAP, 1)
        width = room / max(count, 1)
        self._rects = []
        left = float(MARGIN)
        for cell in self._cells:
            if cell.starts_stage:
                left += STAGE_GAP
            self._rects.append(QRectF(left, 0.0, width, float(self.height())))
            left += width
        self.update()

    def _index_at(self, at: QPointF) -> int | None:
        for i, column in enumerate(self._rects):
            if column.contains(at):
                return i
        return None

    def _find(self, name: str | None) -> int | None:
        """Find the cell of a node, or of the block that it is in."""
        if name is None:
            return None
        label = short_name(name)
        for i, cell in enumerate(self._cells):
            # With the dot: "layer1.10" is no part of "layer1.1".
            if cell.node == name or label == cell.label or label.startswith(f"{cell.label}."):
                return i
        return None
