"""Legend under the graph: the meaning of each symbol that the shown model has."""

from PySide6.QtCore import QLineF, QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF

from gui.colormaps import source_color
from gui.graph import Graph
from gui.views.graph.painting import EDGE_WIDTH, PaintState
from gui.views.graph.strokes import draw_cross, scene_font

HEIGHT = 24.0  # pixels
FONT_SIZE = 10.5  # pixels
SYMBOL_WIDTH = 27  # from the start of an entry to its text
SCALE_SAMPLES = 8  # steps of the color scale in its symbol
# Merges without a skip connection, by kind: symbol and text.
PARALLEL_ENTRIES = (
    ("concat", "bar", "parallel branches, concatenated"),
    ("add", "add", "parallel branches, added"),
    ("gate", "gate", "parallel branches, multiplied"),
)
ENTRY_GAP = 16  # between two entries, besides a margin


class GraphLegend:
    """Draws itself along the foot of the view, in pixels.

    Args:
        state: What all painters read.

    Attributes:
        has_cells: True if dense blocks are drawn as triangles of cells.
    """

    def __init__(self, state: PaintState) -> None:
        self.state = state
        self.has_cells = False
        self._drawers = {
            "plain": self._draw_plain,
            "add": self._draw_add,
            "projection": self._draw_projection,
            "gate": self._draw_gate,
            "ribbon": self._draw_ribbon,
            "bar": self._draw_bar,
            "cell": self._draw_cell,
            "chain": self._draw_chain,
            "cut": self._draw_cut,
            "change": self._draw_change,
            "scale": self._draw_scale,
        }

    def entries(self, graph: Graph) -> list[tuple[str, str]]:
        """List what there is to explain.

        Args:
            graph: The shown model.

        Returns:
            (symbol, text) pairs.
        """
        found = self._skip_entries(graph) if graph.skips else _plain_entries(graph)
        if self.state.scale:
            found.append(("scale", self.state.scale.legend_text()))
        if self.state.values:
            found.append(("change", "relative change of the output"))
        return found

    def height(self, graph: Graph) -> float:
        """Return the height of the legend.

        Args:
            graph: The shown model.

        Returns:
            Height in pixels, 0 without entries.
        """
        if not self.entries(graph):
            return 0.0
        return HEIGHT

    def draw(self, painter: QPainter, room: QRectF, graph: Graph) -> None:
        """Draw all entries in the middle of the foot, or none if they do not fit.

        Args:
            painter: Painter in pixels of the view.
            room: Rectangle of the view.
            graph: The shown model.
        """
        entries = self.entries(graph)
        font = scene_font(FONT_SIZE)
        metrics = QFontMetricsF(font)
        widths = [metrics.horizontalAdvance(text) + SYMBOL_WIDTH + 3 for _, text in entries]
        total = sum(widths) + ENTRY_GAP * (len(entries) - 1)
        # In a narrow window the graph is more useful than half a legend.
        if not entries or total > room.width() - 8:
            return
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, True)
        painter.setPen(Qt.PenStyle.NoPen)
        # Nearly opaque: a graph that is zoomed in reaches under the legend.
        painter.setBrush(self.state.color("panel", 0.88))
        painter.drawRect(QRectF(room.x(), room.bottom() - HEIGHT, room.width(), HEIGHT + 1))
        painter.setFont(font)
        x = room.center().x() - total / 2
        y = room.bottom() - HEIGHT / 2 - 1
        for (symbol, text), width in zip(entries, widths, strict=True):
            self.draw_symbol(painter, symbol, QPointF(x + 11, y))
            painter.setPen(self.state.color("secondary_text"))
            area = QRectF(x + SYMBOL_WIDTH, y - 9, width - SYMBOL_WIDTH, 18)
            painter.drawText(area, Qt.AlignmentFlag.AlignVCenter, text)
            x += width + ENTRY_GAP

    def draw_symbol(self, painter: QPainter, symbol: str, at: QPointF) -> None:
        """Draw one symbol.

        Args:
            painter: The painter.
            symbol: Name of the symbol, as in `entries`.
            at: Its center.
        """
        painter.save()
        painter.translate(at)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        self._drawers[symbol](painter)
        painter.restore()

    def _skip_entries(self, graph: Graph) -> list[tuple[str, str]]:
        kinds = {skip.kind for skip in graph.skips}
        found: list[tuple[str, str]] = []
        if "add" in kinds:
            adds = [skip for skip in graph.skips if skip.kind == "add"]
            # Where every shortcut is a projection, no line stands for identity.
            has_identity = any(not skip.projection for skip in adds)
            found.append(("add", "identity shortcut" if has_identity else "addition"))
        if any(skip.projection for skip in graph.skips):
            found.append(("projection", "projection shortcut"))
        if "gate" in kinds:
            found.append(("gate", "gate: channel weights"))
        if "concat" in kinds:
            found.append(("ribbon", "concatenation"))
        # Only the drawing of dense blocks has cells.
        if "concat" in kinds and self.has_cells:
            found.append(("cell", "skip connection"))
            found.append(("chain", "previous layer"))
        if self.state.scales or self.state.holds:
            found.append(("cut", "cut"))
        return found

    def _draw_add(self, painter: QPainter) -> None:
        painter.setPen(QPen(self.state.color("add"), 1.8))
        painter.drawEllipse(QPointF(0, 0), 6, 6)
        painter.drawLine(QLineF(-3, 0, 3, 0))
        painter.drawLine(QLineF(0, -3, 0, 3))

    def _draw_plain(self, painter: QPainter) -> None:
        painter.setPen(QPen(self.state.color("outline"), EDGE_WIDTH))
        painter.drawLine(QLineF(-10, 0, 10, 0))

    def _draw_projection(self, painter: QPainter) -> None:
        pen = QPen(self.state.color("add"), EDGE_WIDTH)
        pen.setDashPattern([2.4, 1.6])
        painter.setPen(pen)
        painter.drawLine(QLineF(-10, 0, 10, 0))

    def _draw_gate(self, painter: QPainter) -> None:
        corners = ((0, -7), (7, 0), (0, 7), (-7, 0))
        painter.setPen(QPen(self.state.color("gate"), 1.6))
        painter.setBrush(self.state.color("gate_tint"))
        painter.drawPolygon(QPolygonF([QPointF(*corner) for corner in corners]))
        for sign in (-1, 1):
            painter.drawLine(QLineF(-2.2, -2.2 * sign, 2.2, 2.2 * sign))

    def _draw_ribbon(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        for i in range(3):
            painter.setBrush(QColor(source_color(i, 3, self.state.theme)))
            painter.drawRect(QRectF(5 * i - 10, 4 * i - 6, 20 - 5 * i, 3.5))

    def _draw_bar(self, painter: QPainter) -> None:
        painter.setPen(QPen(self.state.color("outline"), EDGE_WIDTH))
        for sign in (-1, 1):
            painter.drawLine(QLineF(-10, 4 * sign, 0, 4 * sign))
        painter.drawLine(QLineF(0, 0, 10, 0))
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.state.color("text"))
        painter.drawRoundedRect(QRectF(-2, -8, 4, 16), 2, 2)

    def _draw_cell(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.state.color("outline"))
        painter.drawRoundedRect(QRectF(-5.5, -5.5, 11, 11), 2, 2)

    def _draw_chain(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.state.color("outline"))
        painter.drawEllipse(QPointF(0, 0), 4.4, 4.4)

    def _draw_change(self, painter: QPainter) -> None:
        painter.setPen(Qt.PenStyle.NoPen)
        for color, width in (("hairline", 20), ("cut", 12)):
            painter.setBrush(self.state.color(color))
            painter.drawRoundedRect(QRectF(-10, -1.5, width, 3), 1.5, 1.5)

    def _draw_scale(self, painter: QPainter) -> None:
        if self.state.scale is None:
            return
        painter.setPen(Qt.PenStyle.NoPen)
        for i, color in enumerate(self.state.scale.samples(SCALE_SAMPLES, self.state.theme)):
            painter.setBrush(QColor(color))
            painter.drawRect(QRectF(-10 + 20 / SCALE_SAMPLES * i, -4, 20 / SCALE_SAMPLES, 8))

    def _draw_cut(self, painter: QPainter) -> None:
        draw_cross(painter, QPointF(0, 0), 4.5, self.state, QColor(0, 0, 0, 0))


def _plain_entries(graph: Graph) -> list[tuple[str, str]]:
    """Explain a model without skip connections: a chain, or branches that meet."""
    kinds = {node.kind for node in graph.nodes}
    if not kinds:
        return []
    entries = [(symbol, text) for kind, symbol, text in PARALLEL_ENTRIES if kind in kinds]
    return entries or [("plain", "no skip connections")]
