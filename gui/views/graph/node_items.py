"""Painters of the graph's nodes: one each, shape first, color second."""

from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPainterPath, QPen, QPolygonF

from gui import layout
from gui.graph import Edit, Node
from gui.views.graph.node_text import draw_icon, draw_lines, has_caption
from gui.views.graph.painting import EDGE_WIDTH, MIN_TEXT_ZOOM, GraphItem, MergeInput, PaintState
from gui.views.graph.strokes import draw_cross, scene_font, to_qrectf

SMALL_RADIUS = 7  # scene units; smaller symbols get thinner lines
# Outline and ground while marked, as fields of the theme, for each shape that is not a plain box.
OUTLINES = {"pill": "add", "side": "gate"}
MARKED_TINTS = {"pill": "add_tint", "side": "gate_tint"}


class NodeItem(GraphItem):
    """One node in its shape, with the text that fits at the present zoom.

    Args:
        state: What all painters read.
        box: Rectangle, shape and text of the node.
        node: The node.
        weight: The merge input of a gate's weights, None for other nodes.
    """

    def __init__(
        self, state: PaintState, box: layout.NodeBox, node: Node, weight: MergeInput | None = None
    ) -> None:
        # The margin holds the rings of selection and cursor, and the bar of a change.
        super().__init__(state, to_qrectf(box.rect).adjusted(-9, -9, 9, 12), 5)
        self.node_box = box
        self.node = node
        self.weight = weight
        self.box = to_qrectf(box.rect)

    @property
    def name(self) -> str:
        """Return the name of the node."""
        return self.node_box.name

    @property
    def is_dropped(self) -> bool:
        """Return True while an edit removes the block."""
        return self.name in self.state.dropped

    def shape_path(self, grow: float = 0.0) -> QPainterPath:
        """Return the outline of the node.

        Args:
            grow: Scene units by which it is larger on each side.

        Returns:
            The outline.
        """
        box = self.box.adjusted(-grow, -grow, grow, grow)
        path = QPainterPath()
        if self.node_box.shape == "plus":
            path.addEllipse(box)
        elif self.node_box.shape == "diamond":
            # A diamond looks smaller than a circle of its width.
            path.addPolygon(_diamond(box.center(), box.width() / 2 + 2))
        else:
            corner = self._corner_radius(min(box.width(), box.height()))
            path.addRoundedRect(box, corner, corner)
        return path

    def draw(self, painter: QPainter, zoom: float) -> None:
        """Draw the node and what marks it."""
        self.draw_selection(painter)
        drawers = {"plus": self.draw_plus, "diamond": self.draw_diamond, "bar": self.draw_bar}
        draw_shape = drawers.get(self.node_box.shape, self.draw_block)
        draw_shape(painter, zoom)

    def draw_selection(self, painter: QPainter) -> None:
        """Draw a solid ring around the selected node, a dashed one at the keyboard's cursor.

        Args:
            painter: The painter.
        """
        state = self.state
        is_selected = state.selected == self.name
        painter.setBrush(Qt.BrushStyle.NoBrush)
        if is_selected:
            painter.setPen(QPen(state.color("focus"), 2.4))
            painter.drawPath(self.shape_path(3.0))
        if state.focused and state.cursor == self.name:
            pen = QPen(state.color("focus"), 1.8, Qt.PenStyle.CustomDashLine)
            pen.setDashPattern([2.2, 1.8])
            painter.setPen(pen)
            # Outside the ring of the selection, so that both are seen.
            painter.drawPath(self.shape_path(6.4 if is_selected else 3.4))

    def draw_plus(self, painter: QPainter, zoom: float) -> None:
        """Draw an addition.

        Args:
            painter: The painter.
            zoom: Pixels per scene unit.
        """
        center = self.box.center()
        radius = self.box.width() / 2
        width = 1.6
        if radius > SMALL_RADIUS:
            width = EDGE_WIDTH  # the same as that of the two lines that meet here
        painter.setPen(QPen(self.state.color("add"), width))
        painter.setBrush(self._ground("panel", "add_tint"))
        painter.drawEllipse(self.box.adjusted(1, 1, -1, -1))
        for arm in (QPointF(radius * 0.5, 0), QPointF(0, radius * 0.5)):
            painter.drawLine(center - arm, center + arm)

    def draw_diamond(self, painter: QPainter, zoom: float) -> None:
        """Draw a gate: solid with its sign, hollow and dashed while its weights are constant.

        Args:
            painter: The painter.
            zoom: Pixels per scene unit.
        """
        edit = self.state.edit(self.weight) if self.weight else None
        if edit is None:
            self._draw_open_gate(painter)
        else:
            self._draw_constant_gate(painter, zoom, edit)

    def draw_bar(self, painter: QPainter, zoom: float) -> None:
        """Draw a concatenation.

        Args:
            painter: The painter.
            zoom: Pixels per scene unit.
        """
        color = "concat" if self.state.is_marked(self.name) else "text"
        painter.setPen(QPen(self.state.color("panel"), 1.0))
        painter.setBrush(self.state.color(color))
        painter.drawPath(self.shape_path())

    def draw_block(self, painter: QPainter, zoom: float) -> None:
        """Draw any other node as a box with its text.

        Args:
            painter: The painter.
            zoom: Pixels per scene unit.
        """
        state = self.state
        shape = self.node_box.shape
        painter.setPen(self._block_pen())
        if self.is_dropped:
            painter.setBrush(state.band_color())
        else:
            painter.setBrush(self._ground("panel", MARKED_TINTS.get(shape, "focus_tint")))
        painter.drawPath(self.shape_path(-0.6))
        self.draw_change_bar(painter)
        if shape in ("input", "output"):
            draw_icon(painter, self.box, shape, state)
        if zoom >= MIN_TEXT_ZOOM:
            self.draw_text(painter, zoom)
        if self.is_dropped:
            corner = self.box.topRight() + QPointF(-7, 7)
            draw_cross(painter, corner, 4.0, state, state.color("panel"))

    def draw_change_bar(self, painter: QPainter) -> None:
        """Draw how much the edits changed the output, as a bar below the box, 0 to all of it.

        Args:
            painter: The painter.
        """
        value = self.state.values.get(self.name)
        if value is None or value <= 0 or self.node_box.shape in ("pill", "side"):
            return
        track = QRectF(self.box.x() + 4, self.box.bottom() + 2.5, self.box.width() - 8, 3.0)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(self.state.color("hairline"))
        painter.drawRoundedRect(track, 1.5, 1.5)
        # At least two units, so that a small change is seen at all.
        track.setWidth(max(2.0, track.width() * min(1.0, value)))
        painter.setBrush(self.state.color("cut"))
        painter.drawRoundedRect(track, 1.5, 1.5)

    def draw_text(self, painter: QPainter, zoom: float) -> None:
        """Draw the lines of the box, unless it is too small on the screen.

        Args:
            painter: The painter.
            zoom: Pixels per scene unit.
        """
        is_icon_only = self.node_box.shape in ("input", "output") and not has_caption(self.box)
        # On the screen: in so small a box text would be a blot.
        is_too_small = self.box.width() * zoom < 12 or self.box.height() * zoom < 8
        if not is_icon_only and not is_too_small:
            draw_lines(painter, self.box, self.node_box, zoom, self.state)

    def _ground(self, plain: str, marked: str) -> QColor:
        """Return the color that fills the node: of its figure, of a mark, or the plain one."""
        scale = self.state.scale
        color = scale.color(self.name, self.state.theme) if scale else None
        if color:
            return self.state.color(color)
        return self.state.color(marked if self.state.is_marked(self.name) else plain)

    def _corner_radius(self, shorter_side: float) -> float:
        if self.node_box.shape in ("pill", "bar"):
            return shorter_side / 2
        if self.node_box.shape == "side":
            return 5.0
        return min(8.0, shorter_side * 0.3)

    def _block_pen(self) -> QPen:
        shape = self.node_box.shape
        if self.is_dropped:
            return QPen(self.state.color("cut"), 1.3, Qt.PenStyle.DashLine)
        pen = QPen(self.state.color(OUTLINES.get(shape, "outline")), 1.3)
        # In a low box the dashes would run into the text.
        if shape == "pill" and self.box.height() > 12:
            pen.setDashPattern([3.0, 2.0])
        return pen

    def _draw_open_gate(self, painter: QPainter) -> None:
        center = self.box.center()
        radius = self.box.width() / 2
        painter.setPen(QPen(self.state.color("gate"), _gate_line_width(radius)))
        painter.setBrush(self._ground("gate_tint", "panel"))
        painter.drawPath(self.shape_path(-0.5))
        # Two crossed strokes, the sign of a product.
        for sign in (-1, 1):
            arm = QPointF(radius, radius * sign) * 0.32
            painter.drawLine(center - arm, center + arm)

    def _draw_constant_gate(self, painter: QPainter, zoom: float, edit: Edit) -> None:
        radius = self.box.width() / 2
        accent = self.state.color("gate")
        # Dashed and hollow: the shape says that the weights are not computed.
        painter.setPen(QPen(accent, _gate_line_width(radius), Qt.PenStyle.DashLine))
        painter.setBrush(self.state.band_color())
        painter.drawPath(self.shape_path(-0.5))
        if zoom >= MIN_TEXT_ZOOM:
            painter.setFont(scene_font(max(7.0, radius * 0.95), bold=True))
            painter.setPen(accent)
            painter.drawText(self.box, Qt.AlignmentFlag.AlignCenter, f"{edit.value:.2g}")


def _gate_line_width(radius: float) -> float:
    if radius > SMALL_RADIUS:
        return 2.0
    return 1.4


def _diamond(center: QPointF, radius: float) -> QPolygonF:
    """Return a closed diamond."""
    corners = ((0, -1), (1, 0), (0, 1), (-1, 0), (0, -1))
    return QPolygonF([center + QPointF(*corner) * radius for corner in corners])
