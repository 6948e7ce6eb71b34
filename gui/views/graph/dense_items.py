"""Painters of a dense block: the ribbon of its features and the arcs of the selected layer."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen

from gui import layout
from gui.colormaps import source_color
from gui.views.graph.painting import EDGE_WIDTH, GraphItem, PaintState
from gui.views.graph.strokes import arrow_head, rounded_polyline, to_qrectf

CUT_GRAY = "#888888"  # legible on light and dark grounds
VEIL_OPACITY = 0.62  # over the strips that are not under the pointer


class RibbonItem(GraphItem):
    """Ribbon of one dense block: one strip per source, as wide as its channels.

    A strip goes from the layer that makes it to the last concatenation.

    Args:
        state: What all painters read.
        strips: The strips of the ribbon.
        merges: Names of the concatenations whose bars lie on it.
    """

    def __init__(
        self,
        state: PaintState,
        strips: tuple[layout.RibbonStrip, ...],
        merges: tuple[str, ...] = (),
    ) -> None:
        rect = QRectF()
        for strip in strips:
            # The stem from the layer down to its strip belongs to the item too.
            root = QRectF(strip.root[0] - 3, strip.root[1] - 3, 6, 6)
            rect = rect.united(to_qrectf(strip.rect)).united(root)
        super().__init__(state, rect.adjusted(-4, -4, 4, 4), -3)
        self.strips = strips
        self.merges = merges

    def draw(self, painter: QPainter, zoom: float) -> None:
        """Draw all strips."""
        for strip in self.strips:
            color = QColor(source_color(strip.index, strip.count, self.state.theme))
            color.setAlphaF(0.9)
            self._draw_strip(painter, strip, color)

    def is_hovered(self) -> bool:
        """Return True while a source of this ribbon is under the pointer."""
        return any(strip.source in self.state.hovered for strip in self.strips)

    def draw_hover(self, painter: QPainter) -> None:
        """Draw a veil over the strips of all sources but the one under the pointer.

        Args:
            painter: Painter in scene units.
        """
        veil = self.state.band_color()
        veil.setAlphaF(VEIL_OPACITY)
        for strip in self.strips:
            if strip.source not in self.state.hovered:
                painter.fillRect(to_qrectf(strip.rect), veil)

    def _draw_strip(self, painter: QPainter, strip: layout.RibbonStrip, color: QColor) -> None:
        box = to_qrectf(strip.rect)
        x, y = strip.root
        width = min(EDGE_WIDTH, max(1.0, box.height()))
        painter.setPen(QPen(color, width))
        painter.drawLine(QPointF(x + width / 2, y), QPointF(x + width / 2, box.top()))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(color)
        # A hairline of ground between strips, where they are wide enough to spare it.
        painter.drawRect(box.adjusted(0, 0, 0, -0.6 if box.height() > 2 else 0))


class SelectedArcsItem(GraphItem):
    """Arcs from the sources of the selected layer.

    Args:
        state: What all painters read.
        bounds: Rectangle of the whole graph.
    """

    def __init__(self, state: PaintState, bounds: QRectF) -> None:
        super().__init__(state, bounds, 3)
        self.arcs: tuple[layout.Arc, ...] = ()
        self.count = 1

    def set_arcs(self, arcs: tuple[layout.Arc, ...], count: int) -> None:
        """Show other arcs.

        Args:
            arcs: The arcs, one per source, in the order of the sources.
            count: Number of sources of the whole dense block, for the colors.
        """
        self.arcs = arcs
        self.count = count

    def draw(self, painter: QPainter, zoom: float) -> None:
        """Draw the arcs, and one arrow head where they end."""
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for i, arc in enumerate(self.arcs):
            painter.setPen(self._pen(i, arc))
            painter.drawPath(rounded_polyline(arc.points, arc.radius))
        if self.arcs:
            # All arcs end at the same merge, so one head is enough.
            tip = QPointF(*self.arcs[-1].points[-1]) + QPointF(0, 1)
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(self.state.color("text"))
            painter.drawPolygon(arrow_head(tip, 90, 7.0))

    def _pen(self, index: int, arc: layout.Arc) -> QPen:
        key = (arc.merge, arc.operand)
        edit = self.state.edit(key)
        is_hovered = self.state.hovered_input == key
        width = EDGE_WIDTH * 0.75
        if is_hovered:
            width = EDGE_WIDTH + 1.2
        if edit and edit.is_cut:
            pen = QPen(QColor(CUT_GRAY), width)
            pen.setDashPattern([1.5, 2.5])
            return pen
        return QPen(QColor(source_color(index, self.count, self.state.theme)), width)
