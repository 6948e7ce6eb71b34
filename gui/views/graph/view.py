"""The block graph on a canvas to zoom, pan and travel; clicks, keys and the pointer become signals."""

from collections.abc import Mapping

from PySide6.QtCore import QEvent, QPoint, QRect, QRectF, Qt, Signal
from PySide6.QtGui import (
    QAccessible,
    QAccessibleEvent,
    QColor,
    QContextMenuEvent,
    QFocusEvent,
    QHelpEvent,
    QKeyEvent,
    QPainter,
    QResizeEvent,
)
from PySide6.QtWidgets import QToolTip, QWidget

from gui import layout
from gui.descriptions import (
    describe_for_screen_reader,
    describe_graph,
    describe_merge_input,
    describe_node,
)
from gui.graph import Edit, Graph
from gui.layout import Direction, GraphLayout
from gui.theme import Theme
from gui.views import qt_style
from gui.views.graph.canvas import ZoomPanCanvas
from gui.views.graph.legend import GraphLegend
from gui.views.graph.painting import MergeInput, PaintState, to_qrectf
from gui.views.graph.scene import SceneItems, build_items

HIT_RADIUS = 8.0  # screen pixels around a line that still belong to it


ARROWS: dict[int, Direction] = {
    Qt.Key.Key_Left: "left",
    Qt.Key.Key_Right: "right",
    Qt.Key.Key_Up: "up",
    Qt.Key.Key_Down: "down",
}


class GraphView(ZoomPanCanvas):
    """Shows one diagram; every pick, cut and menu is a wish that goes up, what to show comes down by set_*.

    picked(name), hovered(words or ""), skip_menu_requested(merge, operand, global place), cut_toggled(merge, operand).
    """

    picked = Signal(str)
    hovered = Signal(str)
    skip_menu_requested = Signal(str, int, QPoint)
    cut_toggled = Signal(str, int)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setAccessibleName("Block graph")
        self.look = PaintState()
        self.diagram, self.placement = Graph(), GraphLayout()
        self.edits: tuple[Edit, ...] = ()
        self.drawn = SceneItems()
        self.key = GraphLegend(self.look)
        self._travel: dict[str, dict[Direction, str]] = {}
        self._shape = self._aspect()

    # ---- what comes down

    def set_graph(self, diagram: Graph) -> None:
        """Draw another model; keeps nothing of the one before."""
        self.diagram = diagram
        self.look.selected = self.look.hovered_input = self.look.cursor = None
        self.look.hovered, self.look.values = frozenset(), {}
        self._lay()
        self.set_edits(())
        self.setAccessibleDescription(
            describe_graph(diagram, self.placement) if diagram.nodes else "empty"
        )
        self.fit()

    def set_edits(self, edits: tuple[Edit, ...]) -> None:
        self.edits = edits
        self.look.scales = {(e.target, e.operand): e for e in edits if e.kind == "scale"}
        self.look.holds = {(e.target, e.operand): e for e in edits if e.kind == "hold"}
        self.look.dropped = frozenset(e.target for e in edits if e.kind == "drop")
        self._say()
        self.repaint_all()

    def set_selected(self, name: str | None) -> None:
        """Mark what is looked at; a layer of a dense block shows the arcs of what it reads."""
        self.look.selected = name if name in self.drawn.nodes else None
        self.look.cursor = self.look.selected or self.look.cursor
        self.look.hovered_input = None
        self._fan()
        self._say()
        self.repaint_all()

    def set_theme(self, theme: Theme) -> None:
        self.look.theme = theme
        self.repaint_all()

    def set_values(self, values: Mapping[str, float] | Mapping[MergeInput, float]) -> None:
        """Numbers to show: by node name, how much it changed (0 to 1); by (merge, operand), what it contributes."""
        self.look.values = dict(values.items())
        self.repaint_all()

    def _lay(self) -> None:
        """Place and draw the model for the present shape of the view."""
        self.foot = self.key.height(self.diagram)
        self._shape = self._aspect()
        room = layout.available_size(self.viewport().width(), self.viewport().height() - self.foot)
        self.placement = layout.layout_graph(self.diagram, room)
        self._travel = layout.arrow_key_map(self.diagram, self.placement)
        self.key.cells = bool(self.placement.matrices)
        self.scene().clear()
        self.drawn = build_items(self.diagram, self.placement, self.look)
        for item in self.drawn.items:
            self.scene().addItem(item)
        self.content = to_qrectf(self.placement.bounds)
        self._fan()

    def _aspect(self) -> float:
        return self.viewport().width() / max(1, self.viewport().height())

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay out anew where the shape of the view has changed much and the user has not zoomed."""
        if self.fitted and not 0.92 < self._aspect() / self._shape < 1.08:
            self._lay()
        super().resizeEvent(event)

    # ---- what is where

    def item_at(self, at: QPoint) -> tuple[str | None, MergeInput | None]:
        """The node or the way into a merge under a point of the viewport, (None, None) beside everything."""
        here, zoom = self.mapToScene(at), self.zoom
        slack = 3.0 / zoom
        for name, item in self.drawn.nodes.items():
            if item.box.adjusted(-slack, -slack, slack, slack).contains(here):
                return name, None
        for matrix in self.drawn.matrices:
            if cell := matrix.cell(here):
                return None, (cell.merge, cell.operand)
        reach = HIT_RADIUS / zoom
        near = [
            (way.distance(here), not way.skip, key)
            for key, way in self.drawn.merge_inputs.items()
            if way.rect.adjusted(-reach, -reach, reach, reach).contains(here)
        ]
        best = min(near, default=None)
        return (None, best[2]) if best and best[0] <= reach else (None, None)

    def _meant(self, name: str | None) -> MergeInput | None:
        return layout.input_for_node(self.diagram, self.placement, name)

    # ---- pointer

    def hovered_at(self, at: QPoint) -> None:
        self._hover(*self.item_at(at))

    def clicked_at(self, at: QPoint) -> None:
        name, way = self.item_at(at)
        if name:
            self.look.cursor = name
            self.picked.emit(name)
        elif way and any(way[0] in item.matrix.rows for item in self.drawn.matrices):
            self.cut_toggled.emit(*way)
        elif way:
            self.look.cursor = way[0]
            self.picked.emit(way[0])

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        if event.reason() == QContextMenuEvent.Reason.Keyboard:
            self._menu_by_key()
            return
        name, way = self.item_at(event.pos())
        way = way or self._meant(name)
        if way:
            self.skip_menu_requested.emit(*way, event.globalPos())

    def _menu_by_key(self) -> None:
        way = self.look.hovered_input or self._meant(self.look.cursor)
        if way:
            at = self.mapFromScene(self.drawn.nodes[way[0]].box.bottomLeft())
            self.skip_menu_requested.emit(*way, self.viewport().mapToGlobal(at))

    def _hover(self, name: str | None, way: MergeInput | None) -> None:
        hot = (
            frozenset({name})
            if name
            else layout.input_endpoints(self.diagram, way)
            if way
            else frozenset()
        )
        if (hot, way) == (self.look.hovered, self.look.hovered_input):
            return
        self.look.hovered, self.look.hovered_input = hot, way
        self.viewport().setCursor(
            Qt.CursorShape.PointingHandCursor if hot else Qt.CursorShape.ArrowCursor
        )
        self.hovered.emit(self._words(name, way))
        self.repaint_all()

    def _words(self, name: str | None, way: MergeInput | None) -> str:
        node = self.diagram.node(name)
        if node:
            change = self.look.values.get(node.name)
            return describe_node(node) + (f" · changed by {change:.0%}" if change else "")
        return describe_merge_input(self.diagram, *way, self.edits) if way else ""

    def leaveEvent(self, event: QEvent) -> None:
        self._hover(None, None)
        super().leaveEvent(event)

    def viewportEvent(self, event: QEvent) -> bool:
        if event.type() == QEvent.Type.ToolTip and isinstance(event, QHelpEvent):
            QToolTip.showText(
                event.globalPos(),
                qt_style.tooltip_html(self._words(*self.item_at(event.pos()))),
                self.viewport(),
            )
            return True
        return super().viewportEvent(event)

    # ---- keys

    def keyPressEvent(self, event: QKeyEvent) -> None:
        key, shift = event.key(), bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
        if key in (Qt.Key.Key_Left, Qt.Key.Key_Right) and shift:
            self.step_merge_input(1 if key == Qt.Key.Key_Right else -1)
        elif key in ARROWS:
            self.move_cursor(ARROWS[key])
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space) and self.look.cursor:
            self.picked.emit(self.look.cursor)
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace) and self.look.cursor:
            way = self.look.hovered_input or self._meant(self.look.cursor)
            if way:
                self.cut_toggled.emit(*way)
        elif key in (Qt.Key.Key_F, Qt.Key.Key_Home):
            self.fit()
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            self.zoom_by(1 / 1.2 if key == Qt.Key.Key_Minus else 1.2)
        else:
            super().keyPressEvent(event)

    def move_cursor(self, way: Direction) -> None:
        """Move the keyboard's place along an edge; the first press enters the graph."""
        if not self.diagram.nodes:
            return
        here = self.look.cursor
        self.look.cursor = self._travel[here].get(way, here) if here else self.diagram.nodes[0].name
        self.look.hovered_input, self.look.hovered = None, frozenset()
        self._moved()

    def step_merge_input(self, step: int) -> None:
        """Walk through what meets in the merge at the keyboard's place, so that one of many can be cut by key."""
        ways = layout.merge_inputs(self.diagram, self.look.cursor)
        if ways:
            at = (
                ways.index(self.look.hovered_input) + step
                if self.look.hovered_input in ways
                else 0
                if step > 0
                else -1
            )
            self.look.hovered_input = ways[at % len(ways)]
            self.look.hovered = layout.input_endpoints(self.diagram, self.look.hovered_input)
            self._moved()

    def _moved(self) -> None:
        item = self.drawn.nodes[self.look.cursor or self.diagram.nodes[0].name]
        if not self.fitted:
            self.ensureVisible(item.box, 40, 40)
        self._say()
        self.hovered.emit(
            self._words(None if self.look.hovered_input else item.name, self.look.hovered_input)
        )
        self.repaint_all()

    def _say(self) -> None:
        """Tell assistive technology where the keyboard is."""
        name = self.look.cursor or self.look.selected
        if not name:
            return
        words = (
            describe_merge_input(self.diagram, *self.look.hovered_input, self.edits)
            if self.look.hovered_input
            else ""
        )
        self.setAccessibleDescription(
            words or describe_for_screen_reader(self.diagram, name, self.edits)
        )
        QAccessible.updateAccessibility(
            QAccessibleEvent(self, QAccessible.Event.DescriptionChanged)
        )

    # ---- painting

    def focusInEvent(self, event: QFocusEvent) -> None:
        self.look.focused = True
        if self.look.cursor is None and self.diagram.nodes:
            self.look.cursor = self.look.selected or self.diagram.nodes[0].name
        super().focusInEvent(event)
        self.repaint_all()

    def focusOutEvent(self, event: QFocusEvent) -> None:
        self.look.focused = False
        super().focusOutEvent(event)
        self.repaint_all()

    def drawBackground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        painter.fillRect(rect, QColor(self.look.theme.panel))

    def drawForeground(self, painter: QPainter, rect: QRectF | QRect) -> None:
        painter.save()
        painter.resetTransform()
        self.key.draw(painter, QRectF(self.viewport().rect()), self.diagram)
        painter.restore()

    def _fan(self) -> None:
        if self.drawn.selected_arcs:
            arcs = layout.selected_arcs(self.placement, self.look.selected)
            matrix = next(
                (m for m in self.placement.matrices if arcs and arcs[0].merge in m.rows), None
            )
            self.drawn.selected_arcs.set_arcs(arcs, len(matrix.columns) if matrix else 1)
